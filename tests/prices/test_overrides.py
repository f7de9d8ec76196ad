"""Tests the price file: read exactly, in force on its dates, every mistake named with its place."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from meter.prices import CostLine, PriceFileError, PriceTable, UnknownModel, UnpricedUnit

NOW_MS = 1_790_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(milliseconds=1)


OVERRIDES = """
currency: EUR
models:
  acme-large:
    - effective_at: 2026-01-01T00:00:00Z
      per_million: {input_tokens: "2.50", cached_input_tokens: 0.1, output_tokens: 10}
      per_unit: {requests: "0.01"}
    - effective_at: "2026-02-01T01:00:00+01:00"
      per_million: {input_tokens: 1e-7, output_tokens: 1_000}
  gpt-4o:
    - effective_at: 2026-01-01T00:00:00Z
      per_million: {input_tokens: 7}
"""
IN_JANUARY = at("2026-01-31T23:59:59.999Z")
IN_FEBRUARY = at("2026-02-01T00:00:00Z")


def load_text(directory: Path, text: str) -> PriceTable:
    path = directory / "prices.yaml"
    path.write_text(text)
    return PriceTable.load(path)


def test_an_override_is_read_exactly_and_changes_on_its_dates(tmp_path: Path) -> None:
    table = load_text(tmp_path, OVERRIDES)
    january = table.find("acme-large", IN_JANUARY)
    february = table.find("acme-large", IN_FEBRUARY)
    assert (january.model, january.currency) == ("acme-large", "EUR")
    quantities = {
        "input_tokens": 3,
        "cached_input_tokens": 5,
        "cache_write_tokens": 7,
        "output_tokens": 1,
    }
    assert january.cost(quantities).lines == (
        CostLine("input_tokens", 3, 7500),
        CostLine("cached_input_tokens", 5, 500),
        CostLine("cache_write_tokens", 7, 17_500),  # no price of its own: that of input tokens
        CostLine("output_tokens", 1, 10_000),
        CostLine("requests", 1, 10_000_000),
    )
    assert (
        february.cost({"input_tokens": 10**10, "output_tokens": 1}).lines[0].amount_nanos
        == 1_000_000
    )
    assert table.find("Acme-Large", IN_JANUARY) == table.find("acme-large", IN_JANUARY) == january
    with pytest.raises(UnknownModel):
        table.find("acme-large", at("2025-12-31T23:59:59.999Z"))


def test_an_override_of_a_listed_model_holds_under_all_its_names_from_its_date(
    tmp_path: Path,
) -> None:
    table = load_text(tmp_path, OVERRIDES)
    for name in ("gpt-4o", "openai/gpt-4o", "GPT-4o-2024-11-20"):
        assert table.find(name, at("2025-12-31T23:59:59.999Z")).model == "openai/gpt-4o"
        price = table.find(name, IN_JANUARY)
        assert (price.model, price.cost({"input_tokens": 1}).amount_nanos) == (
            "openai/gpt-4o",
            7_000,
        )
    assert table.find("azure/gpt-4o", IN_JANUARY).model == "azure/gpt-4o"


def test_an_override_of_an_alias_is_of_that_name_alone(tmp_path: Path) -> None:
    table = load_text(tmp_path, "models: {gpt-4o-2024-11-20: [{per_million: {input_tokens: 7}}]}")
    assert table.find("gpt-4o-2024-11-20", IN_JANUARY).model == "gpt-4o-2024-11-20"
    assert table.find("gpt-4o", IN_JANUARY).model == "openai/gpt-4o"


def test_a_unit_between_two_overridden_prices_has_none_rather_than_a_guessed_one(
    tmp_path: Path,
) -> None:
    per_million = "{input_tokens: 1, cached_input_tokens: 2, input_audio_tokens: 3}"
    price = load_text(tmp_path, f"models: {{a: [{{per_million: {per_million}}}]}}").find(
        "a", NOW_MS
    )
    assert (
        price.cost({"cached_input_image_tokens": 1, "input_image_tokens": 1}).amount_nanos == 3000
    )
    with pytest.raises(UnpricedUnit):
        price.cost({"cached_input_audio_tokens": 1})


TIERED = """
models:
  acme-long:
    - per_million: {input_tokens: 2, cached_input_tokens: 1, output_tokens: 8}
      per_unit: {images: "0.04", video_seconds: 0.1, seconds: "0.0003", audio_seconds: 0.006}
      tiers:
        - {above_input_tokens: 200_000, per_million: {input_tokens: 4, output_tokens: 16}}
        - {above_input_tokens: 128000, per_million: {input_tokens: 3}}
