"""What an invoice comes to, from its sums and charges alone."""

import pytest
from histories import FEBRUARY, JANUARY

from meter.invoice import Charge, Heading, Period, Sums, UnbalancedError, draw_up, supersedes, unit_price
from meter.money import INT64_MAX
from meter.prices import ModelPrice, Tier
from meter.v1 import ledger_pb2 as pb

MONEY = [
    # opening, granted, debited, overage due
    (100, 0, 40, 0),
    (100, 0, 100, 0),
    (100, 0, 150, 50),
    (0, 0, 150, 150),
    (0, 100, 150, 50),
    (-30, 0, 20, 20),
    (-30, 10, 20, 20),
    (-30, 30, 20, 20),
    (-30, 40, 20, 10),
    (-30, 100, 20, 0),
    (-30, 10, 0, 0),
    (INT64_MAX, 0, INT64_MAX, 0),
    (0, 0, INT64_MAX, INT64_MAX),
    (0, 0, 0, 0),
]


@pytest.mark.parametrize(("opening", "granted", "debited", "due"), MONEY)
def test_credits_pay_older_debt_first_and_what_they_do_not_cover_is_owed(
    opening: int, granted: int, debited: int, due: int
) -> None:
    sums = Sums(opening, opening + granted - debited, granted, debited, 1)
    charges = [Charge("", "", (("amount", 1, debited),))] if debited else []
    heading = Heading("INV-000001", "acme", "USD", Period(JANUARY, FEBRUARY), True)
    invoice = draw_up(heading, sums, charges, lambda _: None)
    assert invoice.overage_due_nanos == due
    assert invoice.credits_applied_nanos == debited - due
    assert invoice.closing_balance_nanos == opening + granted - debited


def _revision(status: pb.InvoiceStatus, entry_count: int, granted: int, opening: int = 0) -> pb.Invoice:
    return pb.Invoice(
        status=status, entry_count=entry_count, credits_granted_nanos=granted, opening_balance_nanos=opening
    )


REVISIONS = [
    # drawn, latest, whether it is kept
    (_revision(pb.DRAFT, 3, 10), _revision(pb.DRAFT, 3, 10), False),
    (_revision(pb.DRAFT, 4, 10), _revision(pb.DRAFT, 3, 10), True),
    (_revision(pb.DRAFT, 3, 11), _revision(pb.DRAFT, 3, 10), True),
    (_revision(pb.DRAFT, 2, 10), _revision(pb.DRAFT, 3, 10), False),
    (_revision(pb.DRAFT, 3, 9), _revision(pb.DRAFT, 3, 10), False),
    (_revision(pb.DRAFT, 3, 10, 5), _revision(pb.DRAFT, 3, 10), True),
    (_revision(pb.FINAL, 3, 10), _revision(pb.DRAFT, 3, 10), True),
    (_revision(pb.DRAFT, 4, 10), _revision(pb.FINAL, 3, 10), False),
    (_revision(pb.FINAL, 4, 10), _revision(pb.FINAL, 3, 10), False),
]


@pytest.mark.parametrize(("drawn", "latest", "kept"), REVISIONS)
def test_a_revision_is_kept_unless_it_is_older_or_the_same_or_comes_after_a_final_one(
    drawn: pb.Invoice, latest: pb.Invoice, kept: bool
) -> None:
    assert supersedes(drawn, latest) is kept


def test_books_that_contradict_themselves_make_no_invoice() -> None:
    heading = Heading("INV-000001", "acme", "USD", Period(JANUARY, FEBRUARY), True)
    charge = Charge("", "", (("amount", 1, 10),))
    for sums in (Sums(0, -11, 0, 11, 1), Sums(0, -9, 0, 10, 1)):
        with pytest.raises(UnbalancedError):
            draw_up(heading, sums, [charge], lambda _: None)


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
