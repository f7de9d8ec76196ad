"""Lists events, crossed thresholds, in the order in which the ledger learned of the crossings."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from meter.admin.accounts import require_account
from meter.database.schema import events
from meter.ids import check_id
from meter.pagination import Page, Place, page_of
from meter.times import date_of, timestamp
from meter.v1 import ledger_pb2 as pb

_PLACE_TYPES = (int,)
_BEFORE_ALL: Place = (0,)  # events are numbered from 1


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Says which events ListEvents finds; an empty `account_id` asks for all accounts."""

    account_id: str
    page: Page

    @classmethod
    def of(cls, request: pb.ListEventsRequest) -> "EventQuery":
        """Reads the request; raises InvalidField for a field that cannot be used."""
        if request.account_id:
            check_id("account_id", request.account_id)
        return cls(
            account_id=request.account_id,
            page=page_of(
                request,
                request.page_size,
                request.page_token,
                _PLACE_TYPES,
            ),
        )


def list_events(
    connection: Connection,
    query: EventQuery,
) -> pb.ListEventsResponse:
    """Returns one page of events, oldest first, and always a token to continue from.

    Raises NotFound for an unknown account.
    """
    last = query.page.after or _BEFORE_ALL
    statement = select(events).where(events.c.number > last[0])
    if query.account_id:
        require_account(connection, query.account_id)
        statement = statement.where(events.c.account_id == query.account_id)
    statement = statement.order_by(events.c.number).limit(query.page.size)
    rows = connection.execute(statement).all()
    if rows:
        last = (rows[-1].number,)
    return pb.ListEventsResponse(
        events=map(_event, rows),
        next_page_token=query.page.token(last),
    )


def _event(row: Row[Any]) -> pb.Event:
    return pb.Event(
        event_id=row.entry_id,
        account_id=row.account_id,
        occurred_at=timestamp(row.occurred_at_ms),
        threshold_id=row.threshold_id,
        subject=row.subject,
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
