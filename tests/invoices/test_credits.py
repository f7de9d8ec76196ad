"""Tests on invoices whose credits paid, what expired, and how much overage is still owed."""

import asyncio

import pytest

from meter.admin.recorder import OperationRecorder
from meter.database.engine import Ledger
from meter.journal.operations import NEXT_INVOICE, NEXT_PURCHASE
from meter.v1 import ledger_pb2 as pb
from support.histories import (
    DAY,
    FEBRUARY,
    HOUR,
    JANUARY,
    MARCH,
    InRedis,
    Scribe,
    compute_invoice,
    service_of,
)
from support.sample_ledger import credit_books

pytest_plugins = ("support.ledgers",)


@pytest.fixture
def scribe(ledger: Ledger) -> Scribe:
    """Returns a scribe for an account that may use 1000 nanos of overage."""
    scribe = Scribe(ledger)
    scribe.create("acme", overage=1000)
    return scribe


def paid(invoice: pb.Invoice) -> dict[str, int]:
    return {each.type: each.amount_nanos for each in invoice.payments}


def overage(invoice: pb.Invoice) -> tuple[int, int, int]:
    """Returns the overage used, due and carried."""
    return invoice.overage_used_nanos, invoice.overage_due_nanos, invoice.overage_carried_nanos


def findings(scribe: Scribe) -> list[str]:
    response = asyncio.run(service_of(scribe, InRedis(scribe)).CheckBooks(pb.CheckBooksRequest()))
    return [f"{finding.invariant}: {finding.detail}" for finding in response.findings]


def test_usage_is_paid_by_the_types_of_the_grants_that_it_took(scribe: Scribe) -> None:
    scribe.grant(10, type="TOP_UP")
    scribe.grant(20, type="VOUCHER")
    scribe.grant(30, type="PROMOTION", priority=1)
    scribe.grant(5, type="TOP_UP")
    scribe.debit(35)
    scribe.debit(36)
    invoice = compute_invoice(scribe, JANUARY, FEBRUARY)
    assert paid(invoice) == {"PROMOTION": 30, "VOUCHER": 20, "TOP_UP": 15}
    assert (invoice.total_nanos, overage(invoice)) == (71, (6, 6, 0))


def test_what_a_hold_pinned_pays_when_it_is_charged_though_it_has_expired_since(
    scribe: Scribe,
) -> None:
    scribe.grant(100, type="VOUCHER", expires_at_ms=FEBRUARY)
    scribe.now_ms = FEBRUARY - HOUR // 12
    hold = scribe.authorize(40)
    scribe.now_ms = FEBRUARY + 1
    scribe.debit(25, hold=hold)
    scribe.turned()
    january = compute_invoice(scribe, JANUARY, FEBRUARY)
    february = compute_invoice(scribe, FEBRUARY, MARCH)
    assert (paid(january), january.credits_expired_nanos, january.closing_balance_nanos) == (
        {},
        0,
        100,
    )
    assert (paid(february), february.credits_expired_nanos, february.closing_balance_nanos) == (
        {"VOUCHER": 25},
        75,
        0,
    )


def test_what_expired_or_was_voided_is_no_usage(scribe: Scribe) -> None:
    scribe.grant(50, expires_at_ms=JANUARY + DAY)
    scribe.void(scribe.grant(80), 30)
    scribe.debit(10)
    scribe.now_ms = JANUARY + DAY
    scribe.turned()
    invoice = compute_invoice(scribe, JANUARY, FEBRUARY)
    assert (invoice.credits_granted_nanos, invoice.credits_expired_nanos, invoice.total_nanos) == (
        130,
        70,
        10,
    )
    assert (invoice.closing_balance_nanos, invoice.entry_count) == (50, 1)


def test_a_grant_for_later_is_granted_when_it_begins(scribe: Scribe) -> None:
    scribe.grant(50, effective_at_ms=FEBRUARY)
    scribe.void(scribe.grant(70, effective_at_ms=FEBRUARY))
    scribe.now_ms = FEBRUARY
    scribe.turned()
    january = compute_invoice(scribe, JANUARY, FEBRUARY)
    february = compute_invoice(scribe, FEBRUARY, MARCH)
    assert (january.credits_granted_nanos, january.closing_balance_nanos) == (0, 0)
    assert (
        february.credits_granted_nanos,
        february.credits_expired_nanos,
        february.closing_balance_nanos,
    ) == (
        50,
        0,
        50,
    )


