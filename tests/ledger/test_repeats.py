"""Debits that were charged twice: with their refund the second time counts as used nowhere."""

import pytest

from meter.database import schema
from meter.flusher import Flusher
from meter.journal.account_sums import AccountSums
from support.ledger_state import account, assert_books_add_up, assert_redis_agrees, rows
from support.sample_history import NOON
from support.store_harness import CREDIT, StoreHarness

pytest_plugins = ("support.harness_fixtures",)

DAY_MS = 86_400_000
ADA = {"user": "ada"}


def charge_twice(harness: StoreHarness) -> None:
    """Charges 3 credits for one request id, and charges them again."""
    harness.debit("acme", 3 * CREDIT, "twice", dimensions=ADA)
    harness.forget("acme", "twice")
    harness.debit("acme", 3 * CREDIT, "twice", dimensions=ADA)


def refund(harness: StoreHarness, flusher: Flusher) -> None:
    (operation,) = harness.operations.pending()
    assert harness.apply(operation) == b"ok"
    assert flusher.drain(10)
    assert_books_add_up(harness)


def used(harness: StoreHarness) -> tuple[int, int, int]:
    """Credits used today, yesterday and this month."""
    sums = AccountSums.decode(account(harness, "acme")["state"])
    days = (sums.used_today, sums.used_yesterday, sums.used_this_month)
    return days[0] // CREDIT, days[1] // CREDIT, days[2] // CREDIT


def counted(harness: StoreHarness) -> dict[tuple[int, str], int]:
    """Credits used by the budget's number and the value, in all windows together."""
    sums: dict[tuple[int, str], int] = {}
    for row in rows(harness.ledger, schema.budget_windows):
        key = (row["number"], row["value"])
        sums[key] = sums.get(key, 0) + row["used_nanos"] // CREDIT
    return sums


@pytest.mark.parametrize(
    ("days_later", "after"),
    [
        pytest.param(0, (4, 0, 4), id="on the same day"),
        pytest.param(1, (0, 4, 4), id="on the next day"),
        pytest.param(2, (0, 0, 4), id="later in the month"),
        pytest.param(30, (0, 0, 0), id="in another month"),
    ],
)
def test_what_a_repeat_counted_is_taken_back_where_it_still_counts(
    harness: StoreHarness,
    flusher: Flusher,
    days_later: int,
    after: tuple[int, int, int],
) -> None:
    harness.create("acme", 99 * CREDIT, clock=NOON, limit=50 * CREDIT)
    harness.set_budget("acme", "team", 30 * CREDIT, "user=ada")  # 3
    harness.set_budget("acme", "each", 30 * CREDIT, "user=*", window="day")  # 4
    charge_twice(harness)
    harness.debit("acme", 1 * CREDIT)
    if days_later:
        harness.advance("acme", NOON + days_later * DAY_MS)
    assert flusher.drain(10)
    assert counted(harness) == {(3, ""): 6, (4, ":ada"): 6}
    refund(harness, flusher)
    assert used(harness) == after
    assert counted(harness) == {(3, ""): 3, (4, ":ada"): 3}
    if not days_later:  # else windows have begun in which nothing was used
        assert_redis_agrees(harness, "acme")


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_what_a_repeat_counted_is_not_taken_from_a_budget_made_anew_behind_it(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", 99 * CREDIT, clock=NOON)
    harness.set_budget("acme", "team", 30 * CREDIT, "user=ada")  # 3
    charge_twice(harness)
    harness.set_budget("acme", "team", 30 * CREDIT, "user=ada", window="week")  # 4
    harness.debit("acme", 5 * CREDIT, dimensions=ADA)
    assert flusher.drain(10)
    refund(harness, flusher)
    assert counted(harness) == {(3, ""): 6, (4, ""): 5}
