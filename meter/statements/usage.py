"""Adds up an account's usage by hour or day, page by page."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    String,
    Table,
    collate,
    func,
    literal,
    select,
    tuple_,
    union_all,
)

from meter.admin.accounts import require_account
from meter.database.schema import usage_daily, usage_hourly
from meter.errors import InvalidField
from meter.ids import check_id
from meter.pagination import Page, Place, page_of
from meter.statements.filters import TimeSpan, check_filter, of_model, read_time_span
from meter.times import MS_PER_DAY, MS_PER_HOUR, timestamp
from meter.v1 import ledger_pb2 as pb

_PLACE_TYPES = (int, str, str, str)

# Collations by dialect: text has the same order in every ledger.
_BYTE_ORDER = {
    "postgresql": "C",
    "sqlite": "BINARY",
}


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Says which usage QueryUsage adds up, and by which dimension the sums are split."""

    account_id: str
    span: TimeSpan
    hourly: bool
    model: str
    dimension: str
    page: Page

    @classmethod
    def of(cls, request: pb.QueryUsageRequest) -> "UsageQuery":
        """Reads the request; raises InvalidField for a field that cannot be used."""
        _check_filters(request)
        hourly = request.granularity == pb.HOUR
        span = read_time_span(request)
        return cls(
            account_id=request.account_id,
            span=span.rounded_outwards(_bucket_ms(hourly)),
            hourly=hourly,
            model=request.model,
            dimension=request.dimension,
            page=page_of(
                request,
                request.page_size,
                request.page_token,
                _PLACE_TYPES,
            ),
        )


def _check_filters(request: pb.QueryUsageRequest) -> None:
    check_id("account_id", request.account_id)
    check_filter("model", request.model)
    check_filter("dimension", request.dimension)
    if request.granularity not in pb.Granularity.values():
        raise InvalidField("granularity", "must be HOUR or DAY")


def _bucket_ms(hourly: bool) -> int:
    if hourly:
        return MS_PER_HOUR
    return MS_PER_DAY


def query_usage(
    connection: Connection,
    query: UsageQuery,
) -> pb.QueryUsageResponse:
    """Returns one page of the account's usage, by time, model, unit and value.

    Raises NotFound for an unknown account.
    """
    require_account(connection, query.account_id)
    statement = _select_sorted(query, connection.dialect.name).limit(query.page.limit)
    found = connection.execute(statement).all()
    buckets, token = query.page.fill(found, map(_bucket, found), _place_of)
    return pb.QueryUsageResponse(buckets=buckets, next_page_token=token)


def _select_sorted(query: UsageQuery, dialect: str) -> Select[Any]:
    """Selects the buckets after the page before, in order."""
    usage = _select_usage(query).subquery()
    place = _place(usage, dialect)
    statement = select(usage)
    if query.page.after:
        statement = statement.where(tuple_(*place) > tuple_(*query.page.after))
    return statement.order_by(*place)


def _place(usage: FromClause, dialect: str) -> list[ColumnElement[Any]]:
    """Returns the columns that the buckets are sorted by."""
    byte_order = _BYTE_ORDER[dialect]
    return [
        usage.c.start_ms,
        collate(usage.c.model, byte_order),
        collate(usage.c.unit, byte_order),
        collate(usage.c.value, byte_order),
    ]


def _place_of(row: Row[Any]) -> Place:
    return row.start_ms, row.model, row.unit, row.value


def _select_usage(query: UsageQuery) -> Select[Any]:
    """Selects the buckets, whole or split by the query's dimension.

    Usage without the dimension stays under the empty value, so that all values add up to the whole.
    """
    if not query.dimension:
        return _whole(query)
    return _added_up(_whole(query), _split(query), _split_off(query))


def _whole(query: UsageQuery) -> Select[Any]:
    table = _table(query)
    return (
        select(*_key(table), _empty_value(), *_sums(table))
        .where(*_conditions(query, table))
        .where(table.c.dimension == "")
    )


def _split(query: UsageQuery) -> Select[Any]:
    """Selects what each value of the dimension used."""
    table = _table(query)
    return (
        select(*_key(table), table.c.value, *_sums(table))
        .where(*_conditions(query, table))
        .where(table.c.dimension == query.dimension)
    )


def _split_off(query: UsageQuery) -> Select[Any]:
    """Selects what all values of the dimension used, negated: the whole is less by as much."""
    table = _table(query)
    negated = [-column for column in _sums(table)]
    return (
        select(*_key(table), _empty_value(), *negated)
        .where(*_conditions(query, table))
        .where(table.c.dimension == query.dimension)
    )


def _table(query: UsageQuery) -> Table:
    if query.hourly:
        return usage_hourly
    return usage_daily


def _key(table: Table) -> tuple[ColumnElement[Any], ...]:
    return table.c.start_ms, table.c.model, table.c.unit


def _sums(table: Table) -> tuple[ColumnElement[int], ...]:
    return table.c.quantity, table.c.amount_nanos, table.c.requests


def _empty_value() -> ColumnElement[str]:
    return literal("", String).label("value")


def _conditions(query: UsageQuery, table: Table) -> list[ColumnElement[bool]]:
    """Returns the query's conditions on account, time and model."""
    conditions = [table.c.account_id == query.account_id]
    conditions += query.span.conditions(table.c.start_ms)
    if query.model:
        conditions.append(of_model(table.c.model, query.model))
    return conditions


def _added_up(*parts: Select[Any]) -> Select[Any]:
    """Selects the sum of the parts in each bucket; a bucket without requests is left out."""
    rows = union_all(*parts).subquery()
    key = (rows.c.start_ms, rows.c.model, rows.c.unit, rows.c.value)
    statement = select(*key, *_totals(rows)).group_by(*key)
    return statement.having(func.sum(rows.c.requests) > 0)


def _totals(rows: FromClause) -> tuple[ColumnElement[int], ...]:
    return (
        func.sum(rows.c.quantity).label("quantity"),
        func.sum(rows.c.amount_nanos).label("amount_nanos"),
        func.sum(rows.c.requests).label("requests"),
    )


def _bucket(row: Row[Any]) -> pb.UsageBucket:
    return pb.UsageBucket(
        start_time=timestamp(row.start_ms),
        model=row.model,
        unit=row.unit,
        dimension_value=row.value,
        quantity=int(row.quantity),
        amount_nanos=int(row.amount_nanos),
        requests=int(row.requests),
    )
