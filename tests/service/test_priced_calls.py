"""Calls that say what was used, and leave it to the price table what that costs."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from gate.v1.gate_pb2 import (
    ALLOWED,
    DENIED,
    AuthorizeRequest,
    BatchItem,
    BatchRequest,
    DebitRequest,
    EstimateCostRequest,
    ExtendRequest,
    Usage,
)
from meter.v1.ledger_pb2 import InvoiceLine, UsageLine
from support.customer import CREDIT, PRICES, Customer, another_gate, new_id, refusal
from support.stack import Client, Stack

pytest_plugins = ("support.running_stack",)

Open = Callable[..., Customer]

# Credits per million tokens; a nano per token is 1,000 times that.
GPT_4O_IN = 2_500
GPT_4O_CACHED = 1_250
GPT_4O_OUT = 10_000
GPT_41_NANO_IN = 100
DEARER = PRICES.replace("input_tokens: 1,", "input_tokens: 7,").replace(
    "output_tokens: 2", "output_tokens: 9"
)


@pytest.fixture(scope="module")
def dearer(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A gate that was restarted with another price file: `tiny` has become dearer, `dust`
    is no more.
    """
    prices = tmp_path_factory.mktemp("prices") / "dearer.yaml"
    prices.write_text(DEARER.replace("dust", "something-else"))
    with another_gate(stack, prices_file=str(prices)) as (_, client):
        yield client


def test_usage_of_a_listed_model_costs_what_its_maker_asks(open_account: Open) -> None:
    customer = open_account("10")
    used = Usage(model="gpt-4o", input_tokens=1000, cached_input_tokens=200, output_tokens=500)
    reply = customer.debit(usage=used)
    lines = [1000 * GPT_4O_IN, 200 * GPT_4O_CACHED, 500 * GPT_4O_OUT]
    assert reply.charged_nanos == sum(lines) == 7_750_000
    [entry, _] = customer.entries()
    assert entry.model == "openai/gpt-4o"
    assert list(entry.usage) == [
        UsageLine(unit="input_tokens", quantity=1000, amount_nanos=lines[0]),
        UsageLine(unit="cached_input_tokens", quantity=200, amount_nanos=lines[1]),
        UsageLine(unit="output_tokens", quantity=500, amount_nanos=lines[2]),
    ]
    assert entry.price_version


def test_a_price_file_of_ones_own_goes_before_the_list(open_account: Open) -> None:
    customer = open_account("10")
    used = Usage(model="tiny", input_tokens=7, output_tokens=3)
    assert customer.debit(usage=used).charged_nanos == 7 * 1000 + 3 * 2000


def test_a_charge_is_rounded_once_half_to_even(open_account: Open) -> None:
    customer = open_account("1")
    charged = [
        customer.debit(usage=Usage(model="dust", input_tokens=n)).charged_nanos
        for n in (1, 2, 3, 4, 5)
    ]
    assert charged == [0, 1, 2, 2, 2]
    assert customer.balance().remaining_nanos == CREDIT - 7


def test_a_hold_on_an_estimate_is_settled_with_what_was_really_used(open_account: Open) -> None:
    customer = open_account("1")
    hold = customer.authorize(usage=Usage(model="gpt-4o", input_tokens=1200, output_tokens=800))
    assert hold.held_nanos == 1200 * GPT_4O_IN + 800 * GPT_4O_OUT
    debit = customer.debit(
        usage=Usage(model="gpt-4o", input_tokens=1200, output_tokens=312), hold_id=hold.hold_id
    )
    assert debit.charged_nanos == 1200 * GPT_4O_IN + 312 * GPT_4O_OUT
    assert customer.balance().remaining_nanos == CREDIT - debit.charged_nanos


def test_an_extend_by_usage_adds_its_cost_to_the_hold(open_account: Open) -> None:
    customer = open_account("1")
    hold = customer.authorize(usage=Usage(model="tiny", input_tokens=100))
    assert (
        customer.extend(hold.hold_id, usage=Usage(model="tiny", output_tokens=50)).held_nanos
        == 200_000
    )


def test_a_hold_says_how_many_output_tokens_it_buys(open_account: Open) -> None:
    reply = open_account("1").authorize(
        usage=Usage(model="tiny", input_tokens=100, output_tokens=1000)
    )
    assert (reply.held_nanos, reply.affordable_output_tokens) == (2_100_000, 1000)


