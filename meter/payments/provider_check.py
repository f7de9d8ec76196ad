"""Compares payments with what the provider tells of each: money here is money there."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Select, select

from meter.admin.accounts import require_account
from meter.database.engine import Ledger
from meter.database.payments_schema import payments
from meter.payments.payment_rows import CREATED, PAID, PaymentRow
from meter.payments.provider import Provider, State, Status
from meter.payments.reversal_rows import REFUND, ReversalRow, reversals_of
from meter.times import MS_PER_DAY
from meter.v1 import payments_pb2 as pb

_DAYS = 30
_PAGE = 200
_MOST_FINDINGS = 1000


def check_payments(
    ledger: Ledger,
    provider: Provider,
    account_id: str,
    now_ms: int,
) -> pb.CheckPaymentsResponse:
    """Returns every difference in the payments of the last 30 days.

    Raises AccountNotFound; ProviderUnavailable.
    """
    response = pb.CheckPaymentsResponse()
    if account_id:
        with ledger.read() as connection:
            require_account(connection, account_id)
    if not provider.saves_methods:
        return response  # an operator is paid, and nobody else knows of it
    since_ms = now_ms - _DAYS * MS_PER_DAY
    for row in _payments(ledger, provider.name, account_id, since_ms):
        response.payments_checked += 1
        state = provider.look(row.payment_ref)
        # Read after the look: what the look found new may have come in meanwhile.
        with ledger.read() as connection:
            present, reversals = _present(connection, row)
        for detail in _differences(present, state, reversals):
            if len(response.findings) < _MOST_FINDINGS:
                response.findings.add(
                    account_id=row.account_id,
                    payment_id=row.payment_id,
                    detail=detail,
                )
    return response


def _differences(
    row: PaymentRow,
    state: State,
    reversals: list[ReversalRow],
) -> Iterator[str]:
    if (row.state == PAID) != (state.status is Status.PAID):
        yield f"is {row.state} here, and {state.status} at {row.provider}"
        return
    if row.state != PAID:
        return
    received = (state.received_minor, state.currency)
    if received != (row.received_minor, row.currency):
        yield f"received {row.received_minor} {row.currency} here, {received} at {row.provider}"
    yield from _reversal_differences(row, state, reversals)


def _reversal_differences(
    row: PaymentRow,
    state: State,
    reversals: list[ReversalRow],
) -> Iterator[str]:
    if any(each.due_ms is not None for each in reversals):
        return  # on its way
    ours_minor = sum(each.paid_minor for each in reversals if each.kind == REFUND)
    if state.refunded_minor < ours_minor:
        yield f"paid back {ours_minor} here, {state.refunded_minor} at {row.provider}"
    taken_minor = state.disputed_minor + state.refunded_minor - ours_minor
    known = any(each.kind != REFUND for each in reversals)
    if taken_minor > 0 and not known:
        yield f"{row.provider} took {taken_minor} back, and nobody has looked at it"


def _present(connection: Connection, row: PaymentRow) -> tuple[PaymentRow, list[ReversalRow]]:
    query = select(payments).where(payments.c.payment_id == row.payment_id)
    found = connection.execute(query).mappings().one()
    return PaymentRow(**found), reversals_of(connection, row.payment_id)


def _payments(
    ledger: Ledger,
    provider: str,
    account_id: str,
    since_ms: int,
) -> Iterator[PaymentRow]:
    last = ""
    while True:
        query = _select_behind(provider, account_id, since_ms, last)
        with ledger.read() as connection:
            rows = [PaymentRow(**row) for row in connection.execute(query).mappings()]
        yield from rows
        if len(rows) < _PAGE:
            return
        last = rows[-1].payment_id


def _select_behind(provider: str, account_id: str, since_ms: int, last: str) -> Select[Any]:
    query = select(payments).where(
        payments.c.provider == provider,
        payments.c.create_time_ms >= since_ms,
        payments.c.state != CREATED,
        payments.c.payment_id > last,
    )
    if account_id:
        query = query.where(payments.c.account_id == account_id)
    return query.order_by(payments.c.payment_id).limit(_PAGE)
