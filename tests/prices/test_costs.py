"""Tests how a price charges usage: rounded once, shared exactly, and what an amount can buy.

Also that a price keeps its version.
"""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter.prices import UNITS, ModelPrice, PriceTable, Tier
from meter.prices.fallbacks import with_fallbacks, without_repeats
from meter.prices.price import in_unit_order
from support.random_prices import PRICED, QUANTITIES, model_prices

NOW_MS = 1_790_000_000_000


@given(st.dictionaries(st.sampled_from(list(UNITS)), st.integers(0, 2)))
def test_leaving_out_what_repeats_the_more_general_unit_loses_nothing(
    given_prices: dict[str, int],
) -> None:
    every = with_fallbacks(given_prices)
    told = without_repeats(every)
    assert every.items() <= with_fallbacks(told).items()
    assert told.items() <= every.items()


@given(price=model_prices(), quantities=QUANTITIES)
def test_the_lines_sum_to_the_amount_and_each_is_within_a_nano_of_exact(
    price: ModelPrice, quantities: dict[str, int]
) -> None:
    cost = price.cost(quantities)
    total_input = sum(quantities.get(unit, 0) for unit in PRICED[:3])
    applicable = [tier.rates for tier in price.tiers if total_input > tier.above_input_tokens]
    rates = dict(applicable[-1] if applicable else price.rates)
    exact = {
        unit: Fraction(n * rates[unit], price.per * 1000) for unit, n in quantities.items() if n
    }
    assert cost.amount_nanos == round(sum(exact.values(), Fraction(0)))  # of a Fraction, half-even
    assert cost.amount_nanos == sum(line.amount_nanos for line in cost.lines)
    assert cost == price.cost(dict(reversed(quantities.items())))
    assert {line.unit: line.quantity for line in cost.lines} == {
        unit: n for unit, n in quantities.items() if n
    }
    assert all(
        line.amount_nanos >= 0 and abs(line.amount_nanos - exact[line.unit]) < 1
        for line in cost.lines
    )


@given(price=model_prices(), quantities=QUANTITIES, more=QUANTITIES)
def test_more_usage_never_costs_less(
    price: ModelPrice, quantities: dict[str, int], more: dict[str, int]
) -> None:
    sums = {unit: quantities.get(unit, 0) + more.get(unit, 0) for unit in PRICED}
    assert price.cost(sums).amount_nanos >= price.cost(quantities).amount_nanos


@given(
    price=model_prices(),
    quantities=QUANTITIES,
    available=st.integers(-5, 5000) | st.integers(0, 2**63 - 1),
)
def test_the_affordable_output_tokens_are_affordable_and_one_more_is_not(
    price: ModelPrice, quantities: dict[str, int], available: int
) -> None:
    def cost_with(output_tokens: int) -> int:
        return price.cost({**quantities, "output_tokens": output_tokens}).amount_nanos

    affordable = price.affordable_output_tokens(quantities, available)
    if affordable is None:
        assert cost_with(2**53) == cost_with(0) <= available
    else:
        assert affordable == 0 or cost_with(affordable) <= available
        assert affordable == 2**53 or cost_with(affordable + 1) > available


@given(
    price=model_prices(),
    quantities=QUANTITIES,
    nanos=st.integers(-5, 5000) | st.integers(0, 2**63 - 1),
)
def test_an_amount_buys_so_many_requests_each_rounded_by_itself_and_no_more(
    price: ModelPrice, quantities: dict[str, int], nanos: int
) -> None:
    each = price.cost(quantities).amount_nanos
    requests = price.affordable_requests(quantities, nanos)
    if requests is None:
        assert each == 0
    else:
        assert requests * each <= max(0, nanos) < (requests + 1) * each


def test_requests_that_round_up_are_counted_as_they_are_charged() -> None:
    price = ModelPrice("acme/a", "USD", 1, (("input_tokens", 1500),))
    assert price.affordable_requests({"input_tokens": 1}, 3) == 1, (
        "two nanos each, not one and a half"
    )
    assert price.affordable_requests({}, 3) is None


def test_half_a_nano_is_affordable_where_it_rounds_down_and_never_more_than_a_usage_may_hold() -> (
    None
):
    price = ModelPrice("acme/a", "USD", 1, (("output_tokens", 500),))
    assert [price.affordable_output_tokens({}, nanos) for nanos in (-1, 0, 1, 2, 3)] == [
        0,
        1,
        2,
        5,
        6,
    ]
    assert price.affordable_output_tokens({}, 2**63 - 1) == 2**53


def test_output_tokens_without_a_price_limit_nothing() -> None:
    price = ModelPrice("acme/embed", "USD", 1, (("input_tokens", 5000),))
    assert price.affordable_output_tokens({"input_tokens": 2, "output_tokens": 9}, 10) is None
    assert price.affordable_output_tokens({"input_tokens": 2}, 9) == 0


@given(price=model_prices())
def test_a_price_survives_its_json_and_keeps_its_version(price: ModelPrice) -> None:
    again = ModelPrice.from_json(price.to_json())
    assert again == price
    assert (again.version, again.to_json()) == (price.version, price.to_json())


def test_json_that_is_not_a_price_is_refused() -> None:
    text = ModelPrice("acme/a", "USD", 1, (("input_tokens", 5),)).to_json()
    for wrong in (
        "",
        "[]",
        "{}",
        text + " ",
        text.replace(":5", ":5.0"),
        text.replace('"per":1', '"per":1,"x":2'),
    ):
        with pytest.raises(ValueError, match=r"not the|float|Expecting"):
            ModelPrice.from_json(wrong)


def test_the_total_is_rounded_once_half_even_and_shared_by_largest_remainder() -> None:
    price = ModelPrice(
        "acme/a", "USD", 1, in_unit_order({"input_tokens": 500, "output_tokens": 1, "requests": 0})
    )

    def shares(**quantities: int) -> list[int]:
        return [line.amount_nanos for line in price.cost({"requests": 0, **quantities}).lines]

    assert [shares(input_tokens=1), shares(input_tokens=3), shares(input_tokens=5)] == [
        [0],
        [2],
        [2],
    ]
    assert shares(input_tokens=1, output_tokens=1) == [1, 0]
    assert shares(output_tokens=500, input_tokens=1) == [
        1,
        0,
    ]  # a tie goes to the first in unit order
    assert shares(input_tokens=1, output_tokens=900) == [0, 1]
    assert shares(input_tokens=2**53, output_tokens=2**53) == [2**52, 9_007_199_254_741]


def test_a_version_is_the_same_in_every_process_and_differs_with_any_part_of_the_price() -> None:
    base = ModelPrice("acme/a", "USD", 1, (("input_tokens", 5), ("cached_input_tokens", 1)))
    assert base.version == "2503cd8e4e7d"
    others = [
        ModelPrice("acme/b", "USD", 1, base.rates),
        ModelPrice("acme/a", "EUR", 1, base.rates),
        ModelPrice("acme/a", "USD", 2, base.rates),
        ModelPrice("acme/a", "USD", 1, (("input_tokens", 6),)),
        ModelPrice("acme/a", "USD", 1, base.rates, (Tier(1, base.rates),)),
        ModelPrice("acme/a", "USD", 1, base.rates, (), (("input_tokens", 1),)),
    ]
    assert len({price.version for price in [base, *others]}) == 7
    script = (
        "from meter.prices import PriceTable;"
        f" print(PriceTable.load().find('gemini-2.5-pro', {NOW_MS}).version)"
    )
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "4711",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    other = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    here = PriceTable.load().find("gemini-2.5-pro", NOW_MS)
    assert other.stdout.strip() == here.version
