"""A place in the price file: a node of its YAML, the key path to it, and the mistakes that it can
have.

Numbers are read from their text as decimals, so that 0.1 is a tenth and not the nearest binary
fraction.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NoReturn

import yaml

from meter.prices.errors import PriceFileError

_MAX_DECIMAL_PLACES = 30
_MAX_COUNT_DIGITS = 15
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Place:
    """A node of the file, and the key path to it."""

    path: Path
    where: str
    node: yaml.Node | None

    def wrong(self, problem: str) -> NoReturn:
        raise PriceFileError(self.path, self.where, problem)

    @property
    def is_list(self) -> bool:
        return isinstance(self.node, yaml.SequenceNode)

    def mapping(self, what: str, allowed: Iterable[str] | None = None) -> dict[str, "Place"]:
        """The places under each key; refuses anything but a mapping with something in it, and a key
        given twice.
        """
        if not isinstance(self.node, yaml.MappingNode) or not self.node.value:
            self.wrong(f"expected {what}")
        places: dict[str, Place] = {}
        for key_node, value_node in self.node.value:
            key = Place(self.path, self.where, key_node).text("a plain name as key")
            place = Place(self.path, f"{self.where}.{key}".lstrip("."), value_node)
            if key in places:
                place.wrong("is given twice; keep one")
            if allowed is not None and key not in allowed:
                place.wrong(f"unknown key; expected one of: {', '.join(allowed)}")
            places[key] = place
        return places

    def items(self, what: str) -> list["Place"]:
        if not isinstance(self.node, yaml.SequenceNode) or not self.node.value:
            self.wrong(f"expected {what}")
        return [
            Place(self.path, f"{self.where}[{index}]", node)
            for index, node in enumerate(self.node.value)
        ]

    def text(self, what: str) -> str:
        if not isinstance(self.node, yaml.ScalarNode):
            self.wrong(f"expected {what}")
        return str(self.node.value)

    def decimal(self, what: str, least: int, most: int, example: str) -> Decimal:
        """An exact number from `least` to `most`; bounded, because "1e999999" would be expanded digit
        by digit.
        """
        text = self.text(f"{what}, such as {example}")
        try:
            value = Decimal(text)
        except InvalidOperation:
            self.wrong(f"{text!r} is not a number; write a decimal, such as {example}")
        if (
            not value.is_finite()
            or not least <= value <= most
            or (least == 0 and value.is_signed())
        ):
            self.wrong(f"{text!r} is not {what}; write a decimal from {least} to {most}")
        if int(value.as_tuple().exponent) < -_MAX_DECIMAL_PLACES:
            self.wrong(f"has more than {_MAX_DECIMAL_PLACES} decimal places; write fewer")
        return value

    def count(self, what: str) -> int:
        """A whole number above zero."""
        text = self.text(what)
        digits = text.replace("_", "")
        if not (
            digits.isascii()
            and digits.isdigit()
            and len(digits) <= _MAX_COUNT_DIGITS
            and int(digits)
        ):
            self.wrong(f"{text!r} is not {what}; write a whole number above 0, such as 200000")
        return int(digits)

    def time_ms(self) -> int:
        text = self.text("a time, such as 2026-01-01T00:00:00Z")
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            self.wrong(f"{text!r} is not a time; write it such as 2026-01-01T00:00:00Z")
        if at.tzinfo is None or at.microsecond % 1000:
            self.wrong(
                f"{text!r} has no zone, or parts of a millisecond; write it such as 2026-01-01T00:00:00Z"
            )
        return (at - _EPOCH) // timedelta(milliseconds=1)
