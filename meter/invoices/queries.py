"""Computes an invoice from the ledger's rows; the debits are streamed, and nothing is stored."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    ScalarSelect,
    Select,
    and_,
    case,
    func,
    literal,
    select,
    true,
)

from meter.database.schema import accounts, entries, grants, operations, price_versions
from meter.invoices.calculation import Charge, Heading, Period, Sums, compute
from meter.journal.operations import NEXT_INVOICE, REFUND_REQUEST_PREFIX, Create, Operation, Update
from meter.prices.price import ModelPrice
from meter.v1 import ledger_pb2 as pb

_ROWS_AT_A_TIME = 2000
_CHARGE_COLUMNS = ("model", "price_version", "usage_lines", "burned")


def compute_invoice(
    connection: Connection,
    account_id: str,
    period: Period,
    *,
    final: bool,
    number: str,
) -> pb.Invoice:
    """Returns the invoice that the ledger's rows make now; the account must exist.

    Raises UnbalancedError if the rows contradict each other.
    """
    heading = _heading(
        connection,
        account_id,
        period,
        final=final,
        number=number,
    )
    return compute(
        heading,
        _sums(connection, account_id, period),
        _charges(connection, account_id, period),
        price_of=partial(_price, connection),
        type_of=partial(_grant_type, connection, account_id),
    )


def _heading(
    connection: Connection,
    account_id: str,
    period: Period,
    *,
    final: bool,
    number: str,
) -> Heading:
    return Heading(
        number=number,
        account_id=account_id,
        currency=_currency(connection, account_id),
        period=period,
        final=final,
        overage_policy=_overage_policy(connection, account_id, period.end_ms),
    )


def _currency(connection: Connection, account_id: str) -> str:
    query = select(accounts.c.currency).where(accounts.c.account_id == account_id)
    return str(connection.execute(query).scalar_one())


def _overage_policy(
    connection: Connection,
    account_id: str,
    end_ms: int,
) -> str:
    """Returns the overage policy in effect at `end_ms`.

    The last operation applied by then marks the place; operations before that place count even if
    their journal entries were lost.
    """
    for body in connection.scalars(_policy_changes(account_id, end_ms)):
        change = Operation.from_json(body).change
        if isinstance(change, Create | Update):
            return change.overage_policy
    return NEXT_INVOICE


def _policy_changes(account_id: str, end_ms: int) -> Select[str]:
    """Selects the operations that may set the overage policy, the newest first."""
    statement = select(operations.c.body).where(
        operations.c.account_id == account_id,
        operations.c.seq <= _last_applied(account_id, end_ms),
        operations.c.body.contains('"overage_policy"'),
    )
    return statement.order_by(operations.c.seq.desc())


def _last_applied(account_id: str, end_ms: int) -> ScalarSelect[int]:
    """Selects the number of the last operation with an entry before `end_ms`."""
    same_request = and_(
        entries.c.account_id == operations.c.account_id,
        entries.c.request_id == operations.c.request_id,
    )
    of_account = operations.c.account_id == account_id
    return (
        select(func.max(operations.c.seq))
        .join(entries, same_request)
        .where(of_account, entries.c.occurred_at_ms < end_ms)
        .scalar_subquery()
    )


def _sums(
    connection: Connection,
    account_id: str,
    period: Period,
) -> Sums:
    row = connection.execute(_select_sums(account_id, period)).mappings().one()
    return Sums(**{name: int(value) for name, value in row.items()})


def _select_sums(account_id: str, period: Period) -> Select[Any]:
    # Summed by time, not read off the balance at a place in the journal: the store's clock may have
    # been set back, and a balance between a duplicate and its refund is not what the account was
    # owed.
    columns: list[ColumnElement[Any]] = []
    for name, column in _sum_columns(period).items():
        columns.append(column.label(name))
    return select(*columns).where(
        entries.c.account_id == account_id,
        entries.c.occurred_at_ms < period.end_ms,
    )


def _sum_columns(period: Period) -> dict[str, ColumnElement[int]]:
    """Returns the columns by the names of the fields of `Sums`."""
    return {
        **_balance_columns(period),
        **_credit_columns(period),
        **_debt_columns(period),
    }


def _balance_columns(period: Period) -> dict[str, ColumnElement[int]]:
    amount = entries.c.amount_nanos
    counted = _counted()
    before = entries.c.occurred_at_ms < period.start_ms
    return {
        "opening_nanos": _sum_where(before & counted, amount),
        "closing_nanos": _sum_where(counted, amount),
    }


def _credit_columns(period: Period) -> dict[str, ColumnElement[int]]:
    """Returns the columns of what came to the credits in the period, and what went."""
    amount = entries.c.amount_nanos
    granted = _in_period(period, ("GRANT", "GRANT_STARTED")) & _counted()
    expired = _in_period(period, ("GRANT_EXPIRED", "GRANT_VOIDED"))
    debited = _in_period(period, ("DEBIT",)) & _counted()
    return {
        "granted_nanos": _sum_where(granted, amount),
        "debited_nanos": _sum_where(debited, -amount),
        "debits": _sum_where(debited, literal(1)),
        "expired_nanos": _sum_where(expired, -amount),
    }


def _debt_columns(period: Period) -> dict[str, ColumnElement[int]]:
    overage = entries.c.overage_nanos
    paid = _in_period(period, ("DEBT_PAID",))
    # A duplicate's overage counts: overage in use is paid off whoever used it. Credits still to be
    # given back for a duplicate will pay overage as well.
    to_give_back = _sum_where(~_counted(), entries.c.amount_nanos)
    return {
        "debt_nanos": _sum_where(true(), overage) + to_give_back,
        "debt_paid_nanos": _sum_where(paid, -overage),
    }


def _charges(
    connection: Connection,
    account_id: str,
    period: Period,
) -> Iterator[Charge]:
    statement = _select_debits(account_id, period)
    streamed = {"yield_per": _ROWS_AT_A_TIME}
    with connection.execute(statement, execution_options=streamed) as rows:
        for row in rows:
            yield _charge(row)


def _select_debits(account_id: str, period: Period) -> Select[Any]:
    columns = [entries.c[name] for name in _CHARGE_COLUMNS]
    return select(*columns).where(
        entries.c.account_id == account_id,
        _in_period(period, ("DEBIT",)),
        _counted(),
    )


def _charge(row: Row[Any]) -> Charge:
    usage_lines = json.loads(row.usage_lines)
    burned = json.loads(row.burned)
    return Charge(
        model=row.model,
        price_version=row.price_version,
        lines=tuple((unit, quantity, nanos) for unit, quantity, nanos in usage_lines),
        burned=tuple((number, nanos) for number, nanos in burned),
    )


def _price(connection: Connection, version: str) -> ModelPrice | None:
    query = select(price_versions.c.body).where(price_versions.c.version == version)
    body = connection.scalar(query)
    if body is None:
        return None
    return ModelPrice.from_json(body)


def _grant_type(
    connection: Connection,
    account_id: str,
    number: int,
) -> str:
    statement = select(grants.c.type).where(
        grants.c.account_id == account_id,
        grants.c.number == number,
    )
    return str(connection.execute(statement).scalar_one())


def _in_period(period: Period, kinds: tuple[str, ...]) -> ColumnElement[bool]:
    """Returns the condition that an entry is of one of the kinds and within the period."""
    return and_(
        entries.c.kind.in_(kinds),
        entries.c.occurred_at_ms >= period.start_ms,
        entries.c.occurred_at_ms < period.end_ms,
    )


def _counted() -> ColumnElement[bool]:
    """Returns the condition that an entry is neither a duplicate debit nor a duplicate's refund."""
    return ~_is_duplicate() & ~_is_refund()


def _is_duplicate() -> ColumnElement[bool]:
    return and_(
        entries.c.kind == "DEBIT",
        entries.c.duplicate_of.is_not(None),
    )


def _is_refund() -> ColumnElement[bool]:
    """Returns the condition that an entry gave back a duplicate debit."""
    request_id = func.coalesce(entries.c.request_id, "")
    return and_(
        entries.c.kind == "GRANT",
        request_id.startswith(REFUND_REQUEST_PREFIX),
    )


def _sum_where(
    condition: ColumnElement[bool],
    value: ColumnElement[int],
) -> ColumnElement[int]:
    value_or_zero = case((condition, value), else_=0)
    return func.coalesce(func.sum(value_or_zero), 0)
