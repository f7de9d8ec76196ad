"""Credits from the day they come until they are burned, pinned, or gone: each story over the wire,
from the first call to the invoice.
"""

from collections.abc import Callable, Iterator

import pytest

from gate.v1.gate_pb2 import ALLOWED, BUDGET_EXCEEDED, DENIED, INSUFFICIENT_CREDITS
from meter.v1.accounts_pb2 import NEXT_PURCHASE, PROMOTION, TOP_UP, VOUCHER, Grace, Scope, Threshold
from meter.v1.ledger_pb2 import (
    DEBT_PAID,
    EXPIRED,
    GRANT_EXHAUSTED,
    GRANT_EXPIRED,
    LIVE,
    CheckBooksRequest,
)
from support.customer import CREDIT, Customer, at
from support.stack import Stack

pytest_plugins = ("support.running_stack",)

Open = Callable[..., Customer]

START = "2026-03-15T12:00:00Z"
BEFORE = "2026-03-15T17:59:59.999Z"
T = "2026-03-15T18:00:00Z"
AFTER = "2026-03-15T19:00:00Z"
JULY = "2026-07-01T00:00:00Z"
MARCH = "2026-03-01T00:00:00Z"
APRIL = "2026-04-01T00:00:00Z"


@pytest.fixture
def customer(open_account: Open) -> Customer:
    """Without credits, by a test clock."""
    return open_account("0", test_clock_time=at(START))


@pytest.fixture(autouse=True)
def _clean_books(stack: Stack, customer: Customer) -> Iterator[None]:
    yield
    check = CheckBooksRequest(account_id=customer.account_id)
    assert not stack.client().ledger.CheckBooks(check).findings


def test_a_grant_of_100_expires_at_the_millisecond_and_a_hold_over_it_settles_all_the_same(
    customer: Customer,
) -> None:
    grant = customer.grant(100 * CREDIT, expires_at=at(T), type=VOUCHER)
    hold = customer.authorize(40 * CREDIT, hold_ttl_ms=86_400_000)
    customer.advance(BEFORE)
    assert customer.debit(10 * CREDIT).decision == ALLOWED
    assert customer.balance().available_nanos == 50 * CREDIT

    customer.advance(T)
    denied = customer.debit(1)
    assert (denied.decision, denied.denial.reason) == (DENIED, INSUFFICIENT_CREDITS)
    assert customer.balance().remaining_nanos == 40 * CREDIT, "what the hold has pinned"
    customer.advance(AFTER)
    settled = customer.debit(30 * CREDIT, hold_id=hold.hold_id)
    assert (settled.charged_nanos, settled.shortfall_nanos, settled.balance.remaining_nanos) == (
        30 * CREDIT,
        0,
        0,
    )

    [summary] = customer.grants()
    assert (summary.grant.grant_id, summary.state) == (grant.grant_id, EXPIRED)
    assert (summary.spent_nanos, summary.expired_nanos, summary.remaining_nanos) == (
        40 * CREDIT,
        60 * CREDIT,
        0,
    )
    assert [entry.amount_nanos for entry in customer.entries(GRANT_EXPIRED)] == [
        -10 * CREDIT,
        -50 * CREDIT,
    ]
    debits = [entry for entry in customer.entries() if entry.burned and entry.usage]
    assert {(burn.grant_id, burn.type) for entry in debits for burn in entry.burned} == {
        (grant.grant_id, "VOUCHER")
    }
    invoice = customer.invoice(MARCH, APRIL)
    assert [(each.type, each.amount_nanos) for each in invoice.payments] == [
        ("VOUCHER", 40 * CREDIT)
    ]
    assert (
        invoice.credits_expired_nanos,
        invoice.closing_balance_nanos,
        invoice.overage_due_nanos,
    ) == (
        60 * CREDIT,
        0,
        0,
    )


def test_grants_are_burned_by_priority_then_expiry_then_promotional_before_paid_then_age(
    customer: Customer,
) -> None:
    paid = customer.grant(CREDIT, type=TOP_UP)
    late = customer.grant(CREDIT, type=PROMOTION, expires_at=at(JULY))
    given = customer.grant(CREDIT, type=PROMOTION)
    again = customer.grant(CREDIT, type=TOP_UP)
    first = customer.grant(CREDIT, type=TOP_UP, priority=1)
    soon = customer.grant(CREDIT, type=TOP_UP, expires_at=at(T))
    order = [each.grant_id for each in (first, soon, late, given, paid, again)]
    assert [summary.grant.grant_id for summary in customer.grants()] == order
    customer.debit(6 * CREDIT)
    burned = customer.entries()[0].burned
    assert [(burn.grant_id, burn.amount_nanos) for burn in burned] == [
        (grant_id, CREDIT) for grant_id in order
    ]
    assert len(customer.entries(GRANT_EXHAUSTED)) == 6


