"""Does what an operator does once: brings a ledger to this version, or gives it another store."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from redis.exceptions import RedisError

from gate.process.logging import configure_logging
from gate.setting_texts import masked
from gate.settings import Settings
from gate.store.errors import NoRedis
from meter.database.migrate import migrate, open_ledger
from meter.journals import Journals, journal_client
from meter.ledger.adoption import Adoption, adopt, plan_adoptions
from meter.ledger.positions import Positions


def migrate_ledger(settings: Settings) -> None:
    """Brings the ledger to this version's schema."""
    configure_logging(settings, "migrate")
    migrate(settings.ledger_url)


def adopt_store(settings: Settings, *, really: bool) -> list[Adoption]:
    """Gives the ledger's shards to the store of the settings, or only tells what would change.

    LedgerError if the store belongs to another ledger.
    """
    with closing(open_ledger(settings.ledger_url)) as ledger:
        positions = Positions(ledger)
        positions.ensure(settings.shards)
        journals = Journals(journal_client(settings.shared_redis_url()), settings.shards)
        with naming_redis(settings, RedisError):
            statuses = journals.statuses()
        adoptions = plan_adoptions(positions, statuses, settings.store_name())
        if really:
            adopt(positions, adoptions)
    return adoptions


@contextmanager
def naming_redis(settings: Settings, error: type[RedisError]) -> Iterator[None]:
    """Turns an error of this type into NoRedis, which names address and setting."""
    try:
        yield
    except error as cause:
        raise NoRedis(masked(settings.redis_url), cause) from None
