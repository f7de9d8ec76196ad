"""Statements: an account's history and its usage, read from the ledger page by page.

Both take a query made from the request (which raises InvalidField) and a connection, and return the
response.
"""

import json
from dataclasses import dataclass
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    String,
    collate,
    func,
    literal,
    select,
    tuple_,
    union_all,
)

from meter.admin.accounts import require_account
from meter.database.schema import entries, usage_daily, usage_hourly
from meter.errors import InvalidField
from meter.ids import check_id
from meter.ledger.projections.grants import GrantNames, names_of
from meter.pagination import Page, page_of
from meter.times import MS_PER_DAY, MS_PER_HOUR, date_of, first_ms, timestamp
from meter.v1 import ledger_pb2 as pb

MAX_FILTER = 256  # characters of a model's or a dimension's name

OVERAGE = "OVERAGE"  # in a grant's type's place: credits of none
_ABOUT_CREDITS = ("DEBIT", "GRANT", "GRANT_STARTED", "GRANT_EXPIRED", "GRANT_VOIDED", "DEBT_PAID")

_BYTE_ORDER = {"postgresql": "C", "sqlite": "BINARY"}  # one order of text in every ledger


@dataclass(frozen=True, slots=True)
class Span:
    """Times from `start_ms` until before `end_ms`; None: unbounded."""

    start_ms: int | None
    end_ms: int | None

    def of(self, time: ColumnElement[int]) -> list[ColumnElement[bool]]:
        """As conditions."""
        after = [] if self.start_ms is None else [time >= self.start_ms]
        return after if self.end_ms is None else [*after, time < self.end_ms]


@dataclass(frozen=True, slots=True)
class EntryQuery:
    """What ListEntries is to find."""

    account_id: str
    span: Span
    kinds: tuple[str, ...]
    model: str
    page: Page

    @classmethod
    def of(cls, request: pb.ListEntriesRequest) -> "EntryQuery":
        check_id("account_id", request.account_id)
        _check_filter("model", request.model)
        return cls(
            request.account_id,
            _span(request),
            tuple(_kind(number) for number in request.kinds) or _ABOUT_CREDITS,
            request.model,
            page_of(request, request.page_size, request.page_token, (int, int)),
        )


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """What QueryUsage is to add up."""

    account_id: str
    span: Span
    hourly: bool
    model: str
    dimension: str
    page: Page

    @classmethod
    def of(cls, request: pb.QueryUsageRequest) -> "UsageQuery":
        check_id("account_id", request.account_id)
        _check_filter("model", request.model)
        _check_filter("dimension", request.dimension)
        if request.granularity not in pb.Granularity.values():
            raise InvalidField("granularity", "must be HOUR or DAY")
        hourly = request.granularity == pb.HOUR
        return cls(
            request.account_id,
            _rounded(_span(request), MS_PER_HOUR if hourly else MS_PER_DAY),
            hourly,
            request.model,
            request.dimension,
            page_of(request, request.page_size, request.page_token, (int, str, str, str)),
        )


def list_entries(connection: Connection, query: EntryQuery) -> pb.ListEntriesResponse:
    """One page of the account's history, newest first in the journal's order.

    NotFound for an unknown account.
    """
    require_account(connection, query.account_id)
    place = tuple_(entries.c.epoch, entries.c.seq)
    wanted = select(entries).where(
        entries.c.account_id == query.account_id,
        entries.c.kind.in_(query.kinds),
        *query.span.of(entries.c.occurred_at_ms),
    )
    if query.model:
        wanted = wanted.where(entries.c.model == query.model)
    if query.page.after:
        wanted = wanted.where(place < tuple_(*query.page.after))
    wanted = wanted.order_by(entries.c.epoch.desc(), entries.c.seq.desc()).limit(
        query.page.size + 1
    )
    rows = connection.execute(wanted).all()
    token = query.page.token((rows[-2].epoch, rows[-2].seq)) if len(rows) > query.page.size else ""
    page = rows[: query.page.size]
    burned = [_burned(row) for row in page]
    names = names_of(
        connection, query.account_id, {number for parts in burned for number, _ in parts}
    )
    found = (_entry(row, parts, names) for row, parts in zip(page, burned, strict=True))
    return pb.ListEntriesResponse(entries=found, next_page_token=token)


