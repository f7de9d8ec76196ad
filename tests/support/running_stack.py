"""Runs a stack for each worker, shared by all tests that need only accounts of their own.

The stack has a gate and a billing on each transport. Every test is tried with the native one, by
which the test's own gates serve too; tests marked `every_transport`, and with --long all tests, are
tried with grpcio as well.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from meter.v1.ledger_pb2 import CheckBooksRequest
from support.customer import PRICES, Customer, new_customer
from support.stack import Client, Stack, running_stack

pytest_plugins = ("support.ledgers",)


TRANSPORTS = ["native", "grpcio"]


@pytest.fixture(scope="session")
def stack_of_all_transports(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Runs two gates, as many billings, and a flusher, on SQLite, or with --long on PostgreSQL.

    Test clocks and unique accounts keep the tests apart.
    """
    ledger_url = (
        request.getfixturevalue("postgres") % "postgres" if request.config.getoption("long") else ""
    )
    prices = tmp_path_factory.mktemp("prices") / "prices.yaml"
    prices.write_text(PRICES)
    settings = {
        "reap_interval_ms": "100",
        "redis_timeout_ms": "20000",
        "prices_file": str(prices),
        "payments": "test",
        "voucher_key": "of all gates of this stack, as an operator sets it",
        "webhook_key": "of all billings of this stack, as an operator sets it",
        "webhook_allow": "127.0.0.0/8",
    }
    with running_stack(ledger_url, gates=0, billings=0, **settings) as stack:
        for transport in TRANSPORTS:
            stack.add_gate(transport=transport)
            stack.add_billing(transport=transport)
        yield stack


@pytest.fixture(scope="session", params=TRANSPORTS)
def stack(request: pytest.FixtureRequest, stack_of_all_transports: Stack) -> Stack:
    """Returns the stack as a test sees it.

    The first gate and billing, and any that a test adds, serve by the transport of this try; the
    second ones serve by the other.
    """
    both = stack_of_all_transports
    first = TRANSPORTS.index(request.param)
    return replace(
        both,
        gates=both.gates[first:] + both.gates[:first],
        billings=both.billings[first:] + both.billings[:first],
        targets=both.targets[first:] + both.targets[:first],
        billing_targets=both.billing_targets[first:] + both.billing_targets[:first],
        settings=both.settings | {"CREDITGATE_TRANSPORT": request.param},
    )


@pytest.fixture(scope="session")
def client(stack: Stack) -> Iterator[Client]:
    """Returns a client of the first gate and the first billing."""
    client = stack.client()
    yield client
    client.close()


@pytest.fixture(scope="session")
def other_client(stack: Stack) -> Iterator[Client]:
    """Returns a client of the second gate and the first billing."""
    client = stack.client(1)
    yield client
    client.close()


@pytest.fixture
def open_account(client: Client) -> Iterator[Callable[..., Customer]]:
    """Opens accounts with credits and settings; after the test the books must be right."""
    opened: list[Customer] = []

    def open_one(credits: str = "0", **settings: Any) -> Customer:
        opened.append(new_customer(client, credits, **settings))
        return opened[-1]

    yield open_one
    for customer in opened:
        request = CheckBooksRequest(account_id=customer.account_id)
        assert not client.ledger.CheckBooks(request).findings
