"""Writes rules of auto-recharge, with the events of what changes for the customer."""

from sqlalchemy import Connection

from meter.ledger.recharge_wants import want_recharges
from meter.payments.payment_rows import PaymentRow
from meter.payments.recharge_rows import (
    ARMED,
    RuleRow,
    close_recharge,
    find_rule,
    open_recharge,
    store_rule,
)
from meter.payments.told import tell_recharge, tell_rule


def keep_rule(connection: Connection, rule: RuleRow) -> RuleRow:
    """Writes the rule, and tells what has changed.

    Billing looks at a rule that is armed now: the account may have been low already.
    """
    before = find_rule(connection, rule.account_id)
    store_rule(connection, rule)
    if rule.state == ARMED:
        want_recharges(connection, [rule.account_id])
    tell_rule(connection, before, rule)
    return rule


def end_recharge(
    connection: Connection,
    payment: PaymentRow,
    state: str,
    now_ms: int,
) -> None:
    """Closes the payment's recharge, if it is open, and tells how it ended."""
    recharge = open_recharge(connection, payment.account_id)
    if recharge is None or recharge.payment_id != payment.payment_id:
        return
    close_recharge(connection, payment.payment_id, state, now_ms)
    tell_recharge(connection, state.lower(), recharge)
