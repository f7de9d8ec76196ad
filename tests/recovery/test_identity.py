"""A ledger and a store that do not belong to each other: refused by name, and no harm done."""

import json
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gate.store.keys import journal_key, shard_of
from gate.v1.gate_pb2 import ALLOWED
from meter.database.migrate import migrate
from meter.journal.owner import FORM, Owner, shard_key
from meter.v1.ledger_pb2 import CheckBooksRequest
from support import processes
from support.fault_stack import CREDIT, SHARDS, FaultStack, code_of, open_fault_stack
from support.servers import ValkeyServer, valkey_server, wait_until
from support.stack import free_address


@pytest.fixture
def fault_stack() -> Iterator[FaultStack]:
    with open_fault_stack(gates=1, redis_timeout_ms="1000") as fault_stack:
        yield fault_stack


@pytest.fixture(scope="module")
def used_stack() -> Iterator[FaultStack]:
    """Shared by the tests that leave the stack as it is."""
    with open_fault_stack(gates=1, redis_timeout_ms="1000") as used_stack:
        yield used_stack


@pytest.fixture
def other_store() -> Iterator[ValkeyServer]:
    with valkey_server() as server:
        yield server


def run(
    fault_stack: FaultStack, *words: str, timeout_s: float = 60, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = fault_stack.stack.environment(free_address(), free_address()) | variables
    return processes.run(words, environment, timeout_s)


@pytest.mark.parametrize("process", ["serve", "flush", "billing"])
def test_a_second_store_on_a_ledger_is_refused_and_named(
    used_stack: FaultStack, other_store: ValkeyServer, process: str
) -> None:
    account = used_stack.open("100")
    used_stack.debit(account, 5 * CREDIT)
    assert used_stack.entries(account)
    position = used_stack.position(account)
    refused = run(used_stack, process, CREDITGATE_REDIS_URL=other_store.url)
    assert refused.returncode == 1
    assert str(used_stack.stack.valkey.socket) in refused.stderr
    assert str(other_store.socket) in refused.stderr
    with other_store.client() as client:
        assert client.keys() == []
    assert used_stack.debit(account, CREDIT).decision == ALLOWED
    assert used_stack.entries(account)
    assert used_stack.position(account).epoch == position.epoch
    assert not used_stack.findings(account)


@pytest.mark.parametrize(
    ("process", "shards"), [("serve", "16"), ("serve", "32"), ("flush", "16"), ("billing", "32")]
)
def test_a_second_ledger_on_a_store_is_refused_before_it_does_harm(
    used_stack: FaultStack, tmp_path: Path, process: str, shards: str
) -> None:
    account = used_stack.open("10")
    used_stack.debit(account, CREDIT)
    used_stack.stack.flushers[0].kill()
    used_stack.debit(account, CREDIT)  # a stranger's flusher must not take this away
    ledger = {
        "CREDITGATE_LEDGER_URL": f"sqlite:///{tmp_path}/other.db",
        "CREDITGATE_SHARDS": shards,
    }
    migrate(ledger["CREDITGATE_LEDGER_URL"])
    refused = run(used_stack, process, **ledger)
    assert refused.returncode == 1
    assert "belongs to another ledger" in refused.stderr
    assert used_stack.redis.keys("cg:{20}:*") == []
    assert used_stack.debit(account, CREDIT).decision == ALLOWED
    used_stack.stack.flushers[0].start()
    assert [entry.amount_nanos for entry in used_stack.entries(account)][:3] == [-CREDIT] * 3
    assert not used_stack.findings(account)


def test_a_store_that_another_version_wrote_is_refused_and_named(used_stack: FaultStack) -> None:
    account = used_stack.open("10")
    assert used_stack.entries(account)
    key = shard_key(shard_of(account, SHARDS))
    (owner,) = used_stack.redis.hmget(key, "owner")
    newer = Owner.decode(owner)._replace(form=FORM + 1)
    used_stack.redis.hset(key, "owner", newer.encode())
    used_stack.debit(account, CREDIT)
    refused = run(used_stack, "serve")
    assert refused.returncode == 1
    assert f"is of form {FORM + 1}, and this version of creditgate reads" in refused.stderr
    assert used_stack.redis.xlen(journal_key(shard_of(account, SHARDS))) == 1, "not trimmed"
    used_stack.redis.hset(key, "owner", owner)
    assert used_stack.entries(account)[0].amount_nanos == -CREDIT
    assert not used_stack.findings(account)


def test_a_gate_on_a_store_that_was_replaced_stops_by_itself(
    fault_stack: FaultStack, other_store: ValkeyServer
) -> None:
    account = fault_stack.open("10")
    fault_stack.debit(account, CREDIT)
    assert fault_stack.entries(account)
    there = {"CREDITGATE_REDIS_URL": other_store.url}
    told = run(fault_stack, "adopt", **there)
    assert "Nothing was changed" in told.stdout
    assert fault_stack.debit(account, CREDIT).decision == ALLOWED
    assert fault_stack.entries(account)
    assert "Done" in run(fault_stack, "adopt", "--yes", **there).stdout

    def refusal() -> bool:
        code, message = code_of(lambda: fault_stack.debit(account, CREDIT))
        return (code, "closed (foreign: " in message) == ("UNAVAILABLE", True)

    def is_refused() -> bool:
        try:
            return refusal()
        except AssertionError:
            return False

    wait_until(is_refused, 10)
    gate = fault_stack.stack.add_gate(redis_url=other_store.url)
    with closing(fault_stack.stack.client(1)) as client:
        balance, _ = fault_stack.until_answered(lambda: client.balance(account))
    assert balance.remaining_nanos == 8 * CREDIT
    assert "Nothing to do" in run(fault_stack, "adopt", **there).stdout
    gate.kill()


def test_an_older_ledger_is_told_and_nothing_is_granted_on_it_until_it_is_brought_up(
    fault_stack: FaultStack, tmp_path: Path
) -> None:
    account = fault_stack.open("100")
    fault_stack.debit(account, 5 * CREDIT)
    assert fault_stack.entries(account)
    backup = tmp_path / "backup.db"
    copy_ledger(fault_stack, backup)
    fault_stack.debit(account, 13 * CREDIT, request_id="after")
    settled = fault_stack.authorize(account, CREDIT).hold_id
    fault_stack.debit(account, 0, hold_id=settled)
    held = fault_stack.authorize(account, CREDIT).hold_id
    assert fault_stack.entries(account)
    stop_all(fault_stack)
    put_ledger(fault_stack, backup)
    start_all(fault_stack)

    code, message = code_of(lambda: fault_stack.client.grant(account, 10 * CREDIT, "lost"))
    assert code == "UNAVAILABLE"
    assert "or see `creditgate reconcile`" in message
    code, message = code_of(lambda: fault_stack.balance(account))
    assert (code, "ledger_older" in message) == ("UNAVAILABLE", True)
    check = CheckBooksRequest()
    _, message = code_of(lambda: fault_stack.client.ledger.CheckBooks(check))
    assert "ledger_older" in message
    assert "ledger_older" in fault_stack.stack.gates[0].log.read_text()
    assert "ledger_older" in fault_stack.stack.flushers[0].log.read_text()

    table = run(fault_stack, "reconcile", "--dry-run").stdout
    assert [each for each in (" 95.00 ", " 82.00 ", " 13.00 ") if each in table] == [
        " 95.00 ",
        " 82.00 ",
        " 13.00 ",
    ]
    assert code_of(lambda: fault_stack.balance(account))[0] == "UNAVAILABLE", "nothing was written"
    done = json.loads(run(fault_stack, "reconcile", "--apply", "--json").stdout)
    assert (done["shards"], done["accounts"][0]["used"]) == (
        [shard_of(account, SHARDS)],
        13 * CREDIT,
    )

    balance, _ = fault_stack.until_answered(lambda: fault_stack.balance(account))
    assert (balance.remaining_nanos, balance.held_nanos) == (82 * CREDIT, CREDIT)
    fault_stack.client.grant(account, 10 * CREDIT, "lost")
    assert fault_stack.debit(account, 13 * CREDIT, request_id="after").replayed
    assert fault_stack.debit(account, 2 * CREDIT, hold_id=held).charged_nanos == 2 * CREDIT
    code, _ = code_of(lambda: fault_stack.debit(account, CREDIT, hold_id=settled))
    assert code == "NOT_FOUND", "it had ended"
    assert fault_stack.balance(account).remaining_nanos == 90 * CREDIT
    assert not fault_stack.findings(account)
    assert "Nothing to do" in run(fault_stack, "reconcile", "--dry-run").stdout
    assert "--dry-run or --apply" in run(fault_stack, "reconcile").stderr


def test_a_ledger_that_goes_back_under_a_running_gate_is_noticed(
    fault_stack: FaultStack, tmp_path: Path
) -> None:
    account = fault_stack.open("100")
    assert fault_stack.entries(account)
    backup = tmp_path / "backup.db"
    copy_ledger(fault_stack, backup)
    fault_stack.debit(account, CREDIT)
    assert fault_stack.entries(account)
    time.sleep(2.5)  # the gate has looked at the newer ledger
    with closing(sqlite3.connect(backup)) as source, closing(connect(fault_stack)) as target:
        source.backup(target)

    def is_refused() -> bool:
        try:
            return code_of(lambda: fault_stack.debit(account, 1))[0] == "UNAVAILABLE"
        except AssertionError:
            return False

    wait_until(is_refused, 15)
    shard = shard_of(account, SHARDS)
    (newest, _), *_ = fault_stack.redis.xrevrange(journal_key(shard), count=1)
    assert newest.startswith(b"1-"), "nothing is fenced"
    assert fault_stack.position(account).epoch == 1
    assert fault_stack.metric("creditgate_shards_lost_total") == 0


def ledger_file(fault_stack: FaultStack) -> Path:
    return Path(fault_stack.stack.ledger_url.removeprefix("sqlite:///"))


def connect(fault_stack: FaultStack) -> sqlite3.Connection:
    return sqlite3.connect(ledger_file(fault_stack), timeout=10)


def copy_ledger(fault_stack: FaultStack, target: Path) -> None:
    with closing(connect(fault_stack)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


def put_ledger(fault_stack: FaultStack, source: Path) -> None:
    target = ledger_file(fault_stack)
    for suffix in ("-wal", "-shm"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
    shutil.copy(source, target)


def stop_all(fault_stack: FaultStack) -> None:
    fault_stack.stack.kill()


def start_all(fault_stack: FaultStack) -> None:
    stack = fault_stack.stack
    for process in (*stack.flushers, *stack.billings, *stack.gates):
        process.start()
