"""Numbers events, from 1 without gaps, in the order in which they are committed."""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, func, select

from meter.database.engine import insert_or_ignore
from meter.database.schema import events

# PostgreSQL's advisory lock on the numbering: a reader that goes on from a number then misses no
# event that commits later.
_LOCK = 0x4556454E


def insert_events(
    connection: Connection,
    rows: Iterable[Mapping[str, object]],
) -> None:
    """Numbers and inserts the events that the ledger does not have yet.

    `rows` are rows of `events` without their numbers. Nobody else numbers events until the
    transaction ends.
    """
    number = _lock_last_number(connection)
    for row in rows:
        number += insert_or_ignore(connection, events, [{"number": number + 1, **row}])


def _lock_last_number(connection: Connection) -> int:
    """Returns the newest event's number; SQLite's writers are one at a time as it is."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    return connection.scalar(select(func.max(events.c.number))) or 0
