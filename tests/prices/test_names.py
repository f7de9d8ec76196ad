"""Tests which model each name means that gateways send, and what is said of a name that means none."""

import pytest

from meter.prices import PriceTable, UnknownModel

NOW_MS = 1_790_000_000_000
ARN = (
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/"
    "us.anthropic.claude-sonnet-4-20250514-v1:0"
)
SONNET_4_AT_AWS = "aws/regional.anthropic.claude-sonnet-4-20250514-v1:0"


@pytest.fixture(scope="module")
def table() -> PriceTable:
    return PriceTable.load()


@pytest.mark.parametrize(
    ("name", "model", "input_nanos"),
    [
        ("gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini", 150),
        ("gpt-4o-2024-05-13", "openai/gpt-4o-2024-05-13", 5_000),
        ("o3-mini-2025-01-31", "openai/o3-mini", 1_100),
        ("gpt-5-nano-2025-08-07", "openai/gpt-5-nano", 50),
        ("gpt-5.4", "openai/gpt-5.4", 2_500),
        ("GPT-4o", "openai/gpt-4o", 2_500),
        (" gpt-4o", "openai/gpt-4o", 2_500),
        ("azure/gpt-4o ", "azure/gpt-4o", 2_500),
        ("azure/gpt-4o-2024-08-06", "azure/gpt-4o", 2_500),
        ("azure_ai/gpt-4o", "azure/gpt-4o", 2_500),
        ("ft:gpt-4o-mini-2024-07-18:acme::abc", "openai/ft:gpt-4o-mini", 300),
        ("openai/ft:gpt-4o-2024-08-06:acme::abc", "openai/ft:gpt-4o", 3_750),
        ("bedrock/us.anthropic.claude-sonnet-4-20250514-v1:0", SONNET_4_AT_AWS, 3_000),
        ("bedrock/eu.anthropic.claude-sonnet-4-20250514-v1:0", SONNET_4_AT_AWS, 3_000),
        ("bedrock/apac.anthropic.claude-sonnet-4-20250514-v1:0", SONNET_4_AT_AWS, 3_000),
        ("bedrock/converse/anthropic.claude-sonnet-4-20250514-v1:0", SONNET_4_AT_AWS, 3_000),
        (f"bedrock/{ARN}", SONNET_4_AT_AWS, 3_000),
        (
            "bedrock/jp.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "aws/regional.anthropic.claude-sonnet-4-5-20250929-v1:0",
            3_300,
        ),
        (
            "bedrock/global.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "aws/global.anthropic.claude-sonnet-4-5-20250929-v1:0",
            3_000,
        ),
        ("anthropic.claude-sonnet-4-20250514-v1:0", SONNET_4_AT_AWS, 3_000),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", SONNET_4_AT_AWS, 3_000),
        (ARN, SONNET_4_AT_AWS, 3_000),
        ("amazon.nova-lite-v1:0", "aws/amazon.nova-lite-v1:0", 60),
        ("meta.llama3-70b-instruct-v1:0", "aws/meta.llama3-70b-instruct-v1:0", 2_650),
        ("vertex_ai/gemini-2.5-pro", "google/gemini-2.5-pro", 1_250),
        ("gemini/gemini-2.5-flash", "google/gemini-2.5-flash", 300),
        ("models/gemini-2.5-flash", "google/gemini-2.5-flash", 300),
        ("gemini/models/gemini-2.5-flash", "google/gemini-2.5-flash", 300),
        ("publishers/google/models/gemini-2.5-flash", "google/gemini-2.5-flash", 300),
        (
            "projects/p-1/locations/europe-west4/publishers/google/models/gemini-2.5-flash",
            "google/gemini-2.5-flash",
            300,
        ),
        ("vertex_ai/claude-sonnet-4-5@20250929", "google/claude-sonnet-4-5", 3_000),
        ("claude-sonnet-4-5@20250929", "anthropic/claude-sonnet-4-5", 3_000),
        ("anthropic/claude-sonnet-4.5", "anthropic/claude-sonnet-4-5", 3_000),
        ("openrouter/anthropic/claude-sonnet-4", "openrouter/anthropic/claude-sonnet-4", 3_000),
        (
            "openrouter/anthropic/claude-sonnet-4:beta",
            "openrouter/anthropic/claude-sonnet-4",
            3_000,
        ),
        ("xai/grok-4", "x-ai/grok-4-0709", 3_000),
        ("mistral/mistral-large-latest", "mistral/mistral-large", 2_000),
        ("groq/openai/gpt-oss-120b", "groq/openai/gpt-oss-120b", 150),
        ("llama-3.3-70b-versatile", "groq/llama-3.3-70b-versatile", 590),
        ("sonar", "perplexity/sonar", 1_000),
        ("sonar-pro", "perplexity/sonar-pro", 3_000),
        (
            "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo",
            "together/meta-llama/Llama-3.3-70B-Instruct-Turbo",
            880,
        ),
        ("moonshot/kimi-k2-0711-preview", "moonshotai/kimi-k2-0711-preview", 600),
    ],
)
def test_a_name_that_can_mean_one_model_alone_has_that_models_price(
    table: PriceTable, name: str, model: str, input_nanos: int
) -> None:
    price = table.find(name, NOW_MS)
    cost = price.cost({"input_tokens": 10, "requests": 0})
    assert (price.model, cost.amount_nanos) == (model, 10 * input_nanos)


