"""Tests what differs between prices, now and in the plans of a price file."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from meter.prices import ModelPrice, PriceTable, Tier
from meter.prices.diff import (
    MarkupChange,
    RateChange,
    TrustChange,
    markup_changes,
    price_changes,
    rate_changes,
    trust_changes,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PICO = Fraction(1, 10**12)


def at(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(milliseconds=1)


JUNE, JULY, AUGUST = (at(f"2026-{month}-01T00:00:00Z") for month in ("06", "07", "08"))


def table_of(text: str) -> PriceTable:
    return PriceTable.under(Path("prices.yaml"), text.encode())


def told(old: str, new: str) -> list[tuple[str, str, int, int | None, int | None]]:
    """Returns account, model, time, and nanos of an input token before and after; as of June."""
    tables = [PriceTable.load() if not text else table_of(text) for text in (old, new)]
    return [
        (
            change.account_id,
            change.model,
            change.from_ms,
            *map(input_nanos, (change.before, change.after)),
        )
        for change in price_changes(*tables, JUNE)
    ]


def input_nanos(price: ModelPrice | None) -> int | None:
    return price.cost({"input_tokens": 1}).amount_nanos if price else None


def test_rates_are_compared_tier_by_tier_and_what_only_follows_is_not_told() -> None:
    before = ModelPrice(
        "a", "USD", 1, (("input_tokens", 4), ("input_image_tokens", 4), ("output_tokens", 9))
    )
    tier = Tier(200, (("input_tokens", 9), ("input_image_tokens", 9), ("output_tokens", 9)))
    after = ModelPrice(
        "a", "USD", 2, (("input_tokens", 12), ("input_image_tokens", 12), ("requests", 6)), (tier,)
    )
    assert rate_changes(before, after) == [
        RateChange("input_tokens", 0, 4 * PICO, 6 * PICO),
        RateChange("output_tokens", 0, 9 * PICO, None),
        RateChange("requests", 0, None, 3 * PICO),
        RateChange("input_tokens", 200, 4 * PICO, PICO * 9 / 2),
        RateChange("output_tokens", 200, 9 * PICO, PICO * 9 / 2),
    ]
    assert [change.percent for change in rate_changes(before, after)] == [
        50,
        None,
        None,
        Fraction(25, 2),
        -50,
    ]
    assert rate_changes(before, before) == rate_changes(None, None) == []
    assert rate_changes(None, before)[0] == RateChange("input_tokens", 0, None, 4 * PICO)


def test_a_change_that_goes_on_in_the_next_tier_is_told_once() -> None:
    def price(output: int) -> ModelPrice:
        rates = [(("input_tokens", each), ("output_tokens", output)) for each in (1, 2)]
        return ModelPrice("a", "USD", 1, rates[0], (Tier(200, rates[1]),))

    assert rate_changes(price(3), price(6)) == [RateChange("output_tokens", 0, 3 * PICO, 6 * PICO)]


def test_from_nothing_to_something_has_no_percentage_and_to_nothing_is_all_of_it() -> None:
    assert RateChange("requests", 0, Fraction(0), PICO).percent is None
    assert RateChange("requests", 0, PICO, Fraction(0)).percent == -100


def test_models_of_either_file_are_compared_with_what_was_in_force() -> None:
    old = "models: {gone: [{per_unit: {input_tokens: 1}}], same: [{per_unit: {input_tokens: 1}}]}"
    new = (
        "models: {same: [{per_unit: {input_tokens: 1.0}}],"
        " gpt-4o: [{per_million: {input_tokens: 3}}]}"
    )
    assert told(old, new) == [
        ("", "gone", JUNE, 10**9, None),
        ("", "openai/gpt-4o", JUNE, 2500, 3000),
    ]
    assert told(new, new) == []
    assert told(new, new.replace("gpt-4o", "openai/gpt-4o")) == [], "another name of the same"
    assert told(new, new.replace("same", "Same")) == [("", "Same", JUNE, 10**9, 10**9)], (
        "its version is another"
    )


def test_what_is_planned_is_told_with_its_time_and_what_is_past_is_not() -> None:
    def steps(*months: tuple[str, int]) -> str:
        each = (
            f"{{effective_at: 2026-{month}-01T00:00:00Z, per_million: {{input_tokens: {n}}}}}"
            for month, n in months
        )
        return f"models: {{a: [{', '.join(each)}]}}"

    old = steps(("01", 1), ("02", 2), ("08", 9))
    new = steps(("01", 7), ("02", 2), ("07", 3), ("08", 9))
    assert told(old, new) == [("", "a", JULY, 2000, 3000)]
    assert told(new, old) == [("", "a", JULY, 3000, 2000)]
    assert told(old, steps(("02", 4))) == [
        ("", "a", JUNE, 2000, 4000),
        ("", "a", AUGUST, 9000, 4000),
    ]


def test_an_account_is_told_of_where_it_pays_something_else_than_everyone() -> None:
    new = """
models: {gpt-4o: [{per_million: {input_tokens: 4}}]}
accounts:
  half: {markup_percent: -50}
  own: {models: {gpt-4o: [{per_million: {input_tokens: 1}}]}}
  same: {models: {a: [{per_million: {input_tokens: 1}}]}}
"""
    assert told("", new) == [
        ("", "openai/gpt-4o", JUNE, 2500, 4000),
        ("half", "openai/gpt-4o", JUNE, 2500, 2000),
        ("own", "openai/gpt-4o", JUNE, 2500, 1000),
        ("same", "a", JUNE, None, 1000),
    ]


def test_markups_are_told_by_account_and_time_without_repeating_them_for_each_model() -> None:
    old = table_of("markup_percent: 5\naccounts: {a: {markup_percent: 1}}")
    new = table_of(
        "markup_percent: [{percent: 5}, {effective_at: 2026-07-01T00:00:00Z, percent: 8}]\n"
        "accounts: {b: {markup_percent: -10}, c: {models: {x: [{per_unit: {requests: 1}}]}}}"
    )
    assert markup_changes(old, new, JUNE) == [
        MarkupChange("", JULY, Decimal(5), Decimal(8)),
        MarkupChange("a", JUNE, Decimal(1), Decimal(5)),
        MarkupChange("a", JULY, Decimal(1), Decimal(8)),
        MarkupChange("b", JUNE, Decimal(5), Decimal(-10)),
    ]
    assert markup_changes(old, old, JUNE) == []


def test_whose_reported_costs_are_trusted_is_told_once_for_everyone() -> None:
    own = "accounts: {a: {trust_reported_cost: true}, b: {markup_percent: 3}}"
    nobody = table_of("markup_percent: 0")
    assert trust_changes(nobody, table_of(own)) == [TrustChange("a", before=False, after=True)]
    everyone = table_of(f"trust_reported_cost: true\n{own}")
    assert trust_changes(nobody, everyone) == [TrustChange("", before=False, after=True)]
    assert trust_changes(table_of(own), everyone) == [
        TrustChange("", before=False, after=True),
    ]
    but_one = table_of("trust_reported_cost: true\naccounts: {a: {trust_reported_cost: false}}")
    assert trust_changes(but_one, everyone) == [TrustChange("a", before=False, after=True)]
