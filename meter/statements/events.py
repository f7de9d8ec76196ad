"""Lists events in the order in which the ledger learned of them, or the other way round."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.struct_pb2 import Struct
from sqlalchemy import Connection, Row, Select, select

from meter.admin.accounts import require_account
from meter.database.schema import events
from meter.ids import check_id
from meter.ledger.event_types import check_types, of_types
from meter.pagination import Page, Place, page_of
from meter.statements.filters import TimeSpan, read_time_span
from meter.times import timestamp
from meter.v1 import ledger_pb2 as pb

_PLACE_TYPES = (int,)
_BEFORE_ALL: Place = (0,)  # events are numbered from 1


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Says which events ListEvents finds."""

    account_id: str  # empty: of all accounts
    types: tuple[str, ...]
    span: TimeSpan
    newest_first: bool
    page: Page

    @classmethod
    def of(cls, request: pb.ListEventsRequest) -> "EventQuery":
        """Reads the request; raises InvalidField for a field that cannot be used."""
        if request.account_id:
            check_id("account_id", request.account_id)
        check_types("types", request.types)
        return cls(
            account_id=request.account_id,
            types=tuple(request.types),
            span=read_time_span(request),
            newest_first=request.newest_first,
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
    """Returns one page of events; oldest first, with a token to continue from in any case.

    Raises NotFound for an unknown account.
    """
    if query.account_id:
        require_account(connection, query.account_id)
    rows = connection.execute(_select_page(query)).all()
    page, token = query.page.fill(rows, map(_event, rows), _place_of)
    if not query.newest_first:
        last = query.page.after or _BEFORE_ALL
        token = query.page.token(_last_place(rows[: len(page)], last))
    return pb.ListEventsResponse(events=page, next_page_token=token)


def _select_page(query: EventQuery) -> Select[Any]:
    statement = _matching(query)
    number = events.c.number
    if query.newest_first:
        if query.page.after:
            statement = statement.where(number < query.page.after[0])
        return statement.order_by(number.desc()).limit(query.page.limit)
    last = query.page.after or _BEFORE_ALL
    return statement.where(number > last[0]).order_by(number).limit(query.page.limit)


def _matching(query: EventQuery) -> Select[Any]:
    """Selects the events that the query's filters leave, on all pages."""
    statement = select(events).where(*query.span.conditions(events.c.occurred_at_ms))
    if query.account_id:
        statement = statement.where(events.c.account_id == query.account_id)
    if query.types:
        statement = statement.where(of_types(events.c.type, query.types))
    return statement


def _last_place(rows: Sequence[Row[Any]], before: Place) -> Place:
    """Returns the place of the last of the rows; without rows, the place `before` them."""
    if not rows:
        return before
    return _place_of(rows[-1])


def _place_of(row: Row[Any]) -> Place:
    return (row.number,)


def _event(row: Row[Any]) -> pb.Event:
    data = Struct()
    data.update(json.loads(row.data))
    return pb.Event(
        event_id=row.event_id,
        sequence=row.number,
        type=row.type,
        account_id=row.account_id,
        occurred_at=timestamp(row.occurred_at_ms),
        recorded_at=timestamp(row.recorded_at_ms),
        data=data,
    )
