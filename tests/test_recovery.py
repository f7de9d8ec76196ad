"""Faults other than a crash: what was lost is found out and said, nothing fresh is made up, and service comes back by itself."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from scene import CREDIT, LOSSY_SHARD, SHARDS, Scene, code_of, open_scene
from servers import valkey_server, wait_until
from sqlalchemy import make_url
from stack import free_port

from gate.keys import account_key, expiries_key, journal_key, replay_key, shard_of
from gate.v1.gate_pb2 import ALLOWED, AuthorizeRequest, DebitRequest, GetBalanceRequest
from meter.journal import Position
from meter.ledger.operations import Operations
from meter.operations import GrantCredits
from meter.v1.ledger_pb2 import DEBIT, GRANT

pytest_plugins = ("ledgers",)

REDIS_TIMEOUT_S = 1.0


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """Shared by the tests below, each of which leaves it in service."""
    with open_scene(replay_window_ms="1000", redis_timeout_ms="1000") as scene:
        yield scene


@contextmanager
def without_flusher(scene: Scene) -> Iterator[None]:
    scene.stack.flushers[0].kill()
    try:
        yield
    finally:
        scene.stack.flushers[0].start()


# Redis loses something


@pytest.mark.parametrize("restarted", [True, False])
def test_a_redis_that_lost_everything_is_filled_again_from_the_ledger(scene: Scene, restarted: bool) -> None:
    account = scene.open("10")
    hold = scene.authorize(account, 3 * CREDIT)
    scene.debit(account, CREDIT)
    before, entries, position = scene.balance(account), scene.entries(account), scene.position(account)
    lost = scene.metric("creditgate_shards_lost_total")
    scene.redis.flushall()
    if restarted:
        scene.stack.valkey.kill()
        scene.stack.valkey.start()
    after, refusals = scene.until_answered(lambda: scene.balance(account))
    assert refusals == {"UNAVAILABLE"}, "never NOT_FOUND, and never a fresh account"
    assert after == before
    assert scene.position(account).epoch == position.epoch + 1
    assert scene.metric("creditgate_shards_lost_total") > lost
    assert scene.debit(account, 2 * CREDIT, hold_id=hold.hold_id).balance.remaining_nanos == 7 * CREDIT
    assert scene.entries(account)[1:] == entries
    assert not scene.findings(account)


def test_a_redis_that_comes_back_older_than_the_ledger_goes_on_from_the_ledger(scene: Scene) -> None:
    account = scene.open("10")
    assert scene.entries(account)
    shutil.copytree(scene.data / "appendonlydir", scene.data / "older")
    hold = scene.authorize(account, 3 * CREDIT)
    scene.debit(account, CREDIT, request_id="charged-once")
    before, position = scene.balance(account), scene.position(account)
    assert scene.entries(account, DEBIT)
    scene.stack.valkey.kill()
    shutil.rmtree(scene.data / "appendonlydir")
    (scene.data / "older").rename(scene.data / "appendonlydir")
    scene.stack.valkey.start()
    after, refusals = scene.until_answered(lambda: scene.balance(account))
    assert (after, refusals) == (before, {"UNAVAILABLE"})
    assert scene.position(account).epoch == position.epoch + 1
    # Redis has forgotten the request with the rest; the ledger has not.
    assert scene.debit(account, CREDIT, request_id="charged-once").balance.remaining_nanos == 8 * CREDIT
    wait_until(lambda: scene.balance(account).remaining_nanos == 9 * CREDIT)
    assert scene.release(account, hold.hold_id).balance.held_nanos == 0
    assert not scene.findings(account)


def test_an_account_missing_in_redis_is_not_served_before_the_ledger_has_caught_up(scene: Scene) -> None:
    account = scene.open("10")
    assert scene.entries(account)
    with without_flusher(scene):
        scene.debit(account, 4 * CREDIT)
        scene.redis.delete(account_key(shard_of(account, SHARDS), account))
        gate, ids = scene.client.gate, {"account_id": account, "request_id": "while-missing"}
        asked = [
            gate.GetBalance.future(GetBalanceRequest(account_id=account)),
            gate.Authorize.future(AuthorizeRequest(**ids, amount_nanos=8 * CREDIT)),
            gate.Debit.future(DebitRequest(**ids, amount_nanos=8 * CREDIT)),
        ]
        for call in asked:
            code, message = code_of(call.result)
            assert code == "UNAVAILABLE"
            assert "is the flusher running?" in message
    balance, _ = scene.until_answered(lambda: scene.balance(account))
    assert balance.remaining_nanos == 6 * CREDIT
    assert not scene.findings(account)


@pytest.mark.parametrize("lost", [0, 1], ids=["the first", "one in the middle"])
def test_entries_lost_from_the_journal_close_the_shard_until_a_new_epoch(scene: Scene, lost: int) -> None:
    account = scene.open("10", LOSSY_SHARD)
    journal, was = journal_key(LOSSY_SHARD), scene.position(account)
    assert scene.entries(account)
    with without_flusher(scene):
        for _ in range(3):
            scene.debit(account, CREDIT)
        missing = scene.redis.xrange(journal)[lost][0]
        scene.redis.xdel(journal, missing)
    wait_until(lambda: scene.position(account).epoch == was.epoch + 1)
    assert "journal_gap" in scene.stack.flushers[0].log.read_text()
    # The gate has not heard of the new epoch: its first call finds out, and is answered in it.
    again, _ = scene.until_answered(lambda: scene.debit(account, CREDIT, request_id="after-the-loss"))
    assert again.balance.remaining_nanos == 7 * CREDIT, "two of the three, and this one"
    found = scene.findings(account)
    assert any(f"journal: entries {missing.decode()} to {missing.decode()} were lost" in each for each in found), found
    assert all(each.startswith(("journal: ", "chain: ")) for each in found), found


def test_a_shard_that_was_fenced_admits_nothing_until_a_flusher_has_caught_up(scene: Scene) -> None:
    account = scene.open("10")
    journal, was = journal_key(shard_of(account, SHARDS)), scene.position(account)
    assert scene.entries(account)
    with without_flusher(scene):  # it has fenced the shard, say, and was killed before it could commit
        scene.debit(account, CREDIT)
        scene.redis.xadd(journal, {"e": "", "m": "epoch", "q": "a test", "p": ""}, id=f"{was.epoch + 1}-0")
        assert code_of(lambda: scene.debit(account, CREDIT))[0] == "UNAVAILABLE"
        assert code_of(lambda: scene.balance(account))[0] == "UNAVAILABLE"
        assert scene.metric("creditgate_shards_closed") == 1
        assert "shard_awaits_flusher" in scene.stack.gates[0].log.read_text()
    balance, _ = scene.until_answered(lambda: scene.balance(account))
    assert balance.remaining_nanos == 9 * CREDIT
    assert scene.metric("creditgate_shards_closed") == 0
    assert not scene.findings(account)


def test_a_gate_that_has_not_heard_of_a_new_epoch_finds_out(scene: Scene) -> None:
    account = scene.open("10")
    journal, was = journal_key(shard_of(account, SHARDS)), scene.position(account)
    scene.redis.xadd(journal, {"e": "", "m": "epoch", "q": "a test", "p": ""}, id=f"{was.epoch + 1}-0")
    scene.until_answered(lambda: scene.debit(account, CREDIT))  # the first gate restores the account
    reply, refusals = scene.until_answered(lambda: scene.debit(account, CREDIT, gate=1))
    assert reply.balance.remaining_nanos == 8 * CREDIT
    assert refusals <= {"UNAVAILABLE"}
    assert not scene.findings(account)


def test_a_gate_that_has_not_heard_of_a_new_epoch_leaves_no_hold_open_for_good(scene: Scene) -> None:
    account = scene.open("10")
    scene.authorize(account, CREDIT, hold_ttl_ms=1500)
    journal, was = journal_key(shard_of(account, SHARDS)), scene.position(account)
    scene.redis.xadd(journal, {"e": "", "m": "epoch", "q": "a test", "p": ""}, id=f"{was.epoch + 1}-0")
    scene.until_answered(lambda: scene.debit(account, CREDIT))  # the first gate restores the account, with its hold
    os.kill(scene.stack.gates[0].pid, signal.SIGSTOP)  # so that the second comes across the hold, which then expires
    try:
        wait_until(lambda: not scene.redis.zcard(expiries_key(shard_of(account, SHARDS))))
    finally:
        os.kill(scene.stack.gates[0].pid, signal.SIGCONT)
    balance, _ = scene.until_answered(lambda: scene.balance(account))
    assert (balance.held_nanos, balance.remaining_nanos) == (0, 9 * CREDIT)
    assert not scene.findings(account)


# Something is left half done


def test_an_operation_recorded_and_not_applied_is_applied_by_the_sweeper_once(scene: Scene) -> None:
    account = scene.open("10")
    grant = GrantCredits("g-interrupted", "TOP_UP", 5 * CREDIT, 50, None, None, "its gate was killed")
    Operations(scene.ledger).grant_credits(account, grant, request_id="interrupted")
    wait_until(lambda: scene.balance(account).remaining_nanos == 15 * CREDIT)
    assert [entry.amount_nanos for entry in scene.entries(account, GRANT)] == [5 * CREDIT, 10 * CREDIT]
    scene.client.grant(account, 5 * CREDIT, request_id="swept-since")
    assert scene.balance(account).remaining_nanos == 20 * CREDIT
    assert not scene.findings(account)


def test_an_account_recorded_and_not_applied_is_created_by_its_first_call(scene: Scene) -> None:
    account, shard = scene.name()
    Operations(scene.ledger).create_account(
        account,
        shard=shard,
        currency="USD",
        overage_protection_nanos=CREDIT,
        daily_limit_nanos=None,
        test_clock_ms=None,
    )
    assert scene.debit(account, CREDIT).decision == ALLOWED
    assert not scene.findings(account)


def test_one_account_that_cannot_be_restored_does_not_keep_the_sweeper_from_others(scene: Scene) -> None:
    stuck, other = sorted((scene.open("10"), scene.open("10")))
    assert scene.entries(stuck)
    assert scene.entries(other)

    def grant(account: str) -> GrantCredits:
        return GrantCredits(f"g-{account}", "TOP_UP", CREDIT, 50, None, None, "")

    with without_flusher(scene):
        scene.debit(stuck, CREDIT)
        scene.redis.delete(account_key(shard_of(stuck, SHARDS), stuck))
        for account in (stuck, other):
            Operations(scene.ledger).grant_credits(account, grant(account), request_id=f"swept-{account}")
        wait_until(lambda: scene.balance(other).remaining_nanos == 11 * CREDIT, 5)
    wait_until(lambda: scene.until_answered(lambda: scene.balance(stuck))[0].remaining_nanos == 10 * CREDIT)


def test_a_debit_repeated_after_its_replay_window_is_given_back(scene: Scene) -> None:
    account = scene.open("10")
    scene.debit(account, 2 * CREDIT, request_id="same")
    replay = replay_key(shard_of(account, SHARDS), account, "same")
    wait_until(lambda: not scene.redis.exists(replay))
    again = scene.debit(account, 2 * CREDIT, request_id="same")
    assert (again.replayed, again.balance.remaining_nanos) == (False, 6 * CREDIT)
    wait_until(lambda: scene.balance(account).remaining_nanos == 8 * CREDIT)
    refund = scene.entries(account, GRANT)[0]
    assert refund.amount_nanos == 2 * CREDIT
    assert "is given back" in refund.description
    assert [entry.request_id for entry in scene.entries(account, DEBIT)] == ["", "same"]
    assert not scene.findings(account)


# Redis is not as it should be


def test_scripts_that_were_flushed_are_loaded_again_within_the_call(scene: Scene) -> None:
    account = scene.open("10")
    scene.redis.script_flush()
    hold = scene.authorize(account, CREDIT)
    assert scene.debit(account, CREDIT, hold_id=hold.hold_id, gate=1).balance.remaining_nanos == 9 * CREDIT


def test_a_redis_that_may_evict_is_refused_with_a_clear_message(scene: Scene) -> None:
    with valkey_server(maxmemory_policy="allkeys-lru") as valkey:
        environment = scene.stack.environment(f"127.0.0.1:{free_port()}") | {"CREDITGATE_REDIS_URL": valkey.url}
        words = [sys.executable, "-m", "gate.cli", "serve"]
        gate = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert gate.returncode == 1
    assert gate.stderr.strip().splitlines()[-1].startswith("creditgate: maxmemory-policy is allkeys-lru")
    assert "Traceback" not in gate.stderr


def test_a_redis_out_of_memory_takes_debits_and_releases_and_no_new_holds(scene: Scene) -> None:
    account = scene.open("10")
    settled, released = (scene.authorize(account, 2 * CREDIT).hold_id for _ in range(2))
    scene.redis.config_set("maxmemory", 1)
    try:
        before, entries = scene.balance(account), scene.entries(account)
        code, message = code_of(lambda: scene.authorize(account, CREDIT))
        assert (code, "nothing was written" in message) == ("UNAVAILABLE", True)
        assert scene.balance(account) == before
        assert scene.entries(account) == entries
        scene.debit(account, CREDIT, hold_id=settled)
        scene.release(account, released)
        assert scene.debit(account, CREDIT).balance.remaining_nanos == 8 * CREDIT
        assert len(scene.entries(account)) == len(entries) + 3
    finally:
        scene.redis.config_set("maxmemory", 0)
    assert scene.authorize(account, CREDIT).decision == ALLOWED
    assert not scene.findings(account)


def test_while_redis_is_down_calls_are_refused_at_once_and_it_is_found_again(scene: Scene) -> None:
    account = scene.open("10")
    scene.stack.valkey.kill()
    for _ in range(20):
        assert code_of(lambda: scene.debit(account, CREDIT, request_id="while-down"))[0] == "UNAVAILABLE"
    scene.stack.valkey.start()
    reply, refusals = scene.until_answered(lambda: scene.debit(account, CREDIT, request_id="while-down"))
    assert (reply.balance.remaining_nanos, refusals - {"UNAVAILABLE"}) == (9 * CREDIT, set())
    assert not scene.findings(account)


def test_while_redis_hangs_calls_are_refused_within_the_timeout(scene: Scene) -> None:
    account = scene.open("10")
    os.kill(scene.stack.valkey.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        assert code_of(lambda: scene.debit(account, CREDIT, request_id="while-hung"))[0] == "UNAVAILABLE"
        assert time.monotonic() - started < REDIS_TIMEOUT_S + 1
    finally:
        os.kill(scene.stack.valkey.pid, signal.SIGCONT)
    reply, _ = scene.until_answered(lambda: scene.debit(account, CREDIT, request_id="while-hung"))
    assert reply.balance.remaining_nanos == 9 * CREDIT, "once, whether or not the first try was executed"
    assert not scene.findings(account)


# The ledger is down


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_while_the_ledger_is_down_the_gate_goes_on_and_nothing_is_lost(postgres: str, ledger_url: str) -> None:
    with open_scene(ledger_url, gates=1) as scene:
        account = scene.open("10")
        hold = scene.authorize(account, 2 * CREDIT)
        entries, was = scene.entries(account), scene.position(account)
        with out_of_service(postgres, make_url(ledger_url).database):
            for _ in range(50):
                scene.debit(account, CREDIT // 100)
            assert scene.debit(account, CREDIT, hold_id=hold.hold_id).balance.remaining_nanos == 8.5 * CREDIT
            assert scene.redis.xlen(journal_key(shard_of(account, SHARDS))) == 51
            wait_until(lambda: "flush_failed" in scene.stack.flushers[0].log.read_text())
            assert code_of(lambda: scene.entries(account))[0] == "UNAVAILABLE"
        wait_until(lambda: scene.position(account) == Position(was.epoch, was.seq + 51))
        assert scene.entries(account)[51:] == entries
        assert scene.balance(account).remaining_nanos == 8.5 * CREDIT
        assert not scene.findings(account)


@contextmanager
def out_of_service(postgres: str, database: str | None) -> Iterator[None]:
    """A database that ends its connections, and takes no new ones."""
    with psycopg.connect(postgres % "postgres", autocommit=True) as administrator:
        administrator.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false".encode())
        administrator.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database])
        try:
            yield
        finally:
            administrator.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true".encode())
