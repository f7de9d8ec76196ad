"""A gate that stops while calls come all the time gives them an answer, or UNAVAILABLE."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable

from gate.v1.gate_pb2 import DebitRequest
from support.client_gates import Gate, counting_gate
from support.customer import Customer
from support.servers import wait_until
from support.stack import Client, Stack

pytest_plugins = ("support.running_stack",)

CALLERS = 16


def call_until(ended: threading.Event, gate: Gate, customer: Customer, codes: list[str]) -> None:
    """Debits without a pause, on a connection of its own, and notes how each call ended."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    client = Client(gate.target, options=options)
    while not ended.is_set():
        call = client.gate.Debit.future(customer.asks(DebitRequest, 1))
        codes.append(call.code().name)
    client.close()


def test_calls_that_come_while_a_gate_stops_are_answered_or_unavailable(
    stack: Stack, open_account: Callable[..., Customer]
) -> None:
    customer = open_account("10")
    codes: list[str] = []
    ended = threading.Event()
    with counting_gate(stack) as gate:
        callers = [
            threading.Thread(target=call_until, args=[ended, gate, customer, codes])
            for _ in range(CALLERS)
        ]
        for caller in callers:
            caller.start()
        wait_until(lambda: len(codes) > 20 * CALLERS, 30)
        os.kill(gate.process.pid, signal.SIGTERM)
        assert gate.process.wait() == 0
        ended.set()
        for caller in callers:
            caller.join()
    outcomes = Counter(codes)
    assert outcomes.keys() == {"OK", "UNAVAILABLE"}
    spent_nanos = 10 * 1_000_000_000 - customer.balance().remaining_nanos
    assert spent_nanos == outcomes["OK"]