def test_a_partial_hold_says_how_many_output_tokens_it_buys_after_the_input(
    open_account: Open,
) -> None:
    wanted = Usage(model="tiny", input_tokens=100, output_tokens=1000)
    reply = open_account("0.001").authorize(usage=wanted, min_amount_nanos=200_000)
    assert (reply.decision, reply.held_nanos, reply.affordable_output_tokens) == (
        ALLOWED,
        1_000_000,
        450,
    )


def test_a_denial_says_how_many_output_tokens_would_do(open_account: Open) -> None:
    customer = open_account("0.001")
    wanted = Usage(model="tiny", input_tokens=100, output_tokens=1000)
    for reply in (customer.authorize(usage=wanted), customer.debit(usage=wanted)):
        assert reply.decision == DENIED
        assert (reply.denial.affordable_nanos, reply.denial.affordable_output_tokens) == (
            1_000_000,
            450,
        )
    assert (
        customer.authorize(usage=Usage(model="tiny", input_tokens=100, output_tokens=450)).decision
        == ALLOWED
    )


def test_when_not_even_the_input_is_affordable_no_output_is(open_account: Open) -> None:
    denial = open_account("0.00001").authorize(usage=Usage(model="tiny", input_tokens=11)).denial
    assert (denial.affordable_nanos, denial.HasField("affordable_output_tokens")) == (10_000, True)
    assert denial.affordable_output_tokens == 0


def test_a_plain_amount_says_nothing_of_tokens(open_account: Open) -> None:
    assert not open_account("1").authorize(1).HasField("affordable_output_tokens")


def test_what_costs_nothing_is_held_and_charged_as_nothing(open_account: Open) -> None:
    customer = open_account("0")
    used = Usage(model="free-of-charge", input_tokens=100, output_tokens=5)
    hold = customer.authorize(usage=used)
    assert (hold.decision, hold.held_nanos, hold.HasField("affordable_output_tokens")) == (
        ALLOWED,
        0,
        False,
    )
    debit = customer.debit(usage=used, hold_id=hold.hold_id)
    assert (debit.decision, debit.charged_nanos) == (ALLOWED, 0)
    assert [(line.unit, line.quantity) for line in customer.entries()[0].usage] == [
        ("input_tokens", 100),
        ("output_tokens", 5),
    ]


def test_a_hold_pins_its_price_when_the_price_file_changes(
    open_account: Open, dearer: Client
) -> None:
    customer = open_account("1")
    hold = customer.authorize(usage=Usage(model="tiny", input_tokens=100, output_tokens=100))
    used = Usage(model="tiny", input_tokens=100, output_tokens=10)
    later = customer.at(dearer)
    assert (
        later.extend(hold.hold_id, usage=Usage(model="tiny", output_tokens=1)).held_nanos == 302_000
    )
    assert later.debit(usage=used, hold_id=hold.hold_id).charged_nanos == 100 * 1000 + 10 * 2000
    assert later.debit(usage=used).charged_nanos == 100 * 7000 + 10 * 9000, (
        "the new price is for what is new"
    )
    fresh, pinned, _ = customer.entries()
    assert fresh.price_version != pinned.price_version


def test_a_hold_is_settled_even_when_its_model_has_left_the_price_file(
    open_account: Open, dearer: Client
) -> None:
    customer = open_account("1")
    hold = customer.authorize(usage=Usage(model="dust", input_tokens=1000))
    used = Usage(model="dust", input_tokens=600)
    later = customer.at(dearer)
    assert later.debit(usage=used, hold_id=hold.hold_id).charged_nanos == 300
    assert (
        refusal(dearer.gate.Debit, customer.asks(DebitRequest, usage=used)).reason
        == "UNKNOWN_MODEL"
    )


def test_a_hold_pins_the_price_of_its_own_model_only(open_account: Open, dearer: Client) -> None:
    customer = open_account("1")
    hold = customer.authorize(usage=Usage(model="dust", input_tokens=1000))
    debit = customer.at(dearer).debit(
        usage=Usage(model="tiny", input_tokens=1), hold_id=hold.hold_id
    )
    assert debit.charged_nanos == 7000


