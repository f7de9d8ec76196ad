"""Holds one model's price in force, and charges usage by the price in exact integers.

Prices are pico-credits per unit (10^-12 credit), as numerators over one common divisor `per`: 1 for
nearly every model, more where a price is no whole number of picos (an hour's price, per second). A
charge is rounded once, at its end (charge.py).
"""

import hashlib
import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from math import gcd
from typing import Any, NoReturn

from meter.prices.charge import Charge, Cost, cost_of, output_tokens_within
from meter.prices.errors import UnpricedUnit
from meter.prices.units import INPUT_TOKEN_UNITS, unit_order

PICO_PER_NANO = 1000
PICO_PER_CREDIT = 10**12
VERSION_DIGITS = 12

Rates = tuple[tuple[str, int], ...]  # (unit, picos x per), in unit order


@dataclass(frozen=True, slots=True)
class Tier:
    """Holds the rates of a call with more than `above_input_tokens` input tokens.

    Input tokens of all kinds count, and the rates hold for all units of the call.
    """

    above_input_tokens: int
    rates: Rates

    def content(self) -> dict[str, Any]:
        """Returns the tier as JSON has it."""
        return {
            "above_input_tokens": self.above_input_tokens,
            "pico": dict(self.rates),
        }


@dataclass(frozen=True, slots=True)
class Markup:
    """Says how a price was made from a list price.

    `percent` is a plain decimal; a percentage below zero is a discount.
    """

    percent: str
    listed: "ModelPrice"

    def content(self) -> dict[str, Any]:
        """Returns the markup, with the whole list price, as JSON has it."""
        return {
            "listed": self.listed.content(),
            "listed_version": self.listed.version,
            "percent": self.percent,
        }


