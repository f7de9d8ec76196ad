"""One model's price in force, and what usage costs under it, in exact integers.

Prices are pico-credits per unit (10^-12 credit), as numerators over one common divisor `per`: 1 for
nearly every model, more where a price is no whole number of picos (an hour's, per second). A charge
is rounded once, at its end.
"""

import hashlib
import json
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from math import gcd
from typing import Any, NamedTuple, NoReturn

from meter.prices.errors import UnpricedUnit
from meter.prices.units import INPUT_TOKEN_UNITS, unit_order

PICO_PER_NANO = 1000
PICO_PER_CREDIT = 10**12
MAX_QUANTITY = 2**53
VERSION_DIGITS = 12

Rates = tuple[tuple[str, int], ...]  # (unit, picos x per), in unit order


class CostLine(NamedTuple):
    """What one unit's `quantity` cost."""

    unit: str
    quantity: int
    amount_nanos: int


class Cost(NamedTuple):
    """What usage cost; the lines, in unit order, sum to `amount_nanos` exactly."""

    amount_nanos: int
    lines: tuple[CostLine, ...]


@dataclass(frozen=True, slots=True)
class Tier:
    """The rates of a call with more than `above_input_tokens` input tokens of all kinds, for all of
    its units.
    """

    above_input_tokens: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class Markup:
    """What makes a price of a list price: a percentage, as a plain decimal; below zero it is a
    discount.
    """

    percent: str
    listed: "ModelPrice"


