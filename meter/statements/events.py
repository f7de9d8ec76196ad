"""Lists events (crossed thresholds, denials) in the order in which the ledger learned of them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from meter.admin.accounts import require_account
from meter.database.schema import events
from meter.journal.counter_names import values_of
from meter.pagination import AccountsPage, Place
from meter.times import beginning_of, date_of, timestamp
from meter.v1 import ledger_pb2 as pb

EVENT_PLACE = (int,)  # the types of an event's place in a list

_BEFORE_ALL: Place = (0,)  # events are numbered from 1


def list_events(
    connection: Connection,
    query: AccountsPage,
) -> pb.ListEventsResponse:
    """Returns one page of events, oldest first, and always a token to continue from.

    Raises NotFound for an unknown account.
    """
    if query.account_id:
        require_account(connection, query.account_id)
    last = query.page.after or _BEFORE_ALL
    statement = _select_events(query.account_id, last).limit(query.page.size)
    rows = connection.execute(statement).all()
    page, _ = query.page.fill(rows, map(_event, rows), _place_of)
    return pb.ListEventsResponse(
        events=page,
        next_page_token=query.page.token(_last_place(rows[: len(page)], last)),
    )


def _last_place(rows: Sequence[Row[Any]], before: Place) -> Place:
    """Returns the place of the last of the rows; without rows, the place `before` them."""
    if not rows:
        return before
    return _place_of(rows[-1])


def _place_of(row: Row[Any]) -> Place:
    return (row.number,)


def _select_events(account_id: str, last: Place) -> Select[Any]:
    """Selects the events after the place of the `last` one."""
    statement = select(events).where(events.c.number > last[0])
    if account_id:
        statement = statement.where(events.c.account_id == account_id)
    return statement.order_by(events.c.number)


def _event(row: Row[Any]) -> pb.Event:
    return pb.Event(
        event_id=row.entry_id or f"denial-{row.number}",
        account_id=row.account_id,
        occurred_at=timestamp(row.occurred_at_ms),
        threshold_id=row.threshold_id,
        subject=row.subject,
        reason=row.reason,
        budget_id=row.budget_id,
        budget_values=values_of(row.budget_value),
        window=_window(row),
        level_nanos=row.level_nanos,
        value_nanos=row.value_nanos,
    )


def _window(row: Row[Any]) -> str:
    """Returns the window's name: its beginning as an ISO time, except for a low balance."""
    if row.subject == "LOW_BALANCE":
        return str(row.period)
    if row.subject == "DAILY_USE":
        return date_of(int(row.period))
    return beginning_of(int(row.period))
