"""Usage objects of providers, read as quantities that do not overlap."""

import json
from decimal import ROUND_HALF_EVEN, Decimal
from random import Random
from typing import Any

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import get_snapshot

from meter.money import NANOS_PER_CREDIT
from meter.prices import UNITS, PriceTable
from meter.prices.reported import UnreadableUsage, quantities_of, read_usage
from meter.prices.units import UNIT_OF_USAGE_KEY
from meter.times import now_ms
from support.usage_objects import FORMS, Counts, drawn, input_of

USAGE_KEYS = {unit: key for key, unit in UNIT_OF_USAGE_KEY.items()}


@pytest.fixture(scope="module")
def table() -> PriceTable:
    return PriceTable.load(None)


@pytest.mark.parametrize("name", FORMS)
def test_each_form_is_read_as_the_counts_it_was_made_of_and_costs_what_they_cost(
    name: str, table: PriceTable, is_long: bool
) -> None:
    form = FORMS[name]
    random = Random(name)
    price = table.find(form.model, now_ms())
    provider, _, model = form.model.partition("/")
    for _ in range(20_000 if is_long else 200):
        counts = drawn(random, form)
        reported = read_usage(json.dumps(form.make(counts)), provider)
        assert reported.is_consistent
        assert reported.quantities == {unit: number for unit, number in counts.items() if number}
        assert input_of(reported.quantities) == input_of(counts)
        listed = calc_price(_overlapping(counts), model, provider_id=provider).total_price
        assert price.cost(reported.quantities).amount_nanos == _nanos(listed)


def _overlapping(counts: Counts) -> Usage:
    """The counts as genai-prices has them: each includes the more special ones."""
    sums = {}
    for unit, key in USAGE_KEYS.items():
        covered = [number for other, number in counts.items() if UNITS[unit].covers(UNITS[other])]
        if covered:
            sums[key] = sum(covered)
    return Usage(**sums)


@pytest.mark.parametrize(
    ("name", "provider", "flavor", "root"),
    [
        ("openai_chat", "openai", "chat", "usage"),
        ("openai_responses", "openai", "responses", "usage"),
        ("anthropic", "anthropic", "default", "usage"),
        ("gemini", "google", "default", "usageMetadata"),
        ("bedrock", "aws", "default", "usage"),
        ("mistral", "mistral", "default", "usage"),
        ("deepseek", "deepseek", "chat", "usage"),
        ("xai", "x-ai", "chat", "usage"),
    ],
)
def test_genai_prices_reads_the_same_from_the_same_object(
    name: str, provider: str, flavor: str, root: str
) -> None:
    random = Random(name)
    [theirs] = [each for each in get_snapshot().providers if each.id == provider]
    for _ in range(20):
        counts = drawn(random, FORMS[name])
        made = {"model": "any", root: FORMS[name].make(counts)}
        _, usage = theirs.extract_usage(made, api_flavor=flavor)
        ours = _overlapping(counts)
        for key in ("input_tokens", "cache_read_tokens", "output_tokens", "web_searches"):
            assert (getattr(usage, key) or 0) == (getattr(ours, key) or 0), key


def _nanos(credits: Decimal) -> int:
    return int((credits * NANOS_PER_CREDIT).to_integral_value(ROUND_HALF_EVEN))


def chat(prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, **more}


READ = [
    # cached audio is not told apart: taken as none
    (
        chat(100, 20, prompt_tokens_details={"cached_tokens": 40, "audio_tokens": 30}),
        {"input_tokens": 30, "cached_input_tokens": 40, "input_audio_tokens": 30, "output_tokens": 20},
    ),
    # LiteLLM's, for a model of Anthropic
    (
        chat(
            100,
            20,
            cache_creation_input_tokens=30,
            cache_read_input_tokens=40,
            prompt_tokens_details={"cached_tokens": 40, "cache_creation_tokens": 30, "audio_tokens": None},
            completion_tokens_details=None,
        ),
        {"input_tokens": 30, "cached_input_tokens": 40, "cache_write_tokens": 30, "output_tokens": 20},
    ),
    # xAI's models by another name: the total tells that reasoning is counted apart
    (
        chat(10, 20, total_tokens=80, completion_tokens_details={"reasoning_tokens": 50}),
        {"input_tokens": 10, "output_tokens": 20, "output_reasoning_tokens": 50},
    ),
    # Google's Python package
    (
        {
            "prompt_token_count": 10,
            "candidates_token_count": 3,
            "thoughts_token_count": 5,
            "total_token_count": 18,
            "prompt_tokens_details": [{"modality": "AUDIO", "token_count": 4}],
            "tool_use_prompt_token_count": None,
        },
        {"input_tokens": 6, "input_audio_tokens": 4, "output_tokens": 3, "output_reasoning_tokens": 5},
    ),
    # pydantic-ai
    (
        {"input_tokens": 10, "cache_read_tokens": 4, "cache_write_tokens": 0, "output_tokens": 3},
        {"input_tokens": 6, "cached_input_tokens": 4, "output_tokens": 3},
    ),
    # LangChain
    (
        {
            "input_tokens": 20,
            "output_tokens": 3,
            "total_tokens": 23,
            "input_token_details": {"cache_read": 4, "cache_creation": 0, "ephemeral_1h_input_tokens": 5},
            "output_token_details": {"reasoning": 2},
        },
        {
            "input_tokens": 11,
            "cached_input_tokens": 4,
            "cache_write_1h_tokens": 5,
            "output_tokens": 1,
            "output_reasoning_tokens": 2,
        },
    ),
    # OpenAI's realtime
    (
        {
            "input_tokens": 100,
            "output_tokens": 0,
            "input_token_details": {
                "audio_tokens": 60,
                "cached_tokens": 30,
                "cached_tokens_details": {"audio_tokens": 10},
            },
        },
        {
            "input_tokens": 20,
            "input_audio_tokens": 50,
            "cached_input_tokens": 20,
            "cached_input_audio_tokens": 10,
        },
    ),
    # embeddings, speech by the second, pages
    ({"prompt_tokens": 8, "total_tokens": 8}, {"input_tokens": 8}),
    ({"total_tokens": 8}, {"input_tokens": 8}),
    ({"type": "duration", "seconds": 9.2}, {"input_audio_seconds": 10}),
    ({"pages_processed": 3, "doc_size_bytes": 9}, {"input_document_pages": 3}),
    # a report of nothing is a report
    (chat(0, 0, total_tokens=0), {}),
]  # fmt: skip


