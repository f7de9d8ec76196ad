"""Tests prices of batch, flex and priority service: listed, of the price file, or an error."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from genai_prices.types import ModelPrice as ListedPrice
from genai_prices.types import PriceVariant

from meter.prices import ModelPrice, PriceFileError, PriceTable, UnknownModel, UnpricedServiceTier
from meter.prices.diff import price_changes
from meter.prices.listed_prices import tier_prices
from meter.prices.service_tiers import service_tier_named

NOW_MS = 1_795_000_000_000
FILE = """
markup_percent: 10
models:
  acme-large:
    - per_million: {input_tokens: 2, output_tokens: 8}
      per_unit: {requests: "0.001"}
      tiers: [{above_input_tokens: 1000, per_million: {input_tokens: 4}}]
      service_tiers:
        batch: {percent: 50}
        priority:
          per_million: {input_tokens: 5, output_tokens: 20}
          tiers: [{above_input_tokens: 1000, per_million: {input_tokens: 9}}]
  gpt-4.1: [{per_million: {input_tokens: 1, output_tokens: 1}}]
  mine: {same_as: gpt-5}
"""


def under(text: str) -> PriceTable:
    return PriceTable.under(Path("prices.yaml"), text.encode())


@pytest.fixture(scope="module")
def catalog() -> PriceTable:
    return PriceTable.load()


@pytest.fixture(scope="module")
def table() -> PriceTable:
    return under(FILE)


def nanos(price: ModelPrice, *units: str) -> list[int]:
    return [price.cost({unit: 1000, "requests": 0}).amount_nanos // 1000 for unit in units]


@pytest.mark.parametrize(
    ("model", "service_tier", "expected"),
    [
        ("gpt-4.1", "", [2000, 500, 8000]),
        ("gpt-4.1", "batch", [1000, 500, 4000]),
        ("gpt-4.1", "priority", [3500, 875, 14_000]),
        ("gpt-4o", "priority", [4250, 2125, 17_000]),
        ("openai/gpt-5", "flex", [625, 62, 5000]),
        ("claude-sonnet-4-5", "batch", [1500, 150, 7500]),
        ("gemini-2.5-flash", "batch", [150, 30, 1250]),
        ("groq/openai/gpt-oss-120b", "batch", [75, 75, 300]),
    ],
)
def test_a_service_tier_costs_what_its_provider_lists(
    catalog: PriceTable, model: str, service_tier: str, expected: list[int]
) -> None:
    price = catalog.find(model, NOW_MS, service_tier=service_tier)
    assert price.service_tier == service_tier
    assert nanos(price, "input_tokens", "cached_input_tokens", "output_tokens") == expected


@pytest.mark.parametrize(
    ("model", "service_tier"),
    [
        ("gpt-realtime", "priority"),
        ("claude-sonnet-4-5", "priority"),
        ("azure/gpt-4o", "priority"),
        ("azure/gpt-4o", "batch"),
        ("openrouter/openai/gpt-4o", "batch"),
        ("gpt-4o", "auto"),
    ],
)
def test_a_service_tier_without_a_price_is_an_error_and_never_the_standard_price(
    catalog: PriceTable, model: str, service_tier: str
) -> None:
    with pytest.raises(UnpricedServiceTier, match="service_tiers in the model's entry") as caught:
        catalog.find(model, NOW_MS, service_tier=service_tier)
    assert repr(service_tier) in str(caught.value)


def test_no_dearer_tier_charges_tokens_at_the_standard_price(catalog: PriceTable) -> None:
    compared = 0
    for name in catalog.models():
        dearer = catalog.window(name, NOW_MS, service_tier="priority").price
        if dearer is None:
            continue
        standard = dict(catalog.find(name, NOW_MS).bands()[0][1])
        for unit, rate in dearer.bands()[0][1].items():
            if unit.endswith("tokens"):
                assert rate > standard[unit], (name, unit)
        compared += 1
    assert compared > 10


def test_a_dearer_tier_has_no_price_for_tokens_that_it_does_not_list() -> None:
    standard = ListedPrice(
        input_mtok=Decimal(2), input_audio_mtok=Decimal(3), web_searches_kcount=Decimal(10)
    )
    moment = datetime(2026, 11, 1, tzinfo=UTC)

    def units(input_mtok: str) -> set[str]:
        prices = ListedPrice(input_mtok=Decimal(input_mtok))
        variant = PriceVariant(when={"service_tier": "priority"}, prices=prices)
        return set(tier_prices(standard, [variant], moment, "priority"))

    assert units("4") == {"input_tokens", "web_searches"}
    assert units("1") == {"input_tokens", "input_audio_tokens", "web_searches"}


def test_an_unknown_model_is_unknown_in_every_service_tier(catalog: PriceTable) -> None:
    with pytest.raises(UnknownModel):
        catalog.find("gpt-none", NOW_MS, service_tier="batch")


def test_a_listed_tier_begins_on_its_date(catalog: PriceTable) -> None:
    begins_ms = int(datetime(2026, 10, 12, tzinfo=UTC).timestamp()) * 1000
    before = catalog.window("gpt-4.1", begins_ms - 1, service_tier="priority")
    assert (before.price, before.until_ms) == (None, begins_ms)
    assert catalog.find("gpt-4.1", begins_ms, service_tier="priority")


def test_providers_names_of_the_standard_service_mean_it() -> None:
    named = [service_tier_named(text) for text in ("", "default", "Standard", "BATCH", "flex")]
    assert named == ["", "", "", "batch", "flex"]


def test_a_price_file_tells_a_tier_by_a_percentage_or_by_its_own_prices(table: PriceTable) -> None:
    def cost(service_tier: str, input_tokens: int) -> int:
        price = table.find("acme-large", NOW_MS, service_tier=service_tier)
        return price.cost({"input_tokens": input_tokens, "output_tokens": 10}).amount_nanos

    assert cost("", 10) == 1_100_000 + 10 * 2200 + 10 * 8800
    assert cost("batch", 10) == 550_000 + 10 * 1100 + 10 * 4400
    assert cost("batch", 1001) == 550_000 + 1001 * 2200 + 10 * 4400
    assert cost("priority", 10) == 10 * 5500 + 10 * 22_000
    assert cost("priority", 1001) == 1001 * 9900 + 10 * 22_000
    with pytest.raises(UnpricedServiceTier):
        table.find("acme-large", NOW_MS, service_tier="flex")


def test_an_entry_of_a_listed_model_covers_the_listed_tiers_too(table: PriceTable) -> None:
    with pytest.raises(UnpricedServiceTier):
        table.find("gpt-4.1", NOW_MS, service_tier="batch")
    assert nanos(table.find("mine", NOW_MS, service_tier="batch"), "output_tokens") == [5500]


def test_each_tier_has_a_version_of_its_own_that_its_json_keeps(table: PriceTable) -> None:
    prices = [
        table.find("acme-large", NOW_MS, service_tier=tier) for tier in ("", "batch", "priority")
    ]
    assert len({price.version for price in prices}) == 3
    for price in prices:
        again = ModelPrice.from_json(price.to_json())
        assert (again, again.version, again.service_tier) == (
            price,
            price.version,
            price.service_tier,
        )


def test_what_a_file_changes_in_a_tier_is_told(catalog: PriceTable, table: PriceTable) -> None:
    dropped = under("models: {gpt-4.1: [{per_million: {input_tokens: 2, output_tokens: 8}}]}")
    tiers = {change.service_tier for change in price_changes(catalog, dropped, NOW_MS)}
    assert tiers == {"", "batch", "fast", "priority"}
    cheaper = under(FILE.replace("percent: 50", "percent: 40"))
    [change] = price_changes(table, cheaper, NOW_MS)
    assert (change.model, change.service_tier) == ("acme-large", "batch")


@pytest.mark.parametrize(
    ("service_tiers", "where", "problem"),
    [
        ("", "", "service tiers by name"),
        ("{}", "", "service tiers by name"),
        ("{batch: 50}", ".batch", "expected one of percent"),
        ("{batch: {}}", ".batch", "expected one of percent"),
        ("{batch: {percent: -1}}", ".batch.percent", "is not a percentage"),
        ("{batch: {percent: half}}", ".batch.percent", "is not a number"),
        (
            "{batch: {percent: 50, per_unit: {requests: 1}}}",
            ".batch.per_unit",
            "stands beside percent",
        ),
        ("{batch: {tiers: []}}", ".batch", "has no prices"),
        ("{standard: {percent: 50}}", ".standard", "is the standard service"),
        ("{Batch: {percent: 50}}", ".Batch", "is named by 1 to 32"),
        ("{batch: {service_tiers: {}}}", ".batch.service_tiers", "unknown key"),
    ],
)
def test_a_mistake_in_a_service_tier_is_named_with_its_place(
    service_tiers: str, where: str, problem: str
) -> None:
    text = f"models: {{a: [{{per_unit: {{requests: 1}}, service_tiers: {service_tiers}}}]}}"
    with pytest.raises(PriceFileError) as caught:
        under(text)
    assert caught.value.where == f"models.a[0].service_tiers{where}"
    assert problem in str(caught.value)
