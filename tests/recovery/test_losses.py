"""Faults other than a crash: what was lost is found out and said, nothing fresh is made up, and
service comes back by itself.
"""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from grpc_health.v1.health_pb2 import HealthCheckResponse
from sqlalchemy import make_url

from gate.store.keys import account_key, expiries_key, journal_key, replay_key, shard_of
from gate.v1.gate_pb2 import ALLOWED, AuthorizeRequest, DebitRequest, GetBalanceRequest
from meter.admin.recorder import OperationRecorder
from meter.journal.entry import Position
from meter.journal.operations import GrantCredits
from meter.v1.ledger_pb2 import DEBIT, GRANT
from support.fault_stack import CREDIT, LOSSY_SHARD, SHARDS, FaultStack, code_of, open_fault_stack
from support.processes import run
from support.servers import valkey_server, wait_until
from support.stack import free_port

pytest_plugins = ("support.ledgers",)

SERVING = HealthCheckResponse.SERVING
NOT_SERVING = HealthCheckResponse.NOT_SERVING
REDIS_TIMEOUT_S = 1.0


@pytest.fixture(scope="module")
def fault_stack() -> Iterator[FaultStack]:
    """Shared by the tests below, each of which leaves it in service."""
    with open_fault_stack(replay_window_ms="1000", redis_timeout_ms="1000") as fault_stack:
        yield fault_stack


@contextmanager
def without_flusher(fault_stack: FaultStack) -> Iterator[None]:
    fault_stack.stack.flushers[0].kill()
    try:
        yield
    finally:
        fault_stack.stack.flushers[0].start()


# Redis loses something


@pytest.mark.parametrize("restarted", [True, False])
def test_a_redis_that_lost_everything_is_filled_again_from_the_ledger(
    fault_stack: FaultStack, restarted: bool
) -> None:
    account = fault_stack.open("10")
    hold = fault_stack.authorize(account, 3 * CREDIT)
    fault_stack.debit(account, CREDIT)
    before = fault_stack.balance(account)
    entries = fault_stack.entries(account)
    position = fault_stack.position(account)
    lost = fault_stack.metric("creditgate_shards_lost_total")
    fault_stack.redis.flushall()
    if restarted:
        fault_stack.stack.valkey.kill()
        fault_stack.stack.valkey.start()
    after, refusals = fault_stack.until_answered(lambda: fault_stack.balance(account))
    assert refusals == {"UNAVAILABLE"}, "never NOT_FOUND, and never a fresh account"
    assert after == before
    assert fault_stack.position(account).epoch == position.epoch + 1
    assert fault_stack.metric("creditgate_shards_lost_total") > lost
    assert (
        fault_stack.debit(account, 2 * CREDIT, hold_id=hold.hold_id).balance.remaining_nanos
        == 7 * CREDIT
    )
    assert fault_stack.entries(account)[1:] == entries
    assert not fault_stack.findings(account)


def test_a_redis_that_comes_back_older_than_the_ledger_goes_on_from_the_ledger(
    fault_stack: FaultStack,
) -> None:
    account = fault_stack.open("10")
    assert fault_stack.entries(account)
    shutil.copytree(fault_stack.data / "appendonlydir", fault_stack.data / "older")
    hold = fault_stack.authorize(account, 3 * CREDIT)
    fault_stack.debit(account, CREDIT, request_id="charged-once")
    before = fault_stack.balance(account)
    position = fault_stack.position(account)
    assert fault_stack.entries(account, DEBIT)
    fault_stack.stack.valkey.kill()
    shutil.rmtree(fault_stack.data / "appendonlydir")
    (fault_stack.data / "older").rename(fault_stack.data / "appendonlydir")
    fault_stack.stack.valkey.start()
    after, refusals = fault_stack.until_answered(lambda: fault_stack.balance(account))
    assert (after, refusals) == (before, {"UNAVAILABLE"})
    assert fault_stack.position(account).epoch == position.epoch + 1
    # Redis has forgotten the request with the rest; the ledger has not.
    assert (
        fault_stack.debit(account, CREDIT, request_id="charged-once").balance.remaining_nanos
        == 8 * CREDIT
    )
    wait_until(lambda: fault_stack.balance(account).remaining_nanos == 9 * CREDIT)
    assert fault_stack.release(account, hold.hold_id).balance.held_nanos == 0
    assert not fault_stack.findings(account)


