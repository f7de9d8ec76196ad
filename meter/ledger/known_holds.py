"""Tells holds that the ledger has heard of from holds that were lost before it could."""

from sqlalchemy import Connection, Select, select, tuple_

from meter.database.schema import accounts, entries, epochs
from meter.ledger.positions import RECONCILED

# Clocks of machines differ; an entry may be told of a little before the hold's id was made.
_SLACK_MS = 300_000
_PAGE = 1000


def may_be_lost(
    connection: Connection,
    shard: int,
    made_ms: int,
) -> bool:
    """Says whether the shard has lost entries since the time at which a hold was made."""
    began = select(epochs.c.epoch).where(
        epochs.c.shard == shard,
        epochs.c.epoch > 1,
        epochs.c.reason != RECONCILED,
        epochs.c.opened_at_ms >= made_ms - _SLACK_MS,
    )
    return connection.execute(began.limit(1)).first() is not None


def knows_hold(
    connection: Connection,
    account_id: str,
    hold_id: str,
    made_ms: int,
) -> bool:
    """Says whether an entry of the account names the hold, reading back to when it was made."""
    clock = select(accounts.c.test_clock_ms).where(accounts.c.account_id == account_id)
    oldest_ms = made_ms - _SLACK_MS
    if connection.scalar(clock) is not None:
        oldest_ms = 0  # the entries' times are of another clock than the hold's
    query = _newest_first(account_id)
    while rows := connection.execute(query).all():
        if any(row.hold_id == hold_id for row in rows):
            return True
        last = rows[-1]
        if last.occurred_at_ms < oldest_ms:
            return False
        place = tuple_(entries.c.epoch, entries.c.seq)
        query = _newest_first(account_id).where(place < tuple_(last.epoch, last.seq))
    return False


def _newest_first(account_id: str) -> Select[tuple[int, int, int, str]]:
    columns = (entries.c.epoch, entries.c.seq, entries.c.occurred_at_ms, entries.c.hold_id)
    of_account = select(*columns).where(entries.c.account_id == account_id)
    return of_account.order_by(entries.c.epoch.desc(), entries.c.seq.desc()).limit(_PAGE)