"""


def test_tiers_are_chosen_by_all_input_and_a_unit_they_do_not_name_keeps_its_price(
    tmp_path: Path,
) -> None:
    price = load_text(tmp_path, TIERED).find("acme-long", NOW_MS)

    def nanos_each(total_input: int) -> list[int]:
        used = {
            "input_tokens": total_input - 3,
            "cached_input_tokens": 2,
            "cache_write_tokens": 1,
            "output_tokens": 1,
        }
        return [line.amount_nanos // line.quantity for line in price.cost(used).lines]

    assert nanos_each(128_000) == [2000, 1000, 2000, 8000]
    assert nanos_each(128_001) == nanos_each(200_000) == [3000, 1000, 3000, 8000]
    assert nanos_each(200_001) == [4000, 1000, 4000, 16_000]


def test_images_and_seconds_have_prices_where_the_file_gives_them(tmp_path: Path) -> None:
    price = load_text(tmp_path, TIERED).find("acme-long", NOW_MS)
    used = {"images": 3, "video_seconds": 10, "seconds": 7, "output_audio_seconds": 5}
    assert price.cost(used).lines == (
        CostLine("output_audio_seconds", 5, 30_000_000),
        CostLine("images", 3, 120_000_000),
        CostLine("video_seconds", 10, 1_000_000_000),
        CostLine("seconds", 7, 2_100_000),
    )
    for unit in ("images", "video_seconds", "seconds"):
        with pytest.raises(UnpricedUnit):
            PriceTable.load().find("gpt-4o", NOW_MS).cost({unit: 1})


ONE_MODEL_TWICE = (
    "{gpt-4o: [{per_unit: {requests: 1}}], openai/gpt-4o: [{per_unit: {requests: 1}}]}"
)
TIER_AT_5 = "{above_input_tokens: 5, per_unit: {requests: 1}}"
OTHER_TIER_AT_5 = "{above_input_tokens: 5, per_unit: {requests: 2}}"

# Each row: the file, or the part of it that the list is about; where the mistake is; what is said.
FILE_MISTAKES = [
    ("", "", "expected currency and models"),
    ("[]", "", "expected currency and models"),
    ("models: {a: [", "", "not YAML"),
    ("currency: USD", "models", "is missing"),
    ("currency: usd\nmodels: {a: [{per_unit: {requests: 1}}]}", "currency", "did you mean USD?"),
    ("models:", "models", "at least one model"),
    ("models: {}", "models", "at least one model"),
    ("prices: {}", "prices", "unknown key"),
    ("models: " + "[" * 5000, "", "nested too deeply"),
    ("trust_reported_cost: yes", "trust_reported_cost", "write true or false"),
    ("accounts: {a: {trust_reported_cost: 1}}", "accounts.a.trust_reported_cost", "write true"),
]
MODEL_MISTAKES = [
    ("{a: {per_unit: {requests: 1}}}", ".a", "a list of prices"),
    ("{a: []}", ".a", "a list of prices"),
    ("{a: [3]}", ".a[0]", "expected effective_at"),
    ("{a: [{effective_at: 2026-01-01T00:00:00Z}]}", ".a[0]", "no prices"),
    ("{a: [{per_milion: {input_tokens: 1}}]}", ".a[0].per_milion", "unknown key"),
    ("{a: [{per_million: {tokens: 1}}]}", ".a[0].per_million.tokens", "unknown unit"),
    ("{a: [{per_million: }]}", ".a[0].per_million", "pairs"),
    (
        "{a: [{per_unit: {requests: 1}, per_million: {requests: 1}}]}",
        ".a[0].per_unit.requests",
        "keep",
    ),
    ("{a: [{per_unit: {requests: 1, requests: 2}}]}", ".a[0].per_unit.requests", "twice"),
    ("{a: [{per_unit: {requests: 1}}], a: []}", ".a", "twice"),
    ("{a: [{per_unit: {requests: 1}}], A: []}", ".A", "same model as 'a'"),
    ("{' a': [{per_unit: {requests: 1}}]}", ". a", "printable"),
    ("{[a]: [{per_unit: {requests: 1}}]}", "", "plain name"),
    ("{a: [{per_unit: {requests: 1}}, {per_unit: {requests: 2}}]}", ".a[1]", "keep one"),
    (
        ONE_MODEL_TWICE,
        ".openai/gpt-4o",
        "same model (openai/gpt-4o) as 'gpt-4o'",
    ),
]
TIER_MISTAKES = [
    ("{}", "", "a list of tiers"),
    ("[]", "", "a list of tiers"),
    ("[3]", "[0]", "expected above_input_tokens"),
    ("[{per_unit: {requests: 1}}]", "[0]", "no above_input_tokens"),
    ("[{above_input_tokens: 5}]", "[0]", "no prices"),
    ("[{above_input_tokens: 5, from: 3}]", "[0].from", "unknown key"),
    (
        "[{above_input_tokens: 5, per_unit: {images: 1}}]",
        "[0]",
        "images has no price below this tier",
    ),
    (
        f"[{TIER_AT_5}, {OTHER_TIER_AT_5}]",
        "[1]",
        "where another tier does",
    ),
]
TIER_START_MISTAKES = ["0", "-5", "1.5", "many", "", "1" * 16]
MARKUP_MISTAKES = [
    ("12.5%", "", "is not a number"),
    ("-100.1", "", "is not a percentage"),
    ("10001", "", "is not a percentage"),
    ("NaN", "", "is not a percentage"),
    ("", "", "is not a number"),
    ("[]", "", "a percentage"),
    ("{percent: 3}", "", "a percentage"),
    ("[5]", "[0]", "expected effective_at, percent"),
    ("[{effective_at: 2026-01-01T00:00:00Z}]", "[0]", "has no percent"),
    ("[{percent: 1}, {percent: 2}]", "[1]", "keep one"),
]
ACCOUNT_MISTAKES = [
    ("", "", "accounts by id"),
    ("{acme: }", ".acme", "expected markup_percent, models"),
    ("{acme: {currency: EUR}}", ".acme.currency", "unknown key"),
    ("{a b: {markup_percent: 1}}", ".a b", "without spaces"),
    ("{acme: {markup_percent: 1e6}}", ".acme.markup_percent", "is not a percentage"),
    ("{acme: {models: {}}}", ".acme.models", "at least one model"),
    (
        "{acme: {models: {a: [{per_unit: {requests: -1}}]}}}",
        ".acme.models.a[0].per_unit.requests",
        "not a price",
    ),
    (
        f"{{acme: {{models: {ONE_MODEL_TWICE}}}}}",
        ".acme.models.openai/gpt-4o",
        "same model (openai/gpt-4o) as 'gpt-4o'",
    ),
]
PRICE_MISTAKES = [
    ("-1", "is not a price"),
    ("-0.0", "is not a price"),
    (".nan", "is not a number"),
    ("NaN", "is not a price"),
    ("Infinity", "is not a price"),
    ("1e999999", "is not a price"),
    ("1e-31", "decimal places"),
    ("free", "is not a number"),
    ("true", "is not a number"),
    ("0x10", "is not a number"),
    ("1:30", "is not a number"),
    ("", "is not a number"),
    ("[1]", "expected a price"),
    ("2000000000", "is not a price"),
]
TIME_MISTAKES = [
    ("2026-13-01T00:00:00Z", "is not a time"),
    ("soon", "is not a time"),
    ("5", "is not a time"),
    ("2026-01-01", "has no zone"),
    ("2026-01-01T00:00:00", "has no zone"),
    ("2026-01-01T00:00:00.0001Z", "has no zone, or parts of a millisecond"),
]


def _mistakes() -> Iterator[tuple[str, str, str]]:
    """Yields whole files, each with the place of the mistake and a part of the message."""
    yield from FILE_MISTAKES
    for models, where, problem in MODEL_MISTAKES:
        yield f"models: {models}", f"models{where}", problem
    for tiers, where, problem in TIER_MISTAKES:
        yield _with_tiers(tiers), f"models.a[0].tiers{where}", problem
    for start in TIER_START_MISTAKES:
        text = _with_tiers(f"[{{above_input_tokens: {start}, per_unit: {{requests: 1}}}}]")
        yield text, "models.a[0].tiers[0].above_input_tokens", "whole number"
    for markup, where, problem in MARKUP_MISTAKES:
        yield f"markup_percent: {markup}", f"markup_percent{where}", problem
    for accounts, where, problem in ACCOUNT_MISTAKES:
        yield f"accounts: {accounts}", f"accounts{where}", problem
    for price, problem in PRICE_MISTAKES:
        text = f"models: {{a: [{{per_unit: {{requests: {price}}}}}]}}"
        yield text, "models.a[0].per_unit.requests", problem
    for time, problem in TIME_MISTAKES:
        text = f"models: {{a: [{{effective_at: {time}}}]}}"
        yield text, "models.a[0].effective_at", problem


def _with_tiers(tiers: str) -> str:
    return f"models: {{a: [{{per_unit: {{requests: 1}}, tiers: {tiers}}}]}}"


@pytest.mark.parametrize(("text", "where", "problem"), list(_mistakes()))
def test_a_mistake_in_the_override_file_is_named_with_its_place(
    tmp_path: Path, text: str, where: str, problem: str
) -> None:
    with pytest.raises(PriceFileError) as caught:
        load_text(tmp_path, text)
    assert caught.value.where == where
    assert problem in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'prices.yaml'}: {where}")


def test_an_override_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(PriceFileError, match=r"none\.yaml: cannot be read: No such file"):
        PriceTable.load(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"models: {\xe9: []}")
    with pytest.raises(PriceFileError, match=r"latin\.yaml: is not YAML in UTF-8"):
        PriceTable.load(tmp_path / "latin.yaml")