def test_overage_is_due_as_far_as_it_is_in_use_when_the_period_ends(scribe: Scribe) -> None:
    scribe.debit(100)
    assert overage(compute_invoice(scribe, JANUARY, FEBRUARY)) == (100, 100, 0)
    scribe.grant(30, type="REFUND")
    scribe.grant(7)
    invoice = compute_invoice(scribe, JANUARY, FEBRUARY)
    assert (overage(invoice), invoice.debt_paid_nanos) == ((100, 70, 0), 30)
    assert (invoice.credits_applied_nanos, paid(invoice)) == (30, {})
    scribe.now_ms = FEBRUARY
    scribe.grant(500, type="ADJUSTMENT")
    assert overage(compute_invoice(scribe, JANUARY, FEBRUARY)) == (100, 70, 0)
    february = compute_invoice(scribe, FEBRUARY, MARCH)
    assert (overage(february), february.debt_paid_nanos, february.total_nanos) == ((0, 0, 0), 70, 0)


def test_a_shortfall_is_overage_too(scribe: Scribe) -> None:
    scribe.debit(1500)
    assert overage(compute_invoice(scribe, JANUARY, FEBRUARY)) == (1500, 1500, 0)


def test_what_is_paid_pays_the_debt_of_earlier_periods_first(scribe: Scribe) -> None:
    scribe.debit(50)
    scribe.now_ms = FEBRUARY
    scribe.debit(30)
    scribe.grant(60, type="ADJUSTMENT")
    january = compute_invoice(scribe, JANUARY, FEBRUARY)
    february = compute_invoice(scribe, FEBRUARY, MARCH)
    assert overage(january) == (50, 50, 0)
    assert (overage(february), february.debt_paid_nanos) == ((30, 20, 0), 60)


def test_the_next_purchase_pays_what_was_left_to_it(scribe: Scribe) -> None:
    scribe.update(overage_policy=NEXT_PURCHASE)
    scribe.debit(50)
    scribe.now_ms = FEBRUARY
    scribe.grant(5, type="VOUCHER")
    scribe.grant(200)
    scribe.debit(15)
    january = compute_invoice(scribe, JANUARY, FEBRUARY)
    february = compute_invoice(scribe, FEBRUARY, MARCH)
    assert (overage(january), january.credits_applied_nanos) == ((50, 0, 50), 0)
    assert (overage(february), february.debt_paid_nanos) == ((0, 0, 0), 50)
    assert (paid(february), february.closing_balance_nanos) == ({"VOUCHER": 5, "TOP_UP": 10}, 140)


def test_each_invoice_goes_by_the_policy_that_held_when_its_period_ended(scribe: Scribe) -> None:
    scribe.debit(50)
    scribe.now_ms = FEBRUARY - 1
    scribe.update(overage_policy=NEXT_PURCHASE)
    assert scribe.now_ms == FEBRUARY
    scribe.update(overage_policy=NEXT_INVOICE)
    scribe.debit(30)
    scribe.update(daily_limit_nanos=500)
    assert overage(compute_invoice(scribe, JANUARY, FEBRUARY - 1, preview=True)) == (50, 50, 0)
    assert overage(compute_invoice(scribe, JANUARY, FEBRUARY)) == (50, 0, 50)
    assert overage(compute_invoice(scribe, FEBRUARY, MARCH)) == (30, 30, 0)


def test_a_policy_holds_from_when_the_gate_has_taken_it_up(scribe: Scribe) -> None:
    scribe.debit(50)
    scribe.flush()
    OperationRecorder(scribe.ledger).update_account(
        "acme", {"overage_policy": NEXT_PURCHASE}, request_id="later"
    )
    assert overage(compute_invoice(scribe, JANUARY, FEBRUARY)) == (50, 50, 0)
    scribe.apply_pending()
    assert overage(compute_invoice(scribe, JANUARY, FEBRUARY)) == (50, 0, 50)


