"""Events of denials in the ledger: once each, numbered with the others, whoever records them, and
later if the ledger is away.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from gate import denial_events
from gate.denial_events import DenialEvents
from gate.metrics import GateMetrics
from meter.audit import check_books
from meter.database import schema
from meter.database.engine import Ledger
from meter.database.migrate import open_ledger
from meter.flusher import Flusher
from meter.journal.operations import Threshold
from meter.ledger.denials import DenialEvent, record_denials
from support.ledger_state import events_locked, rows, running, value
from support.sample_history import DAY, NOON
from support.servers import wait_until
from support.store_harness import CREDIT, StoreHarness

pytest_plugins = ("support.harness_fixtures",)

DROPPED = "creditgate_denial_events_dropped_total"
PATIENCE_S = 0.2


@pytest.fixture
def poor(harness: StoreHarness) -> StoreHarness:
    """With acme, beta and gamma, which have no credits, on test clocks."""
    for account_id in ("acme", "beta", "gamma"):
        harness.create(account_id, clock=NOON)
    return harness


def recorded(ledger: Ledger) -> list[tuple[int, str]]:
    """Returns each event's number, with the account that was denied, or the threshold."""
    return [
        (row["number"], json.loads(row["data"]).get("threshold_id") or row["account_id"])
        for row in rows(ledger, schema.events)
    ]


def new_denial_events(ledger: Ledger, registry: CollectorRegistry | None = None) -> DenialEvents:
    return DenialEvents(ledger, GateMetrics(registry or CollectorRegistry()))


def note(events: DenialEvents, harness: StoreHarness, *account_ids: str) -> None:
    for account_id in account_ids:
        events.note(account_id, harness.denied(account_id, CREDIT))


async def until(condition: Callable[[], object]) -> None:
    await asyncio.to_thread(wait_until, condition)


def kept(events: DenialEvents, then: Callable[[], Awaitable[None]]) -> None:
    """Does `then` while what is noted is recorded in the background."""

    async def run() -> None:
        keeping = asyncio.create_task(events.keep())
        try:
            await then()
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])

    asyncio.run(run())


def test_denials_and_thresholds_are_numbered_in_one_order_without_gaps(
    harness: StoreHarness, flusher: Flusher
) -> None:
    low = Threshold("low", "low_balance", 2 * CREDIT)
    harness.create("acme", 3 * CREDIT, clock=NOON, thresholds=(low,))
    harness.create("beta", 3 * CREDIT, clock=NOON, thresholds=(low,))
    denials = [
        DenialEvent(account_id, "INSUFFICIENT_CREDITS", "", "", DAY * 24, NOON, CREDIT)
        for account_id in ("acme", "beta")
    ]
    record_denials(harness.ledger, denials)
    harness.debit("acme", CREDIT)
    flusher.flush_once()
    record_denials(harness.ledger, [*denials, denials[0]._replace(window_hour=(DAY + 1) * 24)])
    harness.debit("beta", CREDIT)
    flusher.flush_once()
    assert recorded(harness.ledger) == [
        (1, "acme"),
        (2, "beta"),
        (3, "low"),
        (4, "acme"),
        (5, "low"),
    ]
    books = harness.check(
        lambda store: check_books(harness.ledger, store, lambda _: asyncio.sleep(0), None)
    )
    assert list(books.findings) == []


def test_gates_and_flusher_at_once_number_each_event_once(
    harness: StoreHarness, flusher: Flusher
) -> None:
    levels = tuple(Threshold(f"t{n}", "daily_use", n * CREDIT) for n in range(1, 31))
    harness.create("acme", 31 * CREDIT, clock=NOON, thresholds=levels)
    days = range(DAY, DAY + 30)
    denials = [
        DenialEvent("acme", "INSUFFICIENT_CREDITS", "", "", day * 24, NOON, CREDIT) for day in days
    ]
    with running(flusher), ThreadPoolExecutor(4) as gates:
        recording = [
            gates.submit(record_denials, harness.ledger, [denial])
            for denial in denials
            for _ in range(4)
        ]
        for _ in levels:
            harness.debit("acme", CREDIT)
        for each in recording:
            each.result()
    flusher.flush_once()
    numbers, names = zip(*recorded(harness.ledger), strict=True)
    assert numbers == tuple(range(1, 61))
    assert sorted(names) == sorted(["acme"] * 30 + [level.threshold_id for level in levels])


def test_a_denial_while_the_ledger_is_away_has_its_event_later(
    poor: StoreHarness, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(denial_events, "_RETRY_S", 0.01)
    with closing(open_ledger(ledger_url, PATIENCE_S)) as impatient, capture_logs() as logs:
        events = new_denial_events(impatient)
        note(events, poor, "acme")
        later = poor.denied("beta", CREDIT)

        async def come_back() -> None:
            with events_locked(poor.ledger):
                await until(lambda: logs)
                events.note("beta", later)
            await until(lambda: len(recorded(poor.ledger)) == 2)

        kept(events, come_back)
    assert recorded(poor.ledger) == [(1, "acme"), (2, "beta")]
    assert {log["event"] for log in logs} == {"denial_events_wait"}


def test_denials_that_wait_are_bounded_and_those_beyond_are_counted_and_may_come_again(
    poor: StoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(denial_events, "_MOST_WAITING", 2)
    registry = CollectorRegistry()
    events = new_denial_events(poor.ledger, registry)
    note(events, poor, "acme", "acme", "beta", "gamma", "gamma")
    assert value(registry, DROPPED) == 2
    asyncio.run(events.record_rest())
    assert recorded(poor.ledger) == [(1, "acme"), (2, "beta")]
    note(events, poor, "acme", "gamma")
    asyncio.run(events.record_rest())
    assert recorded(poor.ledger) == [(1, "acme"), (2, "beta"), (3, "gamma")]


def test_a_denial_that_was_forgotten_is_recorded_again_and_changes_nothing(
    poor: StoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(denial_events, "_MOST_REMEMBERED", 1)
    events = new_denial_events(poor.ledger)
    note(events, poor, "acme", "beta", "acme", "gamma", "acme")
    asyncio.run(events.record_rest())
    assert recorded(poor.ledger) == [(1, "acme"), (2, "beta"), (3, "gamma")]


def test_a_process_that_ends_while_the_ledger_is_away_says_what_it_lost(
    poor: StoreHarness, ledger_url: str
) -> None:
    with closing(open_ledger(ledger_url, PATIENCE_S)) as impatient, capture_logs() as logs:
        events = new_denial_events(impatient)
        note(events, poor, "acme", "beta")
        with events_locked(poor.ledger):
            asyncio.run(events.record_rest())
    assert [(log["event"], log["count"]) for log in logs] == [
        ("denial_events_rest", 2),
        ("denial_events_lost", 2),
    ]
    assert recorded(poor.ledger) == []
