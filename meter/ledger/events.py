"""Records events: what happened that somebody may want to be told of.

An event is recorded in the transaction of the fact that the event tells, and is sent from here by
whoever reads on from a number (the outbox). Events are numbered from 1 without gaps, in the order
in which they are committed.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from meter.database.engine import insert_or_ignore
from meter.database.schema import events
from meter.times import now_ms

# PostgreSQL's advisory lock on the numbering: a reader that goes on from a number then misses no
# event that commits later. The lock is the last that a transaction takes, behind those of shards
# and accounts: else two transactions could wait for each other.
_LOCK = 0x4556454E
MAX_DATA_BYTES = 16 * 1024
_ID_DIGITS = 32


class Event(NamedTuple):
    """Tells of one fact.

    `data` holds texts, lists of texts, booleans and integers. An integer whose name ends in
    `_nanos` is kept as a text, as JSON forms of protobuf messages have it: JavaScript would round
    the number.
    """

    account_id: str  # empty: an event of the operator's
    type: str  # such as threshold.crossed
    once_key: str  # among the account's events of the type, an event with the same key is the same
    occurred_at_ms: int  # by the account's clock
    data: Mapping[str, object]


def record_events(connection: Connection, told: Iterable[Event]) -> None:
    """Numbers and inserts the events that the ledger does not have yet.

    Nobody else numbers events until the transaction ends: call this last.
    """
    new = list(told)
    if not new:
        return
    number = _lock_last_number(connection)
    recorded_at_ms = now_ms()
    for event in new:
        row = {"number": number + 1, "recorded_at_ms": recorded_at_ms, **_row(event)}
        number += insert_or_ignore(connection, events, [row])


def event_id_of(event: Event) -> str:
    """Returns the event's id: the same for the same fact, also in a ledger that was set back."""
    digest = hashlib.sha256(_once_key(event).encode()).hexdigest()
    return f"evt_{digest[:_ID_DIGITS]}"


def _lock_last_number(connection: Connection) -> int:
    """Returns the newest event's number; SQLite's writers are one at a time as it is."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    return connection.scalar(select(func.max(events.c.number))) or 0


def _row(event: Event) -> dict[str, object]:
    return {
        "event_id": event_id_of(event),
        "once_key": _once_key(event),
        "account_id": event.account_id,
        "type": event.type,
        "occurred_at_ms": event.occurred_at_ms,
        "data": _encoded(event.data),
    }


def _once_key(event: Event) -> str:
    return f"{event.type} {event.account_id} {event.once_key}"


def _encoded(data: Mapping[str, object]) -> str:
    values = {name: _json_value(name, value) for name, value in data.items()}
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    assert len(text.encode()) <= MAX_DATA_BYTES, f"an event with {len(text)} characters"
    return text


def _json_value(name: str, value: object) -> object:
    if name.endswith("_nanos") and isinstance(value, int):
        return str(value)
    return value
