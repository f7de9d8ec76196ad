"""Reads the setting of how large a top-up may be, by currency: JSON of exact credits."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from meter.currencies import currency_hint, is_currency, minor_unit_nanos
from meter.errors import InvalidField
from meter.money import AmountError, format_credits, grouped_credits, parse_credits

_EXPECTED = (
    'write a JSON object such as {"USD": [5, 5000], "JPY": [3000, null]}:'
    " least and most credits, null for no bound"
)
_DEFAULT = {
    "USD": ("5", "5000"),
    "EUR": ("5", "5000"),
    "JPY": ("3000", None),
    "VND": ("500000", None),
}


@dataclass(frozen=True, slots=True)
class TopUpBound:
    """Holds the least and the most of one currency, both included; None is no bound."""

    least_nanos: int
    most_nanos: int | None

    def allow(self, nanos: int) -> bool:
        """Returns whether a top-up of this amount is within the bounds."""
        if nanos < self.least_nanos:
            return False
        return self.most_nanos is None or nanos <= self.most_nanos

    def __str__(self) -> str:
        least = grouped_credits(self.least_nanos)
        if self.most_nanos is None:
            return f"at least {least}"
        return f"{least} to {grouped_credits(self.most_nanos)}"


class TopUpBounds(Mapping[str, TopUpBound]):
    """Maps currencies to bounds: the default ones, amended; str() is the JSON of them all."""

    def __init__(self, text: str) -> None:
        """Reads the JSON that amends the default; a ValueError says how to write the setting."""
        try:
            # Numbers are read as texts, so that they stay exact.
            amended = json.loads(text, parse_float=str, parse_int=str)
            pairs = {**_DEFAULT, **amended}
            self._bounds = {
                _currency(name): _bound(*pair) for name, pair in pairs.items() if pair is not None
            }
        except AmountError as error:
            raise ValueError(f"{error}; {_EXPECTED}") from None
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"{error}; {_EXPECTED}") from None

    def __getitem__(self, currency: str) -> TopUpBound:
        return self._bounds[currency]

    def __iter__(self) -> Iterator[str]:
        return iter(self._bounds)

    def __len__(self) -> int:
        return len(self._bounds)

    def __str__(self) -> str:
        pairs = [f'"{name}": {_pair(bound)}' for name, bound in self._bounds.items()]
        pairs += [f'"{name}": null' for name in _DEFAULT if name not in self._bounds]
        return f"{{{', '.join(pairs)}}}"


def check_bounds(
    field: str,
    nanos: int,
    currency: str,
    bounds: Mapping[str, TopUpBound],
) -> None:
    """Raises InvalidField for an amount outside of the currency's bounds."""
    bound = bounds.get(currency)
    if bound is not None and not bound.allow(nanos):
        raise InvalidField(field, f"must be {bound} {currency}; it is {grouped_credits(nanos)}")


def check_payable(field: str, nanos: int, currency: str) -> None:
    """Raises InvalidField for an amount that nobody can pay, such as half a yen."""
    unit_nanos = minor_unit_nanos(currency)
    if nanos % unit_nanos:
        below = nanos - nanos % unit_nanos
        raise InvalidField(
            field,
            f"must be a multiple of {grouped_credits(unit_nanos)} {currency}, such as"
            f" {grouped_credits(below + unit_nanos)}; it is {grouped_credits(nanos)}",
        )


def _currency(name: str) -> str:
    if not is_currency(name):
        raise ValueError(currency_hint(name))
    return name


def _pair(bound: TopUpBound) -> str:
    most = "null"
    if bound.most_nanos is not None:
        most = _number(bound.most_nanos)
    return f"[{_number(bound.least_nanos)}, {most}]"


def _number(nanos: int) -> str:
    return format_credits(nanos).removesuffix(".00")


def _bound(least: Any, most: Any) -> TopUpBound:
    least_nanos = parse_credits(least)
    most_nanos = None
    if most is not None:
        most_nanos = parse_credits(most)
    if least_nanos < 0 or (most_nanos is not None and most_nanos < least_nanos):
        raise ValueError("the least is above the most, or below 0")
    return TopUpBound(least_nanos, most_nanos)
