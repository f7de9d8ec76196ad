"""Auto-recharge on running processes: the flusher wakes billing, and billing charges once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from meter.v1.payments_pb2 import (
    AddPaymentMethodRequest,
    AutoRecharge,
    GetAutoRechargeRequest,
    ListRechargesRequest,
    SetAutoRechargeRequest,
)
from support.customer import CREDIT, Customer, refusal
from support.servers import wait_until
from support.terminal import ONE_TRANSPORT, Creditgate

pytest_plugins = ("support.command_line",)
pytestmark = ONE_TRANSPORT

Open = Callable[..., Customer]


def rule_of(customer: Customer, **fields: object) -> AutoRecharge:
    given = {
        "enabled": True,
        "threshold_nanos": 10 * CREDIT,
        "amount_nanos": 25 * CREDIT,
        "no_monthly_limit": True,
        **fields,
    }
    return AutoRecharge(account_id=customer.account_id, **given)


def with_card(customer: Customer, method: str = "test_visa") -> Customer:
    request = AddPaymentMethodRequest(
        account_id=customer.account_id, make_default=True, test_method=method
    )
    customer.client.payments.AddPaymentMethod(request)
    return customer


def set_rule(customer: Customer, **fields: object) -> None:
    request = SetAutoRechargeRequest(rule=rule_of(customer, **fields))
    customer.client.payments.SetAutoRecharge(request)


def recharges_of(customer: Customer) -> list[str]:
    request = ListRechargesRequest(account_id=customer.account_id)
    page = customer.client.payments.ListRecharges(request)
    return [recharge.state for recharge in page.recharges]


def test_five_hundred_debits_at_once_through_the_threshold_charge_once(open_account: Open) -> None:
    customer = with_card(open_account("60"))
    set_rule(customer)
    with ThreadPoolExecutor(16) as pool:
        for done in [pool.submit(customer.debit, CREDIT // 10) for _ in range(500)]:
            done.result()
    wait_until(lambda: customer.balance().remaining_nanos == 35 * CREDIT)
    assert recharges_of(customer) == ["SUCCEEDED"]
    assert customer.balance().total_credits_nanos == 85 * CREDIT
    types = {event.type for event in customer.events()}
    assert {"auto_recharge.changed", "auto_recharge.charging", "auto_recharge.succeeded"} <= types


def test_a_declined_card_suspends_the_rule_and_says_why(
    creditgate: Creditgate, open_account: Open
) -> None:
    customer = with_card(open_account("20"), "test_stolen")
    name = customer.account_id
    words = f"auto-recharge set {name} --below 10 --amount 25 --monthly-limit 100 --set-by ada"
    assert creditgate(words).out == f"auto-recharge of {name} is armed\n"
    customer.debit(15 * CREDIT)
    request = GetAutoRechargeRequest(account_id=name)
    payments = customer.client.payments
    wait_until(lambda: payments.GetAutoRecharge(request).state == AutoRecharge.SUSPENDED)
    shown = creditgate(f"auto-recharge show {name}").lines
    assert shown[1:3] == ["state suspended (HARD)", "when remaining falls to 10.00"]
    assert "auto_recharge.suspended" in {event.type for event in customer.events()}
    wait_until(lambda: recharges_of(customer) == ["FAILED"])
    with_card(customer)
    wait_until(lambda: recharges_of(customer) == ["SUCCEEDED", "FAILED"])
    assert [row[3] for row in creditgate(f"auto-recharge list {name}").rows] == [
        "succeeded",
        "failed",
    ]
    assert creditgate(f"auto-recharge off {name}").out == f"auto-recharge of {name} is off\n"
    assert "RECHARGE_OFF" in creditgate(f"auto-recharge resume {name}").err


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("rule.threshold_nanos", {"threshold_nanos": -1}),
        ("rule.amount_nanos", {"amount_nanos": 1 * CREDIT}),
        ("rule.amount_nanos", {"amount_nanos": 25 * CREDIT + 1}),
        ("rule.target_nanos", {"target_nanos": 10 * CREDIT}),
        ("rule.monthly_limit_nanos", {"no_monthly_limit": False}),
        ("rule.monthly_limit_nanos", {"monthly_limit_nanos": 0}),
        ("rule.monthly_limit_nanos", {"monthly_limit_nanos": 24 * CREDIT}),
    ],
)
def test_a_rule_that_cannot_work_is_refused_by_its_field(
    open_account: Open, field: str, values: dict[str, object]
) -> None:
    customer = with_card(open_account())
    request = SetAutoRechargeRequest(rule=rule_of(customer, **values))
    answer = refusal(customer.client.payments.SetAutoRecharge, request)
    assert (answer.code, answer.field) == ("INVALID_ARGUMENT", field)
