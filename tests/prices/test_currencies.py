"""Tests that a price file in another currency hides no price of the catalog's."""

from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest

from meter.prices import PriceTable, UnknownModel
from meter.prices.diff import price_changes, rate_changes

NOW_MS = 1_790_000_000_000
YEN = """
currency: JPY
markup_percent: 10
models:
  gpt-4o: [{per_million: {input_tokens: 375, output_tokens: 1500}}]
  acme-large: [{per_million: {input_tokens: 100}}]
  fast: {same_as: gpt-4o}
"""


def under(text: str) -> PriceTable:
    return PriceTable.under(Path("prices.yaml"), text.encode())


@pytest.fixture(scope="module")
def table() -> PriceTable:
    return under(YEN)


@pytest.mark.parametrize(
    ("model", "currency", "priced_in", "input_nanos"),
    [
        ("gpt-4o", "JPY", "JPY", 412_500),
        ("gpt-4o", "USD", "USD", 2_750),
        ("fast", "JPY", "JPY", 412_500),
        ("fast", "USD", "USD", 2_750),
        ("gpt-4o", "", "JPY", 412_500),
        ("o3", "USD", "USD", 2_200),
        ("acme-large", "JPY", "JPY", 110_000),
    ],
)
def test_a_model_has_a_price_for_each_currency(
    table: PriceTable, model: str, currency: str, priced_in: str, input_nanos: int
) -> None:
    price = table.find(model, NOW_MS, "", currency)
    assert (price.currency, price.cost({"input_tokens": 1}).amount_nanos) == (
        priced_in,
        input_nanos,
    )
    assert table.window(model, NOW_MS, "", currency).price is price


@pytest.mark.parametrize(
    ("model", "currency", "priced_in"),
    [("o3", "JPY", "USD"), ("acme-large", "USD", "JPY"), ("gpt-4o", "EUR", "JPY")],
)
def test_a_model_without_a_price_in_a_currency_has_the_price_that_it_has(
    table: PriceTable, model: str, currency: str, priced_in: str
) -> None:
    assert table.window(model, NOW_MS, "", currency).price is None
    assert table.find(model, NOW_MS, "", currency).currency == priced_in


def test_an_unknown_model_is_unknown_in_every_currency(table: PriceTable) -> None:
    with pytest.raises(UnknownModel):
        table.find("gpt-none", NOW_MS, "", "JPY")


def test_a_table_knows_which_currencies_it_has() -> None:
    assert under(YEN).currencies == {"USD", "JPY"}
    assert under("currency: JPY\nmarkup_percent: 3").currencies == {"USD"}
    assert PriceTable.load().currencies == {"USD"}


def test_prices_are_compared_with_prices_in_the_same_currency(table: PriceTable) -> None:
    before = under("markup_percent: 10")
    changes = price_changes(before, table, NOW_MS)
    told = [(change.model, change.before, change.after) for change in changes]
    assert [(model, old) for model, old, _ in told] == [
        ("acme-large", None),
        ("openai/gpt-4o", None),
    ]
    assert {new.currency for _, _, new in told if new} == {"JPY"}


def test_no_percentage_is_told_between_two_currencies(table: PriceTable) -> None:
    dollars = table.find("gpt-4o", NOW_MS, "", "USD")
    yen = table.find("gpt-4o", NOW_MS, "", "JPY")
    changes = rate_changes(dollars, yen)
    assert [change.percent for change in changes] == [None] * len(changes)
    assert changes[0].after == Fraction(375 * 11, 10**7)


def test_a_currency_keeps_its_price_until_the_files_price_begins() -> None:
    table = under(
        "currency: JPY\nmodels: {gpt-4o: [{effective_at: 2099-01-01T00:00:00Z,"
        " per_million: {input_tokens: 375}}]}"
    )
    begins_ms = int(datetime(2099, 1, 1, tzinfo=UTC).timestamp()) * 1000
    assert table.find("gpt-4o", begins_ms - 1, "", "JPY").currency == "USD"
    assert table.find("gpt-4o", begins_ms, "", "JPY").currency == "JPY"
    assert table.find("gpt-4o", begins_ms, "", "USD").currency == "USD"
