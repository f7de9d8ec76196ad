"""Grants, holds, budgets, thresholds and graces in a Redis that has lost everything: they come back
from the ledger as they were.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gate.v1.gate_pb2 import INSUFFICIENT_CREDITS, GetBalanceRequest
from meter.v1.accounts_pb2 import (
    DAILY,
    PROMOTION,
    BudgetThreshold,
    Grace,
    ListBudgetsRequest,
    Scope,
    Threshold,
    VoidGrantRequest,
)
from meter.v1.ledger_pb2 import AUTHORIZE, EXPIRED, LIVE, SCHEDULED
from support.customer import Customer, at
from support.fault_stack import CREDIT, FaultStack, open_fault_stack

NOON, ONE, TWO, NEXT_DAY = (
    f"2026-03-{time}:00Z" for time in ("15T12:00", "15T13:00", "15T14:00", "16T12:00")
)
ADA = {"user": "ada"}
CHAT = {"user": "ada", "api_key": "k1", "service": "chat"}


@pytest.fixture(scope="module")
def fault_stack() -> Iterator[FaultStack]:
    with open_fault_stack() as fault_stack:
        yield fault_stack


@pytest.fixture
def lose_everything(fault_stack: FaultStack) -> Callable[[Customer], None]:
    """Empties Redis. The account must then be as it was, to the nano, and its books right."""

    def lose(customer: Customer) -> None:
        before = seen(customer)
        position = fault_stack.position(customer.account_id)
        assert not fault_stack.findings(customer.account_id)
        fault_stack.redis.flushall()
        after, refusals = fault_stack.until_answered(lambda: seen(customer))
        assert refusals <= {"UNAVAILABLE"}
        for name, was in before.items():
            assert after[name] == was, name
        assert fault_stack.position(customer.account_id).epoch == position.epoch + 1
        assert not fault_stack.findings(customer.account_id)

    return lose


def seen(customer: Customer) -> dict[str, Any]:
    """All that can be asked about an account."""
    account_id = customer.account_id
    client = customer.client
    return {
        "balance": client.gate.GetBalance(GetBalanceRequest(account_id=account_id)),
        "grants": customer.grants(),
        "budgets": list(
            client.accounts.ListBudgets(ListBudgetsRequest(account_id=account_id)).budgets
        ),
        "events": crossings(customer),
        "entries": customer.entries(),
    }


def crossings(customer: Customer) -> list[Any]:
    """The events of thresholds: those of denials come beside the calls, a moment later."""
    return [event for event in customer.events() if event.type == "threshold.crossed"]


def grants(customer: Customer) -> dict[int, tuple[int, int, int, int, int, int]]:
    """State, left, held, spent, expired and voided credits, by the credits granted."""
    return {
        each.granted_nanos // CREDIT: (
            each.state, each.remaining_nanos // CREDIT, each.held_nanos // CREDIT, each.spent_nanos // CREDIT,
            each.expired_nanos // CREDIT, each.voided_nanos // CREDIT,
        )
        for each in customer.grants()
    }  # fmt: skip


def hold_of(customer: Customer, request_id: str) -> str:
    """The hold that a request has placed."""
    return next(
        entry.hold_id for entry in customer.entries(AUTHORIZE) if entry.request_id == request_id
    )


@pytest.fixture
def customer(fault_stack: FaultStack) -> Customer:
    """Grants of every kind, told apart by their amounts; two holds that pin two grants each; a
    grace that has begun.
    """
    account_id = fault_stack.open(
        "11",
        test_clock_time=at(NOON),
        overage_protection_nanos=5 * CREDIT,
        daily_limit_nanos=100 * CREDIT,
        thresholds=[
            Threshold(threshold_id="busy", subject=Threshold.DAILY_USE, amount_nanos=10 * CREDIT),
            Threshold(threshold_id="busier", subject=Threshold.DAILY_USE, percent=20),
            Threshold(threshold_id="low", subject=Threshold.LOW_BALANCE, percent=50),
        ],
        graces=[Grace(traffic_class="inbound", duration_ms=3_600_000, amount_nanos=4 * CREDIT)],
    )
    customer = Customer(fault_stack.client, account_id)
    customer.grant(6 * CREDIT, type=PROMOTION, priority=5, scope=Scope(services=["chat"]))
    customer.grant(3 * CREDIT, type=PROMOTION, priority=10, expires_at=at(TWO))
    customer.grant(7 * CREDIT, type=PROMOTION, effective_at=at(ONE), expires_at=at(NEXT_DAY))
    half = BudgetThreshold(threshold_id="half", amount_nanos=15 * CREDIT)
    customer.set_budget("team", 30 * CREDIT, ADA, thresholds=[half])
    customer.set_budget("key", 9 * CREDIT, {"api_key": "k1"}, window=DAILY)
    customer.authorize(
        8 * CREDIT, request_id="scoped-and-expiring", dimensions=CHAT, hold_ttl_ms=36_000_000
    )
    customer.authorize(
        3 * CREDIT, request_id="expiring-and-bought", dimensions=ADA, hold_ttl_ms=36_000_000
    )
    customer.debit(4 * CREDIT)
    customer.debit(10 * CREDIT, dimensions=ADA)
    assert customer.debit(2 * CREDIT, traffic_class="inbound").in_grace
    return customer


def test_an_account_is_restored_exactly_and_goes_on(
    customer: Customer, lose_everything: Callable[[Customer], None]
) -> None:
    assert grants(customer) == {
        11: (LIVE, 0, 2, 9, 0, 0), 6: (LIVE, 0, 6, 0, 0, 0), 3: (LIVE, 0, 3, 0, 0, 0), 7: (SCHEDULED, 7, 0, 0, 0, 0),
    }  # fmt: skip
    lose_everything(customer)
    assert customer.debit(3 * CREDIT, traffic_class="inbound").denial.reason == INSUFFICIENT_CREDITS
    assert customer.debit(2 * CREDIT, traffic_class="inbound").in_grace
    customer.debit(8 * CREDIT, hold_id=hold_of(customer, "scoped-and-expiring"))
    assert [each.data["threshold_id"] for each in crossings(customer)] == [
        "busy",
        "low",
        "busier",
        "half",
    ]
    lose_everything(customer)
    assert (
        customer.authorize(2 * CREDIT, traffic_class="inbound").denial.reason
        == INSUFFICIENT_CREDITS
    )
    customer.advance(ONE)
    assert customer.debit(2 * CREDIT, dimensions=CHAT).denial.budget.budget_id == "key"
    assert customer.debit(2 * CREDIT, dimensions=ADA).balance.remaining_nanos == -CREDIT
    assert grants(customer)[7] == (LIVE, 5, 0, 2, 0, 0)


def test_what_was_over_stays_so(
    customer: Customer, lose_everything: Callable[[Customer], None]
) -> None:
    customer.advance(TWO)
    customer.client.accounts.VoidGrant(
        VoidGrantRequest(
            account_id=customer.account_id,
            request_id="void",
            grant_id=next(
                each.grant.grant_id
                for each in customer.grants()
                if each.granted_nanos == 7 * CREDIT
            ),
            amount_nanos=CREDIT,
            reason="why",
        )
    )
    customer.release(hold_of(customer, "scoped-and-expiring"))
    lose_everything(customer)
    assert grants(customer) == {
        11: (LIVE, 0, 2, 9, 0, 0), 6: (LIVE, 6, 0, 0, 0, 0), 3: (EXPIRED, 0, 1, 0, 2, 0), 7: (LIVE, 6, 0, 0, 0, 1),
    }  # fmt: skip
    customer.release(hold_of(customer, "expiring-and-bought"))
    customer.advance(NEXT_DAY)
    lose_everything(customer)
    assert grants(customer) == {
        11: (LIVE, 2, 0, 9, 0, 0), 6: (LIVE, 6, 0, 0, 0, 0), 3: (EXPIRED, 0, 0, 0, 3, 0), 7: (EXPIRED, 0, 0, 0, 6, 1),
    }  # fmt: skip
    assert customer.debit(5 * CREDIT, dimensions=CHAT).balance.remaining_nanos == -4 * CREDIT
