"""Draws an invoice from the ledger's rows. Streams the period's debits; nothing is kept here."""

import json
from collections.abc import Iterator
from functools import partial

from sqlalchemy import ColumnElement, Connection, and_, case, func, literal, select, true

from meter.database.schema import accounts, entries, grants, operations, price_versions
from meter.invoices.calculation import Charge, Heading, Period, Sums, compute
from meter.journal.operations import NEXT_INVOICE, REFUND, Create, Operation, Update
from meter.prices.price import ModelPrice
from meter.v1 import ledger_pb2 as pb

_ROWS_AT_A_TIME = 2000


def compute_invoice(
    connection: Connection, account_id: str, period: Period, *, final: bool, number: str
) -> pb.Invoice:
    """The invoice that the rows make now.

    The account must exist. Raises UnbalancedError if the rows contradict each other.
    """
    currency = connection.execute(
        select(accounts.c.currency).where(accounts.c.account_id == account_id)
    ).scalar_one()
    policy = _overage_policy(connection, account_id, period.end_ms)
    heading = Heading(number, account_id, currency, period, final, policy)
    sums = _sums(connection, account_id, period)
    charges = _charges(connection, account_id, period)
    return compute(
        heading, sums, charges, partial(_price, connection), partial(_type, connection, account_id)
    )


def _overage_policy(connection: Connection, account_id: str, end_ms: int) -> str:
    """The last that an operation had put into effect by then; those before it whose entries were lost
    count too.
    """
    of_account = operations.c.account_id == account_id
    applied = (
        select(func.max(operations.c.seq))
        .join(
            entries,
            (entries.c.account_id == operations.c.account_id)
            & (entries.c.request_id == operations.c.request_id),
        )
        .where(of_account, entries.c.occurred_at_ms < end_ms)
        .scalar_subquery()
    )
    setting = operations.c.body.contains('"overage_policy"')
    wanted = select(operations.c.body).where(of_account, operations.c.seq <= applied, setting)
    for body in connection.scalars(wanted.order_by(operations.c.seq.desc())):
        change = Operation.from_json(body).change
        if isinstance(change, Create | Update):
            return change.overage_policy
    return NEXT_INVOICE


def _sums(connection: Connection, account_id: str, period: Period) -> Sums:
    # Summed by time, not read off the balance at a place in the journal: the store's clock may have
    # been set back, and a balance between a duplicate and its refund is not what the account was
    # owed.
    before = entries.c.occurred_at_ms < period.start_ms
    counted = _counted()
    granted = and_(entries.c.kind.in_(("GRANT", "GRANT_STARTED")), ~before, counted)
    expired = and_(entries.c.kind.in_(("GRANT_EXPIRED", "GRANT_VOIDED")), ~before)
    debited = and_(entries.c.kind == "DEBIT", ~before, counted)
    paid = and_(entries.c.kind == "DEBT_PAID", ~before)
    amount = entries.c.amount_nanos
    row = connection.execute(
        select(
            _sum(and_(before, counted), amount),
            _sum(counted, amount),
            _sum(granted, amount),
            _sum(debited, -amount),
            _sum(debited, literal(1)),
            _sum(expired, -amount),
            # A duplicate's too: what is in use is paid off whoever used it. What is still to be
            # given back will pay it as well.
            _sum(true(), entries.c.overage_nanos) + _sum(~counted, amount),
            _sum(paid, -entries.c.overage_nanos),
        ).where(entries.c.account_id == account_id, entries.c.occurred_at_ms < period.end_ms)
    ).one()
    return Sums(*map(int, row))


def _charges(connection: Connection, account_id: str, period: Period) -> Iterator[Charge]:
    within = and_(
        entries.c.occurred_at_ms >= period.start_ms, entries.c.occurred_at_ms < period.end_ms
    )
    wanted = select(
        entries.c.model, entries.c.price_version, entries.c.usage_lines, entries.c.burned
    )
    wanted = wanted.where(
        entries.c.account_id == account_id, entries.c.kind == "DEBIT", _counted(), within
    )
    with connection.execute(wanted, execution_options={"yield_per": _ROWS_AT_A_TIME}) as rows:
        for row in rows:
            lines = (
                (unit, quantity, nanos) for unit, quantity, nanos in json.loads(row.usage_lines)
            )
            burned = ((number, nanos) for number, nanos in json.loads(row.burned))
            yield Charge(row.model, row.price_version, tuple(lines), tuple(burned))


def _price(connection: Connection, version: str) -> ModelPrice | None:
    body = connection.scalar(
        select(price_versions.c.body).where(price_versions.c.version == version)
    )
    return None if body is None else ModelPrice.from_json(body)


def _type(connection: Connection, account_id: str, number: int) -> str:
    own = (grants.c.account_id == account_id) & (grants.c.number == number)
    return str(connection.execute(select(grants.c.type).where(own)).scalar_one())


def _counted() -> ColumnElement[bool]:
    """All but debits that charged a request again, and what gave them back."""
    duplicate = and_(entries.c.kind == "DEBIT", entries.c.duplicate_of.is_not(None))
    refund = and_(
        entries.c.kind == "GRANT", func.coalesce(entries.c.request_id, "").startswith(REFUND)
    )
    return ~duplicate & ~refund


def _sum(condition: ColumnElement[bool], value: ColumnElement[int]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, value), else_=0)), 0)