def test_an_account_missing_in_redis_is_not_served_before_the_ledger_has_caught_up(
    fault_stack: FaultStack,
) -> None:
    account = fault_stack.open("10")
    assert fault_stack.entries(account)
    with without_flusher(fault_stack):
        fault_stack.debit(account, 4 * CREDIT)
        fault_stack.redis.delete(account_key(shard_of(account, SHARDS), account))
        gate = fault_stack.client.gate
        ids = {"account_id": account, "request_id": "while-missing"}
        asked = [
            gate.GetBalance.future(GetBalanceRequest(account_id=account)),
            gate.Authorize.future(AuthorizeRequest(**ids, amount_nanos=8 * CREDIT)),
            gate.Debit.future(DebitRequest(**ids, amount_nanos=8 * CREDIT)),
        ]
        for call in asked:
            code, message = code_of(call.result)
            assert code == "UNAVAILABLE"
            assert "is the flusher running?" in message
    balance, _ = fault_stack.until_answered(lambda: fault_stack.balance(account))
    assert balance.remaining_nanos == 6 * CREDIT
    assert not fault_stack.findings(account)


@pytest.mark.parametrize("lost", [0, 1], ids=["the first", "one in the middle"])
def test_entries_lost_from_the_journal_close_the_shard_until_a_new_epoch(
    fault_stack: FaultStack, lost: int
) -> None:
    account = fault_stack.open("10", LOSSY_SHARD)
    journal = journal_key(LOSSY_SHARD)
    was = fault_stack.position(account)
    assert fault_stack.entries(account)
    with without_flusher(fault_stack):
        for _ in range(3):
            fault_stack.debit(account, CREDIT)
        missing = fault_stack.redis.xrange(journal)[lost][0]
        fault_stack.redis.xdel(journal, missing)
    wait_until(lambda: fault_stack.position(account).epoch == was.epoch + 1)
    assert "journal_gap" in fault_stack.stack.flushers[0].log.read_text()
    # The gate has not heard of the new epoch: its first call finds out, and is answered in it.
    again, _ = fault_stack.until_answered(
        lambda: fault_stack.debit(account, CREDIT, request_id="after-the-loss")
    )
    assert again.balance.remaining_nanos == 7 * CREDIT, "two of the three, and this one"
    found = fault_stack.findings(account)
    assert any(
        f"journal: entries {missing.decode()} to {missing.decode()} were lost" in each
        for each in found
    ), found
    assert all(each.startswith(("journal: ", "chain: ")) for each in found), found


def test_a_shard_that_was_fenced_admits_nothing_until_a_flusher_has_caught_up(
    fault_stack: FaultStack,
) -> None:
    account = fault_stack.open("10")
    journal = journal_key(shard_of(account, SHARDS))
    was = fault_stack.position(account)
    assert fault_stack.entries(account)
    with without_flusher(
        fault_stack
    ):  # it has fenced the shard, say, and was killed before it could commit
        fault_stack.debit(account, CREDIT)
        fault_stack.redis.xadd(
            journal, {"e": "", "m": "epoch", "q": "a test", "p": ""}, id=f"{was.epoch + 1}-0"
        )
        assert code_of(lambda: fault_stack.debit(account, CREDIT))[0] == "UNAVAILABLE"
        assert code_of(lambda: fault_stack.balance(account))[0] == "UNAVAILABLE"
        assert fault_stack.metric("creditgate_shards_closed") == 1
        closed = 'creditgate_shard_closed_seconds{reason="awaits_flusher"}'
        wait_until(lambda: fault_stack.metric(closed) > 0)
        assert fault_stack.health("gate.v1.Gate") == SERVING, "the other shards are open"
        assert "awaits_flusher" in fault_stack.stack.gates[0].log.read_text()
    balance, _ = fault_stack.until_answered(lambda: fault_stack.balance(account))
    assert balance.remaining_nanos == 9 * CREDIT
    assert fault_stack.metric("creditgate_shards_closed") == 0
    wait_until(lambda: fault_stack.metric(closed) == 0)
    assert not fault_stack.findings(account)


