"""Streams through Envoy while clients go away and the gate is killed again and again."""

import http.client
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from meter.v1.ledger_pb2 import AUTHORIZE, DEBIT, CheckBooksRequest
from support.customer import Customer
from support.envoy_stack import EnvoyStack, settled
from support.servers import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

COST = 60 * 2_500 + 40 * 1_250 + 20 * 10_000  # of gpt-4o, as the provider reports
STREAMS = 500
KILLS = 5


def stream(envoy: EnvoyStack, customer: Customer, dice: random.Random) -> str:
    """Makes a call; a third of the clients leaves when the first bytes are there."""
    connection = envoy.begin(customer, "sse")
    try:
        response = connection.getresponse()
        if response.status != 200:
            response.read()
            return "refused"
        if dice.random() < 1 / 3:
            response.read1(10)
            return "left"
        response.read()
        return "read"
    except (OSError, http.client.HTTPException):
        return "cut"
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
    assert {"left", "read"} <= set(ended)
    wait_until(lambda: not customer.balance().held_nanos, 120)
    holds = len(customer.entries(AUTHORIZE))
    entries = settled(customer, holds)
    # A check whose answer was lost with the gate leaves a hold that nobody settles: it expires.
    let_through = sum(outcome in ("left", "read", "cut") for outcome in ended)
    assert let_through <= len(customer.entries(DEBIT)) <= holds
    assert len({entry.hold_id for entry in entries}) == len(entries)
    charged = [-entry.amount_nanos for entry in entries]
    assert charged.count(COST) >= ended.count("read")
    assert max(charged) == COST
    assert not envoy.client.ledger.CheckBooks(
        CheckBooksRequest(account_id=customer.account_id)
    ).findings