def test_a_hold_is_settled_under_the_name_that_the_provider_reports(open_account: Open) -> None:
    customer = open_account("1")
    estimate = Usage(model="azure/gpt-4o", input_tokens=1000, output_tokens=10)
    for reported in ("gpt-4o-2024-08-06", "what-the-router-calls-it", ""):
        hold = customer.authorize(usage=estimate)
        more = Usage(model=reported, output_tokens=10)
        assert customer.extend(hold.hold_id, usage=more).held_nanos == 1000 * GPT_4O_IN + (
            20 * GPT_4O_OUT
        )
        used = Usage(model=reported, input_tokens=1000, output_tokens=15)
        settled = customer.debit(usage=used, hold_id=hold.hold_id)
        assert settled.charged_nanos == 1000 * GPT_4O_IN + 15 * GPT_4O_OUT
        [entry, *_] = customer.entries()
        assert entry.model == "azure/gpt-4o"


def test_a_usage_without_a_model_needs_a_hold_that_has_one(open_account: Open) -> None:
    customer = open_account("1")
    hold = customer.authorize(1000)
    nameless = Usage(input_tokens=1)
    for fields in ({}, {"hold_id": hold.hold_id}):
        refused = refusal(
            customer.client.gate.Debit, customer.asks(DebitRequest, usage=nameless, **fields)
        )
        assert (refused.reason, refused.field) == ("INVALID_FIELD", "usage.model")


def test_a_service_tier_has_a_price_of_its_own_which_a_hold_pins(
    open_account: Open, dearer: Client
) -> None:
    customer = open_account("1")
    batch = Usage(model="tiny", input_tokens=100, service_tier="batch")
    standard = Usage(model="tiny", input_tokens=100, service_tier="default")
    holds = [customer.authorize(usage=batch) for _ in range(2)]
    assert [hold.held_nanos for hold in holds] == [50_000, 50_000]
    later = customer.at(dearer)
    assert later.debit(usage=batch, hold_id=holds[0].hold_id).charged_nanos == 50_000
    assert later.debit(usage=standard, hold_id=holds[1].hold_id).charged_nanos == 700_000, (
        "the hold has pinned the price of another service"
    )
    assert customer.debit(usage=standard).charged_nanos == 100_000
    versions = {entry.price_version for entry in customer.entries() if entry.price_version}
    assert len(versions) == 3


def test_replies_are_repeated_at_the_price_of_the_first(open_account: Open, dearer: Client) -> None:
    customer = open_account("1")
    ids = (new_id(), new_id())
    used = Usage(model="tiny", input_tokens=100, output_tokens=100)
    hold = customer.authorize(usage=used, request_id=ids[0])
    debit = customer.debit(usage=used, request_id=ids[1])
    later = customer.at(dearer)
    for first, again in (
        (hold, later.authorize(usage=used, request_id=ids[0])),
        (debit, later.debit(usage=used, request_id=ids[1])),
    ):
        assert again.replayed
        again.replayed = False
        assert again == first


def test_an_invoice_has_a_line_for_each_price(open_account: Open, dearer: Client) -> None:
    customer = open_account("1")
    used = Usage(model="tiny", input_tokens=100)
    for _ in range(2):
        customer.debit(usage=used)
    customer.at(dearer).debit(usage=used)
    customer.debit(5)
    lines = {line.unit_price: line for line in customer.invoice().lines}
    cheap = lines["1"]
    dear = lines["7"]
    plain = lines[""]
    assert (cheap.quantity, cheap.amount_nanos) == (200, 200_000)
    assert (dear.quantity, dear.amount_nanos) == (100, 700_000)
    assert plain == InvoiceLine(unit="amount", quantity=1, amount_nanos=5)


def test_a_model_priced_in_another_currency_is_refused_everywhere(open_account: Open) -> None:
    customer = open_account("10", currency="EUR")
    hold_id = customer.authorize(CREDIT).hold_id
    gate = customer.client.gate
    used = Usage(model="gpt-4o", input_tokens=10)
    for call, request in (
        (gate.Authorize, customer.asks(AuthorizeRequest, usage=used)),
        (gate.Debit, customer.asks(DebitRequest, usage=used)),
        (gate.Debit, customer.asks(DebitRequest, usage=used, hold_id=hold_id)),
        (gate.Debit, customer.asks(DebitRequest, usage=used, incurred=True)),
        (gate.Extend, customer.asks(ExtendRequest, usage=used, hold_id=hold_id)),
    ):
        refused = refusal(call, request)
        assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "CURRENCY_MISMATCH")
        assert refused.field == "usage.model"
    assert customer.debit(CREDIT, hold_id=hold_id).decision == ALLOWED, (
        "an amount is in the account's own"
    )
    assert customer.balance().remaining_nanos == 9 * CREDIT


