"""Billing is a process beside the gate: the gate misses nothing when billing is gone, and billing
waits for a gate where no gate has run.
"""

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from gate.v1.gate_pb2 import ALLOWED
from meter.database.migrate import open_ledger
from meter.ledger.positions import Positions
from meter.v1.ledger_pb2 import CheckBooksRequest, ListEntriesRequest
from support.customer import Customer, Refusal, refusal
from support.scraping import Metrics
from support.servers import wait_until
from support.stack import Client, Process, Stack, free_address, free_port, running_stack

CHECK = CheckBooksRequest()


@contextmanager
def client_of(stack: Stack) -> Iterator[Client]:
    """A client of the stack's first billing, whether or not the stack has a gate."""
    target = stack.targets[0] if stack.targets else free_address()
    client = Client(target, stack.billing_targets[0])
    try:
        yield client
    finally:
        client.close()


def epochs(stack: Stack) -> set[int]:
    """The epochs in which the ledger's shards are."""
    ledger = open_ledger(stack.ledger_url)
    try:
        return {position.epoch for position in Positions(ledger).all().values()}
    finally:
        ledger.close()


def is_answered(client: Client) -> bool:
    try:
        return not client.ledger.CheckBooks(CHECK).findings
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
        return False


def refused(client: Client) -> Refusal:
    return refusal(client.ledger.CheckBooks, CHECK)


def test_where_no_gate_has_run_billing_says_so_begins_nothing_and_recovers_by_itself() -> None:
    with running_stack(gates=0) as stack, client_of(stack) as client:
        answer = refused(client)
        assert (answer.code, answer.reason) == ("UNAVAILABLE", "SHARD_CLOSED")
        assert "is a gate running?" in answer.message
        with stack.valkey.client() as redis:
            assert redis.keys("*") == []
        stack.add_gate()
        wait_until(lambda: is_answered(client))


def test_billing_leaves_it_to_a_gate_to_begin_an_epoch() -> None:
    with running_stack() as stack, client_of(stack) as client:
        client.open_account("acme", "10")
        customer = Customer(client, "acme")
        entries = customer.entries()
        stack.gates[0].kill()
        with stack.valkey.client() as redis:
            redis.flushall()
        request = ListEntriesRequest(account_id="acme")
        assert refused(client).reason == "SHARD_CLOSED"
        assert refusal(client.ledger.ListEntries, request).reason == "SHARD_CLOSED"
        assert epochs(stack) == {1}
        stack.gates[0].start()
        wait_until(lambda: is_answered(client))
        assert customer.entries() == entries


def test_billing_serves_on_a_unix_socket_with_metrics_of_its_own() -> None:
    with running_stack() as stack, client_of(stack) as client:
        client.open_account("acme", "1")
        target = f"unix:{stack.folder}/billing"
        metrics = Metrics(free_port())
        words = ["billing", "--billing-listen", target, "--metrics-listen", metrics.address]
        billing = Process(words, stack.environment(), stack.folder / "billing-on-a-socket.log")
        billing.start()
        try:
            reader = Client(stack.targets[0], target)
            assert Customer(reader, "acme").entries()
            reader.close()
            calls = metrics.value("creditgate_requests_total", method="ListEntries", outcome="OK")
            assert calls == 1
            assert metrics.value("creditgate_rpc_seconds_count", method="ListEntries") == 1
            assert billing.stop() == 0
        finally:
            billing.kill()


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's tmp_path: the path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="cg-up-") as folder:
        yield Path(folder)


def ready_pids(up: Process) -> dict[str, int]:
    """The process ids of the children of `up`, by name, as last logged."""
    lines = up.log.read_text().splitlines()
    events = [json.loads(line) for line in lines if line.startswith("{")]
    return {each["child"]: each["pid"] for each in events if each["event"] == "child_ready"}


def test_when_billing_is_killed_calls_go_on_and_up_starts_it_again(folder: Path) -> None:
    target = free_address()
    billing_target = free_address()
    metrics = Metrics(free_port())
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith("CREDITGATE_")
    }
    words = ["up", "--listen", target, "--billing-listen", billing_target]
    words += ["--metrics-listen", metrics.address, "--data-dir", f"{folder}/data"]
    up = Process(words, clean | {"CREDITGATE_LOG_FORMAT": "json"}, folder / "up.log")
    client = Client(target, billing_target)
    try:
        up.start()
        assert f"grpc {target}, billing {billing_target}, metrics" in up.printed
        assert f"in another terminal: . {Path(sys.executable).parent}/activate" in up.printed
        client.open_account("acme", "1")
        customer = Customer(client, "acme")
        entries = customer.entries()
        killed = ready_pids(up)["billing"]
        os.kill(killed, signal.SIGSTOP)  # it answers nobody, and is not started again yet
        assert customer.debit(1).decision == ALLOWED
        os.kill(killed, signal.SIGKILL)
        assert customer.debit(1).decision == ALLOWED
        wait_until(lambda: ready_pids(up)["billing"] != killed, 60)
        wait_until(lambda: is_answered(client))
        assert customer.entries()[2:] == entries
        assert metrics.value("creditgate_child_restarts_total", child="billing") == 1
        wait_until(
            lambda: (
                metrics.value("creditgate_requests_total", method="CheckBooks", outcome="OK") >= 1
            )
        )
        assert up.stop() == 0
    finally:
        client.close()
        up.kill()