def test_the_services_tell_that_they_do_not_serve_while_the_store_is_away(
    fault_stack: FaultStack,
) -> None:
    assert fault_stack.health("gate.v1.Gate") == SERVING
    fault_stack.stack.valkey.kill()
    wait_until(lambda: fault_stack.health("gate.v1.Gate") == NOT_SERVING)
    wait_until(lambda: fault_stack.health("meter.v1.Accounts") == NOT_SERVING)
    assert fault_stack.health("") == SERVING, "the process is well"
    fault_stack.stack.valkey.start()
    wait_until(lambda: fault_stack.health("gate.v1.Gate") == SERVING)


def test_a_gate_that_has_not_heard_of_a_new_epoch_finds_out(fault_stack: FaultStack) -> None:
    account = fault_stack.open("10")
    journal = journal_key(shard_of(account, SHARDS))
    was = fault_stack.position(account)
    fault_stack.redis.xadd(
        journal, {"e": "", "m": "epoch", "q": "a test", "p": ""}, id=f"{was.epoch + 1}-0"
    )
    fault_stack.until_answered(
        lambda: fault_stack.debit(account, CREDIT)
    )  # the first gate restores the account
    reply, refusals = fault_stack.until_answered(lambda: fault_stack.debit(account, CREDIT, gate=1))
    assert reply.balance.remaining_nanos == 8 * CREDIT
    assert refusals <= {"UNAVAILABLE"}
    assert not fault_stack.findings(account)


def test_a_gate_that_has_not_heard_of_a_new_epoch_leaves_no_hold_open_for_good(
    fault_stack: FaultStack,
) -> None:
    account = fault_stack.open("10")
    fault_stack.authorize(account, CREDIT, hold_ttl_ms=1500)
    journal = journal_key(shard_of(account, SHARDS))
    was = fault_stack.position(account)
    fault_stack.redis.xadd(
        journal, {"e": "", "m": "epoch", "q": "a test", "p": ""}, id=f"{was.epoch + 1}-0"
    )
    fault_stack.until_answered(
        lambda: fault_stack.debit(account, CREDIT)
    )  # the first gate restores the account, with its hold
    os.kill(
        fault_stack.stack.gates[0].pid, signal.SIGSTOP
    )  # so that the second comes across the hold, which then expires
    try:
        wait_until(lambda: not fault_stack.redis.zcard(expiries_key(shard_of(account, SHARDS))))
    finally:
        os.kill(fault_stack.stack.gates[0].pid, signal.SIGCONT)
    balance, _ = fault_stack.until_answered(lambda: fault_stack.balance(account))
    assert (balance.held_nanos, balance.remaining_nanos) == (0, 9 * CREDIT)
    assert not fault_stack.findings(account)


# Something is left half done


def test_an_operation_recorded_and_not_applied_is_applied_by_the_sweeper_once(
    fault_stack: FaultStack,
) -> None:
    account = fault_stack.open("10")
    grant = GrantCredits(
        "g-interrupted", "TOP_UP", 5 * CREDIT, 50, None, None, "its gate was killed"
    )
    OperationRecorder(fault_stack.ledger).grant_credits(account, grant, request_id="interrupted")
    wait_until(lambda: fault_stack.balance(account).remaining_nanos == 15 * CREDIT)
    assert [entry.amount_nanos for entry in fault_stack.entries(account, GRANT)] == [
        5 * CREDIT,
        10 * CREDIT,
    ]
    fault_stack.client.grant(account, 5 * CREDIT, request_id="swept-since")
    assert fault_stack.balance(account).remaining_nanos == 20 * CREDIT
    assert not fault_stack.findings(account)


def test_an_operation_recorded_and_not_applied_needs_no_flusher_while_redis_has_the_account(
    fault_stack: FaultStack,
) -> None:
    account = fault_stack.open("10")
    grant = GrantCredits("g-present", "TOP_UP", 5 * CREDIT, 50, None, None, "its gate was killed")
    with without_flusher(fault_stack):
        fault_stack.debit(account, CREDIT)  # the ledger stays behind the journal
        OperationRecorder(fault_stack.ledger).grant_credits(account, grant, request_id="no-flusher")
        wait_until(lambda: fault_stack.balance(account).remaining_nanos == 14 * CREDIT, 10)
    assert [entry.amount_nanos for entry in fault_stack.entries(account, GRANT)] == [
        5 * CREDIT,
        10 * CREDIT,
    ]
    assert not fault_stack.findings(account)


