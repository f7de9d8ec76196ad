"""A gate stops, or is killed, while calls come all the time."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from gate.v1.gate_pb2 import DebitRequest
from support.client_gates import Gate, counting_gate
from support.customer import CREDIT, Customer
from support.servers import wait_until
from support.stack import Client, Stack

pytest_plugins = ("support.running_stack",)
pytestmark = pytest.mark.every_transport

SERVICE_CONFIG = Path(__file__).parents[2] / "proto" / "gate" / "v1" / "service_config.json"
NO_RETRIES = ("grpc.enable_retries", 0)
RETRY_POLICY = ("grpc.service_config", SERVICE_CONFIG.read_text())


def call_until(
    ended: threading.Event,
    gate: Gate,
    customer: Customer,
    codes: list[str],
    retries: tuple[str, int | str],
) -> None:
    """Debits without a pause, on a connection of its own, and notes how each call ended."""
    options = [("grpc.use_local_subchannel_pool", 1), retries]
    client = Client(gate.target, options=options)
    while not ended.is_set():
        call = client.gate.Debit.future(customer.asks(DebitRequest, 1))
        codes.append(call.code().name)
    client.close()


class Callers:
    """Call for the length of a block; `codes` tells how the calls ended so far."""

    def __init__(self, gate: Gate, customer: Customer, retries: tuple[str, int | str]) -> None:
        self.codes: list[str] = []
        self._ended = threading.Event()
        arguments = (self._ended, gate, customer, self.codes, retries)
        self._threads = [threading.Thread(target=call_until, args=arguments) for _ in range(16)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.wait_for_more()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self) -> None:
        enough = len(self.codes) + 20 * len(self._threads)
        wait_until(lambda: len(self.codes) > enough, 60)


def spent_nanos(customer: Customer) -> int:
    return 10 * CREDIT - int(customer.balance().remaining_nanos)


def test_calls_that_come_while_a_gate_stops_are_answered_or_unavailable(
    stack: Stack, open_account: Callable[..., Customer]
) -> None:
    customer = open_account("10")
    with counting_gate(stack) as gate, Callers(gate, customer, NO_RETRIES) as callers:
        os.kill(gate.process.pid, signal.SIGTERM)
        assert gate.process.wait() == 0
    outcomes = Counter(callers.codes)
    assert outcomes.keys() == {"OK", "UNAVAILABLE"}
    assert spent_nanos(customer) == outcomes["OK"]


def test_under_the_retry_policy_no_call_fails_because_a_gate_was_killed_and_started_again(
    stack: Stack, open_account: Callable[..., Customer]
) -> None:
    customer = open_account("10")
    with counting_gate(stack) as gate, Callers(gate, customer, RETRY_POLICY) as callers:
        gate.process.kill()
        gate.process.start()
        callers.wait_for_more()
    outcomes = Counter(callers.codes)
    assert outcomes.keys() == {"OK"}
    assert spent_nanos(customer) == outcomes["OK"]
