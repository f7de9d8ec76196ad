"""What the end, or a failure, of a payment means for the account's rule of auto-recharge."""

from dataclasses import replace

from sqlalchemy import Connection

from meter.payments.kept_rules import end_recharge, keep_rule
from meter.payments.method_rows import MethodRow, find_method
from meter.payments.payment_rows import RECHARGE, PaymentRow
from meter.payments.provider import FailureClass
from meter.payments.recharge_rows import (
    CONFIRMING,
    FAILED,
    IN_FLIGHT,
    SUCCEEDED,
    SUSPENDED,
    WAITING,
    find_rule,
)

DISPUTED = "DISPUTED"
STOPPED = "STOPPED"
# No other card mends these.
_FOR_A_PERSON = (FailureClass.OURS, FailureClass.AMOUNT, DISPUTED, STOPPED)


def note_paid(connection: Connection, payment: PaymentRow, now_ms: int) -> None:
    """Arms the rule again: its recharge has succeeded, or the customer has paid by hand."""
    if payment.purpose == RECHARGE:
        end_recharge(connection, payment, SUCCEEDED, now_ms)
    rule = find_rule(connection, payment.account_id)
    if rule is None or not rule.enabled:
        return
    is_own = payment.purpose == RECHARGE and rule.state in IN_FLIGHT
    if is_own or rule.state == SUSPENDED:
        keep_rule(connection, rule.armed())


def note_retry(connection: Connection, payment: PaymentRow, retry_at_ms: int) -> None:
    """Lets the rule wait for the payment's next attempt."""
    _set_in_flight(connection, payment, WAITING, retry_at_ms)


def note_confirming(connection: Connection, payment: PaymentRow, until_ms: int) -> None:
    """Lets the rule wait for the customer."""
    _set_in_flight(connection, payment, CONFIRMING, until_ms)


def note_given_up(connection: Connection, payment: PaymentRow, reason: str) -> None:
    """Suspends the rule: no attempt follows until a person has done something."""
    if payment.purpose != RECHARGE:
        return
    rule = find_rule(connection, payment.account_id)
    if rule is None or not rule.enabled:
        return
    fingerprint = ""
    if payment.method_id and reason != FailureClass.OURS:
        method = find_method(connection, payment.account_id, payment.method_id)
        fingerprint = method.fingerprint
    keep_rule(connection, rule.suspended(reason, fingerprint))


def note_cancelled(connection: Connection, payment: PaymentRow, now_ms: int) -> None:
    """Closes the recharge; a rule that nothing has suspended is armed again."""
    if payment.purpose != RECHARGE:
        return
    end_recharge(connection, payment, FAILED, now_ms)
    rule = find_rule(connection, payment.account_id)
    if rule is not None and rule.enabled and rule.state in IN_FLIGHT:
        keep_rule(connection, rule.armed())


def lift_suspension(connection: Connection, method: MethodRow) -> None:
    """Arms a rule that was suspended for another card than the account's new default method."""
    rule = find_rule(connection, method.account_id)
    if rule is None or rule.state != SUSPENDED or rule.reason in _FOR_A_PERSON:
        return
    is_its_method = rule.method_id in ("", method.method_id)
    if is_its_method and method.fingerprint != rule.suspended_fingerprint:
        keep_rule(connection, rule.armed())


def suspend_for_dispute(connection: Connection, account_id: str) -> None:
    """Suspends the rule of an account whose customer disputes a payment."""
    rule = find_rule(connection, account_id)
    if rule is not None and rule.enabled and rule.reason != DISPUTED:
        keep_rule(connection, rule.suspended(DISPUTED))


def note_removed(connection: Connection, method: MethodRow) -> None:
    """Suspends a rule that was to charge a method which is not there any more."""
    rule = find_rule(connection, method.account_id)
    if rule is None or not rule.enabled:
        return
    is_its_default = method.is_default and not rule.method_id
    if is_its_default or rule.method_id == method.method_id:
        keep_rule(connection, rule.suspended("NO_PAYMENT_METHOD", method.fingerprint))


def _set_in_flight(
    connection: Connection,
    payment: PaymentRow,
    state: str,
    until_ms: int,
) -> None:
    if payment.purpose != RECHARGE:
        return
    rule = find_rule(connection, payment.account_id)
    if rule is not None and rule.enabled and rule.state in IN_FLIGHT:
        reason = payment.failure_code
        keep_rule(connection, replace(rule, state=state, reason=reason, retry_at_ms=until_ms))
