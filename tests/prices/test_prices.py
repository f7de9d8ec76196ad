"""Tests that listed prices are found by name and time, and charge exactly what genai-prices does."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.data_units import unit_data
from genai_prices.types import (
    ModelInfo,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from meter.prices import (
    UNITS,
    Cost,
    CostLine,
    ModelPrice,
    PriceTable,
    UnknownModel,
    UnpricedUnit,
)
from meter.prices.fallbacks import multiples_of_input
from meter.prices.units import UNIT_OF_PRICE_KEY

NOW_MS = 1_790_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Listed = tuple[Provider, ModelInfo]


@pytest.fixture(scope="module")
def table() -> PriceTable:
    return PriceTable.load()


def listed_models() -> list[Listed]:
    return [(provider, info) for provider in get_snapshot().providers for info in provider.models]


def moment(at_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=at_ms)


def at(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(milliseconds=1)


def listed_prices(info: ModelInfo, at_ms: int) -> dict[str, Decimal | TieredPrices]:
    """Returns the unit prices that genai-prices itself would use, by our unit."""
    prices = vars(info.get_prices(moment(at_ms)))
    return {UNIT_OF_PRICE_KEY[key]: price for key, price in prices.items() if price is not None}


def overlapping_counts(quantities: Mapping[str, int]) -> dict[str, int]:
    """Returns our disjoint quantities as genai-prices counts: units include more specific units."""
    counts = {
        key: sum(
            n
            for unit, n in quantities.items()
            if UNITS[unit].dimensions >= data["dimensions"].items()
        )
        for key, data in unit_data.items()
    }
    return {key: count for key, count in counts.items() if key != "requests"}


def listed_cost_nanos(listed: Listed, quantities: Mapping[str, int], at_ms: int) -> int:
    provider, info = listed
    usage = genai_prices.Usage(**overlapping_counts(quantities))
    with localcontext(prec=150):
        total = info.calc_price(usage, provider, genai_request_timestamp=moment(at_ms)).total_price
        # A third of an hour and two thirds make a whole one only after the repeating digits are
        # cut.
        total = total.quantize(Decimal("1e-60"))
        return int(total.quantize(Decimal("1e-9"), rounding=ROUND_HALF_EVEN).scaleb(9))


def a_usage(
    chance: random.Random,
    prices: Mapping[str, Decimal | TieredPrices],
    price: ModelPrice,
) -> dict[str, int]:
    """Draws quantities of listed units, and of units charged as a listed one, from 1 to 2^53.

    Quantities are often close to a tier's start.
    """
    starts = [
        tier.start
        for price in prices.values()
        if isinstance(price, TieredPrices)
        for tier in price.tiers
    ]
    sizes = [1, 9, 10, 11, chance.randrange(1, 5000), chance.randrange(1, 2**53), 2**53]
    sizes += [start + step for start in starts for step in (-1, 0, 1)]
    derived = multiples_of_input(prices, price.model)
    units = [unit for unit, _ in price.rates if unit != "requests" and unit not in derived]
    # One unit of audio time: the least time charged holds for all of it together.
    chosen = chance.sample(
        units, chance.randint(1, 1 if "audio_seconds" in prices else min(4, len(units)))
    )
    return {unit: chance.choice(sizes) for unit in chosen}


def test_every_listed_model_costs_what_genai_prices_itself_computes_to_the_nano(
    table: PriceTable,
) -> None:
    chance = random.Random(7)
    compared = set()
    for provider, info in listed_models():
        prices = listed_prices(info, NOW_MS)
        if prices:
            price = table.find(f"{provider.id}/{info.id}", NOW_MS)
            assert price.model == f"{provider.id}/{info.id}"
            for _ in range(4):
                quantities = a_usage(chance, prices, price)
                cost = price.cost(quantities)
                assert cost.amount_nanos == listed_cost_nanos(
                    (provider, info), quantities, NOW_MS
                ), quantities
                assert cost.amount_nanos == sum(line.amount_nanos for line in cost.lines)
            compared.add(price.model)
    assert len(compared) > 2000


def test_input_of_every_kind_and_all_output_is_charged_once_at_the_tier_of_the_whole_call(
    table: PriceTable,
) -> None:
    chance = random.Random(11)
    compared = 0
    tiered = 0
    kinds = [
        "input_tokens",
        "cached_input_tokens",
        "cache_write_tokens",
        "output_tokens",
        "output_reasoning_tokens",
    ]
    models = [
        (listed, prices)
        for listed in listed_models()
        if (prices := listed_prices(listed[1], NOW_MS))
    ]
    with_tiers = [
        each
        for each in models
        if any(isinstance(price, TieredPrices) for price in each[1].values())
    ]
    for (provider, info), prices in [*with_tiers, *chance.sample(models, 400)]:
        starts = {
            tier.start
            for price in prices.values()
            if isinstance(price, TieredPrices)
            for tier in price.tiers
        }
        derived = multiples_of_input(prices, info.id)
        has_both = {"input_tokens", "output_tokens"} <= prices.keys()
        if has_both and "cache_write_tokens" not in derived:
            for total in (
                *(start + step for start in starts for step in (0, 1)),
                chance.randrange(3, 10**6),
            ):
                cached = total // 3
                written = total // 5
                rest = total - cached - written
                quantities = dict(
                    zip(
                        kinds, (rest, cached, written, 1 + total // 7, 1 + total // 11), strict=True
                    )
                )
                cost = table.find(f"{provider.id}/{info.id}", NOW_MS).cost(quantities)
                assert cost.amount_nanos == listed_cost_nanos(
                    (provider, info), quantities, NOW_MS
                ), info.id
                used = {line.unit: line.quantity for line in cost.lines if line.unit != "requests"}
                assert used == {unit: quantity for unit, quantity in quantities.items() if quantity}
            compared = compared + 1
            tiered = tiered + bool(starts)
    assert compared > 200
    assert tiered > 20


def test_a_model_listed_without_prices_is_unknown_not_free(table: PriceTable) -> None:
    empty = [f"{p.id}/{info.id}" for p, info in listed_models() if not listed_prices(info, NOW_MS)]
    assert len(empty) > 100
    for name in empty:
        with pytest.raises(UnknownModel):
            table.find(name, NOW_MS)


def test_every_unit_that_genai_prices_has_a_price_for_is_in_our_vocabulary() -> None:
    conditionals = [
        [info.prices] if not isinstance(info.prices, list) else [c.prices for c in info.prices]
        for _, info in listed_models()
    ]
    priced = {
        key
        for prices in conditionals
        for price in prices
        for key, value in vars(price).items()
        if value
    }
    assert priced <= UNIT_OF_PRICE_KEY.keys()


def changing_models() -> list[Listed]:
    return [listed for listed in listed_models() if isinstance(listed[1].prices, list)]


def edges_ms(info: ModelInfo) -> list[int]:
    """Returns when the model's conditional prices begin or end; times of day on a single day."""
    edges = []
    for condition in info.prices if isinstance(info.prices, list) else []:
        match condition.constraint:
            case StartDateConstraint(start_date=day):
                edges.append(at(f"{day.isoformat()}T00:00:00Z"))
            case TimeOfDateConstraint(start_time=start, end_time=end):
                edges += [at(f"2026-09-09T{time.isoformat()}") for time in (start, end)]
    return edges


