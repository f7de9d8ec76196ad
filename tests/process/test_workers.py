"""Several gates behind one address: all of them serve, one that dies comes back, and together they
look like one.
"""

import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from gate.address import parse_address
from gate.process.child import StartupError
from gate.process.port_reservation import reserve_port
from gate.v1.gate_pb2 import ALLOWED, AuthorizeRequest, DebitRequest, GetBalanceRequest
from gate.v1.gate_pb2_grpc import GateStub
from support.customer import CREDIT, Customer, holds_in, silent_redis
from support.processes import run
from support.scraping import Metrics
from support.servers import wait_until
from support.stack import Client, Process, Stack, free_port

pytest_plugins = ("support.running_stack",)

Open = Callable[..., Customer]
WORKERS = 2


class Workers:
    """`creditgate serve`, with workers, its metrics, and its workers' process ids as it has logged
    them.
    """

    def __init__(self, process: Process, target: str, metrics: Metrics) -> None:
        self.process = process
        self.target = target
        self.metrics = metrics

    def events(self, name: str) -> list[dict[str, Any]]:
        logged = [
            json.loads(line)
            for line in self.process.log.read_text().splitlines()
            if line.startswith("{")
        ]
        return [event for event in logged if event["event"] == name]

    @property
    def pids(self) -> dict[str, int]:
        return {event["child"]: event["pid"] for event in self.events("child_ready")}


@contextmanager
def running_workers(stack: Stack) -> Iterator[Workers]:
    target = f"127.0.0.1:{free_port()}"
    metrics = Metrics(free_port())
    environment = stack.environment(target) | {
        "CREDITGATE_METRICS_LISTEN": metrics.address,
        "CREDITGATE_LOG_FORMAT": "json",
        "CREDITGATE_WORKERS": str(WORKERS),
    }
    process = Process(
        ["serve"], environment, Path(stack.folder) / f"workers-{target.rpartition(':')[2]}.log"
    )
    process.start()
    try:
        yield Workers(process, target, metrics)
    finally:
        with suppress(AssertionError):  # the test has seen its end
            process.stop()


@pytest.fixture(scope="module")
def workers(stack: Stack) -> Iterator[Workers]:
    """Shared by the tests that leave them as they were, or at least as many."""
    with running_workers(stack) as workers:
        yield workers


@contextmanager
def new_connection(target: str) -> Iterator[Any]:
    """A gate over a connection that no other channel uses."""
    with grpc.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        yield GateStub(channel)


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def many_connections(target: str, opened: ExitStack) -> list[Any]:
    """Enough of them for every worker to get some."""
    return [opened.enter_context(new_connection(target)) for _ in range(12)]


def answers(target: str, request: GetBalanceRequest) -> bool:
    with new_connection(target) as gate:
        try:
            return bool(gate.GetBalance(request, timeout=0.5))
        except grpc.RpcError:
            return False


def last_words(environment: dict[str, str], *words: str) -> str:
    """Of a gate that must not start."""
    done = run(["serve", *words], environment)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


@pytest.mark.every_transport
@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere the kernel does not spread connections"
)
def test_every_worker_serves_what_comes_to_the_one_address(
    workers: Workers, open_account: Open
) -> None:
    request = GetBalanceRequest(account_id=open_account("1").account_id)
    pids = set(workers.pids.values())
    assert len(pids) == WORKERS
    for serving in pids:
        for other in pids - {serving}:
            os.kill(other, signal.SIGSTOP)
        try:
            wait_until(lambda: answers(workers.target, request), 30)
        finally:
            for other in pids - {serving}:
                os.kill(other, signal.SIGCONT)


def test_a_worker_killed_under_load_comes_back_and_nothing_is_charged_twice(
    workers: Workers, open_account: Open
) -> None:
    customer = open_account("10")
    over = threading.Event()
    codes = set[grpc.StatusCode]()

    def drive(_: int) -> int:
        done = 0
        while not over.is_set():
            with new_connection(workers.target) as gate:
                request = customer.asks(DebitRequest, 1)
                while True:
                    try:
                        done += gate.Debit(request, timeout=10).charged_nanos
                        break
                    except grpc.RpcError as error:
                        codes.add(error.code())
        return done

    with ThreadPoolExecutor(4) as pool:
        driven = [pool.submit(drive, number) for number in range(4)]
        killed = workers.pids["gate-2"]
        wait_until(
            lambda: (
                workers.metrics.value("creditgate_requests_total", method="Debit", outcome="OK")
                > 50
            )
        )
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: workers.pids["gate-2"] != killed, 30)
        over.set()
        charged = sum(each.result() for each in driven)
    assert codes <= {grpc.StatusCode.UNAVAILABLE}
    assert customer.balance().remaining_nanos == 10 * CREDIT - charged
    assert [(death["child"], death["ended"]) for death in workers.events("child_died")] == [
        ("gate-2", "killed by SIGKILL")
    ]
    assert workers.metrics.value("creditgate_child_restarts_total", child="gate-2") == 1
    assert workers.metrics.value("creditgate_child_restarts_total", child="gate-1") == 0


