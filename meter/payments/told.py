"""Records the events of payments, methods and auto-recharge, in the transaction of the fact."""

from sqlalchemy import Connection

from meter.ledger.events import Event, record_events
from meter.payments.method_rows import MethodRow
from meter.payments.payment_rows import PaymentRow
from meter.payments.recharge_rows import (
    ARMED,
    CAPPED,
    SUSPENDED,
    RechargeRow,
    RuleRow,
)
from meter.payments.reversal_rows import FAILED, PROVIDER, ReversalRow
from meter.times import now_ms

HOURLY_LIMIT = "HOURLY_LIMIT"
_OPERATOR = ""


def tell_method(connection: Connection, what: str, method: MethodRow) -> None:
    """Tells that a method was added or removed."""
    data: dict[str, object] = {
        "method_id": method.method_id,
        "kind": method.kind,
        "brand": method.brand,
        "last4": method.last4,
    }
    _tell(connection, method.account_id, f"payment_method.{what}", method.method_id, data)


def tell_action(connection: Connection, payment: PaymentRow) -> None:
    """Tells that the customer has to act; the link is fetched when it is wanted."""
    key = f"{payment.payment_id} {payment.attempts}"
    data = _payment_data(payment)
    _tell(connection, payment.account_id, "top_up.action_required", key, data)


def tell_failure(connection: Connection, payment: PaymentRow) -> None:
    """Tells that an attempt failed; an operator too, if the customer can do nothing about it."""
    key = f"{payment.payment_id} {payment.attempts}"
    data = _payment_data(payment) | {
        "failure_class": payment.failure_class,
        "failure_code": payment.failure_code,
        "failure_text": payment.failure_text,
    }
    _tell(connection, payment.account_id, "payment.failed", key, data)
    if payment.failure_class in ("OURS", "AMOUNT"):
        data["account_id"] = payment.account_id
        _tell(connection, _OPERATOR, "operator.attention", key, data)


def tell_recharge(connection: Connection, what: str, recharge: RechargeRow) -> None:
    """Tells that a recharge is charging, has succeeded or has failed."""
    data: dict[str, object] = {
        "recharge_id": recharge.recharge_id,
        "top_up_id": recharge.top_up_id,
        "payment_id": recharge.payment_id,
        "amount_nanos": recharge.amount_nanos,
        "remaining_nanos": recharge.remaining_nanos,
        "rule_version": recharge.version,
    }
    key = recharge.recharge_id
    _tell(connection, recharge.account_id, f"auto_recharge.{what}", key, data)


def tell_reversal(connection: Connection, row: ReversalRow) -> None:
    """Tells that a refund has ended, or that the provider took money back, or gave it back."""
    what = "refunded"
    if row.kind == PROVIDER:
        what = "disputed"
    elif row.state == FAILED:
        what = "refund_failed"
    data: dict[str, object] = {
        "top_up_id": row.top_up_id,
        "payment_id": row.payment_id,
        "taken_nanos": row.taken_nanos,
        "uncollected_nanos": max(row.target_nanos - row.taken_nanos, 0),
        "reason": row.reason,
    }
    key = f"{row.reversal_id} {row.steps}"
    _tell(connection, row.account_id, f"top_up.{what}", key, data)


def tell_rule(connection: Connection, before: RuleRow | None, rule: RuleRow) -> None:
    """Tells of what has changed for the customer between two states of a rule."""
    what = _change(before, rule)
    if not what:
        return
    data: dict[str, object] = {
        "enabled": rule.enabled,
        "reason": rule.reason,
        "version": rule.version,
        "set_by": rule.set_by,
    }
    key = f"{rule.version} {now_ms()}"
    _tell(connection, rule.account_id, f"auto_recharge.{what}", key, data)


def _change(before: RuleRow | None, rule: RuleRow) -> str:
    if before is None or before.version != rule.version:
        return "changed"
    if before.state == rule.state:
        return ""
    if rule.state == CAPPED and rule.reason == HOURLY_LIMIT:
        return "slowed"
    if rule.state == ARMED and before.state == SUSPENDED:
        return "resumed"
    return {SUSPENDED: "suspended", CAPPED: "capped"}.get(rule.state, "")


def _payment_data(payment: PaymentRow) -> dict[str, object]:
    return {
        "payment_id": payment.payment_id,
        "top_up_id": payment.subject_id,
        "purpose": payment.purpose,
        "amount_minor": payment.amount_minor,
        "currency": payment.currency,
    }


def _tell(
    connection: Connection,
    account_id: str,
    type: str,
    once_key: str,
    data: dict[str, object],
) -> None:
    record_events(connection, [Event(account_id, type, once_key, now_ms(), data)])
