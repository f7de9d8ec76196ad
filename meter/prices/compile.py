"""Compiles the prices of single units, exact fractions, into a model's price over one divisor."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import lcm

from meter.prices.fallbacks import multiples_of_input, with_fallbacks
from meter.prices.price import PICO_PER_CREDIT, ModelPrice, Rates, Tier

_UnitRates = dict[str, Fraction]  # picos by unit
_RatesByStart = dict[int, _UnitRates]  # by the input tokens above which a tier's rates hold


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """Holds a unit's price in picos: `base`, and `tiers` of (start, price).

    The last tier that starts below the call's input tokens replaces the base.
    """

    base: Fraction
    tiers: tuple[tuple[int, Fraction], ...] = ()

    def above(self, start: int) -> Fraction:
        """Returns the price for a call of just over `start` input tokens."""
        price = self.base
        for tier_start, tier_price in self.tiers:
            if tier_start <= start:
                price = tier_price
        return price

    def times(self, factor: Fraction) -> "UnitPrice":
        """Returns the price, in each tier, times `factor`."""
        tiers = [(start, price * factor) for start, price in self.tiers]
        return UnitPrice(self.base * factor, tuple(tiers))


def picos(credits_each: Decimal, per: int) -> Fraction:
    """Returns the exact picos per unit of a price of `credits_each` for every `per` units."""
    return Fraction(credits_each) * PICO_PER_CREDIT / per


def compile_price(
    model: str,
    currency: str,
    given: Mapping[str, UnitPrice],
    minimums: Rates = (),
    service_tier: str = "",
) -> ModelPrice | None:
    """Returns the price of a model whose units have `given` prices.

    None if there are no prices: a model without a price is not a model with a price of zero.
    """
    if not given:
        return None
    prices = with_fallbacks(_with_multiples(given, model), model)
    base = {unit: price.base for unit, price in prices.items()}
    above = _rates_by_start(prices)
    per = _common_divisor([base, *above.values()])
    return ModelPrice(
        model=model,
        currency=currency,
        per=per,
        rates=_numerators(base, per),
        tiers=_tiers(above, per),
        minimums=minimums,
        service_tier=service_tier,
    )


def _with_multiples(given: Mapping[str, UnitPrice], model: str) -> dict[str, UnitPrice]:
    """Returns the given prices, and those that the model's maker makes from the input's price."""
    prices = dict(given)
    for unit, factor in multiples_of_input(given, model).items():
        prices[unit] = given["input_tokens"].times(factor)
    return prices


def _rates_by_start(prices: Mapping[str, UnitPrice]) -> _RatesByStart:
    return {start: _rates_above(prices, start) for start in _tier_starts(prices.values())}


def _rates_above(prices: Mapping[str, UnitPrice], start: int) -> _UnitRates:
    """Returns the rates of a call of just over `start` input tokens."""
    return {unit: price.above(start) for unit, price in prices.items()}


def _tier_starts(prices: Iterable[UnitPrice]) -> list[int]:
    starts: set[int] = set()
    for price in prices:
        starts.update(start for start, _ in price.tiers)
    return sorted(starts)


def _common_divisor(every_rates: Iterable[_UnitRates]) -> int:
    per = 1
    for rates in every_rates:
        per = lcm(per, *(rate.denominator for rate in rates.values()))
    return per


def _tiers(above: _RatesByStart, per: int) -> tuple[Tier, ...]:
    return tuple(Tier(start, _numerators(rates, per)) for start, rates in above.items())


def _numerators(rates: _UnitRates, per: int) -> Rates:
    return tuple((unit, int(rate * per)) for unit, rate in rates.items())
