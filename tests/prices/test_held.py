"""Tests under which names a call with a hold is charged by the hold's price."""

from pathlib import Path

import pytest

from meter.prices import PriceTable, UnknownModel, UnpricedServiceTier
from meter.prices.held import Asked, price_by_hold
from meter.prices.names import model_alone

NOW_MS = 1_795_000_000_000
FILE = """
models:
  azure/my-deployment: {same_as: azure/gpt-4o}
  azure/priced: [{per_million: {input_tokens: 3, output_tokens: 3}}]
  tiny: [{per_million: {input_tokens: 1}}]
"""


@pytest.fixture(scope="module")
def table() -> PriceTable:
    return PriceTable.under(Path("prices.yaml"), FILE.encode())


def charged_as(table: PriceTable, held: str, reported: str, service_tier: str = "") -> str:
    """Returns the model by whose price usage of `reported` is charged; empty for an error."""
    asked = Asked(reported, "", NOW_MS, "", service_tier)
    try:
        current = table.find(reported, NOW_MS, service_tier=service_tier)
    except (UnknownModel, UnpricedServiceTier):
        current = None
    pinned = table.find(held, NOW_MS, service_tier=service_tier)
    price = price_by_hold(table, pinned, asked, current)
    if price is None:
        return ""
    return price.model


@pytest.mark.parametrize(
    ("held", "reported"),
    [
        ("gpt-4o", "gpt-4o-2024-08-06"),
        ("azure/gpt-4o", "gpt-4o-2024-08-06"),
        ("azure/gpt-4o", "gpt-4o"),
        ("azure/my-deployment", "gpt-4o-2024-08-06"),
        ("azure/my-deployment", "azure/my-deployment"),
        ("azure/priced", "priced"),
        ("openrouter/openai/gpt-4o", "openai/gpt-4o"),
        ("openrouter/anthropic/claude-sonnet-4", "claude-sonnet-4-20250514"),
        ("groq/openai/gpt-oss-120b", "openai/gpt-oss-120b"),
        ("bedrock/us.anthropic.claude-sonnet-4-20250514-v1:0", "claude-sonnet-4-20250514"),
        (
            "bedrock/us.anthropic.claude-sonnet-4-20250514-v1:0",
            "anthropic.claude-sonnet-4-20250514-v1:0",
        ),
        ("vertex_ai/claude-sonnet-4-5@20250929", "claude-sonnet-4-5-20250929"),
        ("vertex_ai/gemini-2.5-pro", "models/gemini-2.5-pro"),
        ("tiny", "what-nobody-knows"),
        ("azure/gpt-4o", "model-router-2025"),
    ],
)
def test_the_providers_name_of_the_model_is_charged_by_the_hold(
    table: PriceTable, held: str, reported: str
) -> None:
    assert charged_as(table, held, reported) == table.find(held, NOW_MS).model


@pytest.mark.parametrize(
    ("held", "reported", "model"),
    [
        ("gpt-4o", "gpt-4o-mini", "openai/gpt-4o-mini"),
        ("gpt-4o", "azure/gpt-4o", "azure/gpt-4o"),
        ("gpt-4o", "gpt-4o-2024-05-13", "openai/gpt-4o-2024-05-13"),
        ("azure/gpt-4o", "gpt-4o-2024-05-13", "azure/gpt-4o-2024-05-13"),
        ("azure/gpt-4o", "openai/gpt-4o", "openai/gpt-4o"),
        ("gpt-4o", "claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4-5"),
        ("tiny", "gpt-4o", "openai/gpt-4o"),
        ("gpt-4o", "tiny", "tiny"),
        (
            "bedrock/us.anthropic.claude-sonnet-4-20250514-v1:0",
            "anthropic/claude-sonnet-4-0",
            "anthropic/claude-sonnet-4-0",
        ),
        ("gpt-4o", "groq/none-of-theirs", ""),
        ("openrouter/openai/gpt-4o", "azure/deepseek-r1", ""),
    ],
)
def test_a_name_of_another_model_is_charged_as_that_or_is_an_error(
    table: PriceTable, held: str, reported: str, model: str
) -> None:
    assert charged_as(table, held, reported) == model


def test_another_model_without_a_price_in_the_tier_is_not_charged_by_the_hold(
    table: PriceTable,
) -> None:
    assert charged_as(table, "gpt-4.1", "gpt-4.1-2025-04-14", "priority") == "openai/gpt-4.1"
    assert charged_as(table, "gpt-4.1", "gpt-realtime", "priority") == ""


def test_dates_releases_and_sellers_are_no_part_of_a_models_name() -> None:
    for name in (
        "claude-sonnet-4-5",
        "anthropic/claude-sonnet-4.5",
        "claude-sonnet-4-5@20250929",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "claude-sonnet-4-5-latest",
    ):
        assert model_alone(name) == "claude-sonnet-4-5"
    assert model_alone("deepseek-v3") != model_alone("deepseek-v2")
    assert model_alone("openai.gpt-oss-120b-1:0") == "gpt-oss-120b"
