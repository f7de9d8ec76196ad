"""Tests what a unit without a listed price costs: by a provider's own rule, or it is an error."""

from decimal import Decimal
from pathlib import Path

import pytest

from meter.prices import PriceTable, UnpricedUnit

NOW_MS = 1_790_000_000_000
MILLION = 10**6


@pytest.fixture(scope="module")
def table() -> PriceTable:
    return PriceTable.load()


def under(text: str) -> PriceTable:
    return PriceTable.under(Path("prices.yaml"), text.encode())


@pytest.mark.parametrize(
    ("model", "writes", "writes_1h"),
    [
        ("anthropic/claude-sonnet-4-5", "3.75", "6"),
        ("vertex_ai/claude-sonnet-4@20250514", "3.75", "6"),
        ("openrouter/anthropic/claude-sonnet-4", "3.75", "6"),
        ("openrouter/anthropic/claude-3.5-haiku", "1", "1.6"),
        ("bedrock/anthropic.claude-3-haiku-20240307-v1:0", "0.3125", "0.5"),
        ("moonshotai/kimi-k3", "3", "6"),
    ],
)
def test_a_write_to_the_cache_costs_what_the_models_maker_bills_whoever_sells_the_model(
    table: PriceTable, model: str, writes: str, writes_1h: str
) -> None:
    price = table.find(model, NOW_MS)
    for unit, credits_each in (
        ("cache_write_tokens", writes),
        ("cache_write_1h_tokens", writes_1h),
    ):
        nanos_each = Decimal(credits_each) * 1000
        assert price.cost({unit: 10}).amount_nanos == 10 * nanos_each


def test_every_listed_claude_has_a_price_for_the_one_hour_cache(table: PriceTable) -> None:
    names = [name for name in table.models() if "claude" in name]
    windows = [table.window(name, NOW_MS) for name in names]
    prices = [window.price for window in windows if window.price is not None]
    assert len(prices) > 100
    for price in prices:
        rates = dict(price.rates)
        assert rates["cache_write_1h_tokens"] == 2 * rates["input_tokens"], price.model


def test_the_makers_rule_for_the_cache_holds_in_each_tier_of_a_price_file() -> None:
    price = under(
        "models: {my-claude: [{per_million: {input_tokens: 2, output_tokens: 8},"
        " tiers: [{above_input_tokens: 10, per_million: {input_tokens: 4}}]}]}"
    ).find("my-claude", NOW_MS)
    assert price.cost({"cache_write_tokens": 4}).amount_nanos == 4 * 2500
    assert price.cost({"cache_write_1h_tokens": 4}).amount_nanos == 4 * 4000
    assert price.cost({"cache_write_1h_tokens": 20}).amount_nanos == 20 * 8000


@pytest.mark.parametrize(
    ("model", "unit"),
    [
        ("gpt-4o", "cache_write_1h_tokens"),
        ("gpt-4o-audio-preview", "input_audio_tokens"),
        ("gpt-4o-audio-preview", "output_audio_tokens"),
        ("gpt-4o-mini-audio-preview", "input_audio_tokens"),
        ("gpt-4o", "cached_input_audio_tokens"),
        ("openrouter/google/gemini-2.5-flash", "input_audio_tokens"),
        ("openrouter/google/gemini-2.5-flash", "input_video_tokens"),
        ("openrouter/google/gemini-2.5-flash-image", "output_image_tokens"),
        ("gpt-5-image", "output_image_tokens"),
        ("openrouter/google/gemini-omni-1.1-flash", "output_video_tokens"),
        ("gemini-2.5-pro", "output_audio_tokens"),
        ("perplexity/sonar", "output_citation_tokens"),
        ("mistral/mistral-ocr-2503", "input_annotated_document_pages"),
    ],
)
def test_a_unit_that_may_cost_more_than_another_is_an_error_that_says_how_to_price_it(
    table: PriceTable, model: str, unit: str
) -> None:
    with pytest.raises(UnpricedUnit, match="price file, under per_million") as caught:
        table.find(model, NOW_MS).cost({unit: 1})
    assert caught.value.unit == unit
    assert unit in str(caught.value)


@pytest.mark.parametrize(
    ("model", "unit", "same_as"),
    [
        ("openrouter/openai/gpt-4", "cached_input_tokens", "input_tokens"),
        ("gpt-4o", "cache_write_tokens", "input_tokens"),
        ("gpt-4o", "input_image_tokens", "input_tokens"),
        ("gpt-4o", "cached_input_image_tokens", "cached_input_tokens"),
        ("gpt-audio", "cached_input_audio_tokens", "input_audio_tokens"),
        ("o3", "output_reasoning_tokens", "output_tokens"),
        ("gemini-2.5-pro", "input_tool_tokens", "input_tokens"),
        ("gemini-2.5-pro", "input_audio_tokens", "input_tokens"),
        ("gemini-2.5-pro", "cached_input_audio_tokens", "cached_input_tokens"),
        ("gemini-2.5-flash", "input_video_tokens", "input_tokens"),
        ("gpt-4o-mini-tts", "output_audio_tokens", "output_tokens"),
        ("gpt-image-1", "output_image_tokens", "output_tokens"),
        ("groq/whisper-large-v3", "input_audio_seconds", "audio_seconds"),
    ],
)
def test_a_unit_that_providers_do_not_bill_apart_costs_what_the_rest_costs(
    table: PriceTable, model: str, unit: str, same_as: str
) -> None:
    price = table.find(model, NOW_MS)
    assert price.cost({unit: MILLION}).amount_nanos == price.cost({same_as: MILLION}).amount_nanos
    assert price.cost({unit: MILLION}).amount_nanos > 0


def test_audio_is_charged_where_a_price_is_known(table: PriceTable) -> None:
    used = {
        "input_tokens": 14,
        "input_audio_tokens": 250,
        "output_tokens": 30,
        "output_audio_tokens": 180,
    }
    exact = 14 * 2_500 + 250 * 32_000 + 30 * 10_000 + 180 * 64_000
    assert table.find("gpt-audio", NOW_MS).cost(used).amount_nanos == exact
    text = (
        "models: {gpt-4o-audio-preview: [{per_million: {input_tokens: 2.5, output_tokens: 10,"
        " input_audio_tokens: 40, output_audio_tokens: 80}}]}"
    )
    assert under(text).find("gpt-4o-audio-preview", NOW_MS).cost(used).amount_nanos == 24_735_000
