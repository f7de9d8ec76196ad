"""The flusher on grants, holds, budgets and thresholds: what the entries do to each, added
up once.
"""

import json

import pytest

from meter.database import schema
from meter.flusher import Flusher
from meter.journal.operations import Grace, GrantCredits, Threshold
from support.ledger_state import (
    account,
    assert_books_add_up,
    assert_redis_agrees,
    entries,
    events,
    grants,
    rows,
)
from support.sample_history import DAY, NOON, live_through
from support.store_harness import CREDIT, StoreHarness

pytest_plugins = ("support.harness_fixtures",)

MONTH = 19_997  # October 1st


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_what_the_entries_do_is_added_up_alike_in_one_transaction_and_in_many(
    harness: StoreHarness, flusher: Flusher, in_one_batch: bool
) -> None:
    live_through(harness, "acme", (lambda: None) if in_one_batch else flusher.flush_once)
    assert flusher.drain(10)
    assert grants(harness, "acme") == {
        2: ("EXHAUSTED", 0, 0, 18, 0, 2),
        3: ("EXPIRED", 0, 0, 7, 3, 0),
        4: ("EXHAUSTED", 0, 0, 6, 0, 0),
        5: ("EXHAUSTED", 0, 0, 8, 0, 0),
        16: ("LIVE", 0, 5, 5, 0, 0),
        17: ("VOIDED", 0, 0, 0, 0, 5),
    }
    assert events(harness, "acme") == [
        ("DAILY_USE", "", "busy", 10, 17),
        ("BUDGET", "team", "half", 4, 13),
        ("LOW_BALANCE", "", "low", 15, 14),
        ("DAILY_USE", "", "busy", 10, 21),
        ("BUDGET", "team", "half", 30, 36),
    ]
    windows = [tuple(row.values())[1:] for row in rows(harness.ledger, schema.budget_windows)]
    assert windows == [(6, MONTH * 24, "", 36 * CREDIT, 0), (7, DAY * 24, "", 10 * CREDIT, 0)]
    (hold,) = rows(harness.ledger, schema.open_holds)
    assert (hold["amount_nanos"], hold["pins"]) == (7 * CREDIT, f"16:{5 * CREDIT},0:{2 * CREDIT}")
    assert [
        (row["budget_id"], row["number"]) for row in rows(harness.ledger, schema.applied_budgets)
    ] == [("team", 19)]
    assert_books_add_up(harness)
    assert_redis_agrees(harness, "acme")


