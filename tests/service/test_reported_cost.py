"""Debits of the cost that the provider itself reports, along with the usage."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gate.v1.gate_pb2 import ALLOWED, DENIED, DebitRequest, Usage
from meter.v1.ledger_pb2 import UsageLine
from support.customer import CREDIT, PRICES, Customer, another_gate, refusal
from support.stack import Client, Stack

pytest_plugins = ("support.running_stack",)

Open = Callable[..., Customer]
USED = Usage(model="gpt-4o-2024-08-06", input_tokens=100, output_tokens=7)


@pytest.fixture(scope="module")
def trusting(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A gate whose price file trusts the costs that providers report."""
    prices = tmp_path_factory.mktemp("prices") / "trusting.yaml"
    prices.write_text(PRICES + "trust_reported_cost: true\n")
    with another_gate(stack, prices_file=str(prices)) as (_, client):
        yield client


def test_a_reported_cost_is_refused_where_the_prices_do_not_trust_it(open_account: Open) -> None:
    customer = open_account("1")
    request = customer.asks(DebitRequest, usage=USED, reported_cost_nanos=5)
    refused = refusal(customer.client.gate.Debit, request)
    assert (refused.reason, refused.field) == ("REPORTED_COST_NOT_TRUSTED", "reported_cost_nanos")
    assert "trust_reported_cost: true" in refused.message
    assert customer.balance().remaining_nanos == CREDIT


def test_a_trusted_cost_is_charged_as_it_is_and_the_usage_is_recorded(
    open_account: Open, trusting: Client
) -> None:
    customer = open_account("1").at(trusting)
    reply = customer.debit(usage=USED, reported_cost_nanos=123_456)
    assert (reply.decision, reply.charged_nanos) == (ALLOWED, 123_456)
    [entry, _] = customer.entries()
    assert (entry.model, entry.price_version) == ("openai/gpt-4o", "")
    assert list(entry.usage) == [
        UsageLine(unit="input_tokens", quantity=100, amount_nanos=0),
        UsageLine(unit="output_tokens", quantity=7, amount_nanos=0),
        UsageLine(unit="reported_cost", quantity=1, amount_nanos=123_456),
    ]
    told = {row.unit: (row.quantity, row.amount_nanos) for row in customer.usage()}
    assert told == {
        "input_tokens": (100, 0),
        "output_tokens": (7, 0),
        "reported_cost": (1, 123_456),
    }
    lines = {line.unit: line.amount_nanos for line in customer.invoice().lines}
    assert lines == {"input_tokens": 0, "output_tokens": 0, "reported_cost": 123_456}


def test_a_trusted_cost_settles_a_hold_under_the_holds_model(
    open_account: Open, trusting: Client
) -> None:
    customer = open_account("1").at(trusting)
    hold = customer.authorize(usage=Usage(model="azure/gpt-4o", output_tokens=100))
    settled = customer.debit(usage=USED, reported_cost_nanos=0, hold_id=hold.hold_id)
    assert settled.charged_nanos == 0
    assert customer.balance().remaining_nanos == CREDIT
    assert customer.entries()[0].model == "azure/gpt-4o"


def test_a_model_without_a_price_may_be_charged_by_a_trusted_cost(
    open_account: Open, trusting: Client
) -> None:
    customer = open_account("1").at(trusting)
    used = Usage(model="nobody/knows-it", input_tokens=1, service_tier="flex")
    assert customer.debit(usage=used, reported_cost_nanos=9).charged_nanos == 9
    assert customer.entries()[0].model == "nobody/knows-it"


def test_a_trusted_cost_counts_in_the_budgets_of_its_model_and_may_be_denied(
    open_account: Open, trusting: Client
) -> None:
    customer = open_account("1").at(trusting)
    customer.set_budget("b", 100, {"model": "openai/gpt-4o"})
    assert customer.debit(usage=USED, reported_cost_nanos=60).decision == ALLOWED
    denied = customer.debit(usage=USED, reported_cost_nanos=60)
    assert (denied.decision, denied.denial.affordable_nanos) == (DENIED, 40)


def test_an_account_may_be_trusted_by_itself(
    open_account: Open, stack: Stack, tmp_path: Path
) -> None:
    trusted = open_account("1")
    other = open_account("1")
    prices = tmp_path / "one.yaml"
    prices.write_text(f"accounts: {{{trusted.account_id}: {{trust_reported_cost: true}}}}")
    with another_gate(stack, prices_file=str(prices)) as (_, client):
        assert trusted.at(client).debit(usage=USED, reported_cost_nanos=3).charged_nanos == 3
        request = other.asks(DebitRequest, usage=USED, reported_cost_nanos=3)
        assert refusal(client.gate.Debit, request).reason == "REPORTED_COST_NOT_TRUSTED"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"reported_cost_nanos": 1}, "amount_nanos"),
        ({"reported_cost_nanos": 1, "amount_nanos": 1}, "reported_cost_nanos"),
        ({"reported_cost_nanos": -1, "usage": USED}, "reported_cost_nanos"),
        ({"reported_cost_nanos": 1, "usage": Usage(input_tokens=1)}, "usage.model"),
        (
            {"reported_cost_nanos": 1, "usage": Usage(model="gpt-4o", units={"wigdets": 1})},
            "usage",
        ),
    ],
)
def test_a_reported_cost_that_cannot_be_is_refused_with_its_field(
    open_account: Open, trusting: Client, fields: dict[str, object], field: str
) -> None:
    customer = open_account("1")
    refused = refusal(trusting.gate.Debit, customer.asks(DebitRequest, **fields))
    assert (refused.code, refused.field) == ("INVALID_ARGUMENT", field)