def test_an_account_recorded_and_not_applied_is_created_by_its_first_call(
    fault_stack: FaultStack,
) -> None:
    account, shard = fault_stack.name()
    OperationRecorder(fault_stack.ledger).create_account(
        account,
        shard=shard,
        currency="USD",
        overage_protection_nanos=CREDIT,
        daily_limit_nanos=None,
        test_clock_ms=None,
    )
    assert fault_stack.debit(account, CREDIT).decision == ALLOWED
    assert not fault_stack.findings(account)


def test_one_account_that_cannot_be_restored_does_not_keep_the_sweeper_from_others(
    fault_stack: FaultStack,
) -> None:
    stuck, other = sorted((fault_stack.open("10"), fault_stack.open("10")))
    assert fault_stack.entries(stuck)
    assert fault_stack.entries(other)

    def grant(account: str) -> GrantCredits:
        return GrantCredits(f"g-{account}", "TOP_UP", CREDIT, 50, None, None, "")

    with without_flusher(fault_stack):
        fault_stack.debit(stuck, CREDIT)
        fault_stack.redis.delete(account_key(shard_of(stuck, SHARDS), stuck))
        for account in (stuck, other):
            OperationRecorder(fault_stack.ledger).grant_credits(
                account, grant(account), request_id=f"swept-{account}"
            )
        wait_until(lambda: fault_stack.balance(other).remaining_nanos == 11 * CREDIT, 5)
    wait_until(
        lambda: (
            fault_stack.until_answered(lambda: fault_stack.balance(stuck))[0].remaining_nanos
            == 10 * CREDIT
        )
    )


def test_a_debit_repeated_after_its_replay_window_is_given_back(fault_stack: FaultStack) -> None:
    account = fault_stack.open("10")
    fault_stack.debit(account, 2 * CREDIT, request_id="same")
    replay = replay_key(shard_of(account, SHARDS), account, "same")
    wait_until(lambda: not fault_stack.redis.exists(replay))
    again = fault_stack.debit(account, 2 * CREDIT, request_id="same")
    assert (again.replayed, again.balance.remaining_nanos) == (False, 6 * CREDIT)
    wait_until(lambda: fault_stack.balance(account).remaining_nanos == 8 * CREDIT)
    refund = fault_stack.entries(account, GRANT)[0]
    assert refund.amount_nanos == 2 * CREDIT
    assert "is given back" in refund.description
    assert [entry.request_id for entry in fault_stack.entries(account, DEBIT)] == ["", "same"]
    assert not fault_stack.findings(account)


# Redis is not as it should be


def test_scripts_that_were_flushed_are_loaded_again_within_the_call(
    fault_stack: FaultStack,
) -> None:
    account = fault_stack.open("10")
    fault_stack.redis.function_flush("SYNC")
    hold = fault_stack.authorize(account, CREDIT)
    assert (
        fault_stack.debit(account, CREDIT, hold_id=hold.hold_id, gate=1).balance.remaining_nanos
        == 9 * CREDIT
    )


def test_a_redis_that_may_evict_is_refused_with_a_clear_message(fault_stack: FaultStack) -> None:
    with valkey_server(maxmemory_policy="allkeys-lru") as valkey:
        environment = fault_stack.stack.environment(f"127.0.0.1:{free_port()}") | {
            "CREDITGATE_REDIS_URL": valkey.url
        }
        gate = run(["serve"], environment)
    assert gate.returncode == 1
    assert (
        gate.stderr.strip()
        .splitlines()[-1]
        .startswith("creditgate: maxmemory-policy is allkeys-lru")
    )
    assert "Traceback" not in gate.stderr