def test_metrics_of_all_workers_add_up_and_what_each_sees_whole_is_told_once(
    stack: Stack, workers: Workers, open_account: Open, opened: ExitStack
) -> None:
    customer = open_account("100")
    metrics = workers.metrics
    before = holds_in(stack)
    gates = many_connections(workers.target, opened)
    for gate in gates:
        assert gate.Authorize(customer.asks(AuthorizeRequest, 1)).decision == ALLOWED
    wait_until(
        lambda: metrics.value("creditgate_requests_total", method="Authorize", outcome="OK") == 12
    )
    assert holds_in(stack) == before + 12
    wait_until(lambda: metrics.value("creditgate_holds_open") == holds_in(stack))
    with silent_redis(stack):
        calls = [gate.Debit.future(customer.asks(DebitRequest, 1)) for gate in gates]
        wait_until(lambda: metrics.value("creditgate_in_flight") == 12)
    assert [call.result().decision for call in calls] == [ALLOWED] * 12
    wait_until(lambda: metrics.value("creditgate_in_flight") == 0)
    assert metrics.value("creditgate_shards_closed") == 0


@pytest.mark.every_transport
def test_workers_finish_what_is_in_flight_and_end_together(
    stack: Stack, open_account: Open, opened: ExitStack
) -> None:
    customer = open_account("1")
    workers = opened.enter_context(running_workers(stack))
    gates = many_connections(workers.target, opened)
    with silent_redis(stack):
        calls = [gate.Debit.future(customer.asks(DebitRequest, 1)) for gate in gates]
        wait_until(lambda: workers.metrics.value("creditgate_in_flight") == 12)
        os.kill(workers.process.pid, signal.SIGTERM)
        wait_until(lambda: len(workers.events("draining")) == WORKERS)
    assert [call.result().decision for call in calls] == [ALLOWED] * 12
    assert workers.process.wait() == 0
    assert not workers.events("child_killed")


def test_nobody_else_gets_the_workers_address(stack: Stack, workers: Workers) -> None:
    environment = stack.environment(workers.target)
    assert f"cannot listen on {workers.target}" in last_words(environment)
    assert f"cannot listen on {workers.target}" in last_words(environment, "--workers", "2")


def test_workers_do_not_join_in_where_somebody_else_serves(stack: Stack) -> None:
    target = stack.targets[0]
    assert f"cannot listen on {target}" in last_words(stack.environment(target), "--workers", "2")


def test_an_address_is_held_before_any_worker_listens() -> None:
    address = parse_address(f"127.0.0.1:{free_port()}")
    with (
        reserve_port(address, "listen"),
        pytest.raises(StartupError, match=f"cannot listen on {address}"),
    ):
        reserve_port(address, "listen").__enter__()
    with reserve_port(address, "listen"):
        """It is free again."""


def test_up_runs_workers_and_ends_them_in_order(stack: Stack) -> None:
    with tempfile.TemporaryDirectory(
        prefix="cg-up-"
    ) as folder:  # the path of a socket must be short
        target = f"127.0.0.1:{free_port()}"
        metrics = Metrics(free_port())
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith("CREDITGATE_")
        }
        environment = clean | {
            "CREDITGATE_DATA_DIR": f"{folder}/data",
            "CREDITGATE_LISTEN": target,
            "CREDITGATE_BILLING_LISTEN": f"127.0.0.1:{free_port()}",
            "CREDITGATE_METRICS_LISTEN": metrics.address,
            "CREDITGATE_TRANSPORT": stack.settings["CREDITGATE_TRANSPORT"],
        }
        up = Process(["up", "--workers", "2"], environment, Path(folder) / "up.log")
        try:
            up.start()
            client = Client(target)
            client.open_account("acme", "1")
            assert Customer(client, "acme").debit(1).decision == ALLOWED
            client.close()
            wait_until(
                lambda: (
                    metrics.value("creditgate_requests_total", method="Debit", outcome="OK") == 1
                )
            )
            assert up.stop() == 0
            assert not [line for line in up.log.read_text().splitlines() if "child_died" in line]
        finally:
            up.kill()