@settings(deadline=None)
@given(data=st.data())
def test_the_price_in_force_is_that_of_the_date_and_time_of_day(
    table: PriceTable, data: st.DataObject
) -> None:
    provider, info = data.draw(st.sampled_from(changing_models()))
    anywhen = st.integers(at("2023-01-01T00:00:00Z"), at("2028-01-01T00:00:00Z"))
    near_an_edge = st.builds(int.__add__, st.sampled_from(edges_ms(info)), st.integers(-2, 2))
    for at_ms in data.draw(st.lists(anywhen | near_an_edge, min_size=2, max_size=12)):
        price = table.find(f"{provider.id}/{info.id}", at_ms)
        quantities = dict.fromkeys(listed_prices(info, at_ms), 1_000_003)
        quantities.pop("requests", None)
        assert price.cost(quantities).amount_nanos == listed_cost_nanos(
            (provider, info), quantities, at_ms
        )


def output_nanos(table: PriceTable, time: str) -> int:
    """Returns the cost of one output token of deepseek-chat."""
    return table.find("deepseek-chat", at(time)).cost({"output_tokens": 1}).amount_nanos


def test_an_off_peak_price_begins_and_ends_on_the_millisecond(table: PriceTable) -> None:
    def price(time: str) -> int:
        return output_nanos(table, f"2025-06-01T{time}Z")

    assert price("00:29:59.999") == 550
    assert price("00:30:00") == 1_100
    assert price("16:29:59.999") == 1_100
    assert price("16:30:00") == 550


