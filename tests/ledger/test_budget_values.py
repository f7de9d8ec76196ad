"""Budgets for each value in the ledger: counted, told, shown page by page, and put back."""

import json
import random

import pytest

from gate.store.keys import budgets_key
from meter.admin.budget_use import BudgetUses
from meter.database import schema
from meter.errors import NotFound
from meter.flusher import Flusher
from meter.journal.counter_names import MOST_VALUES
from meter.statements.events import EventQuery, list_events
from meter.v1.ledger_pb2 import ListEventsRequest
from support.ledger_state import assert_books_add_up, assert_redis_agrees, rows
from support.sample_history import DAY, NOON
from support.store_harness import CREDIT, StoreHarness

pytest_plugins = ("support.harness_fixtures",)

HOUR_MS = 3_600_000
NOON_HOUR = NOON // HOUR_MS
ADA = {"user": "ada"}
BOB = {"user": "bob: 1*"}


def windows(harness: StoreHarness) -> dict[tuple[int, int, str], tuple[int, int]]:
    """Used and held credits by the budget's number, the first hour and the value."""
    return {
        (row["number"], row["start_hour"], row["value"]): (
            row["used_nanos"] // CREDIT,
            row["held_nanos"] // CREDIT,
        )
        for row in rows(harness.ledger, schema.budget_windows)
    }


def test_each_value_is_counted_for_itself_and_put_back_as_it_was(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", 99 * CREDIT, clock=NOON)
    harness.set_budget("acme", "each", 5 * CREDIT, "user=*", window="day", most=4 * CREDIT)  # 3
    harness.set_budget("acme", "hours", 9 * CREDIT, "user=*", window="hour")  # 4
    assert harness.authorize("acme", 0, dimensions={"user": "nobody"})
    hold_id = harness.authorize("acme", 3 * CREDIT, dimensions=ADA, ttl_ms=2 * HOUR_MS)
    harness.debit("acme", 4 * CREDIT, dimensions=BOB)
    assert flusher.drain(10)
    assert windows(harness) == {
        (3, DAY * 24, ":ada"): (0, 3),
        (3, DAY * 24, ":bob%3A%201%2A"): (4, 0),
        (4, NOON_HOUR, ":ada"): (0, 3),
        (4, NOON_HOUR, ":bob%3A%201%2A"): (4, 0),
    }
    assert_books_add_up(harness)
    assert_redis_agrees(harness, "acme")

    harness.advance("acme", NOON + HOUR_MS)
    harness.debit("acme", 2 * CREDIT, hold_id=hold_id, dimensions=BOB)
    harness.debit("acme", 1 * CREDIT, dimensions=ADA)
    assert flusher.drain(10)
    found = windows(harness)
    assert found[3, DAY * 24, ":ada"] == (3, 0)
    assert found[4, NOON_HOUR, ":ada"] == (2, 0), "the hold counts in the hour of its authorization"
    assert found[4, NOON_HOUR + 1, ":ada"] == (1, 0)
    assert_books_add_up(harness)
    assert_redis_agrees(harness, "acme")


def test_an_event_tells_the_value_that_crossed_and_each_value_has_its_own(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", 99 * CREDIT, clock=NOON + HOUR_MS)
    harness.set_budget("acme", "each", 5 * CREDIT, "user=*", window="hour", most=4 * CREDIT)
    harness.debit("acme", 4 * CREDIT, dimensions=BOB)
    harness.debit("acme", 5 * CREDIT, dimensions=ADA)
    assert flusher.drain(10)
    asked = EventQuery.of(ListEventsRequest(account_id="acme", types=["threshold.crossed"]))
    with harness.ledger.read() as connection:
        told = [each.data for each in list_events(connection, asked).events]
    assert [(data["budget_id"], *data["budget_values"], data["window"]) for data in told] == [
        ("each", "bob: 1*", "2024-10-04T13:00"),
        ("each", "ada", "2024-10-04T13:00"),
    ]
    assert_books_add_up(harness)


def test_the_longest_pair_of_values_fits_into_the_ledger(
    harness: StoreHarness, flusher: Flusher
) -> None:
    chance = random.Random(5)
    longest = ["".join(chr(chance.randrange(0x20000, 0x2A000)) for _ in range(256)) for _ in "ab"]
    account_id = "a" * 128
    harness.create(account_id, 99 * CREDIT, clock=NOON)
    harness.set_budget(account_id, "b" * 64, CREDIT, "a=*", "b=*", **{"t" * 64: 1})
    harness.debit(account_id, CREDIT, dimensions=dict(zip("ab", longest, strict=True)))
    assert flusher.drain(10)
    [event] = rows(harness.ledger, schema.events)
    assert json.loads(event["data"])["budget_values"] == longest
    assert_redis_agrees(harness, account_id)


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_as_many_values_as_there_may_be_are_put_back(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", 99 * CREDIT, clock=NOON)
    harness.set_budget("acme", "each", 5 * CREDIT, "user=*", window="day")
    harness.debit("acme", 2 * CREDIT, dimensions=ADA)
    assert flusher.drain(10)
    [row] = rows(harness.ledger, schema.budget_windows)
    others = [f":u{number}" for number in range(MOST_VALUES - 1)]
    with harness.ledger.write() as connection:
        copies = [{**row, "value": value} for value in others]
        connection.execute(schema.budget_windows.insert(), copies)
    counters = budgets_key(harness.shard("acme"), "acme") + " each"
    amounts = {"r": -2 * CREDIT, "h": 0}
    fields = {f"{name}{value}": amounts[name] for value in others for name in amounts}
    harness.redis.hset(counters, mapping=fields)
    assert_redis_agrees(harness, "acme")
    harness.debit("acme", CREDIT, dimensions={"user": "one too many"})
    assert harness.redis.hget(counters, "r:*") == b"-1000000000"


def test_the_use_of_values_is_told_page_by_page(harness: StoreHarness, flusher: Flusher) -> None:
    harness.create("acme", 99 * CREDIT, clock=NOON)
    harness.set_budget("acme", "each", 5 * CREDIT, "user=*", window="day")
    harness.debit("acme", 2 * CREDIT, dimensions={"user": "of yesterday"})
    harness.advance("acme", NOON + 24 * HOUR_MS)
    for number in range(3):
        harness.debit("acme", 2 * CREDIT, dimensions={"user": f"u{number}"})
    assert flusher.drain(10)
    uses = BudgetUses(harness.ledger)
    [use] = uses.all("acme")
    assert (use.used_nanos, use.held_nanos, use.value_count) == (6 * CREDIT, 0, 3)
    assert use.end_hour == (DAY + 2) * 24
    shown, first = uses.values("acme", "each", None, 2)
    assert shown == use
    assert [(each.value, each.used_nanos) for each in first] == [
        (":u0", 2 * CREDIT),
        (":u1", 2 * CREDIT),
    ]
    _, rest = uses.values("acme", "each", first[-1].value, 2)
    assert [each.value for each in rest] == [":u2"]
    with pytest.raises(NotFound, match="has no budget other"):
        uses.values("acme", "other", None, 2)
