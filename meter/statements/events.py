"""Events, listed: thresholds that were crossed, in the order in which the ledger learned
of them.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from meter.admin.accounts import require_account
from meter.database.schema import events
from meter.ids import check_id
from meter.pagination import Page, page_of
from meter.times import date_of, timestamp
from meter.v1 import ledger_pb2 as pb


@dataclass(frozen=True, slots=True)
class EventQuery:
    """What ListEvents is to find; an empty `account_id`: of all accounts."""

    account_id: str
    page: Page

    @classmethod
    def of(cls, request: pb.ListEventsRequest) -> "EventQuery":
        if request.account_id:
            check_id("account_id", request.account_id)
        return cls(
            request.account_id, page_of(request, request.page_size, request.page_token, (int,))
        )


def list_events(connection: Connection, query: EventQuery) -> pb.ListEventsResponse:
    """One page of events, oldest first, and always the token to go on from.

    NotFound for an unknown account.
    """
    last = query.page.after or (0,)
    wanted = select(events).where(events.c.number > last[0])
    if query.account_id:
        require_account(connection, query.account_id)
        wanted = wanted.where(events.c.account_id == query.account_id)
    rows = connection.execute(wanted.order_by(events.c.number).limit(query.page.size)).all()
    token = query.page.token((rows[-1].number,) if rows else last)
    return pb.ListEventsResponse(events=map(_event, rows), next_page_token=token)


def _event(row: Row[Any]) -> pb.Event:
    return pb.Event(
        event_id=row.entry_id,
        account_id=row.account_id,
        occurred_at=timestamp(row.occurred_at_ms),
        threshold_id=row.threshold_id,
        subject=row.subject,
        budget_id=row.budget_id,
        window=row.period if row.subject == "LOW_BALANCE" else date_of(int(row.period)),
        level_nanos=row.level_nanos,
        value_nanos=row.value_nanos,
    )
