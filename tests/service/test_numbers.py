"""Large and small numbers: exact from the call to the invoice, and refused, with nothing written,
where int64 ends.
"""

from collections.abc import Callable
from typing import Any

import pytest

from gate.v1.gate_pb2 import ALLOWED, DENIED, AuthorizeRequest, DebitRequest, ExtendRequest, Usage
from meter.v1.accounts_pb2 import Grant, GrantCreditsRequest
from meter.v1.ledger_pb2 import AUTHORIZE, DEBIT, GRANT, UPDATE
from support.customer import Customer, new_id, refusal

pytest_plugins = ("support.running_stack",)
pytestmark = pytest.mark.every_transport

Open = Callable[..., Customer]

DOUBLE = 2**53  # above it, not every integer is a double
MOST = 2**63 - 1
SETTING = 2**61 - 1  # overage protections and daily limits

EDGES = [1, 2, 999_999_999, *range(DOUBLE - 2, DOUBLE + 3), SETTING, MOST - 2, MOST - 1, MOST]


@pytest.mark.parametrize("nanos", EDGES)
def test_an_amount_is_exact_from_the_grant_to_the_invoice(open_account: Open, nanos: int) -> None:
    customer = open_account()
    customer.grant(nanos)
    assert (customer.balance().total_credits_nanos, customer.balance().available_nanos) == (
        nanos,
        nanos,
    )
    if nanos < MOST:
        assert customer.authorize(nanos + 1).denial.shortfall_nanos == 1
    hold = customer.authorize(nanos)
    assert (hold.held_nanos, hold.balance.held_nanos, hold.balance.available_nanos) == (
        nanos,
        nanos,
        0,
    )
    assert customer.release(hold.hold_id).balance.available_nanos == nanos
    reply = customer.debit(nanos - 1)
    assert (reply.charged_nanos, reply.shortfall_nanos) == (nanos - 1, 0)
    assert (reply.balance.remaining_nanos, reply.balance.period_usage_nanos) == (1, nanos - 1)
    assert customer.balance() == reply.balance
    debit, granted = customer.entries()
    assert (debit.amount_nanos, debit.balance_nanos) == (1 - nanos, 1)
    assert (granted.amount_nanos, granted.balance_nanos) == (nanos, nanos)
    assert sum(bucket.amount_nanos for bucket in customer.usage()) == nanos - 1
    invoice = customer.invoice()
    assert (invoice.total_nanos, invoice.credits_applied_nanos, invoice.overage_due_nanos) == (
        nanos - 1,
        nanos - 1,
        0,
    )
    assert (invoice.credits_granted_nanos, invoice.closing_balance_nanos) == (nanos, 1)


@pytest.mark.parametrize("nanos", EDGES)
def test_a_hold_is_settled_to_the_nano_for_its_amount_and_for_more(
    open_account: Open, nanos: int
) -> None:
    customer = open_account()
    customer.grant(nanos)
    hold = customer.authorize(max(1, nanos - 1))
    reply = customer.debit(nanos, hold_id=hold.hold_id)
    assert (reply.charged_nanos, reply.shortfall_nanos, reply.balance.remaining_nanos) == (
        nanos,
        0,
        0,
    )
    assert customer.entries()[0].amount_nanos == -nanos


@pytest.mark.parametrize("nanos", [each for each in EDGES if 2 <= each <= SETTING])
def test_a_shortfall_of_one_nano_is_seen(open_account: Open, nanos: int) -> None:
    customer = open_account()
    customer.grant(nanos)
    hold = customer.authorize(nanos - 1)
    _ = customer.authorize(1)
    reply = customer.debit(nanos, hold_id=hold.hold_id)
    assert (reply.charged_nanos, reply.shortfall_nanos, reply.balance.remaining_nanos) == (
        nanos,
        1,
        0,
    )


@pytest.mark.parametrize("nanos", EDGES)
def test_a_balance_is_spent_to_the_last_nano(open_account: Open, nanos: int) -> None:
    customer = open_account()
    customer.grant(nanos)
    assert customer.debit(nanos - 1).balance.remaining_nanos == 1
    assert customer.debit(2).decision == DENIED
    assert customer.debit(1).balance.remaining_nanos == 0


@pytest.mark.parametrize("nanos", [1, *range(DOUBLE - 2, DOUBLE + 3), SETTING])
def test_overage_and_daily_limit_are_exact(open_account: Open, nanos: int) -> None:
    customer = open_account(overage_protection_nanos=nanos, daily_limit_nanos=nanos)
    assert customer.balance().available_nanos == nanos
    assert customer.debit(nanos).balance.remaining_nanos == -nanos
    assert customer.balance().daily_used_nanos == nanos
    assert customer.invoice().overage_due_nanos == nanos


def test_a_daily_limit_one_below_what_is_asked_denies(open_account: Open) -> None:
    customer = open_account(overage_protection_nanos=SETTING, daily_limit_nanos=DOUBLE + 1)
    assert customer.authorize(DOUBLE + 2).denial.shortfall_nanos == 1
    assert customer.authorize(DOUBLE + 1).decision == ALLOWED


