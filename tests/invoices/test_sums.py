"""Tests what an invoice comes to, from its sums and charges alone."""

from dataclasses import replace

import pytest

from meter.invoices.calculation import (
    Charge,
    Heading,
    Period,
    Sums,
    UnbalancedError,
    compute,
    unit_price,
)
from meter.journal.operations import NEXT_INVOICE, NEXT_PURCHASE
from meter.money import INT64_MAX
from meter.prices import ModelPrice, Tier
from meter.v1 import ledger_pb2 as pb
from support.histories import FEBRUARY, JANUARY

TYPES = {2: "TOP_UP", 3: "VOUCHER", 4: "TOP_UP", 5: "REFUND"}
MOST = INT64_MAX
JANUARY_OF_ACME = Heading("INV-000001", "acme", "USD", Period(JANUARY, FEBRUARY), True)


def debit(*burned: tuple[int, int]) -> Charge:
    """Returns a debit of one line; `burned` is (grant, nanos), grant 0 being overage."""
    return Charge("", "", (("amount", 1, sum(nanos for _, nanos in burned)),), burned)


def invoice_of(sums: Sums, *charges: Charge, policy: str = NEXT_INVOICE) -> pb.Invoice:
    return compute(
        replace(JANUARY_OF_ACME, overage_policy=policy),
        sums,
        charges,
        lambda _: None,
        TYPES.__getitem__,
    )


def balanced(*charges: Charge, debt: int = 0) -> Sums:
    total = sum(nanos for charge in charges for _, _, nanos in charge.lines)
    return Sums(0, -total, 0, total, len(charges), debt_nanos=debt)


UNPAID = [
    # overage used in the period, still in use at its end, unpaid
    (0, 0, 0),
    (50, 50, 50),
    (50, 0, 0),
    (50, 20, 20),
    (50, 49, 49),
    (50, 51, 50),
    (50, 500, 50),
    (0, 500, 0),
    (50, -1, 0),
    (MOST, MOST, MOST),
    (MOST, 1, 1),
]


@pytest.mark.parametrize(("used", "in_use", "unpaid"), UNPAID)
def test_payments_pay_older_debt_first_and_what_they_do_not_cover_is_owed(
    used: int, in_use: int, unpaid: int
) -> None:
    charge = debit((0, used))
    now = invoice_of(balanced(charge, debt=in_use), charge)
    assert (now.total_nanos, now.overage_used_nanos) == (used, used)
    assert (now.overage_due_nanos, now.overage_carried_nanos, now.credits_applied_nanos) == (
        unpaid,
        0,
        used - unpaid,
    )
    later = invoice_of(balanced(charge, debt=in_use), charge, policy=NEXT_PURCHASE)
    assert (later.overage_due_nanos, later.overage_carried_nanos) == (0, unpaid)
    assert later.credits_applied_nanos == used - unpaid


def test_payments_are_by_type_of_grant_in_the_order_of_the_types() -> None:
    charges = [
        debit((5, 1), (0, 2)),
        debit((3, 30)),
        debit((2, 400), (4, 5000)),
        debit((3, 70)),
        debit((2, 0)),
    ]
    invoice = invoice_of(balanced(*charges, debt=2), *charges)
    assert [(each.type, each.amount_nanos) for each in invoice.payments] == [
        ("TOP_UP", 5400),
        ("VOUCHER", 100),
        ("REFUND", 1),
    ]
    assert (
        invoice.total_nanos
        == sum(each.amount_nanos for each in invoice.payments) + invoice.overage_used_nanos
    )
    assert (invoice.credits_applied_nanos, invoice.overage_due_nanos) == (5501, 2)


def test_what_was_granted_and_expired_stands_between_the_balances() -> None:
    charge = debit((2, 30), (0, 5))
    sums = Sums(100, 168, 110, 35, 1, expired_nanos=7, debt_nanos=5, debt_paid_nanos=3)
    invoice = invoice_of(sums, charge)
    balances = (
        invoice.opening_balance_nanos,
        invoice.credits_granted_nanos,
        invoice.closing_balance_nanos,
    )
    assert balances == (100, 110, 168)
    assert (invoice.credits_expired_nanos, invoice.debt_paid_nanos, invoice.entry_count) == (
        7,
        3,
        1,
    )


CONTRADICTIONS = [
    ("the lines are not the debits", Sums(0, -11, 0, 11, 1), debit((2, 10))),
    ("the balances are not the debits", Sums(0, -9, 0, 10, 1), debit((2, 10))),
    (
        "what expired is not in the balances",
        Sums(0, -10, 0, 10, 1, expired_nanos=1),
        debit((2, 10)),
    ),
    ("what was granted is not in the balances", Sums(0, -10, 1, 10, 1), debit((2, 10))),
    ("nobody paid a nano", Sums(0, -10, 0, 10, 1), Charge("", "", (("amount", 1, 10),), ((2, 9),))),
    (
        "a nano was paid twice",
        Sums(0, -10, 0, 10, 1),
        Charge("", "", (("amount", 1, 10),), ((2, 10), (0, 1))),
    ),
]


@pytest.mark.parametrize(
    ("sums", "charge"), [pytest.param(*rest, id=says) for says, *rest in CONTRADICTIONS]
)
def test_books_that_contradict_themselves_make_no_invoice(sums: Sums, charge: Charge) -> None:
    with pytest.raises(UnbalancedError):
        invoice_of(sums, charge)


UNIT_PRICES = [
    (ModelPrice("m", "USD", 1, (("input_tokens", 2_500_000),)), "2.5"),
    (ModelPrice("m", "USD", 1, (("input_tokens", 0),)), "0"),
    (ModelPrice("m", "USD", 1, (("input_tokens", 1),)), "0.000001"),
    (ModelPrice("m", "USD", 1, (("input_tokens", 10**15),)), "1000000000"),
    (ModelPrice("m", "USD", 8, (("input_tokens", 1),)), "0.000000125"),
    (ModelPrice("m", "USD", 3, (("input_tokens", 1),)), ""),
    (ModelPrice("m", "USD", 1, (("output_tokens", 1),)), ""),
    (ModelPrice("m", "USD", 1, (("input_tokens", 5),), (Tier(1000, (("input_tokens", 6),)),)), ""),
    (None, ""),
]


@pytest.mark.parametrize(("price", "text"), UNIT_PRICES)
def test_a_unit_price_is_an_exact_decimal_or_empty(price: ModelPrice | None, text: str) -> None:
    assert unit_price(price, "input_tokens") == text
