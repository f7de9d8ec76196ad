"""Tests names of the price file that cost the same as another model, and names with a star."""

from pathlib import Path

import pytest

from meter.prices import ModelPrice, PriceFileError, PriceTable, UnknownModel
from meter.prices.diff import TargetChange, price_changes, target_changes

NOW_MS = 1_790_000_000_000
WITH_LISTED_TIERS_MS = 1_795_000_000_000


def under(text: str) -> PriceTable:
    return PriceTable.under(Path("prices.yaml"), text.encode())


NAMES = """
markup_percent: 10
models:
  azure/my-deployment: {same_as: azure/gpt-4o}
  azure/grok-*: {same_as: x-ai/grok-*}
  azure/o1: {same_as: openai/gpt-4o}
  fast: {same_as: acme-large}
  fastest: {same_as: fast}
  acme-large: [{per_million: {input_tokens: 4, output_tokens: 8}}]
  local/*: [{per_million: {input_tokens: 0, output_tokens: 0}}]
  local/large-*: [{per_million: {input_tokens: 2}}]
  local/large-one: [{per_million: {input_tokens: 3}}]
  groq/*: [{per_million: {input_tokens: 7}}]
accounts:
  acme:
    models:
      fast: {same_as: gpt-4o}
      azure/gpt-4o: [{per_million: {input_tokens: 1}}]
"""


@pytest.fixture(scope="module")
def table() -> PriceTable:
    return under(NAMES)


def nanos(price: ModelPrice) -> int:
    return price.cost({"input_tokens": 10}).amount_nanos // 10


@pytest.mark.parametrize(
    ("name", "account_id", "model", "input_nanos"),
    [
        ("azure/my-deployment", "", "azure/gpt-4o", 2750),
        ("Azure/My-Deployment ", "", "azure/gpt-4o", 2750),
        ("azure/my-deployment", "acme", "azure/gpt-4o", 1000),
        ("azure/grok-3", "", "x-ai/grok-3", 3300),
        ("azure/o1", "", "openai/gpt-4o", 2750),
        ("azure/o1-2024-12-17", "", "openai/gpt-4o", 2750),
        ("fast", "", "acme-large", 4400),
        ("fastest", "", "acme-large", 4400),
        ("fast", "acme", "openai/gpt-4o", 2750),
        ("fastest", "acme", "openai/gpt-4o", 2750),
        ("local/small", "", "local/*", 0),
        ("LOCAL/a/b", "acme", "local/*", 0),
        ("local/large-two", "", "local/large-*", 2200),
        ("local/large-one", "", "local/large-one", 3300),
        ("groq/openai/gpt-oss-120b", "", "groq/openai/gpt-oss-120b", 7700),
        ("llama-3.3-70b-versatile", "", "groq/llama-3.3-70b-versatile", 7700),
    ],
)
def test_a_name_costs_what_the_model_costs_that_it_is_the_same_as(
    table: PriceTable, name: str, account_id: str, model: str, input_nanos: int
) -> None:
    price = table.find(name, NOW_MS, account_id)
    assert (price.model, nanos(price)) == (model, input_nanos)
    assert table.meaning(name, account_id) == model


def test_a_name_that_is_the_same_as_a_model_has_the_models_own_price_version(
    table: PriceTable,
) -> None:
    price = table.find("azure/my-deployment", NOW_MS)
    assert price.version == table.find("azure/gpt-4o", NOW_MS).version
    assert ModelPrice.from_json(price.to_json()) == price


def test_a_star_that_leads_to_no_model_is_unknown_not_free(table: PriceTable) -> None:
    with pytest.raises(UnknownModel, match="azure/grok-none"):
        table.find("azure/grok-none", NOW_MS)


def test_names_that_fit_a_pattern_are_recorded_under_few_names(table: PriceTable) -> None:
    versions = {table.find(f"local/{number}", NOW_MS).version for number in range(500)}
    assert len(versions) == 1


@pytest.mark.parametrize(
    ("models", "where", "problem"),
    [
        ("{a: {same_as: b}, b: {same_as: a}}", "a.same_as", "leads in a circle (a -> b -> a"),
        ("{a: {same_as: A}}", "a.same_as", "leads in a circle"),
        ("{gpt-4o: {same_as: openai/gpt-4o}}", "gpt-4o.same_as", "leads in a circle"),
        ("{'x/*': {same_as: 'y/*'}, 'y/*': {same_as: 'x/*'}}", "x/*.same_as", "in a circle"),
        ("{'a*': {same_as: 'aa*'}}", "a*.same_as", "leads in a circle"),
        ("{a: {same_as: gpt4o}}", "a.same_as", "the nearest names are"),
        ("{a: {same_as: azure/deepseek-r1}}", "a.same_as", "no price is known"),
        ("{'a/*': {same_as: 'nobody/*'}}", "a/*.same_as", "no price is known"),
        ("{a: {same_as: 'openai/*'}}", "a.same_as", "has a * that stands for no text"),
        ("{a: {same_as: }}", "a.same_as", "a model's name"),
        ("{a: {same_as: [gpt-4o]}}", "a.same_as", "the name of the model"),
        ("{a: {same_as: gpt-4o, per_unit: {requests: 1}}}", "a.per_unit", "beside same_as"),
        ("{'a*b*': [{per_unit: {requests: 1}}]}", "a*b*", "more than one *"),
        (
            "{gpt-4o: [{per_unit: {requests: 1}}], openai/gpt-4o: {same_as: o3}}",
            "openai/gpt-4o",
            "same model (openai/gpt-4o) as 'gpt-4o'",
        ),
    ],
)
def test_a_name_that_leads_nowhere_is_refused_with_its_place(
    models: str, where: str, problem: str
) -> None:
    for text, path in (
        (f"models: {models}", "models"),
        (f"accounts: {{acme: {{models: {models}}}}}", "accounts.acme.models"),
    ):
        with pytest.raises(PriceFileError) as caught:
            under(text)
        assert caught.value.where == f"{path}.{where}"
        assert problem in str(caught.value)


def test_a_name_may_be_the_same_as_a_model_of_one_account_only_for_that_account() -> None:
    own = "accounts: {acme: {models: {a: {same_as: b}, b: [{per_unit: {requests: 1}}]}}}"
    assert under(own).find("a", NOW_MS, "acme").model == "b"
    with pytest.raises(PriceFileError, match=r"models\.a\.same_as: no price is known"):
        under(own + "\nmodels: {a: {same_as: b}}")


def test_what_a_name_is_the_same_as_is_compared_between_files() -> None:
    old = under("models: {a: {same_as: gpt-4o}, b: {same_as: gpt-4o}}")
    new = under("models: {b: {same_as: o3}, 'c/*': {same_as: 'openai/*'}}")
    assert target_changes(old, new) == [
        TargetChange("", "a", "gpt-4o", ""),
        TargetChange("", "b", "gpt-4o", "o3"),
        TargetChange("", "c/*", "", "openai/*"),
    ]
    assert target_changes(new, new) == price_changes(old, new, NOW_MS) == []


def test_a_name_that_had_prices_and_is_the_same_as_a_model_now_is_told_by_its_name() -> None:
    own = under("models: {a: [{per_million: {input_tokens: 1}}]}")
    same = under("models: {a: {same_as: o3}}")
    for old, new in ((own, same), (same, own)):
        changes = price_changes(old, new, WITH_LISTED_TIERS_MS)
        assert {"", "batch", "flex"} <= {change.service_tier for change in changes}
        assert {change.model for change in changes} == {"a"}
