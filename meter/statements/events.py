"""Lists events (crossed thresholds, denials) in the order in which the ledger learned of them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from meter.admin.accounts import require_account
from meter.database.schema import events
from meter.pagination import AccountsPage, Place
from meter.times import date_of, timestamp
from meter.v1 import ledger_pb2 as pb

EVENT_PLACE = (int,)  # the types of an event's place in a list

_BEFORE_ALL: Place = (0,)  # events are numbered from 1


def list_events(
    connection: Connection,
    query: AccountsPage,
    *,
    newest_first: bool,
) -> pb.ListEventsResponse:
    """Returns one page of events.

    Oldest first, there is always a token to continue from. Raises NotFound for an unknown account.
    """
    if query.account_id:
        require_account(connection, query.account_id)
    if newest_first:
        return _newest_first(connection, query)
    return _oldest_first(connection, query)


def _newest_first(connection: Connection, query: AccountsPage) -> pb.ListEventsResponse:
    statement = _of_account(query.account_id).order_by(events.c.number.desc())
    if query.page.after:
        statement = statement.where(events.c.number < query.page.after[0])
    rows = connection.execute(statement.limit(query.page.limit)).all()
    page, token = query.page.fill(rows, map(_event, rows), _place_of)
    return pb.ListEventsResponse(events=page, next_page_token=token)


def _oldest_first(connection: Connection, query: AccountsPage) -> pb.ListEventsResponse:
    last = query.page.after or _BEFORE_ALL
    statement = _of_account(query.account_id).order_by(events.c.number)
    behind = statement.where(events.c.number > last[0])
    rows = connection.execute(behind.limit(query.page.size)).all()
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


def _of_account(account_id: str) -> Select[Any]:
    """Selects the events of an account; of all accounts, if the id is empty."""
    statement = select(events)
    if account_id:
        statement = statement.where(events.c.account_id == account_id)
    return statement


def _event(row: Row[Any]) -> pb.Event:
    return pb.Event(
        event_id=row.entry_id or f"denial-{row.number}",
        account_id=row.account_id,
        occurred_at=timestamp(row.occurred_at_ms),
        threshold_id=row.threshold_id,
        subject=row.subject,
        reason=row.reason,
        budget_id=row.budget_id,
        window=_window(row),
        level_nanos=row.level_nanos,
        value_nanos=row.value_nanos,
    )


def _window(row: Row[Any]) -> str:
    """Returns the window's name: its first day as an ISO date, except for a low balance."""
    if row.subject == "LOW_BALANCE":
        return str(row.period)
    return date_of(int(row.period))