@pytest.mark.parametrize(
    ("name", "candidate"),
    [
        ("text-embedding-3-small", "openai/text-embedding-3-small"),
        ("text-embedding-3-small", "azure/text-embedding-3-small"),
        ("text-embedding-3-large", "openai/text-embedding-3-large"),
        ("text-embedding-ada-002", "openai/text-embedding-ada-002"),
        ("ft:gpt-4o-mini:acme", "openai/ft:gpt-4o-mini"),
        ("azure/ft:gpt-4o", "openai/ft:gpt-4o"),
        ("azure/eu/gpt-4o-2024-08-06", "azure/gpt-4o"),
        ("azure/DeepSeek-R1", "openrouter/deepseek/deepseek-r1"),
        ("azure_ai/deepseek-r1", "openrouter/deepseek/deepseek-r1"),
        ("azure/grok-3", "x-ai/grok-3"),
        ("azure/claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        ("my-openai-proxy/gpt-4o", "openai/gpt-4o"),
        ("vertex_ai-anthropic_models/claude-sonnet-4-5", "google/claude-sonnet-4-5"),
        ("fireworks_ai/accounts/fireworks/models/deepseek-v3", "novita/deepseek/deepseek_v3"),
        ("openrouter/deepseek/deepseek-r1:free", "openrouter/deepseek/deepseek-r1"),
        (
            "nebius/meta-llama/Meta-Llama-3.1-70B-Instruct",
            "avian/Meta-Llama-3.1-70B-Instruct",
        ),
        (
            "deepinfra/meta-llama/Meta-Llama-3.1-70B-Instruct",
            "avian/Meta-Llama-3.1-70B-Instruct",
        ),
        ("github/gpt-4o", "openai/gpt-4o"),
        ("databricks/databricks-claude-sonnet-4", "github-copilot/claude-sonnet-4"),
        ("gpt4o-typo", "openai/gpt-4o"),
        ("claude-sonet-4-5", "anthropic/claude-sonnet-4-5"),
    ],
)
def test_a_name_that_several_providers_or_none_may_mean_is_an_error_with_the_nearest_names(
    table: PriceTable, name: str, candidate: str
) -> None:
    with pytest.raises(UnknownModel, match="the nearest names are") as caught:
        table.find(name, NOW_MS)
    assert candidate in caught.value.nearest
    assert candidate in str(caught.value)
    assert all(table.find(nearest, NOW_MS) for nearest in caught.value.nearest)


@pytest.mark.parametrize("name", ["openrouter/auto", "gpt-none", "x" * 200, "", " "])
def test_a_name_like_no_other_is_an_error_without_candidates(table: PriceTable, name: str) -> None:
    with pytest.raises(UnknownModel, match="check its name") as caught:
        table.find(name, NOW_MS)
    assert not caught.value.nearest


def test_no_provider_but_the_one_named_sets_the_price(table: PriceTable) -> None:
    listed = {name.lower() for name in table.models()}
    others = ("anthropic/", "deepseek/", "x-ai/", "moonshotai/")
    for name in [each for each in listed if each.startswith(others)]:
        _, _, model = name.partition("/")
        for seller in ("azure", "google"):
            price = table.window(f"{seller}/{model}", NOW_MS).price
            assert price is None or price.model.lower() in listed