def test_the_policy_of_another_account_does_not_matter(scribe: Scribe) -> None:
    scribe.create("other", overage_policy=NEXT_PURCHASE)
    scribe.debit(5, account_id="other")
    scribe.debit(5)
    assert overage(compute_invoice(scribe, JANUARY, FEBRUARY)) == (5, 5, 0)
    assert overage(compute_invoice(scribe, JANUARY, FEBRUARY, "other")) == (5, 0, 5)


def test_a_duplicate_pays_nothing_and_its_refund_pays_the_debt_that_it_made(scribe: Scribe) -> None:
    scribe.grant(10)
    request_id = scribe.debit(40)
    scribe.debit(40, request_id=request_id)
    scribe.flush()
    scribe.apply_pending()
    scribe.debit(12)
    invoice = compute_invoice(scribe, JANUARY, FEBRUARY)
    assert (paid(invoice), overage(invoice), invoice.debt_paid_nanos) == (
        {"TOP_UP": 10},
        (42, 42, 0),
        40,
    )
    assert (invoice.total_nanos, invoice.entry_count, invoice.closing_balance_nanos) == (52, 2, -42)
    assert findings(scribe) == []


def test_what_a_duplicates_refund_gives_back_pays_as_any_credits_do(scribe: Scribe) -> None:
    scribe.grant(100)
    request_id = scribe.debit(40)
    scribe.debit(40, request_id=request_id)
    scribe.flush()
    scribe.apply_pending()
    scribe.debit(50)
    invoice = compute_invoice(scribe, JANUARY, FEBRUARY)
    assert (paid(invoice), overage(invoice)) == ({"TOP_UP": 50, "REFUND": 40}, (0, 0, 0))
    assert (invoice.credits_granted_nanos, invoice.closing_balance_nanos) == (100, 10)


def test_nobody_owes_a_duplicate_that_is_given_back_only_after_the_period(scribe: Scribe) -> None:
    scribe.grant(100)
    first = scribe.debit(150)
    scribe.grant(50, type="REFUND")
    scribe.now_ms = FEBRUARY - 1
    scribe.debit(150, request_id=first)
    scribe.flush()
    scribe.apply_pending()
    january = compute_invoice(scribe, JANUARY, FEBRUARY)
    february = compute_invoice(scribe, FEBRUARY, MARCH)
    assert (overage(january), january.closing_balance_nanos) == ((50, 0, 0), 0)
    assert (overage(february), february.debt_paid_nanos) == ((0, 0, 0), 150)
    assert findings(scribe) == []


def test_nobody_owes_what_a_duplicate_left_no_credits_for(scribe: Scribe) -> None:
    scribe.grant(100)
    first = scribe.debit(60)
    scribe.debit(60, request_id=first)
    scribe.debit(30)
    scribe.flush()
    assert overage(compute_invoice(scribe, JANUARY, FEBRUARY)) == (30, 0, 0)
    scribe.apply_pending()
    invoice = compute_invoice(scribe, JANUARY, FEBRUARY)
    assert (overage(invoice), paid(invoice), invoice.closing_balance_nanos) == (
        (30, 0, 0),
        {"TOP_UP": 60},
        10,
    )


@pytest.mark.parametrize("policy", [NEXT_INVOICE, NEXT_PURCHASE])
def test_a_draft_drawn_before_a_duplicate_is_no_finding(scribe: Scribe, policy: str) -> None:
    scribe.update(overage_policy=policy)
    request_id = scribe.debit(50)
    scribe.grant(50, type="REFUND")
    compute_invoice(scribe, JANUARY, FEBRUARY)
    scribe.debit(50, request_id=request_id)
    assert findings(scribe) == []


def test_the_invoices_of_books_with_everything_follow_from_each_other(ledger: Ledger) -> None:
    scribe = credit_books(ledger)
    january = compute_invoice(scribe, JANUARY, FEBRUARY)
    february = compute_invoice(scribe, FEBRUARY, MARCH)
    assert paid(january) == {"TOP_UP": 1320, "VOUCHER": 80, "PROMOTION": 25}
    assert (overage(january), january.total_nanos) == ((107, 0, 107), 1532)
    assert (january.credits_granted_nanos, january.credits_expired_nanos) == (1485, 45)
    assert january.closing_balance_nanos == february.opening_balance_nanos == -92
    assert (february.debt_paid_nanos, february.closing_balance_nanos) == (107, 878)