def test_a_redis_out_of_memory_takes_debits_and_releases_and_no_new_holds(
    fault_stack: FaultStack,
) -> None:
    account = fault_stack.open("10")
    settled, released = (fault_stack.authorize(account, 2 * CREDIT).hold_id for _ in range(2))
    fault_stack.redis.config_set("maxmemory", 1)
    try:
        before = fault_stack.balance(account)
        entries = fault_stack.entries(account)
        code, message = code_of(lambda: fault_stack.authorize(account, CREDIT))
        assert (code, "nothing was written" in message) == ("UNAVAILABLE", True)
        assert fault_stack.balance(account) == before
        assert fault_stack.entries(account) == entries
        fault_stack.debit(account, CREDIT, hold_id=settled)
        fault_stack.release(account, released)
        assert fault_stack.debit(account, CREDIT).balance.remaining_nanos == 8 * CREDIT
        assert len(fault_stack.entries(account)) == len(entries) + 3
    finally:
        fault_stack.redis.config_set("maxmemory", 0)
    assert fault_stack.authorize(account, CREDIT).decision == ALLOWED
    assert not fault_stack.findings(account)


def test_while_redis_is_down_calls_are_refused_at_once_and_it_is_found_again(
    fault_stack: FaultStack,
) -> None:
    account = fault_stack.open("10")
    fault_stack.stack.valkey.kill()
    for _ in range(20):
        assert (
            code_of(lambda: fault_stack.debit(account, CREDIT, request_id="while-down"))[0]
            == "UNAVAILABLE"
        )
    fault_stack.stack.valkey.start()
    reply, refusals = fault_stack.until_answered(
        lambda: fault_stack.debit(account, CREDIT, request_id="while-down")
    )
    assert (reply.balance.remaining_nanos, refusals - {"UNAVAILABLE"}) == (9 * CREDIT, set())
    assert not fault_stack.findings(account)


def test_while_redis_hangs_calls_are_refused_within_the_timeout(fault_stack: FaultStack) -> None:
    account = fault_stack.open("10")
    os.kill(fault_stack.stack.valkey.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        assert (
            code_of(lambda: fault_stack.debit(account, CREDIT, request_id="while-hung"))[0]
            == "UNAVAILABLE"
        )
        assert time.monotonic() - started < REDIS_TIMEOUT_S + 1
    finally:
        os.kill(fault_stack.stack.valkey.pid, signal.SIGCONT)
    reply, _ = fault_stack.until_answered(
        lambda: fault_stack.debit(account, CREDIT, request_id="while-hung")
    )
    assert reply.balance.remaining_nanos == 9 * CREDIT, (
        "once, whether or not the first try was executed"
    )
    assert not fault_stack.findings(account)


# The ledger is down


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_while_the_ledger_is_down_the_gate_goes_on_and_nothing_is_lost(
    postgres: str, ledger_url: str
) -> None:
    with open_fault_stack(ledger_url, gates=1) as fault_stack:
        account = fault_stack.open("10")
        hold = fault_stack.authorize(account, 2 * CREDIT)
        entries = fault_stack.entries(account)
        was = fault_stack.position(account)
        with out_of_service(postgres, make_url(ledger_url).database):
            for _ in range(50):
                fault_stack.debit(account, CREDIT // 100)
            assert (
                fault_stack.debit(account, CREDIT, hold_id=hold.hold_id).balance.remaining_nanos
                == 8.5 * CREDIT
            )
            assert fault_stack.redis.xlen(journal_key(shard_of(account, SHARDS))) == 51
            wait_until(lambda: "flush_failed" in fault_stack.stack.flushers[0].log.read_text())
            assert code_of(lambda: fault_stack.entries_now(account))[0] == "UNAVAILABLE"
        wait_until(lambda: fault_stack.position(account) == Position(was.epoch, was.seq + 51))
        assert fault_stack.entries(account)[51:] == entries
        assert fault_stack.balance(account).remaining_nanos == 8.5 * CREDIT
        assert not fault_stack.findings(account)


@contextmanager
def out_of_service(postgres: str, database: str | None) -> Iterator[None]:
    """A database that ends its connections, and takes no new ones."""
    with psycopg.connect(postgres % "postgres", autocommit=True) as administrator:
        administrator.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false".encode())
        administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database]
        )
        try:
            yield
        finally:
            administrator.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true".encode())