def test_a_scoped_grant_pays_only_for_what_it_is_for(customer: Customer) -> None:
    customer.grant(2 * CREDIT, scope=Scope(services=["chat"]), priority=1)
    customer.grant(CREDIT)
    assert customer.balance().available_nanos == CREDIT
    assert customer.debit(CREDIT + 1).decision == DENIED
    assert customer.debit(3 * CREDIT, dimensions={"service": "chat"}).decision == ALLOWED


def test_a_grant_for_later_is_not_there_before(customer: Customer) -> None:
    customer.grant(CREDIT, effective_at=at(T))
    assert customer.balance().total_credits_nanos == 0
    customer.advance(BEFORE)
    assert customer.debit(1).decision == DENIED
    customer.advance(T)
    assert customer.debit(1).decision == ALLOWED
    assert [summary.state for summary in customer.grants()] == [LIVE]


def test_debt_is_paid_by_the_next_purchase_where_that_is_the_policy(customer: Customer) -> None:
    customer.update(overage_protection_nanos=5 * CREDIT)
    customer.debit(3 * CREDIT)
    customer.grant(10 * CREDIT)
    assert not customer.entries(DEBT_PAID)
    invoice = customer.invoice(MARCH, APRIL)
    assert (invoice.overage_due_nanos, invoice.overage_carried_nanos) == (3 * CREDIT, 0)

    customer.update(overage_policy=NEXT_PURCHASE)
    customer.grant(10 * CREDIT)
    [paid] = customer.entries(DEBT_PAID)
    assert (paid.burned[0].type, paid.burned[0].amount_nanos) == ("TOP_UP", 3 * CREDIT)
    assert paid.balance_nanos == customer.balance().remaining_nanos == 17 * CREDIT


def test_a_budget_denies_by_name_and_heals_when_its_window_ends(customer: Customer) -> None:
    customer.grant(100 * CREDIT)
    customer.set_budget("interns", CREDIT, {"project": "interns"})
    assert customer.debit(CREDIT, dimensions={"project": "interns"}).decision == ALLOWED
    denial = customer.debit(1, dimensions={"project": "interns"}).denial
    assert (denial.reason, denial.budget.budget_id) == (BUDGET_EXCEEDED, "interns")
    assert (dict(denial.budget.scope), denial.budget.left_nanos) == ({"project": "interns"}, 0)
    assert denial.resets_at == at(APRIL)
    assert customer.debit(1, dimensions={"project": "staff"}).decision == ALLOWED
    customer.advance(APRIL)
    assert customer.debit(1, dimensions={"project": "interns"}).decision == ALLOWED


def test_grace_carries_its_class_of_traffic_for_a_while_and_a_top_up_ends_it(
    customer: Customer,
) -> None:
    customer.update(
        graces=[Grace(traffic_class="inbound", duration_ms=3_600_000, amount_nanos=3 * CREDIT)]
    )
    customer.grant(CREDIT)
    customer.debit(CREDIT)
    assert customer.debit(CREDIT).decision == DENIED
    in_grace = customer.debit(CREDIT, traffic_class="inbound")
    assert (in_grace.decision, in_grace.in_grace, in_grace.shortfall_nanos) == (ALLOWED, True, 0)
    assert customer.debit(3 * CREDIT, traffic_class="inbound").decision == DENIED, (
        "beyond its amount"
    )
    customer.advance("2026-03-15T12:59:59.999Z")
    assert customer.debit(1, traffic_class="inbound").decision == ALLOWED
    customer.advance("2026-03-15T13:00:00Z")
    assert customer.debit(1, traffic_class="inbound").decision == DENIED, "beyond its time"
    customer.grant(2 * CREDIT)
    customer.debit(customer.balance().available_nanos)
    assert customer.debit(1, traffic_class="inbound").decision == ALLOWED, "it begins anew"


def test_thresholds_are_told_once_a_day_and_once_between_two_grants(customer: Customer) -> None:
    half = Threshold(threshold_id="half", subject=Threshold.DAILY_USE, percent=50)
    low = Threshold(threshold_id="low", subject=Threshold.LOW_BALANCE, amount_nanos=CREDIT)
    customer.update(daily_limit_nanos=4 * CREDIT, thresholds=[half, low])
    customer.grant(4 * CREDIT)
    for _ in range(3):
        customer.debit(CREDIT)
    customer.advance("2026-03-16T00:00:00Z")
    customer.grant(4 * CREDIT)
    customer.debit(4 * CREDIT)
    crossed = [event.data for event in customer.events() if event.type == "threshold.crossed"]
    events = [(each["threshold_id"], int(each["value_nanos"]) // CREDIT) for each in crossed]
    assert events == [("half", 2), ("low", 1), ("low", 1), ("half", 4)]
