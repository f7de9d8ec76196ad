"""Draws an invoice from the ledger's rows. Streams the period's debits; nothing is kept here."""

import json
from collections.abc import Iterator
from functools import partial

from sqlalchemy import ColumnElement, Connection, and_, case, func, literal, select, true

from meter.invoice import Charge, Heading, Period, Sums, draw_up
from meter.ledger.schema import accounts, entries, price_versions
from meter.operations import REFUND
from meter.prices.price import ModelPrice
from meter.v1 import ledger_pb2 as pb

_ROWS_AT_A_TIME = 2000


def draw(connection: Connection, account_id: str, period: Period, *, final: bool, number: str) -> pb.Invoice:
    """The invoice that the rows make now. The account must exist. Raises UnbalancedError if the rows contradict each other."""
    currency = connection.execute(select(accounts.c.currency).where(accounts.c.account_id == account_id)).scalar_one()
    heading = Heading(number, account_id, currency, period, final)
    sums = _sums(connection, account_id, period)
    return draw_up(heading, sums, _charges(connection, account_id, period), partial(_price, connection))


def _sums(connection: Connection, account_id: str, period: Period) -> Sums:
    # Summed by time, not read off the balance at a place in the journal: the store's clock may have been set back, and a balance
    # between a duplicate and its refund is not what the account was owed.
    before = entries.c.occurred_at_ms < period.start_ms
    granted = and_(entries.c.kind == "GRANT", ~before)
    debited = and_(entries.c.kind == "DEBIT", ~before)
    amount = entries.c.amount_nanos
    row = connection.execute(
        select(
            _sum(before, amount),
            _sum(true(), amount),
            _sum(granted, amount),
            _sum(debited, -amount),
            _sum(debited, literal(1)),
        ).where(*_counted(account_id), entries.c.occurred_at_ms < period.end_ms)
    ).one()
    return Sums(*map(int, row))


def _charges(connection: Connection, account_id: str, period: Period) -> Iterator[Charge]:
    within = and_(entries.c.occurred_at_ms >= period.start_ms, entries.c.occurred_at_ms < period.end_ms)
    wanted = select(entries.c.model, entries.c.price_version, entries.c.usage_lines)
    wanted = wanted.where(*_counted(account_id), entries.c.kind == "DEBIT", within)
    with connection.execute(wanted, execution_options={"yield_per": _ROWS_AT_A_TIME}) as rows:
        for row in rows:
            lines = ((unit, quantity, nanos) for unit, quantity, nanos in json.loads(row.usage_lines))
            yield Charge(row.model, row.price_version, tuple(lines))


def _price(connection: Connection, version: str) -> ModelPrice | None:
    body = connection.scalar(select(price_versions.c.body).where(price_versions.c.version == version))
    return None if body is None else ModelPrice.from_json(body)


def _counted(account_id: str) -> list[ColumnElement[bool]]:
    """All but debits that charged a request again, and what gave them back."""
    duplicate = and_(entries.c.kind == "DEBIT", entries.c.duplicate_of.is_not(None))
    refund = and_(entries.c.kind == "GRANT", func.coalesce(entries.c.request_id, "").startswith(REFUND))
    return [entries.c.account_id == account_id, ~duplicate, ~refund]


def _sum(condition: ColumnElement[bool], value: ColumnElement[int]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, value), else_=0)), 0)
