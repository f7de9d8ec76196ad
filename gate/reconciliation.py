"""Brings an older ledger up to its store, for an operator; see meter/ledger/reconciliation."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from redis import Redis
from redis.exceptions import RedisError

from gate.ledger_tasks import naming_redis
from gate.settings import Settings
from gate.store.stored_accounts import read_accounts
from meter.database.engine import Ledger
from meter.database.migrate import open_ledger
from meter.journals import Journals, journal_client
from meter.ledger.positions import Positions
from meter.ledger.reconciliation.difference import Difference
from meter.ledger.reconciliation.shards import ShardReconciliation, differences, older_shards


def reconcile(settings: Settings, *, really: bool) -> tuple[list[int], list[Difference]]:
    """Brings every shard of which the ledger is older up to the store, or only tells what it lacks.

    Returns those shards, and what the ledger lacked of each account. LedgerError if ledger and
    store do not belong to each other; Irreconcilable for an account that cannot be brought up:
    what was committed before is kept, and the shard stays closed.
    """
    with _opened(settings) as (ledger, redis):
        journals = Journals(redis, settings.shards)
        positions = Positions(ledger)
        positions.ensure(settings.shards)
        statuses = older_shards(positions, journals.statuses(), settings.store_name())
        lacking: list[Difference] = []
        for status in statuses:
            if really:
                shard = ShardReconciliation(ledger, journals, status, settings.store_name())
                shard.fence()
            lacking += differences(ledger, read_accounts(redis, status.shard))
            if really:
                shard.take_over(read_accounts(redis, status.shard), _now_ms(redis))
                shard.empty_journal()
                shard.finish()
    return [status.shard for status in statuses], lacking


@contextmanager
def _opened(settings: Settings) -> Iterator[tuple[Ledger, Redis]]:
    with (
        naming_redis(settings, RedisError),
        closing(open_ledger(settings.ledger_url)) as ledger,
        closing(journal_client(settings.shared_redis_url())) as redis,
    ):
        yield ledger, redis


def _now_ms(redis: Redis) -> int:
    seconds, microseconds = redis.time()
    return int(seconds) * 1000 + int(microseconds) // 1000