@pytest.mark.parametrize(("reported", "quantities"), READ)
def test_other_forms_are_read_without_overlaps(
    reported: dict[str, Any], quantities: dict[str, int]
) -> None:
    assert quantities_of(reported, "openai") == (quantities, True)


@pytest.mark.parametrize(
    ("provider", "reported", "quantities"),
    [
        (
            "x-ai",
            chat(10, 20, completion_tokens_details={"reasoning_tokens": 50}),
            {"input_tokens": 10, "output_tokens": 20, "output_reasoning_tokens": 50},
        ),
        (
            "perplexity",
            chat(10, 20, total_tokens=30, reasoning_tokens=5, citation_tokens=7),
            {
                "input_tokens": 10,
                "output_tokens": 20,
                "output_reasoning_tokens": 5,
                "output_citation_tokens": 7,
            },
        ),
    ],
)
def test_providers_that_count_beside_the_completion_are_read_so(
    provider: str, reported: dict[str, Any], quantities: dict[str, int]
) -> None:
    assert quantities_of(reported, provider) == (quantities, True)


CONTRADICTIONS = [
    # parts above their whole: the whole, without discounts
    (
        chat(10, 20, prompt_tokens_details={"cached_tokens": 40}),
        {"input_tokens": 10, "output_tokens": 20},
    ),
    (
        chat(10, 20, completion_tokens_details={"reasoning_tokens": 21}),
        {"input_tokens": 10, "output_tokens": 20},
    ),
    # parts without a whole are not free
    (
        chat(0, 20, prompt_tokens_details={"cached_tokens": 40, "audio_tokens": 7}),
        {"input_tokens": 40, "output_tokens": 20},
    ),
    (
        {"input_tokens": 5, "output_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 9}},
        {"input_tokens": 5, "output_tokens": 1},
    ),
    # less than nothing is nothing
    (
        chat(10, -20, prompt_tokens_details={"cached_tokens": -4}),
        {"input_tokens": 10},
    ),
    # a total beyond the parts is output
    (chat(10, 20, total_tokens=35), {"input_tokens": 10, "output_tokens": 25}),
    (chat(10, 20, total_tokens=25), {"input_tokens": 10, "output_tokens": 20}),
]


@pytest.mark.parametrize(("reported", "quantities"), CONTRADICTIONS)
def test_what_contradicts_itself_is_told_and_charged_by_the_larger_reading(
    reported: dict[str, Any], quantities: dict[str, int]
) -> None:
    assert quantities_of(reported, "openai") == (quantities, False)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no JSON"),
        ("{", "is no JSON"),
        ("[" * 16_000, "is no JSON"),
        ("[]", "must be a JSON object"),
        ("{}", "has none of the counts of a known provider"),
        ('{"usage": {"prompt_tokens": 1}}', "stands under `usage`"),
        ('{"prompt_tokens": "7"}', "prompt_tokens must be a number; it is '7'"),
        ('{"prompt_tokens": true}', "prompt_tokens must be a number; it is 'True'"),
        ('{"prompt_tokens": NaN}', "prompt_tokens must be a finite number"),
        ('{"prompt_tokens": 1e999}', "prompt_tokens must be a finite number"),
        ('{"prompt_tokens": ' + "9" * 5000 + "}", "is no JSON"),
        ('{"prompt_tokens_details": 5, "total_tokens": []}', "total_tokens must be a number"),
    ],
)
def test_a_text_that_is_no_usage_object_is_refused_with_what_to_send(text: str, says: str) -> None:
    with pytest.raises(UnreadableUsage, match=says.replace("(", r"\(")):
        read_usage(text, "openai")
