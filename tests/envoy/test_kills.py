"""Streams through Envoy while clients go away and the gate is killed again and again."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from meter.v1.ledger_pb2 import DEBIT, CheckBooksRequest
from support.customer import Customer
from support.envoy_stack import EnvoyStack
from support.servers import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

COST = 60 * 2_500 + 40 * 1_250 + 20 * 10_000  # of gpt-4o, as the provider reports
STREAMS = 500
KILLS = 5


def stream(envoy: EnvoyStack, customer: Customer, dice: random.Random) -> str:
    """Makes a call; a third of the clients leaves when the first bytes are there.

    A call that is refused, because there is no gate, is made again.
    """
    outcomes: list[str] = []

    def is_let_through() -> bool:
        outcomes.append(attempt(envoy, customer, leaves=dice.random() < 1 / 3))
        return outcomes[-1] != "refused"

    wait_until(is_let_through, 120)
    return outcomes[-1]


def attempt(envoy: EnvoyStack, customer: Customer, *, leaves: bool) -> str:
    connection = envoy.begin(customer, "sse")
    try:
        response = connection.getresponse()
        if response.status != 200:
            response.read()
            return "refused"
        if leaves:
            response.read1(10)
            return "left"
        response.read()
        return "read"
    finally:
        connection.close()


def test_every_stream_is_settled_once_whatever_dies(envoy: EnvoyStack) -> None:
    customer = envoy.customer("100")
    dice = random.Random(7)
    done = threading.Semaphore(0)

    def call(_: int) -> str:
        try:
            return stream(envoy, customer, dice)
        finally:
            done.release()

    with ThreadPoolExecutor(16) as threads:
        outcomes = threads.map(call, range(STREAMS))
        for _ in range(KILLS):
            for _ in range(STREAMS // (KILLS + 1)):
                done.acquire()
            [gate] = envoy.stack.gates
            gate.kill()
            gate.start()
        ended = list(outcomes)
    assert set(ended) == {"left", "read"}
    # A check whose answer was lost with the gate leaves a hold that nobody settles: it expires.
    wait_until(lambda: not customer.balance().held_nanos, 180)
    entries = customer.entries(DEBIT)
    assert len(entries) == len({entry.hold_id for entry in entries}) == STREAMS
    charged = [-entry.amount_nanos for entry in entries]
    assert charged.count(COST) >= ended.count("read")
    assert max(charged) == COST
    assert not envoy.client.ledger.CheckBooks(
        CheckBooksRequest(account_id=customer.account_id)
    ).findings
