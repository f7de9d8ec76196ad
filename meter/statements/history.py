"""Lists an account's history, entry by entry, page by page."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, select, tuple_

from meter.admin.accounts import require_account
from meter.database.schema import entries, operations
from meter.errors import InvalidField
from meter.ids import check_id
from meter.ledger.projections.grants import GrantNames, names_of
from meter.pagination import Page, Place, page_of
from meter.statements.filters import TimeSpan, check_filter, of_model, read_time_span
from meter.times import date_of, timestamp
from meter.v1 import ledger_pb2 as pb

OVERAGE = "OVERAGE"  # stands in place of a grant's type for credits of no grant

_PLACE_TYPES = (int, int)

# Listed unless the request names kinds.
_ABOUT_CREDITS = (
    "DEBIT",
    "GRANT",
    "GRANT_STARTED",
    "GRANT_EXPIRED",
    "GRANT_VOIDED",
    "DEBT_PAID",
)

_Burned = list[tuple[int, int]]  # (grant's number, nanos); number 0 is overage


@dataclass(frozen=True, slots=True)
class EntryQuery:
    """Says which entries ListEntries finds."""

    account_id: str
    span: TimeSpan
    kinds: tuple[str, ...]
    model: str
    page: Page

    @classmethod
    def of(cls, request: pb.ListEntriesRequest) -> "EntryQuery":
        """Reads the request; raises InvalidField for a field that cannot be used."""
        check_id("account_id", request.account_id)
        check_filter("model", request.model)
        return cls(
            account_id=request.account_id,
            span=read_time_span(request),
            kinds=_kinds(request.kinds),
            model=request.model,
            page=page_of(
                request,
                request.page_size,
                request.page_token,
                _PLACE_TYPES,
            ),
        )


def list_entries(
    connection: Connection,
    query: EntryQuery,
) -> pb.ListEntriesResponse:
    """Returns one page of the account's history, newest first in the journal's order.

    Raises NotFound for an unknown account.
    """
    require_account(connection, query.account_id)
    statement = _select_entries(query).limit(query.page.limit)
    found = connection.execute(statement).all()
    messages = _messages(connection, query.account_id, found)
    page, token = query.page.fill(found, messages, _place_of)
    return pb.ListEntriesResponse(entries=page, next_page_token=token)


def _select_entries(query: EntryQuery) -> Select[Any]:
    statement = _matching(query)
    if query.page.after:
        place = tuple_(entries.c.epoch, entries.c.seq)
        statement = statement.where(place < tuple_(*query.page.after))
    return statement.order_by(entries.c.epoch.desc(), entries.c.seq.desc())


def _matching(query: EntryQuery) -> Select[Any]:
    """Selects the entries that the query's filters leave, on all pages, with who asked for them."""
    asked_for = and_(
        operations.c.account_id == entries.c.account_id,
        operations.c.request_id == entries.c.request_id,
    )
    statement = (
        select(entries, operations.c.actor)
        .join(operations, asked_for, isouter=True)
        .where(
            entries.c.account_id == query.account_id,
            entries.c.kind.in_(query.kinds),
            *query.span.conditions(entries.c.occurred_at_ms),
        )
    )
    if query.model:
        statement = statement.where(of_model(entries.c.model, query.model))
    return statement


def _place_of(row: Row[Any]) -> Place:
    return row.epoch, row.seq


def _kinds(numbers: Iterable[int]) -> tuple[str, ...]:
    kinds = [_kind(number) for number in numbers]
    return tuple(kinds) or _ABOUT_CREDITS


def _kind(number: int) -> str:
    if number == pb.ENTRY_KIND_UNSPECIFIED or number not in pb.EntryKind.values():
        raise InvalidField("kinds", f"{number} is not a kind of entry")
    return pb.EntryKind.Name(number)


def _messages(
    connection: Connection,
    account_id: str,
    rows: Sequence[Row[Any]],
) -> list[pb.Entry]:
    """Returns the rows as messages, with the names of the grants that the rows burned."""
    burned_by_row = [_read_burned(row) for row in rows]
    names = names_of(connection, account_id, _numbers_in(burned_by_row))
    messages = []
    for row, burned in zip(rows, burned_by_row, strict=True):
        burns = [_burn(number, nanos, names) for number, nanos in burned]
        messages.append(_entry(row, burns))
    return messages


def _read_burned(row: Row[Any]) -> _Burned:
    return [(number, nanos) for number, nanos in json.loads(row.burned)]


def _numbers_in(burned_by_row: Iterable[_Burned]) -> set[int]:
    numbers: set[int] = set()
    for burned in burned_by_row:
        numbers.update(number for number, _ in burned)
    return numbers


def _burn(
    number: int,
    nanos: int,
    names: GrantNames,
) -> pb.Burn:
    grant_id = ""
    grant_type = OVERAGE
    if number:
        grant_id, grant_type = names[number]
    return pb.Burn(grant_id=grant_id, type=grant_type, amount_nanos=nanos)


def _entry(row: Row[Any], burns: Iterable[pb.Burn]) -> pb.Entry:
    return pb.Entry(
        entry_id=f"{row.shard}-{row.epoch}-{row.seq}",
        account_id=row.account_id,
        request_id=row.request_id or "",
        kind=row.kind,
        occurred_at=timestamp(row.occurred_at_ms),
        usage_date=date_of(row.usage_day),
        amount_nanos=row.amount_nanos,
        balance_nanos=row.balance_nanos,
        held_nanos=row.held_nanos,
        hold_id=row.hold_id,
        shortfall_nanos=row.shortfall_nanos,
        model=row.model,
        price_version=row.price_version,
        usage=_usage_lines(row.usage_lines),
        dimensions=json.loads(row.dimensions),
        description=row.description,
        late=row.late,
        incurred=row.incurred,
        burned=burns,
        grace_nanos=row.grace_nanos,
        actor=row.actor or "",
    )


def _usage_lines(text: str) -> list[pb.UsageLine]:
    return [
        pb.UsageLine(
            unit=unit,
            quantity=quantity,
            amount_nanos=nanos,
        )
        for unit, quantity, nanos in json.loads(text)
    ]
