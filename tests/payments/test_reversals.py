"""Refunds and disputes: credits follow the money back, and no credit is both spent and paid back."""

from dataclasses import replace
from itertools import count, permutations
from typing import Any

import pytest

from meter.admin.accounts import find_account
from meter.database.admin_schema import top_ups
from meter.database.engine import Ledger
from meter.errors import ServiceError
from meter.payments.payment_rows import PaymentRow
from meter.payments.providers.manual import ManualProvider
from meter.payments.recharges import level_of
from meter.payments.reversal_rows import PROVIDER, ReversalRow, reversals_of
from support.histories import Scribe
from support.payment_desk import PaymentDesk, killed_at
from support.recorded_accounts import CREDIT

pytest_plugins = ("support.payment_fixtures",)

_numbers = count(1)


class Shop:
    """A desk whose account lives by real postings: credits are taken and given as a gate does."""

    def __init__(self, scribe: Scribe) -> None:
        self.scribe = scribe
        self.account_id = f"shopper-{next(_numbers)}"
        scribe.create(self.account_id)
        scribe.flush()
        self.desk = PaymentDesk(scribe.ledger, account_id=self.account_id)
        self.desk.save("test_visa")

    def flush(self) -> None:
        self.scribe.apply_pending()
        self.scribe.flush()
        self.desk.now_ms += 1000

    def buy(self, credits: int = 25, **fields: Any) -> PaymentRow:
        row = self.desk.buy(credits, **fields)
        self.flush()
        return row

    def spend(self, nanos: int) -> None:
        self.scribe.debit(nanos, account_id=self.account_id)
        self.scribe.flush()

    def refund(
        self, row: PaymentRow, nanos: int | None = None, request_id: str = ""
    ) -> ReversalRow:
        request_id = request_id or f"refund-{next(_numbers)}"
        given = (self.account_id, request_id, row.subject_id, nanos, "asked for")
        refund = self.desk.reversals.refund(*given)
        self.settle()
        return self.desk.reversals.advance(self.account_id, refund.request_id)

    def settle(self) -> None:
        """Lets recorded changes come into the ledger, and billing go on, until all is done."""
        for _ in range(4):
            self.flush()
            self.desk.reversals.work()

    def review(self, row: PaymentRow) -> ReversalRow | None:
        self.desk.reversals.review(row, self.desk.payer.look(row))
        self.settle()
        with self.scribe.ledger.read() as connection:
            found = reversals_of(connection, row.payment_id)
        return next((each for each in found if each.kind == PROVIDER), None)

    def remaining(self) -> int:
        with self.scribe.ledger.read() as connection:
            return level_of(connection, self.account_id).remaining_nanos

    def refunded(self) -> list[int]:
        return [row.refunded_nanos for row in self.desk.rows(top_ups)]

    def paid_back(self, row: PaymentRow) -> int:
        return self.desk.payer.look(self.desk.payment(row)).refunded_minor

    def status(self) -> str:
        with self.scribe.ledger.read() as connection:
            account = find_account(connection, self.account_id)
        assert account is not None
        return account.status


@pytest.fixture(scope="module")
def scribe(shared_ledger: Ledger) -> Scribe:
    return Scribe(shared_ledger)


@pytest.fixture
def shop(scribe: Scribe) -> Shop:
    return Shop(scribe)


def reason(call: Any, *given: Any) -> str:
    with pytest.raises(ServiceError) as refused:
        call(*given)
    return refused.value.reason