def test_sums_of_odd_amounts_beyond_a_double_stay_odd(open_account: Open) -> None:
    customer = open_account()
    customer.grant(4 * (DOUBLE + 1))
    for _ in range(3):
        customer.debit(DOUBLE + 1)
    hold = customer.authorize(DOUBLE - 1)
    assert customer.extend(hold.hold_id, 1).held_nanos == DOUBLE
    assert customer.balance().available_nanos == 1
    assert sum(bucket.amount_nanos for bucket in customer.usage()) == 3 * (DOUBLE + 1)


def test_usage_of_a_trillion_tokens_is_priced_exactly(open_account: Open) -> None:
    customer = open_account()
    customer.grant(MOST)
    used = Usage(model="tiny", input_tokens=10**12 - 1, output_tokens=10**12 - 3)
    assert customer.debit(usage=used).charged_nanos == (10**12 - 1) * 1000 + (10**12 - 3) * 2000


def refused_out_of_range(call: Callable[[Any], Any], request: Any) -> bool:
    refused = refusal(call, request)
    return (refused.code, refused.reason) == ("OUT_OF_RANGE", "AMOUNT_OUT_OF_RANGE")


def test_credits_ever_granted_cannot_leave_int64(open_account: Open) -> None:
    customer = open_account()
    customer.grant(MOST - 5)
    before = customer.balance()
    for nanos in (6, MOST):
        grant = Grant(amount_nanos=nanos)
        request = GrantCreditsRequest(
            account_id=customer.account_id, request_id=new_id(), grant=grant
        )
        assert refused_out_of_range(customer.client.accounts.GrantCredits, request)
    assert customer.balance() == before
    assert len(customer.entries(GRANT)) == 1
    customer.grant(5)
    assert customer.balance().remaining_nanos == MOST


def test_credits_and_overage_protection_together_cannot_leave_int64(open_account: Open) -> None:
    customer = open_account(overage_protection_nanos=SETTING)
    customer.grant(MOST - SETTING)
    request = GrantCreditsRequest(
        account_id=customer.account_id, request_id=new_id(), grant=Grant(amount_nanos=1)
    )
    assert refused_out_of_range(customer.client.accounts.GrantCredits, request)
    assert customer.balance().available_nanos == MOST
    assert customer.authorize(MOST).decision == ALLOWED
    assert customer.entries(UPDATE) == []


def test_debt_cannot_leave_int64(open_account: Open) -> None:
    customer = open_account("1")
    while True:
        before = customer.balance()
        entries = len(customer.entries(DEBIT))
        request = customer.asks(DebitRequest, 2**61, incurred=True)
        if -before.remaining_nanos + 2**61 > MOST - SETTING:
            break
        customer.client.gate.Debit(request)
    assert refused_out_of_range(customer.client.gate.Debit, request)
    assert (customer.balance(), len(customer.entries(DEBIT))) == (before, entries)
    customer.update(overage_protection_nanos=SETTING)
    customer.update(daily_limit_nanos=SETTING)
    customer.update(overage_protection_nanos=0)
    customer.update(daily_limit_nanos=None)
    assert customer.balance() == before, "settings can be changed all the same"


def test_the_largest_amounts_are_no_trouble_to_what_refuses_them(open_account: Open) -> None:
    customer = open_account("1")
    hold_id = customer.authorize(1).hold_id
    before = customer.balance()
    assert customer.authorize(MOST).denial.shortfall_nanos == MOST - before.available_nanos
    assert customer.debit(MOST).decision == DENIED
    assert customer.extend(hold_id, MOST).decision == DENIED
    gate = customer.client.gate
    assert refused_out_of_range(gate.Debit, customer.asks(DebitRequest, MOST, hold_id=hold_id))
    assert refused_out_of_range(gate.Debit, customer.asks(DebitRequest, MOST, incurred=True))
    assert customer.balance() == before
    assert len(customer.entries(AUTHORIZE, DEBIT)) == 1


def test_a_cost_beyond_int64_is_refused(open_account: Open) -> None:
    customer = open_account("1")
    hold_id = customer.authorize(1).hold_id
    before = customer.balance()
    astronomic = Usage(model="gold", input_tokens=10**12)
    gate = customer.client.gate
    for call, request in (
        (gate.Authorize, customer.asks(AuthorizeRequest, usage=astronomic)),
        (gate.Debit, customer.asks(DebitRequest, usage=astronomic)),
        (gate.Debit, customer.asks(DebitRequest, usage=astronomic, hold_id=hold_id)),
        (gate.Debit, customer.asks(DebitRequest, usage=astronomic, incurred=True)),
        (gate.Extend, customer.asks(ExtendRequest, usage=astronomic, hold_id=hold_id)),
    ):
        assert refused_out_of_range(call, request)
    assert customer.balance() == before