_Band = dict[str, tuple[int, int]]  # unit -> (place in unit order, picos x per)
_Charge = tuple[int, str, int, int]  # place, unit, quantity, quantity x picos x per


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """What a model's units cost during one period. Immutable; equal prices have equal versions in
    every process.

    `minimums` are the least quantities charged for a unit that was used at all. Usage of a model
    with a price per request counts as one request unless it says how many. `markup` tells where the
    rates, which include it, come from.
    """

    model: str
    currency: str
    per: int
    rates: Rates
    tiers: tuple[Tier, ...] = ()
    minimums: Rates = ()
    markup: Markup | None = None
    version: str = field(init=False, compare=False)
    _scale: int = field(init=False, compare=False, repr=False)
    _starts: tuple[int, ...] = field(init=False, compare=False, repr=False)
    _bands: tuple[_Band, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "version", hashlib.sha256(self.to_json().encode()).hexdigest()[:VERSION_DIGITS]
        )
        object.__setattr__(self, "_scale", PICO_PER_NANO * self.per)
        object.__setattr__(self, "_starts", tuple(tier.above_input_tokens for tier in self.tiers))
        object.__setattr__(self, "_bands", tuple(map(_band, self._every_rates())))

    def cost(self, quantities: Mapping[str, int]) -> Cost:
        """The cost of non-overlapping `quantities` by unit, rounded once, half-even, to the nano.

        Lines share the total by largest remainder, ties in unit order; a quantity of zero has no
        line. Raises UnpricedUnit for a quantity above zero that this model has no price for,
        ValueError for one below zero.
        """
        charges = self._charges(quantities)
        if not charges:
            return Cost(0, ())
        amount_nanos = _half_even(sum([charge[3] for charge in charges]), self._scale)
        shares = _shares(charges, self._scale, amount_nanos)
        lines = [
            CostLine(unit, quantity, share)
            for (_, unit, quantity, _), share in zip(charges, shares, strict=True)
        ]
        return Cost(amount_nanos, tuple(lines))

    def affordable_requests(self, quantities: Mapping[str, int], nanos: int) -> int | None:
        """How many requests of these `quantities` each `nanos` buys, every one rounded and charged by
        itself.

        None when one costs nothing. Raises as `cost` does.
        """
        each = self.cost(quantities).amount_nanos
        return max(0, nanos) // each if each else None

    def affordable_output_tokens(
        self, quantities: Mapping[str, int], available_nanos: int
    ) -> int | None:
        """How many output tokens `available_nanos` buys after everything else in `quantities`, at most
        2^53.

        0 when not even the rest is affordable; None when output tokens cost nothing or have no
        price.
        """
        # Charged with one output token, so that a price per request is in the rest even if nothing
        # else was used.
        charges = self._charges({**quantities, "output_tokens": 1}, unpriced="output_tokens")
        output = sum(charge[3] for charge in charges if charge[1] == "output_tokens")
        rest = sum(charge[3] for charge in charges) - output
        most = _most_within(available_nanos, self._scale)
        if rest > most:
            return 0
        return min((most - rest) // output, MAX_QUANTITY) if output else None

    def marked_up(self, percent: Decimal) -> "ModelPrice":
        """This price with `percent` added to each rate, exactly; by 0 it is this one."""
        if not percent:
            return self
        factor = 1 + Fraction(percent) / 100
        every_rates = [
            [(unit, rate * factor.numerator) for unit, rate in rates]
            for rates in self._every_rates()
        ]
        per = self.per * factor.denominator
        common = gcd(per, *(rate for rates in every_rates for _, rate in rates))
        base, *tiers = (
            tuple((unit, rate // common) for unit, rate in rates) for rates in every_rates
        )
        return replace(
            self,
            per=per // common,
            rates=base,
            tiers=tuple(
                Tier(tier.above_input_tokens, rates)
                for tier, rates in zip(self.tiers, tiers, strict=True)
            ),
            markup=Markup(_plain(percent), self),
        )

    def bands(self) -> list[tuple[int, dict[str, Fraction]]]:
        """Credits per unit, exact, by the input tokens above which they hold: 0, then each
        tier's.
        """
        scale = PICO_PER_CREDIT * self.per
        fractions = [
            {unit: Fraction(rate, scale) for unit, rate in rates} for rates in self._every_rates()
        ]
        return list(zip((0, *self._starts), fractions, strict=True))

    def to_json(self) -> str:
        """Canonical JSON, without floats: what a version is the hash of, and what the ledger keeps of
        it.
        """
        return json.dumps(self._content(), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "ModelPrice":
        """The price that `to_json` wrote; ValueError if it did not write `text`."""
        try:
            price = _from_content(json.loads(text, parse_float=_refuse_float))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not the JSON of a model's price: {error!r}") from error
        if price.to_json() != text:
            raise ValueError(f"not the canonical JSON of a price of {price.model!r}")
        return price

    def _content(self) -> dict[str, Any]:
        tiers = [
            {"above_input_tokens": tier.above_input_tokens, "pico": dict(tier.rates)}
            for tier in self.tiers
        ]
        content = {
            "currency": self.currency,
            "minimums": dict(self.minimums),
            "model": self.model,
            "per": self.per,
        }
        content |= {"pico": dict(self.rates), "tiers": tiers}
        if (
            self.markup
        ):  # left out where there is none, so that versions of list prices stay as they were
            listed = self.markup.listed
            content["markup"] = {
                "listed": listed._content(),
                "listed_version": listed.version,
                "percent": self.markup.percent,
            }
        return content

    def _every_rates(self) -> tuple[Rates, ...]:
        return (self.rates, *(tier.rates for tier in self.tiers))

    def _charges(self, quantities: Mapping[str, int], unpriced: str | None = None) -> list[_Charge]:
        """Unrounded charges in unit order; the unit named `unpriced` may have no price."""
        if self.minimums:
            quantities = self._raised_to_minimums(quantities)
        band = self._band_of(quantities)
        charges = []
        for unit, quantity in quantities.items():
            if quantity:
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
        total = sum(
            [quantity for unit, quantity in quantities.items() if unit in INPUT_TOKEN_UNITS]
        )
        return self._bands[bisect_left(self._starts, total)]

    def _raised_to_minimums(self, quantities: Mapping[str, int]) -> Mapping[str, int]:
        raised = {
            unit: max(quantities[unit], least)
            for unit, least in self.minimums
            if quantities.get(unit, 0) > 0
        }
        return {**quantities, **raised}

    def _refuse(self, unit: str, quantity: int) -> NoReturn:
        if quantity < 0:
            raise ValueError(f"quantity of {unit} is {quantity}; it must not be negative")
        raise UnpricedUnit(self.model, unit)


def in_unit_order(rates: Mapping[str, int]) -> Rates:
    """The pairs of `rates`, in the order of invoice lines."""
    return tuple(sorted(rates.items(), key=lambda rate: unit_order(rate[0])))


def _band(rates: Rates) -> _Band:
    return {unit: (place, rate) for place, (unit, rate) in enumerate(rates)}


def _half_even(numerator: int, denominator: int) -> int:
    whole, rest = divmod(numerator, denominator)
    doubled = 2 * rest
    return whole + (doubled > denominator or (doubled == denominator and whole & 1))


def _most_within(nanos: int, scale: int) -> int:
    """The largest numerator over `scale` that rounds to at most `nanos`; a tie rounds down only to an
    even one.
    """
    return ((2 * nanos + 1) * scale - (nanos & 1)) // 2


def _shares(charges: Sequence[_Charge], scale: int, amount_nanos: int) -> list[int]:
    """Each charge's whole nanos, plus one to those with the largest remainders until they sum to
    `amount_nanos`.
    """
    shares = [charge[3] // scale for charge in charges]
    missing = amount_nanos - sum(shares)
    if missing:
        by_remainder = sorted(range(len(charges)), key=lambda place: -(charges[place][3] % scale))
        for place in by_remainder[:missing]:
            shares[place] += 1
    return shares


def _plain(value: Decimal) -> str:
    """All digits and no zeros after them; Decimal's own normalize() would round to 28."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _from_content(content: Mapping[str, Any]) -> ModelPrice:
    markup = content.get("markup")
    return ModelPrice(
        model=content["model"],
        currency=content["currency"],
        per=content["per"],
        rates=in_unit_order(content["pico"]),
        tiers=tuple(
            Tier(each["above_input_tokens"], in_unit_order(each["pico"]))
            for each in content["tiers"]
        ),
        minimums=in_unit_order(content["minimums"]),
        markup=Markup(markup["percent"], _from_content(markup["listed"])) if markup else None,
    )


def _refuse_float(text: str) -> NoReturn:
    raise ValueError(f"a price has no floats, but {text} was found")