def test_a_hold_that_is_extended_and_settled_in_other_transactions_gives_back_what_it_pinned(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", clock=NOON)
    first = harness.grant("acme", 3 * CREDIT, type="PROMOTION")
    second = harness.grant("acme", 9 * CREDIT)
    hold_id = harness.authorize("acme", 2 * CREDIT)
    assert flusher.drain(10)
    harness.extend("acme", hold_id, 4 * CREDIT, ttl_ms=1000)
    assert flusher.drain(10)
    (hold,) = rows(harness.ledger, schema.open_holds)
    assert (hold["amount_nanos"], hold["pins"]) == (
        6 * CREDIT,
        f"{first.seq}:{3 * CREDIT},{second.seq}:{3 * CREDIT}",
    )
    assert_redis_agrees(harness, "acme")
    harness.debit("acme", 4 * CREDIT, hold_id=hold_id)
    assert flusher.drain(10)
    assert grants(harness, "acme") == {2: ("EXHAUSTED", 0, 0, 3, 0, 0), 3: ("LIVE", 8, 0, 1, 0, 0)}
    assert rows(harness.ledger, schema.open_holds) == []
    assert_books_add_up(harness)


def test_what_a_hold_had_pinned_of_a_grant_that_is_over_expires_when_it_comes_back(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", 1 * CREDIT, clock=NOON)
    harness.grant("acme", 5 * CREDIT, priority=1, expires_at_ms=NOON + 1000)
    hold_id = harness.authorize("acme", 4 * CREDIT)
    harness.advance("acme", NOON + 1000)
    harness.process_due_grants("acme")
    assert flusher.drain(10)
    assert grants(harness, "acme")[3] == ("EXPIRED", 0, 4, 0, 1, 0)
    assert_redis_agrees(harness, "acme")
    harness.debit(
        "acme", 3 * CREDIT, hold_id=hold_id
    )  # it is settled from what it pinned, whatever became of that
    assert flusher.drain(10)
    assert grants(harness, "acme") == {2: ("LIVE", 1, 0, 0, 0, 0), 3: ("EXPIRED", 0, 0, 3, 2, 0)}
    assert_books_add_up(harness)
    assert_redis_agrees(harness, "acme")


def test_a_grant_voided_whole_stays_so_though_holds_give_some_of_it_back(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", clock=NOON)
    grant = harness.grant("acme", 5 * CREDIT)
    hold_id = harness.authorize("acme", 2 * CREDIT)
    harness.void("acme", grant)
    assert flusher.drain(10)
    assert grants(harness, "acme") == {2: ("VOIDED", 0, 2, 0, 0, 3)}
    assert_redis_agrees(harness, "acme")
    harness.release("acme", hold_id)
    assert flusher.drain(10)
    assert grants(harness, "acme") == {2: ("VOIDED", 0, 0, 0, 2, 3)}
    assert_books_add_up(harness)


def test_a_grant_voided_before_it_began_never_counted(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", clock=NOON)
    grant = harness.grant("acme", 5 * CREDIT, effective_at_ms=NOON + 1000)
    assert flusher.drain(10)
    assert grants(harness, "acme") == {2: ("SCHEDULED", 5, 0, 0, 0, 0)}
    assert account(harness, "acme")["remaining_nanos"] == 0
    assert_redis_agrees(harness, "acme")
    harness.void("acme", grant)
    assert flusher.drain(10)
    assert grants(harness, "acme") == {2: ("VOIDED", 0, 0, 0, 0, 5)}
    assert [entry["amount_nanos"] for entry in entries(harness)] == [0, 0, 0]
    assert_books_add_up(harness)
    assert_redis_agrees(harness, "acme")


def test_a_late_debit_leaves_the_budgets_of_its_hold_and_counts_in_those_that_it_names(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", 9 * CREDIT, clock=NOON)
    harness.set_budget("acme", "team", 30 * CREDIT, "user=ada")  # 3
    harness.set_budget("acme", "chat", 30 * CREDIT, "service=chat")  # 4
    hold_id = harness.authorize("acme", 4 * CREDIT, ttl_ms=1000, dimensions={"user": "ada"})
    harness.advance("acme", NOON + 1000)
    late = harness.debit("acme", 3 * CREDIT, hold_id=hold_id, dimensions={"service": "chat"})
    assert late is not None
    assert late.flags.late
    assert flusher.drain(10)
    windows = {
        row["number"]: (row["used_nanos"], row["held_nanos"])
        for row in rows(harness.ledger, schema.budget_windows)
    }
    assert windows == {3: (0, 0), 4: (3 * CREDIT, 0)}
    assert_books_add_up(harness)
    assert_redis_agrees(harness, "acme")


def test_a_grace_that_has_begun_is_known_to_whoever_loads_the_account(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create(
        "acme",
        CREDIT,
        clock=NOON,
        graces=(Grace("interactive", 60_000, None), Grace("batch", None, CREDIT)),
    )
    assert harness.debit("acme", 3 * CREDIT, traffic_class="interactive")
    assert flusher.drain(10)
    begun = json.loads(account(harness, "acme")["applied_settings"])["graces_begun"]
    assert begun == {"interactive": NOON}
    assert_redis_agrees(harness, "acme")
    harness.grant("acme", 9 * CREDIT)
    assert flusher.drain(10)
    assert json.loads(account(harness, "acme")["applied_settings"])["graces_begun"] == {}
    assert_books_add_up(harness)
    assert_redis_agrees(harness, "acme")


def test_levels_that_move_with_grants_are_those_of_the_newest(
    harness: StoreHarness, flusher: Flusher
) -> None:
    half = Threshold("half", "low_balance", percent=50)
    harness.create("acme", 10 * CREDIT, clock=NOON, thresholds=(half,))
    harness.debit("acme", 6 * CREDIT)
    harness.grant("acme", 30 * CREDIT)
    assert flusher.drain(10)
    assert_redis_agrees(harness, "acme")
    harness.debit("acme", 20 * CREDIT)
    assert flusher.drain(10)
    assert events(harness) == [
        ("LOW_BALANCE", "", "half", 5, 4),
        ("LOW_BALANCE", "", "half", 15, 14),
    ]
    assert_books_add_up(harness)


@pytest.mark.parametrize(
    ("of_overage", "more_debt"),
    [
        pytest.param(0, 0, id="no debt"),
        pytest.param(5, 0, id="the debt that it made"),
        pytest.param(5, 9, id="more debt than it gives back"),
    ],
)
def test_what_a_repeat_took_of_two_grants_and_of_overage_is_given_back_and_pays_debt_first(
    harness: StoreHarness, flusher: Flusher, of_overage: int, more_debt: int
) -> None:
    charge = 6 + of_overage
    debt = of_overage + more_debt
    harness.create("acme", charge * CREDIT, clock=NOON, overage=20 * CREDIT)
    assert harness.debit("acme", charge * CREDIT, "r-1")
    harness.grant("acme", 3 * CREDIT, type="PROMOTION", expires_at_ms=NOON + 1000)
    harness.grant("acme", (3 if debt else 4) * CREDIT)
    assert flusher.drain(10)
    harness.forget("acme", "r-1")
    repeat = harness.debit("acme", charge * CREDIT, "r-1")
    assert repeat is not None
    assert [part.grant for part in repeat.taken] == [3, 4, 0][: 3 if debt else 2]
    harness.debit("acme", more_debt * CREDIT)
    assert flusher.drain(10)
    (refund,) = harness.operations.pending()
    assert isinstance(refund.change, GrantCredits)
    assert (refund.change.type, refund.change.amount_nanos) == ("REFUND", charge * CREDIT)
    assert refund.change.pays_debt
    harness.apply_pending()
    assert flusher.drain(10)
    paid = min(debt, charge)
    assert sum(entry["overage_nanos"] for entry in entries(harness)) == (debt - paid) * CREDIT
    known = grants(harness, "acme")
    assert known[3] == ("EXHAUSTED", 0, 0, 3, 0, 0)
    assert known[5] == ("LIVE" if charge > paid else "EXHAUSTED", charge - paid, 0, paid, 0, 0)
    assert (
        account(harness, "acme")["remaining_nanos"] == (charge - debt + (0 if debt else 1)) * CREDIT
    )
    assert_books_add_up(harness)
    assert_redis_agrees(harness, "acme")
