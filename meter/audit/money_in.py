"""The rules of money that comes in: payments, recharges, reversals."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from meter.admin.accounts import AccountRow
from meter.admin.recording import operation_named
from meter.admin.top_ups import TOP_UP_REQUEST_PREFIX
from meter.currencies import minor_unit_nanos, nanos_of
from meter.database.admin_schema import top_ups
from meter.database.payments_schema import (
    auto_recharges,
    payment_attempts,
    payments,
    recharge_wants,
    recharges,
    reversals,
)
from meter.database.schema import accounts
from meter.journal.operations import GrantCredits

# What a top-up, and a recharge, is once its payment has ended so.
_STATUS_OF = {"PAID": "SUCCEEDED", "CANCELLED": "FAILED"}


def check_payments(connection: Connection, account: AccountRow) -> Iterator[str]:
    """Yields what does not hold of the account's bought top-ups and their payments."""
    account_id = account.account_id
    for row in connection.execute(_select_bought(account_id)):
        if row.payment_id is None:
            yield f"top-up {row.top_up_id}: was bought, and has no payment"
            continue
        yield from _check_pair(row)
        yield from _check_money(row)
        yield from _check_grant(connection, account_id, row)
    for payment_id, open_attempts in connection.execute(_select_open_attempts(account_id)):
        if open_attempts > 1:
            yield f"{payment_id}: {open_attempts} attempts are open at once"


def check_recharges(connection: Connection, account: AccountRow) -> Iterator[str]:
    """Yields what does not hold of the account's recharges and of its rule."""
    for row in connection.execute(_select_recharges(account.account_id)):
        expected = _STATUS_OF.get(row.payment_state, "OPEN")
        if row.state != expected:
            yield f"{row.recharge_id}: is {row.state}, and its payment {row.payment_state}"
    yield from _check_rest(connection, account)


def check_reversals(connection: Connection, account: AccountRow) -> Iterator[str]:
    """Yields what does not hold of the account's refunds and of what the provider took back."""
    query = select(reversals).where(reversals.c.account_id == account.account_id)
    taken: dict[str, int] = {}
    for row in connection.execute(query):
        nanos = row.voided_nanos - row.regranted_nanos
        taken[row.top_up_id] = taken.get(row.top_up_id, 0) + nanos
        if row.due_ms is None:
            yield from _check_ended(row, nanos)
    told = select(top_ups.c.top_up_id, top_ups.c.refunded_nanos).where(
        top_ups.c.account_id == account.account_id
    )
    for top_up_id, refunded_nanos in connection.execute(told):
        if refunded_nanos != taken.get(top_up_id, 0):
            was = taken.get(top_up_id, 0)
            yield f"{top_up_id}: says {refunded_nanos} are refunded, reversals took {was}"


def _check_pair(row: Row[Any]) -> Iterator[str]:
    expected = _STATUS_OF.get(row.state, "PENDING")
    if row.status != expected:
        yield f"{row.payment_id}: is {row.state}, and its top-up {row.top_up_id} {row.status}"


def _check_money(row: Row[Any]) -> Iterator[str]:
    wanted_nanos = nanos_of(row.amount_minor, row.currency)
    if wanted_nanos != row.amount_nanos:
        yield f"{row.payment_id}: asks {wanted_nanos} for a top-up of {row.amount_nanos}"
    if row.state == "PAID" and row.received_minor != row.amount_minor:
        yield f"{row.payment_id}: received {row.received_minor} of {row.amount_minor}"
    if row.failure_class == "AMOUNT" and row.state != "PAID":
        yield f"{row.payment_id}: received {row.received_minor}, not {row.amount_minor}: see to it"


def _check_grant(connection: Connection, account_id: str, row: Row[Any]) -> Iterator[str]:
    request_id = f"{TOP_UP_REQUEST_PREFIX}{row.top_up_id}"
    operation = operation_named(connection, account_id, request_id)
    if operation is None:
        if row.state == "PAID":
            yield f"{row.payment_id}: is paid, and granted nothing"
        return
    change = operation.change
    if row.state != "PAID":
        yield f"{row.payment_id}: is {row.state}, and granted credits"
    if not isinstance(change, GrantCredits) or change.amount_nanos != row.amount_nanos:
        yield f"{row.payment_id}: granted another amount than {row.amount_nanos}"


def _check_rest(connection: Connection, account: AccountRow) -> Iterator[str]:
    """Checks that an account at rest is above the threshold of its rule, or says why not."""
    rule = connection.execute(
        select(auto_recharges).where(auto_recharges.c.account_id == account.account_id)
    ).first()
    if rule is None:
        return
    if rule.state in ("SUSPENDED", "CAPPED") and not rule.reason:
        yield f"auto-recharge is {rule.state} for no reason"
    if rule.enabled == (rule.state == "OFF"):
        yield f"auto-recharge is {rule.state}, and enabled is {rule.enabled}"
    level, remaining_nanos = connection.execute(_select_level(account.account_id)).one()
    if (level is not None) != (rule.state == "ARMED"):
        yield f"auto-recharge is {rule.state}, and the flusher watches {level}"
    is_settled = account.recorded_op == account.applied_op
    if rule.state != "ARMED" or not is_settled or remaining_nanos > rule.threshold_nanos:
        return
    wanted = select(func.count()).where(recharge_wants.c.account_id == account.account_id)
    if not connection.scalar(wanted):
        yield f"auto-recharge is armed at {remaining_nanos}, and nobody looks at it"


def _check_ended(row: Row[Any], taken_nanos: int) -> Iterator[str]:
    paid_nanos = row.paid_minor * minor_unit_nanos(row.currency)
    if row.kind == "REFUND" and taken_nanos != paid_nanos:
        yield f"{row.reversal_id}: took {taken_nanos} and paid back {paid_nanos}"
    if row.kind == "PROVIDER" and taken_nanos > row.target_nanos:
        yield f"{row.reversal_id}: took {taken_nanos}, more than {row.target_nanos}"


def _select_bought(account_id: str) -> Select[Any]:
    columns: Sequence[Any] = (
        top_ups.c.top_up_id,
        top_ups.c.status,
        top_ups.c.amount_nanos,
        payments.c.payment_id,
        payments.c.state,
        payments.c.amount_minor,
        payments.c.currency,
        payments.c.received_minor,
        payments.c.failure_class,
    )
    same = payments.c.subject_id == top_ups.c.top_up_id
    return (
        select(*columns)
        .select_from(top_ups.outerjoin(payments, same))
        .where(top_ups.c.account_id == account_id, top_ups.c.origin != "RECORDED")
    )


def _select_open_attempts(account_id: str) -> Select[Any]:
    return (
        select(payment_attempts.c.payment_id, func.count())
        .join(payments, payments.c.payment_id == payment_attempts.c.payment_id)
        .where(payments.c.account_id == account_id, payment_attempts.c.ended_at_ms == 0)
        .group_by(payment_attempts.c.payment_id)
    )


def _select_recharges(account_id: str) -> Select[Any]:
    return (
        select(recharges.c.recharge_id, recharges.c.state, payments.c.state.label("payment_state"))
        .join(payments, payments.c.payment_id == recharges.c.payment_id)
        .where(recharges.c.account_id == account_id)
    )


def _select_level(account_id: str) -> Select[Any]:
    return select(accounts.c.recharge_below_nanos, accounts.c.remaining_nanos).where(
        accounts.c.account_id == account_id
    )
