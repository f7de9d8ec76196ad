"""What one top-up may be, by currency: a setting, written as JSON of exact credits."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from meter.money import INT64_MAX, AmountError, format_credits, parse_credits

_FORM = 'write a JSON object such as {"USD": [5, 5000], "JPY": [3000, null]}: least and most credits, null for no bound'


@dataclass(frozen=True, slots=True)
class TopUpBound:
    """Least and most, both included."""

    least_nanos: int
    most_nanos: int | None

    def allow(self, nanos: int) -> bool:
        return (
            self.least_nanos <= nanos <= (INT64_MAX if self.most_nanos is None else self.most_nanos)
        )

    def __str__(self) -> str:
        if self.most_nanos is None:
            return f"at least {format_credits(self.least_nanos)}"
        return f"{format_credits(self.least_nanos)} to {format_credits(self.most_nanos)}"


class TopUpBounds(Mapping[str, TopUpBound]):
    """TopUpBound by currency. Its text is the JSON that it is read from."""

    def __init__(self, text: str) -> None:
        """ValueError says how to write it."""
        try:
            # As texts: numbers must stay exact.
            read = json.loads(text, parse_float=str, parse_int=str)
            self._bounds = {_currency(name): _bounds(*pair) for name, pair in read.items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(
                f"{error}; {_FORM}" if isinstance(error, AmountError) else _FORM
            ) from None
        self._text = text

    def __getitem__(self, currency: str) -> TopUpBound:
        return self._bounds[currency]

    def __iter__(self) -> Iterator[str]:
        return iter(self._bounds)

    def __len__(self) -> int:
        return len(self._bounds)

    def __str__(self) -> str:
        return self._text


def _currency(name: str) -> str:
    if len(name) != 3 or not name.isascii() or not name.isupper():
        raise ValueError(name)
    return name


def _bounds(least: Any, most: Any) -> TopUpBound:
    bounds = TopUpBound(parse_credits(least), None if most is None else parse_credits(most))
    if bounds.least_nanos < 0 or (
        bounds.most_nanos is not None and bounds.most_nanos < bounds.least_nanos
    ):
        raise ValueError("the least is above the most, or below 0")
    return bounds