def test_a_daily_price_is_not_taken_for_that_of_the_day_before_or_after(table: PriceTable) -> None:
    at_night = "2025-06-02T00:15:00Z"
    at_noon = "2025-06-01T12:00:00Z"
    by_evening = "2025-06-01T18:00:00Z"
    times = [at_night, at_noon, by_evening, "2025-06-02T12:00:00Z", at_night, by_evening, at_noon]
    prices = [output_nanos(table, time) for time in times]
    assert prices == [550, 1_100, 550, 1_100, 550, 550, 1_100]


@pytest.mark.parametrize(
    "name",
    [
        "gpt-4o",
        "GPT-4o-2024-08-06",
        "claude-sonnet-4-5-20250929",
        "gpt-5.2-20251211",
        "gemini-2.5-pro",
        "grok-4",
        "azure/gpt-4o",
        "deepseek/deepseek-chat",
        "groq/openai/gpt-oss-120b",
        "openrouter/anthropic/claude-sonnet-4.5",
        "bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0",
    ],
)
def test_a_name_means_the_model_that_genai_prices_takes_it_for(
    table: PriceTable, name: str
) -> None:
    listed = genai_prices.calc_price(genai_prices.Usage(), name, provider_id="litellm")
    assert table.find(name, NOW_MS).model == f"{listed.provider.id}/{listed.model.id}"


@pytest.mark.parametrize(
    "name",
    ["", "/", "gpt-none", "groq/gpt-4o", "nobody/none", "a\x00b", "claude-sonnet-4-5-" + "0" * 300],
)
def test_an_unknown_name_is_an_error_that_names_it_and_says_what_to_do(
    table: PriceTable, name: str
) -> None:
    with pytest.raises(
        UnknownModel, match=r"check its name .* or add it to the price file"
    ) as caught:
        table.find(name, NOW_MS)
    assert caught.value.model == name
    assert repr(name[:100])[:-1] in str(caught.value)


def test_names_that_clients_make_up_do_not_fill_memory(table: PriceTable) -> None:
    for number in range(5000):
        with pytest.raises(UnknownModel):
            table.find(f"made-up-{number}", NOW_MS)
    first = table.find("claude-sonnet-4-5-0", NOW_MS)
    assert all(table.find(f"claude-sonnet-4-5-{number}", NOW_MS) is first for number in range(5000))
    assert table._listing.cache_info().currsize <= 4096
    assert len(get_snapshot()._provider_misses) < 100


def test_usage_in_a_unit_without_a_price_is_an_error_not_free(table: PriceTable) -> None:
    price = table.find("openai/text-embedding-3-small", NOW_MS)
    assert price.cost({"input_tokens": 1000, "output_tokens": 0, "nonsense": 0}).lines == (
        CostLine("input_tokens", 1000, 20_000),
    )
    for unit in ("output_tokens", "web_searches", "nonsense"):
        with pytest.raises(UnpricedUnit) as caught:
            price.cost({"input_tokens": 1000, unit: 1})
        assert (caught.value.model, caught.value.unit) == ("openai/text-embedding-3-small", unit)
    with pytest.raises(ValueError, match="input_tokens is -1"):
        price.cost({"input_tokens": -1})


def test_a_price_per_request_is_charged_once_unless_the_usage_says_how_often(
    table: PriceTable,
) -> None:
    sonar = table.find("perplexity/sonar", NOW_MS)
    assert sonar.cost({"output_tokens": 1}).lines[-1] == CostLine("requests", 1, 12_000_000)
    assert sonar.cost({"output_tokens": 1, "requests": 3}).lines[-1] == CostLine(
        "requests", 3, 36_000_000
    )
    assert sonar.cost({"output_tokens": 1, "requests": 0}).amount_nanos == 1000
    assert sonar.cost({"output_tokens": 0}) == Cost(0, ())
    assert sonar.affordable_output_tokens({}, 12_000_999) == 0
    assert sonar.affordable_output_tokens({}, 12_001_000) == 1


def test_a_few_seconds_of_audio_are_billed_as_the_least_that_the_provider_bills(
    table: PriceTable,
) -> None:
    whisper = table.find("groq/whisper-large-v3", NOW_MS)
    assert whisper.cost({"audio_seconds": 3}).lines == (CostLine("audio_seconds", 10, 308_333),)
    assert whisper.cost({"audio_seconds": 0}).amount_nanos == 0
