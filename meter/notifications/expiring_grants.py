"""Tells of grants that expire within seven days with credits left: once each."""

from typing import Any

from sqlalchemy import ColumnElement, Row, Select, exists, literal, or_, select

from meter.database.engine import Ledger
from meter.database.schema import accounts, events, grants
from meter.ledger.events import Event, record_events
from meter.times import MS_PER_DAY, timestamp

GRANT_EXPIRING = "grant.expiring"
_AHEAD_MS = 7 * MS_PER_DAY
_BATCH = 200  # bounds how long the other writers of an SQLite ledger wait


def tell_expiring(ledger: Ledger, now_ms: int) -> int:
    """Records the events of grants that are about to expire, and returns how many those were.

    Accounts with a test clock go by that clock.
    """
    with ledger.read() as connection:
        found = connection.execute(_select_expiring(now_ms)).all()
    if found:
        with ledger.write() as connection:
            record_events(connection, [_event(row, now_ms) for row in found])
    return len(found)


def _select_expiring(now_ms: int) -> Select[Any]:
    columns = (
        grants.c.account_id,
        grants.c.grant_id,
        grants.c.type,
        grants.c.left_nanos,
        grants.c.expires_at_ms,
        accounts.c.applied_clock_ms,
    )
    return (
        select(*columns)
        .join(accounts, accounts.c.account_id == grants.c.account_id)
        .where(
            grants.c.state == "LIVE",
            grants.c.left_nanos > 0,
            or_(_is_near(literal(now_ms)), _is_near_by_test_clock()),
            ~_is_told(),
        )
        .limit(_BATCH)
    )


def _is_near(now: ColumnElement[int]) -> ColumnElement[bool]:
    """Says whether the grant of an account without a test clock expires soon."""
    no_clock = accounts.c.applied_clock_ms.is_(None)
    return no_clock & grants.c.expires_at_ms.between(now + 1, now + _AHEAD_MS)


def _is_near_by_test_clock() -> ColumnElement[bool]:
    clock = accounts.c.applied_clock_ms
    return grants.c.expires_at_ms.between(clock + 1, clock + _AHEAD_MS)


def _is_told() -> ColumnElement[bool]:
    key = literal(f"{GRANT_EXPIRING} ") + grants.c.account_id + " " + grants.c.grant_id
    return exists().where(events.c.once_key == key)


def _event(row: Row[Any], now_ms: int) -> Event:
    occurred_at_ms = now_ms
    if row.applied_clock_ms is not None:
        occurred_at_ms = row.applied_clock_ms
    return Event(
        account_id=row.account_id,
        type=GRANT_EXPIRING,
        once_key=row.grant_id,
        occurred_at_ms=occurred_at_ms,
        data={
            "grant_id": row.grant_id,
            "grant_type": row.type,
            "left_nanos": row.left_nanos,
            "expires_at": timestamp(row.expires_at_ms).ToJsonString(),
        },
    )