def query_usage(connection: Connection, query: UsageQuery) -> pb.QueryUsageResponse:
    """One page of the account's usage, by time, model, unit and value.

    NotFound for an unknown account.
    """
    require_account(connection, query.account_id)
    usage = _usage(query).subquery()
    order = _BYTE_ORDER[connection.dialect.name]
    place = [
        usage.c.start_ms,
        *(collate(usage.c[name], order) for name in ("model", "unit", "value")),
    ]
    wanted = select(usage).order_by(*place).limit(query.page.size + 1)
    if query.page.after:
        wanted = wanted.where(tuple_(*place) > tuple_(*query.page.after))
    rows = connection.execute(wanted).all()
    token = ""
    if len(rows) > query.page.size:
        last = rows[-2]
        token = query.page.token((last.start_ms, last.model, last.unit, last.value))
    return pb.QueryUsageResponse(
        buckets=map(_bucket, rows[: query.page.size]), next_page_token=token
    )


def _usage(query: UsageQuery) -> Select[Any]:
    """The buckets.

    Split by a dimension, what was used without it is left over under the empty value, so that all
    add up to the whole.
    """
    table = usage_hourly if query.hourly else usage_daily
    key = (table.c.start_ms, table.c.model, table.c.unit)
    sums = (table.c.quantity, table.c.amount_nanos, table.c.requests)
    where = [table.c.account_id == query.account_id, *query.span.of(table.c.start_ms)]
    if query.model:
        where.append(table.c.model == query.model)
    whole = select(*key, literal("", String).label("value"), *sums).where(
        table.c.dimension == "", *where
    )
    if not query.dimension:
        return whole
    split = select(*key, table.c.value, *sums).where(table.c.dimension == query.dimension, *where)
    taken = select(*key, literal("", String), *(-each for each in sums)).where(
        table.c.dimension == query.dimension, *where
    )
    parts = union_all(whole, split, taken).subquery()
    bucket = (parts.c.start_ms, parts.c.model, parts.c.unit, parts.c.value)
    totals = (func.sum(parts.c[each.name]).label(each.name) for each in sums)
    return select(*bucket, *totals).group_by(*bucket).having(func.sum(parts.c.requests) > 0)


def _span(request: pb.ListEntriesRequest | pb.QueryUsageRequest) -> Span:
    start_ms = (
        first_ms("start_time", request.start_time) if request.HasField("start_time") else None
    )
    end_ms = first_ms("end_time", request.end_time) if request.HasField("end_time") else None
    if start_ms is not None and end_ms is not None and start_ms > end_ms:
        raise InvalidField("start_time", "must not be after end_time")
    return Span(start_ms, end_ms)


def _rounded(span: Span, unit_ms: int) -> Span:
    """Outwards, to whole hours or days."""
    return Span(
        None if span.start_ms is None else span.start_ms // unit_ms * unit_ms,
        None if span.end_ms is None else -(-span.end_ms // unit_ms) * unit_ms,
    )


def _kind(number: int) -> str:
    if number == pb.ENTRY_KIND_UNSPECIFIED or number not in pb.EntryKind.values():
        raise InvalidField("kinds", f"{number} is not a kind of entry")
    return pb.EntryKind.Name(number)


def _check_filter(field: str, text: str) -> None:
    if len(text) > MAX_FILTER or not text.isprintable():
        raise InvalidField(field, f"at most {MAX_FILTER} printable characters")


def _burned(row: Row[Any]) -> list[tuple[int, int]]:
    return [(number, nanos) for number, nanos in json.loads(row.burned)]


def _burn(number: int, nanos: int, names: GrantNames) -> pb.Burn:
    grant_id, kind = names[number] if number else ("", OVERAGE)
    return pb.Burn(grant_id=grant_id, type=kind, amount_nanos=nanos)


def _entry(row: Row[Any], burned: list[tuple[int, int]], names: GrantNames) -> pb.Entry:
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
        usage=[
            pb.UsageLine(unit=unit, quantity=quantity, amount_nanos=nanos)
            for unit, quantity, nanos in json.loads(row.usage_lines)
        ],
        dimensions=json.loads(row.dimensions),
        description=row.description,
        late=row.late,
        incurred=row.incurred,
        burned=[_burn(number, nanos, names) for number, nanos in burned],
        grace_nanos=row.grace_nanos,
    )


def _bucket(row: Row[Any]) -> pb.UsageBucket:
    return pb.UsageBucket(
        start_time=Timestamp(seconds=row.start_ms // 1000),
        model=row.model,
        unit=row.unit,
        dimension_value=row.value,
        quantity=int(row.quantity),
        amount_nanos=int(row.amount_nanos),
        requests=int(row.requests),
    )