_Band = dict[str, tuple[int, int]]  # unit -> (place in unit order, picos x per)


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """Holds what a model's units cost during one period.

    A price is immutable; equal prices have equal versions in every process. `minimums` are the
    least quantities charged for a unit that was used at all. Usage of a model with a price per
    request counts as one request unless the usage says how many. `markup` tells where the rates,
    which include the markup, come from. `service_tier` is empty for the standard service.
    """

    model: str
    currency: str
    per: int
    rates: Rates
    tiers: tuple[Tier, ...] = ()
    minimums: Rates = ()
    markup: Markup | None = None
    service_tier: str = ""
    version: str = field(init=False, compare=False)
    _scale: int = field(init=False, compare=False, repr=False)
    _starts: tuple[int, ...] = field(init=False, compare=False, repr=False)
    _bands: tuple[_Band, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha256(self.to_json().encode()).hexdigest()
        starts = tuple(tier.above_input_tokens for tier in self.tiers)
        bands = tuple(map(_band, self._every_rates()))
        # The dataclass is frozen: its derived fields are set past the guard.
        object.__setattr__(self, "version", digest[:VERSION_DIGITS])
        object.__setattr__(self, "_scale", PICO_PER_NANO * self.per)
        object.__setattr__(self, "_starts", starts)
        object.__setattr__(self, "_bands", bands)

    def cost(self, quantities: Mapping[str, int]) -> Cost:
        """Returns the cost of `quantities` by unit, rounded once, half-even, to the nano.

        The quantities must not overlap. Lines share the total by largest remainder, ties in unit
        order; a quantity of zero has no line. Raises UnpricedUnit for a quantity above zero without
        a price, ValueError for a quantity below zero.
        """
        charges = self._charges(quantities)
        if not charges:
            return Cost(0, ())
        return cost_of(charges, self._scale)

    def affordable_requests(
        self,
        quantities: Mapping[str, int],
        nanos: int,
    ) -> int | None:
        """Returns how many requests of these `quantities` each `nanos` buys.

        Every request is rounded and charged by itself. None when a request costs nothing. Raises as
        `cost` does.
        """
        each = self.cost(quantities).amount_nanos
        if not each:
            return None
        return max(0, nanos) // each

    def affordable_output_tokens(
        self,
        quantities: Mapping[str, int],
        available_nanos: int,
    ) -> int | None:
        """Returns how many output tokens `available_nanos` buys after all else in `quantities`.

        The answer is at most 2^53, and 0 when not even the rest is affordable. None when output
        tokens cost nothing or have no price.
        """
        # Charged with one output token, so that a price per request is in the rest even if nothing
        # else was used.
        with_output = {**quantities, "output_tokens": 1}
        charges = self._charges(with_output, unpriced="output_tokens")
        return output_tokens_within(available_nanos, charges, self._scale)

    def marked_up(self, percent: Decimal) -> "ModelPrice":
        """Returns the price with `percent` added to each rate, exactly; 0 changes nothing."""
        if not percent:
            return self
        factor = 1 + Fraction(percent) / 100
        per = self.per * factor.denominator
        raised = [_multiplied(rates, factor.numerator) for rates in self._every_rates()]
        markup = Markup(_plain(percent), listed=self)
        return self._with_rates(raised, per, markup)

    def _with_rates(
        self,
        every_rates: Sequence[Rates],
        per: int,
        markup: Markup,
    ) -> "ModelPrice":
        """Returns the price with other rates, over `per` reduced to the smallest divisor."""
        common = gcd(per, *_numerators(every_rates))
        base, *above = [_divided(rates, common) for rates in every_rates]
        return replace(
            self,
            per=per // common,
            rates=base,
            tiers=self._tiers_with(above),
            markup=markup,
        )

    def _tiers_with(self, every_rates: Sequence[Rates]) -> tuple[Tier, ...]:
        """Returns the tiers with other rates."""
        tiers = []
        for tier, rates in zip(self.tiers, every_rates, strict=True):
            tiers.append(replace(tier, rates=rates))
        return tuple(tiers)

    def bands(self) -> list[tuple[int, dict[str, Fraction]]]:
        """Returns the credits per unit, exact, by the input tokens above which they hold.

        The first band is above 0 tokens; each tier's band follows.
        """
        scale = PICO_PER_CREDIT * self.per
        starts = (0, *self._starts)
        credits_by_unit = [_fractions(rates, scale) for rates in self._every_rates()]
        return list(zip(starts, credits_by_unit, strict=True))

    def to_json(self) -> str:
        """Returns the canonical JSON, without floats.

        The version is the hash of this text, and the ledger keeps the text.
        """
        return json.dumps(
            self.content(),
            sort_keys=True,
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> "ModelPrice":
        """Returns the price that `to_json` wrote; raises ValueError for any other text."""
        try:
            price = _from_content(json.loads(text, parse_float=_refuse_float))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not the JSON of a model's price: {error!r}") from error
        if price.to_json() != text:
            raise ValueError(f"not the canonical JSON of a price of {price.model!r}")
        return price

    def content(self) -> dict[str, Any]:
        """Returns what `to_json` writes."""
        content = {
            "currency": self.currency,
            "minimums": dict(self.minimums),
            "model": self.model,
            "per": self.per,
            "pico": dict(self.rates),
            "tiers": [tier.content() for tier in self.tiers],
        }
        # Left out where there is none, so that the versions of list prices do not change.
        if self.service_tier:
            content["service_tier"] = self.service_tier
        if self.markup:
            content["markup"] = self.markup.content()
        return content

    def _every_rates(self) -> tuple[Rates, ...]:
        return (self.rates, *(tier.rates for tier in self.tiers))

    def _charges(
        self,
        quantities: Mapping[str, int],
        unpriced: str | None = None,
    ) -> list[Charge]:
        """Returns unrounded charges in unit order; the unit named `unpriced` may have no price."""
        if self.minimums:
            quantities = self._raised_to_minimums(quantities)
        band = self._band_of(quantities)
        charges = []
        for unit, quantity in quantities.items():
            if not quantity:
                continue
            rate = band.get(unit)
            if rate is not None and quantity > 0:
                charges.append((rate[0], unit, quantity, quantity * rate[1]))
            elif unit != unpriced:
                self._refuse(unit, quantity)
        if charges and "requests" in band and "requests" not in quantities:
            place, rate_per_request = band["requests"]
            charges.append((place, "requests", 1, rate_per_request))
        charges.sort()
        return charges

    def _band_of(self, quantities: Mapping[str, int]) -> _Band:
        if not self._starts:
            return self._bands[0]
        input_tokens = [
            quantity for unit, quantity in quantities.items() if unit in INPUT_TOKEN_UNITS
        ]
        place = bisect_left(self._starts, sum(input_tokens))
        return self._bands[place]

    def _raised_to_minimums(self, quantities: Mapping[str, int]) -> Mapping[str, int]:
        raised = dict(quantities)
        for unit, least in self.minimums:
            if raised.get(unit, 0) > 0:
                raised[unit] = max(raised[unit], least)
        return raised

    def _refuse(self, unit: str, quantity: int) -> NoReturn:
        if quantity < 0:
            raise ValueError(f"quantity of {unit} is {quantity}; it must not be negative")
        raise UnpricedUnit(self.model, unit)


def in_unit_order(rates: Mapping[str, int]) -> Rates:
    """Returns the pairs of `rates`, in the order of invoice lines."""
    in_order = sorted(rates.items(), key=lambda rate: unit_order(rate[0]))
    return tuple(in_order)


def _band(rates: Rates) -> _Band:
    band = {}
    for place, (unit, rate) in enumerate(rates):
        band[unit] = (place, rate)
    return band


def _multiplied(rates: Rates, factor: int) -> Rates:
    return tuple((unit, rate * factor) for unit, rate in rates)


def _divided(rates: Rates, divisor: int) -> Rates:
    return tuple((unit, rate // divisor) for unit, rate in rates)


def _fractions(rates: Rates, scale: int) -> dict[str, Fraction]:
    return {unit: Fraction(rate, scale) for unit, rate in rates}


def _numerators(every_rates: Sequence[Rates]) -> Iterator[int]:
    for rates in every_rates:
        for _, rate in rates:
            yield rate


def _plain(value: Decimal) -> str:
    """Returns all digits without trailing zeros; Decimal's own normalize() would round to 28."""
    text = f"{value:f}"
    if "." not in text:
        return text
    return text.rstrip("0").rstrip(".")


def _from_content(content: Mapping[str, Any]) -> ModelPrice:
    tiers = [_read_tier(each) for each in content["tiers"]]
    return ModelPrice(
        model=content["model"],
        currency=content["currency"],
        per=content["per"],
        rates=in_unit_order(content["pico"]),
        tiers=tuple(tiers),
        minimums=in_unit_order(content["minimums"]),
        markup=_read_markup(content.get("markup")),
        service_tier=content.get("service_tier", ""),
    )


def _read_tier(content: Mapping[str, Any]) -> Tier:
    rates = in_unit_order(content["pico"])
    return Tier(content["above_input_tokens"], rates)


def _read_markup(content: Mapping[str, Any] | None) -> Markup | None:
    if not content:
        return None
    listed = _from_content(content["listed"])
    return Markup(content["percent"], listed)


def _refuse_float(text: str) -> NoReturn:
    raise ValueError(f"a price has no floats, but {text} was found")
