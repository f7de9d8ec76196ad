"""From prices of single units, in exact fractions, to a model's price over one common divisor."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import lcm

from meter.prices.price import PICO_PER_CREDIT, ModelPrice, Rates, Tier
from meter.prices.units import with_fallbacks


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """Picos per unit: `base`, or the last of `tiers` (start, price) that starts below the call's input
    tokens.
    """

    base: Fraction
    tiers: tuple[tuple[int, Fraction], ...] = ()

    def above(self, start: int) -> Fraction:
        """The price for a call of just over `start` input tokens."""
        applicable = [price for tier_start, price in self.tiers if tier_start <= start]
        return applicable[-1] if applicable else self.base


def picos(credits_each: Decimal, per: int) -> Fraction:
    """Exact picos per unit of a price of `credits_each` for every `per` units."""
    return Fraction(credits_each) * PICO_PER_CREDIT / per


def compile_price(
    model: str, currency: str, given: Mapping[str, UnitPrice], minimums: Rates = ()
) -> ModelPrice | None:
    """The price of a model whose units have `given` prices; None if there are none, which is not a
    price of zero.
    """
    if not given:
        return None
    prices = with_fallbacks(given)
    starts = sorted({start for price in prices.values() for start, _ in price.tiers})
    base = {unit: price.base for unit, price in prices.items()}
    above = {
        start: {unit: price.above(start) for unit, price in prices.items()} for start in starts
    }
    per = lcm(*(rate.denominator for rates in (base, *above.values()) for rate in rates.values()))
    tiers = tuple(Tier(start, _numerators(rates, per)) for start, rates in above.items())
    return ModelPrice(model, currency, per, _numerators(base, per), tiers, minimums)


def _numerators(rates: Mapping[str, Fraction], per: int) -> Rates:
    return tuple((unit, int(rate * per)) for unit, rate in rates.items())
