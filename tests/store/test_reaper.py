"""One hold, or one account, that cannot be processed keeps nothing else from its time."""

import time

import pytest
from structlog.testing import capture_logs

from gate.store import reaper as reaper_module
from gate.store.keys import due_key, expiries_key, hold_key
from meter.flusher import Flusher
from meter.times import now_ms
from support.ledger_state import findings
from support.store_harness import CREDIT, StoreHarness

pytest_plugins = ("support.harness_fixtures",)


def test_a_hold_of_an_unknown_account_keeps_no_other_hold_from_expiring(
    harness: StoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaper_module, "_BATCH", 2)  # fewer than those that fail
    harness.create("acme", 10 * CREDIT)
    shard = harness.shard("acme")
    strangers = {f"{harness.account_in(shard, f'ghost-{n}')} h{n}": n for n in range(5)}
    harness.redis.zadd(expiries_key(shard), strangers)
    harness.authorize("acme", 3 * CREDIT, ttl_ms=1000)
    time.sleep(1.1)
    with capture_logs() as logs:
        harness.reap(rounds=8)
    assert harness.inspect_account("acme").state.held == 0
    told = [log["member"] for log in logs if log["event"] == "reaper_skipped"]
    assert sorted(told) == sorted(strangers)


def test_a_hold_whose_record_is_lost_is_told_by_the_reaper_and_named_by_the_check(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", 10 * CREDIT)
    lost = harness.authorize("acme", 3 * CREDIT, ttl_ms=1000)
    harness.authorize("acme", 2 * CREDIT, ttl_ms=1000)
    shard = harness.shard("acme")
    harness.redis.delete(hold_key(shard, "acme", lost))
    time.sleep(1.1)
    with capture_logs() as logs:
        harness.reap(rounds=2)
    assert [log["member"] for log in logs if log["event"] == "reaper_skipped"] == [f"acme {lost}"]
    assert harness.inspect_account("acme").state.held == 3 * CREDIT, "the other has expired"
    assert flusher.drain(10)
    (found,) = findings(harness)
    assert f"hold {lost} of {3 * CREDIT} nanos is open in the ledger, and Redis has no" in found


def test_a_hold_that_cannot_be_expired_keeps_no_grant_from_its_time(harness: StoreHarness) -> None:
    harness.create("acme")
    harness.grant("acme", 5 * CREDIT, effective_at_ms=now_ms() + 500)
    shard = harness.shard("acme")
    harness.redis.zadd(expiries_key(shard), {f"{harness.account_in(shard, 'ghost')} h": 1})
    harness.redis.zadd(due_key(shard), {harness.account_in(shard, "ghost"): 1})
    time.sleep(0.6)
    harness.reap(rounds=1)
    assert harness.inspect_account("acme").state.remaining == 5 * CREDIT
