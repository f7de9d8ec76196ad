"""A real LiteLLM proxy with the shipped callback, in an environment of its own (`--long`)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from meter.v1.ledger_pb2 import AUTHORIZE, DEBIT, RELEASE
from support.customer import CREDIT, Customer
from support.fake_provider import FakeProvider, fake_provider
from support.litellm_proxy import LiteLLM, litellm_proxy
from support.servers import wait_until
from support.stack import Client, running_stack

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

COST = 60 * 2_500 + 40 * 1_250 + 20 * 10_000  # of gpt-4o, as the provider reports
# Each answer of the provider is a deployment with a name of its own.
PRICES = 'models: {"gpt-4o-*": {same_as: openai/gpt-4o}}\n'


@dataclass
class World:
    """Holds the proxy and what stands around it."""

    client: Client
    provider: FakeProvider
    proxy: LiteLLM
    numbers: Iterator[int] = field(default_factory=count)

    def customer(self, credits: str = "1", **settings: Any) -> Customer:
        account_id = f"litellm-{next(self.numbers)}"
        self.client.open_account(account_id, credits, **settings)
        return Customer(self.client, account_id)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("litellm")
    prices = folder / "prices.yaml"
    prices.write_text(PRICES)
    with (
        running_stack(prices_file=str(prices)) as stack,
        fake_provider() as provider,
        litellm_proxy(folder, stack, provider) as proxy,
    ):
        client = stack.client()
        yield World(client, provider, proxy)
        client.close()


def ended(customer: Customer) -> list[Any]:
    """Returns what ended the customer's holds, once there is something."""
    wait_until(lambda: customer.entries(DEBIT, RELEASE), 60)
    assert customer.balance().held_nanos == 0
    return customer.entries(DEBIT, RELEASE)


@pytest.mark.parametrize("answer", ["json", "sse"])
def test_a_call_is_charged_what_the_provider_reports(world: World, answer: str) -> None:
    customer = world.customer()
    body = {"stream": True} if answer == "sse" else {}
    status, _, _ = world.proxy.call(customer.account_id, answer, **body)
    assert status == 200
    [entry] = ended(customer)
    assert (-entry.amount_nanos, entry.model) == (COST, "openai/gpt-4o")


def test_a_fall_back_is_one_hold_and_one_charge(world: World) -> None:
    customer = world.customer()
    assert world.proxy.call(customer.account_id, "broken")[0] == 200
    [entry] = ended(customer)
    assert -entry.amount_nanos == COST
    assert len(customer.entries(AUTHORIZE)) == 1


def test_a_denial_is_budget_exceeded_and_asks_the_provider_nothing(world: World) -> None:
    poor = world.customer("0")
    asked = len(world.provider.asked)
    status, headers, body = world.proxy.call(poor.account_id, "json")
    error = json.loads(body)["error"]
    assert (status, error["type"], error["code"]) == (402, "budget_exceeded", "402")
    assert headers["x-should-retry"] == "false"
    assert world.proxy.call("nobody-of-this-name", "json")[0] == 401
    assert len(world.provider.asked) == asked


def test_a_client_that_leaves_is_charged_and_a_broken_stream_is_given_back(world: World) -> None:
    left = world.customer()
    world.provider.go_on.clear()
    connection = world.proxy.begin(left.account_id, "held", stream=True)
    connection.getresponse().read1(10)
    connection.close()
    [entry] = ended(left)
    assert 0 < -entry.amount_nanos < COST * 2
    world.provider.go_on.set()
    broken = world.customer()
    world.proxy.call(broken.account_id, "half", stream=True)
    ended(broken)


def test_calls_with_one_id_of_the_clients_are_charged_each(world: World) -> None:
    customer = world.customer()
    for _ in range(3):
        assert world.proxy.call(customer.account_id, "json")[0] == 200
    wait_until(lambda: customer.balance().remaining_nanos == CREDIT - 3 * COST, 60)
