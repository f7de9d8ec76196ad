"""Running gates take up a changed price file by themselves; what is pinned stays, and a wrong file
changes nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gate.v1.gate_pb2 import BatchItem, BatchRequest, DebitRequest, Usage
from meter.database.migrate import open_ledger
from meter.prices.recorded import Prices
from meter.watched_file import install
from support.customer import PRICES, Customer, another_gate, refusal
from support.scraping import Metrics
from support.servers import wait_until
from support.stack import Client, Stack, free_port

pytest_plugins = ("support.running_stack",)

Open = Callable[..., Customer]
READS = "creditgate_price_file_reads_total"
ONE = Usage(model="tiny", input_tokens=1)


@dataclass
class Priced:
    """A gate, and the price file that it watches."""

    client: Client
    metrics: Metrics
    path: Path

    def take_up(self, text: str, outcome: str = "ok") -> None:
        """Installs a file, and waits until the gate has read it."""
        before = self.metrics.value(READS, outcome=outcome)
        install(text.encode(), self.path)
        wait_until(lambda: self.metrics.value(READS, outcome=outcome) > before)


@pytest.fixture
def priced(stack: Stack, tmp_path: Path) -> Iterator[Priced]:
    path = tmp_path / "prices.yaml"
    metrics = Metrics(free_port())
    path.write_text(PRICES)
    with another_gate(stack, prices_file=str(path), metrics_listen=metrics.address) as (_, client):
        yield Priced(client, metrics, path)


def dearer(nanos: int) -> str:
    return f"models: {{tiny: [{{per_unit: {{input_tokens: {nanos}e-9, output_tokens: 1e-9}}}}]}}"


def test_a_changed_file_is_in_force_without_a_restart_and_holds_keep_their_price(
    priced: Priced, open_account: Open
) -> None:
    customer = open_account("1").at(priced.client)
    hold = customer.authorize(usage=Usage(model="tiny", input_tokens=100))
    assert customer.debit(usage=ONE).charged_nanos == 1000
    priced.take_up(dearer(1500))
    assert customer.debit(usage=ONE).charged_nanos == 1500
    assert customer.debit(usage=ONE, hold_id=hold.hold_id).charged_nanos == 1000, (
        "what the hold has pinned"
    )
    new = customer.authorize(usage=Usage(model="tiny", input_tokens=100))
    priced.take_up("markup_percent: 0")
    assert (
        refusal(priced.client.gate.Debit, customer.asks(DebitRequest, usage=ONE)).reason
        == "UNKNOWN_MODEL"
    )
    assert customer.debit(usage=ONE, hold_id=new.hold_id).charged_nanos == 1500, (
        "though its model is no more"
    )


def test_a_wrong_or_missing_file_leaves_the_prices_as_they_were_and_is_counted(
    priced: Priced, open_account: Open
) -> None:
    customer = open_account("1").at(priced.client)
    for number, wrong in enumerate(
        ["models: {tiny: [{per_unit: {input_tokens: -1}}]}", "models: [", ""], start=1
    ):
        priced.take_up(wrong, outcome="failed")
        assert priced.metrics.value(READS, outcome="failed") == number
        assert customer.debit(usage=ONE).charged_nanos == 1000
    priced.path.unlink()
    wait_until(lambda: priced.metrics.value(READS, outcome="failed") == 4)
    assert customer.debit(usage=ONE).charged_nanos == 1000
    priced.take_up(dearer(3))
    assert customer.debit(usage=ONE).charged_nanos == 3
    assert priced.metrics.value(READS, outcome="ok") == 1


def test_a_price_of_ones_own_for_a_listed_model_does_not_reach_holds_that_came_before_it(
    priced: Priced, open_account: Open
) -> None:
    customer = open_account("10").at(priced.client)
    used = Usage(model="gpt-4o-2024-11-20", input_tokens=1000)
    before = [customer.authorize(usage=used) for _ in range(4)]
    charged = []
    for text in (
        "models: {gpt-4o: [{per_million: {input_tokens: 7}}]}",
        "models: {gpt-4o-2024-11-20: [{per_million: {input_tokens: 8}}]}",
        "markup_percent: 100",
        f"accounts: {{{customer.account_id}: {{models: {{openai/gpt-4o: [{{per_million: {{input_tokens: 9}}}}]}}}}}}",
    ):
        priced.take_up(text)
        pinned = customer.debit(usage=used, hold_id=before.pop().hold_id).charged_nanos
        charged.append((pinned, customer.debit(usage=used).charged_nanos))
    assert charged == [(2_500_000, nanos) for nanos in (7_000_000, 8_000_000, 5_000_000, 9_000_000)]
    models = {entry.model for entry in customer.entries() if entry.model}
    assert models == {"openai/gpt-4o", "gpt-4o-2024-11-20"}, (
        "an alias with a price of its own is a model of its own"
    )


def test_accounts_pay_their_own_prices_and_every_charge_traces_to_its_version(
    priced: Priced, stack: Stack, open_account: Open
) -> None:
    partner, other, own = (open_account("1").at(priced.client) for _ in range(3))
    priced.take_up(
        f"markup_percent: 12.5\nmodels: {{tiny: [{{per_million: {{input_tokens: 1}}}}]}}\naccounts:\n"
        f"  {partner.account_id}: {{markup_percent: -10}}\n"
        f"  {own.account_id}: {{models: {{tiny: [{{per_million: {{input_tokens: 3}}}}]}}}}\n"
    )
    used = Usage(model="tiny", input_tokens=1001)
    charged = [customer.debit(usage=used).charged_nanos for customer in (partner, other, own)]
    assert charged == [900_900, 1_126_125, 3_003_000]
    ledger = open_ledger(stack.ledger_url)
    for customer, nanos, percent in zip(
        (partner, other, own), charged, ("-10", "12.5", None), strict=True
    ):
        [line] = customer.invoice().lines
        price = Prices(ledger).version(line.price_version)
        assert price is not None
        assert price.cost({line.unit: line.quantity}).amount_nanos == line.amount_nanos == nanos
        assert (price.markup.percent if price.markup else None) == percent
        if price.markup:
            assert price.markup.listed.cost({"input_tokens": 1}).amount_nanos == 1000
    ledger.close()


def test_items_of_one_batch_are_priced_by_account(priced: Priced, open_account: Open) -> None:
    cheap, dear = (open_account("1").at(priced.client) for _ in range(2))
    priced.take_up(f"{PRICES}accounts: {{{cheap.account_id}: {{markup_percent: -50}}}}\n")
    items = [
        BatchItem(debit=customer.asks(DebitRequest, usage=ONE)) for customer in (cheap, dear, cheap)
    ]
    results = priced.client.gate.Batch(BatchRequest(items=items)).results
    assert [result.debit.charged_nanos for result in results] == [500, 1000, 500]