def test_what_is_unspent_is_taken_back_and_paid_back(shop: Shop) -> None:
    row = shop.buy(25)
    shop.spend(10 * CREDIT + CREDIT // 1000)
    refund = shop.refund(row)
    assert (refund.state, refund.taken_nanos, refund.paid_minor) == (
        "SUCCEEDED",
        14_990_000_000,
        1499,
    )
    assert (shop.paid_back(row), shop.remaining()) == (1499, 9_000_000)
    assert shop.refunded() == [14_990_000_000]
    assert reason(shop.refund, row) == "NOTHING_TO_REFUND"


def test_a_part_is_refunded_once_for_a_request(shop: Shop) -> None:
    row = shop.buy(25)
    for _ in range(2):
        refund = shop.refund(row, 5 * CREDIT, "same")
    assert (refund.paid_minor, shop.paid_back(row)) == (500, 500)
    assert shop.remaining() == 20 * CREDIT


def test_credits_that_are_spent_while_a_refund_is_recorded_are_not_paid_back(shop: Shop) -> None:
    row = shop.buy(25)
    given = (shop.account_id, "raced", row.subject_id, None, "asked for")
    shop.desk.reversals.refund(*given)
    shop.spend(20 * CREDIT + 1)
    shop.settle()
    refund = shop.desk.reversals.advance(shop.account_id, "raced")
    assert (refund.state, refund.paid_minor, shop.remaining()) == ("SUCCEEDED", 499, 9_999_999)


def test_if_the_provider_cannot_pay_back_the_credits_are_granted_again(shop: Shop) -> None:
    row = shop.buy(25)
    # The provider has paid all of it back on its own pages, so that nothing is left to pay.
    assert shop.desk.simulated.refund(row.payment_ref, 2500, "by hand")
    refund = shop.refund(row)
    assert (refund.state, refund.taken_nanos, refund.paid_minor) == ("FAILED", 0, 0)
    shop.flush()
    assert (shop.remaining(), shop.refunded()) == (25 * CREDIT, [0])


def test_what_cannot_be_refunded_is_refused(shop: Shop) -> None:
    kept = shop.buy(25, non_refundable=True)
    assert reason(shop.refund, kept) == "NOT_REFUNDABLE"
    row = shop.buy(25)
    shop.desk.reversals._provider = ManualProvider("")
    assert reason(shop.refund, row) == "NOT_REFUNDABLE"
    assert reason(shop.refund, replace(row, subject_id="t1")) == "TOP_UP_NOT_FOUND"


def test_a_dispute_takes_credits_suspends_and_a_won_one_gives_them_again(shop: Shop) -> None:
    row = shop.buy(25)
    shop.spend(5 * CREDIT)
    shop.desk.simulated.dispute(row.payment_ref, 2500, is_open=True)
    level = shop.review(row)
    assert (level.taken_nanos, level.target_nanos) == (20 * CREDIT, 25 * CREDIT)
    assert (shop.remaining(), shop.status()) == (0, "suspended")
    shop.desk.simulated.dispute(row.payment_ref, 0, is_open=False)
    level = shop.review(row)
    assert (level.taken_nanos, shop.remaining(), shop.refunded()) == (0, 20 * CREDIT, [0])


MOVES = {"opened": (2500, True), "won": (0, False), "lost": (2500, False), "part": (1000, False)}


@pytest.mark.parametrize("moves", list(permutations(MOVES, 3))[::4])
def test_credits_follow_a_dispute_in_whatever_order_it_is_told(
    shop: Shop, moves: tuple[str, ...]
) -> None:
    row = shop.buy(25)
    for move in moves:
        minor, is_open = MOVES[move]
        shop.desk.simulated.dispute(row.payment_ref, minor, is_open=is_open)
        for _ in range(2):
            shop.review(row)
        assert shop.remaining() == 25 * CREDIT - minor * CREDIT // 100, move


def test_a_refund_on_the_provider_s_own_pages_takes_credits_and_ours_is_not_counted_twice(
    shop: Shop,
) -> None:
    row = shop.buy(25)
    shop.refund(row, 5 * CREDIT)
    shop.desk.simulated.refund(row.payment_ref, 1000, "by hand")
    level = shop.review(row)
    assert (level.target_nanos, shop.remaining()) == (10 * CREDIT, 10 * CREDIT)


def test_a_refund_killed_at_any_begin_or_commit_is_paid_back_once(
    scribe: Scribe, is_long: bool
) -> None:
    for point in range(1, 40, 1 if is_long else 3):
        shop = Shop(scribe)
        row = shop.buy(25)
        given = (shop.account_id, "refund", row.subject_id, None, "asked for")
        with killed_at(scribe.ledger, point) as reached:
            shop.desk.reversals.refund(*given)
            shop.flush()
            shop.desk.reversals.work()
        shop.flush()
        shop.desk.reversals.refund(*given)
        shop.settle()
        assert (shop.paid_back(row), shop.remaining()) == (2500, 0), point
        if not reached:
            return
    raise AssertionError("the search for points does not end")
