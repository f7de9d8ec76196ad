"""Tests markups, discounts, and accounts with prices of their own.

Marked-up prices are exact, dated, and traced to the list price.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import gcd
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter.prices import ModelPrice, PriceTable, Source, UnknownModel
from support.random_prices import QUANTITIES, model_prices

NOW_MS = 1_790_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PERCENTS = st.decimals(-100, 10_000, places=2) | st.decimals(-100, 100, places=30)

TERMS = """
markup_percent: "12.5"
models:
  acme-large:
    - per_million: {input_tokens: 2, output_tokens: 8}
accounts:
  partner:
    markup_percent: -10
  special:
    models:
      gpt-4o:
        - {effective_at: 2026-01-01T00:00:00Z, per_million: {input_tokens: 1, output_tokens: 3}}
      special-only:
        - per_million: {input_tokens: 5}
  at-cost:
    markup_percent: 0
  also-partner:
    markup_percent: "-10.00"
"""


def at(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(milliseconds=1)


def load_text(directory: Path, text: str) -> PriceTable:
    path = directory / "prices.yaml"
    path.write_text(text)
    return PriceTable.load(path)


@pytest.fixture
def table(tmp_path: Path) -> PriceTable:
    return load_text(tmp_path, TERMS)


@given(price=model_prices(), percent=PERCENTS, quantities=QUANTITIES)
def test_a_markup_is_exact_and_rounded_only_with_the_charge(
    price: ModelPrice, percent: Decimal, quantities: dict[str, int]
) -> None:
    marked = price.marked_up(percent)
    factor = 1 + Fraction(percent) / 100
    assert marked.bands() == [
        (start, {unit: rate * factor for unit, rate in rates.items()})
        for start, rates in price.bands()
    ]
    total_input = sum(n for unit, n in quantities.items() if "input" in unit)
    base, *tiers = price.bands()  # a tier above 0 is not the base: it needs some input
    rates = [base[1], *(rates for start, rates in tiers if total_input > start)][-1]
    exact = sum((n * rates[unit] * factor * 10**9 for unit, n in quantities.items()), Fraction(0))
    assert marked.cost(quantities).amount_nanos == round(exact)  # of a Fraction, half-even


@given(price=model_prices(), percent=PERCENTS)
def test_a_marked_up_price_has_a_version_of_its_own_that_names_the_list_price(
    price: ModelPrice, percent: Decimal
) -> None:
    marked = price.marked_up(percent)
    if not percent:
        assert marked is price
        return
    assert marked.version != price.version
    assert (
        gcd(
            marked.per,
            *(
                rate
                for rates in (marked.rates, *(t.rates for t in marked.tiers))
                for _, rate in rates
            ),
        )
        == 1
    )
    assert marked.version == price.marked_up(Decimal(f"{percent:.33f}")).version
    again = ModelPrice.from_json(marked.to_json())
    assert (again, again.version) == (marked, marked.version)
    assert again.markup is not None
    assert (Decimal(again.markup.percent), again.markup.listed) == (percent, price)
    assert f'"listed_version":"{price.version}"' in marked.to_json()


def test_the_markup_for_everyone_is_on_the_catalogs_prices_and_the_files(table: PriceTable) -> None:
    assert table.find("gpt-4o", NOW_MS).cost({"input_tokens": 8}).amount_nanos == 8 * 2500 * 9 // 8
    assert (
        table.find("acme-large", NOW_MS).cost({"input_tokens": 8}).amount_nanos == 8 * 2000 * 9 // 8
    )
    assert table.find("gpt-4o", NOW_MS, "anybody") is table.find("gpt-4o", NOW_MS)


def test_an_accounts_markup_goes_in_place_of_everyones(table: PriceTable) -> None:
    listed = PriceTable.load().find("gpt-4o", NOW_MS)
    assert (
        table.find("gpt-4o", NOW_MS, "partner").cost({"input_tokens": 10}).amount_nanos == 10 * 2250
    )
    assert (
        table.find("acme-large", NOW_MS, "partner").cost({"input_tokens": 10}).amount_nanos
        == 10 * 1800
    )
    assert table.find("gpt-4o", NOW_MS, "at-cost").version == listed.version
    versions = [
        table.find("gpt-4o", NOW_MS, name).version for name in ("partner", "also-partner", "")
    ]
    assert versions[0] == versions[1] != versions[2]


def test_an_accounts_own_price_is_final_from_its_date_under_all_names_of_the_model(
    table: PriceTable,
) -> None:
    for name in ("gpt-4o", "openai/gpt-4o", "gpt-4o-2024-11-20"):
        own = table.window(name, at("2026-01-01T00:00:00Z"), "special")
        assert own.price is not None
        assert (own.source, own.price.model, own.price.markup) == (
            Source.ACCOUNT,
            "openai/gpt-4o",
            None,
        )
        assert own.price.cost({"input_tokens": 10, "output_tokens": 10}).amount_nanos == 40_000
        before = table.window(name, at("2025-12-31T23:59:59.999Z"), "special")
        assert before.price == table.find(name, NOW_MS)
        assert (before.source, before.until_ms) == (Source.CATALOG, at("2026-01-01T00:00:00Z"))
    assert table.find("azure/gpt-4o", NOW_MS, "special").model == "azure/gpt-4o"


def test_a_model_of_one_account_is_unknown_to_the_others(table: PriceTable) -> None:
    assert (
        table.find("special-only", NOW_MS, "special").cost({"input_tokens": 1}).amount_nanos == 5000
    )
    for account in ("", "partner", "Special"):
        with pytest.raises(UnknownModel):
            table.find("special-only", NOW_MS, account)
    assert "special-only" in set(table.models("special")) - set(table.models())


def test_markups_change_on_their_dates(tmp_path: Path) -> None:
    first = "2026-01-01T00:00:00Z"
    second = "2026-02-01T01:00:00+01:00"
    steps = f"[{{effective_at: {first}, percent: 10}}, {{effective_at: '{second}', percent: -50}}]"
    own = "accounts: {acme: {markup_percent: [{effective_at: 2026-01-15T00:00:00Z, percent: 100}]}}"
    table = load_text(tmp_path, f"markup_percent: {steps}\n{own}")

    def nanos(time: str, account: str = "") -> int:
        return table.find("gpt-4o", at(time), account).cost({"input_tokens": 2}).amount_nanos

    times = [
        "2026-01-31T23:59:59.999Z",
        "2025-12-31T23:59:59.999Z",
        first,
        "2026-02-01T00:00:00Z",
        first,
    ]
    assert [nanos(time) for time in times] == [5500, 5000, 5500, 2500, 5500]
    days = [f"2026-01-{day}T00:00:00Z" for day in ("01", "14", "15", "31")]
    assert [nanos(day, "acme") for day in days] == [5500, 5500, 10_000, 10_000]


def test_a_discount_of_all_is_free_and_a_markup_of_nothing_stays_free(tmp_path: Path) -> None:
    table = load_text(tmp_path, "markup_percent: -100\nmodels: {a: [{per_unit: {requests: 0}}]}")
    for model in ("gpt-4o", "a"):
        price = table.find(model, NOW_MS)
        assert {rate for _, rates in price.bands() for rate in rates.values()} == {0}
    assert table.find("gpt-4o", NOW_MS).cost({"input_tokens": 10**12}).amount_nanos == 0


def test_tiers_and_least_quantities_are_marked_up_alike(tmp_path: Path) -> None:
    table = load_text(tmp_path, "markup_percent: 20")
    gemini = table.find("gemini-2.5-pro", NOW_MS)
    whisper = table.find("groq/whisper-large-v3", NOW_MS)
    assert gemini.cost({"input_tokens": 200_000}).amount_nanos == 200_000 * 1500
    assert gemini.cost({"input_tokens": 200_001}).amount_nanos == 200_001 * 3000
    assert [
        (line.quantity, line.amount_nanos) for line in whisper.cost({"audio_seconds": 3}).lines
    ] == [(10, 370_000)]


def test_prices_of_accounts_do_not_fill_memory(tmp_path: Path) -> None:
    accounts = "\n".join(
        f"  account-{number}: {{markup_percent: {number}}}" for number in range(1, 40)
    )
    table = load_text(tmp_path, f"accounts:\n{accounts}")
    for number in range(1, 40):
        for model in range(200):
            assert table.find(f"claude-sonnet-4-5-{model}", NOW_MS, f"account-{number}").markup
    for number in range(5000):
        table.find("gpt-4o", NOW_MS, f"nobody-{number}")
    assert table._listing.cache_info().currsize <= 4096
