"""The rules of money that comes in: nothing is found in right books, and what breaks one is."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Update, delete, insert, update

from meter.admin.accounts import AccountRow, find_account
from meter.audit.money_in import check_payments, check_recharges, check_reversals
from meter.database.admin_schema import top_ups
from meter.database.engine import Ledger
from meter.database.payments_schema import (
    auto_recharges,
    payments,
    recharge_wants,
    recharges,
    reversals,
)
from meter.database.schema import accounts, operations
from support.payment_desk import PaymentDesk
from support.recorded_accounts import CREDIT

pytest_plugins = ("support.payment_fixtures",)

CHECKS = {"payments": check_payments, "recharges": check_recharges, "reversals": check_reversals}


def findings(desk: PaymentDesk, *breaks: Any) -> dict[str, list[str]]:
    """What is found after the statements, which are undone again."""
    with desk.ledger.engine.connect() as connection:
        for statement in breaks:
            assert connection.execute(statement).rowcount
        account = find_account(connection, desk.account_id)
        assert isinstance(account, AccountRow)
        found = {name: list(check(connection, account)) for name, check in CHECKS.items()}
        connection.rollback()
    return {name: details for name, details in found.items() if details}


@pytest.fixture(scope="module")
def desk(shared_ledger: Ledger) -> PaymentDesk:
    """An account with a purchase, a failed one, a recharge, and a rule that is armed."""
    desk = PaymentDesk(shared_ledger)
    desk.save("test_stolen")
    desk.buy()
    desk.save("test_visa")
    desk.buy(40)
    desk.flush()
    desk.set_rule()
    desk.flush(spent_credits=35)
    desk.recharge()
    desk.flush()
    desk.recharge()
    return desk


def test_nothing_is_found_in_right_books(desk: PaymentDesk) -> None:
    assert len(desk.rows(payments)) == 3
    assert findings(desk) == {}


Break = Callable[[str], Any]


def of(table: Any, **values: Any) -> Break:
    def statement(account_id: str) -> Update:
        return update(table).where(table.c.account_id == account_id).values(**values)

    return statement


def without_grants(account_id: str) -> Any:
    own = operations.c.account_id == account_id
    return delete(operations).where(own, operations.c.request_id.startswith("top-up "))


def without_payments(account_id: str) -> Any:
    return delete(payments).where(payments.c.account_id == account_id)


REVERSAL = {
    "reversal_id": "rev1",
    "payment_id": "pay1",
    "top_up_id": "t1",
    "request_id": "r",
    "kind": "REFUND",
    "state": "SUCCEEDED",
    "reason": "",
    "grant_id": "g1",
    "target_nanos": CREDIT,
    "voided_nanos": CREDIT,
    "regranted_nanos": 0,
    "paid_minor": 99,
    "currency": "USD",
    "steps": 1,
    "voiding": "",
    "due_ms": None,
    "troubles": 0,
    "create_time_ms": 0,
}


def a_reversal(**fields: Any) -> Break:
    return lambda account_id: insert(reversals).values(
        REVERSAL | {"account_id": account_id} | fields
    )


@pytest.mark.parametrize(
    ("invariant", "told", "broken"),
    [
        ("payments", "was bought, and has no payment", without_payments),
        ("payments", "is PAID, and its top-up", of(top_ups, status="PENDING")),
        ("payments", "is CANCELLED, and its top-up", of(top_ups, status="SUCCEEDED")),
        ("payments", "received 1 of 4000", of(payments, received_minor=1)),
        ("payments", "for a top-up of", of(payments, amount_minor=7)),
        ("payments", "see to it", of(payments, failure_class="AMOUNT")),
        ("payments", "is paid, and granted nothing", without_grants),
        ("payments", "and granted credits", of(payments, state="READY")),
        ("recharges", "is FAILED, and its payment PAID", of(recharges, state="FAILED")),
        ("recharges", "for no reason", of(auto_recharges, state="SUSPENDED")),
        ("recharges", "enabled is True", of(auto_recharges, state="OFF")),
        ("recharges", "the flusher watches None", of(accounts, recharge_below_nanos=None)),
        ("recharges", "nobody looks at it", of(accounts, remaining_nanos=1)),
        ("reversals", "says 5 are refunded", of(top_ups, refunded_nanos=5)),
        ("reversals", "took 1000000000 and paid back 990000000", a_reversal()),
        (
            "reversals",
            "more than 1",
            a_reversal(kind="PROVIDER", target_nanos=1),
        ),
    ],
)
def test_what_breaks_a_rule_is_found(
    desk: PaymentDesk, invariant: str, told: str, broken: Break
) -> None:
    found = findings(desk, broken(desk.account_id))
    assert any(told in detail for detail in found[invariant]), found


def test_an_account_that_billing_is_about_to_look_at_is_no_finding(desk: PaymentDesk) -> None:
    low = of(accounts, remaining_nanos=1)(desk.account_id)
    wanted = insert(recharge_wants).values(account_id=desk.account_id, at_ms=0)
    assert findings(desk, low, wanted) == {}