def test_a_price_file_in_another_currency_prices_the_accounts_in_it_and_the_catalog_the_others(
    open_account: Open, stack: Stack, tmp_path: Path
) -> None:
    prices = tmp_path / "euro.yaml"
    prices.write_text(
        "currency: EUR\nmodels:\n"
        "  gpt-4o: [{per_million: {input_tokens: 3, output_tokens: 12}}]\n"
        "  mine/deployment: {same_as: gpt-4o}\n"
    )
    in_euros = open_account("10", currency="EUR")
    in_dollars = open_account("10")
    with another_gate(stack, prices_file=str(prices)) as (_, client):
        euros = in_euros.at(client)
        dollars = in_dollars.at(client)
        for model in ("openai/gpt-4o", "mine/deployment"):
            used = Usage(model=model, input_tokens=100)
            assert euros.debit(usage=used).charged_nanos == 300_000
            assert dollars.debit(usage=used).charged_nanos == 100 * GPT_4O_IN
            assert dollars.authorize(usage=used).held_nanos == 100 * GPT_4O_IN
        for customer, nanos in ((euros, 300_000), (dollars, 100 * GPT_4O_IN)):
            asked = EstimateCostRequest(
                account_id=customer.account_id, usage=Usage(model="gpt-4o", input_tokens=100)
            )
            assert client.gate.EstimateCost(asked).cost_nanos == nanos
            items = [
                BatchItem(debit=customer.asks(DebitRequest, usage=used)),
                BatchItem(debit=customer.asks(DebitRequest, usage=used)),
            ]
            results = client.gate.Batch(BatchRequest(items=items)).results
            assert [result.debit.charged_nanos for result in results] == [nanos, nanos]
        refused = refusal(
            client.gate.Debit,
            euros.asks(DebitRequest, usage=Usage(model="o3", input_tokens=1)),
        )
        assert refused.reason == "CURRENCY_MISMATCH"
        nobody = DebitRequest(account_id="nobody-here", request_id=new_id(), usage=used)
        assert refusal(client.gate.Debit, nobody).reason == "ACCOUNT_NOT_FOUND"
    assert {entry.model for entry in in_euros.entries() if entry.model} == {"openai/gpt-4o"}


def test_a_model_that_the_ledger_has_not_met_is_charged_while_the_ledger_is_locked(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")
    if not stack.ledger_url.startswith("sqlite:///"):
        pytest.skip("a single writer can lock SQLite alone")
    with closing(sqlite3.connect(stack.ledger_url.removeprefix("sqlite:///"))) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        estimate = Usage(model="gpt-4.1-nano", input_tokens=1000)
        hold = customer.authorize(usage=estimate)
        reply = customer.debit(usage=estimate, hold_id=hold.hold_id)
        assert reply.charged_nanos == 1000 * GPT_41_NANO_IN
        stranger.rollback()
        [entry, _] = customer.entries()
        recorded = stranger.execute(
            "SELECT model FROM price_versions WHERE version = ?", [entry.price_version]
        )
        assert recorded.fetchall() == [("openai/gpt-4.1-nano",)]


def test_a_pinned_price_that_is_on_its_way_to_the_ledger_is_waited_for(
    open_account: Open, dearer: Client, stack: Stack
) -> None:
    customer = open_account("10")
    if not stack.ledger_url.startswith("sqlite:///"):
        pytest.skip("a single writer can lock SQLite alone")
    fresh = Usage(model=f"fresh-{stack.settings['CREDITGATE_TRANSPORT']}", input_tokens=100)
    with closing(sqlite3.connect(stack.ledger_url.removeprefix("sqlite:///"))) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        hold = customer.authorize(usage=fresh)
        request = customer.asks(DebitRequest, usage=fresh, hold_id=hold.hold_id)
        settled = dearer.gate.Debit.future(request)
        with pytest.raises(grpc.FutureTimeoutError):
            settled.result(timeout=0.5)
        stranger.rollback()
    assert settled.result().charged_nanos == 100_000
