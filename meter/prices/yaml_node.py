"""Reads a node of the price file's YAML, and names the key path when the node is wrong.

Numbers are read from their text as decimals, so that 0.1 is a tenth and not the nearest binary
fraction.
"""

from collections.abc import Iterable, Iterator, Mapping
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
_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class YamlNode:
    """Holds a node of the file at `path`, and the key path `where` it stands.

    Every method that reads the node raises PriceFileError if the node is not as expected.
    """

    path: Path
    where: str
    node: yaml.Node | None

    def wrong(self, problem: str) -> NoReturn:
        """Raises PriceFileError with the node's key path."""
        raise PriceFileError(self.path, self.where, problem)

    @property
    def is_list(self) -> bool:
        return isinstance(self.node, yaml.SequenceNode)

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.node, yaml.MappingNode)

    def mapping(
        self,
        what: str,
        allowed: Iterable[str] | None = None,
    ) -> dict[str, "YamlNode"]:
        """Returns the nodes under each key of a mapping that is not empty.

        Refuses a key given twice, and keys other than the `allowed` ones.
        """
        children: dict[str, YamlNode] = {}
        for key, child in self._pairs(what):
            if key in children:
                child.wrong("is given twice; keep one")
            if allowed is not None and key not in allowed:
                child.wrong(f"unknown key; expected one of: {', '.join(allowed)}")
            children[key] = child
        return children

    def _pairs(self, what: str) -> Iterator[tuple[str, "YamlNode"]]:
        """Yields the keys of a mapping that is not empty, each with the node under the key."""
        if not isinstance(self.node, yaml.MappingNode) or not self.node.value:
            self.wrong(f"expected {what}")
        for key_node, value_node in self.node.value:
            key = YamlNode(self.path, self.where, key_node).text("a plain name as key")
            yield key, self._child(key, value_node)

    def _child(self, key: str, node: yaml.Node) -> "YamlNode":
        where = f"{self.where}.{key}".lstrip(".")
        return YamlNode(self.path, where, node)

    def items(self, what: str) -> list["YamlNode"]:
        """Returns the items of a list that is not empty."""
        if not isinstance(self.node, yaml.SequenceNode) or not self.node.value:
            self.wrong(f"expected {what}")
        items = []
        for index, node in enumerate(self.node.value):
            where = f"{self.where}[{index}]"
            items.append(YamlNode(self.path, where, node))
        return items

    def text(self, what: str) -> str:
        """Returns the text of a scalar."""
        if not isinstance(self.node, yaml.ScalarNode):
            self.wrong(f"expected {what}")
        return str(self.node.value)

    def flag(self, what: str) -> bool:
        """Returns whether a scalar is `true`, and not `false`."""
        text = self.text(what)
        if text not in ("true", "false"):
            self.wrong(f"{text!r} does not say {what}; write true or false")
        return text == "true"

    def decimal(
        self,
        what: str,
        least: int,
        most: int,
        example: str,
    ) -> Decimal:
        """Returns an exact number from `least` to `most`, with at most 30 decimal places.

        The number is bounded, because "1e999999" would be expanded digit by digit.
        """
        text = self.text(f"{what}, such as {example}")
        value = self._parsed(text, example)
        if not _is_within(value, least, most):
            self.wrong(f"{text!r} is not {what}; write a decimal from {least} to {most}")
        exponent = int(value.as_tuple().exponent)
        if exponent < -_MAX_DECIMAL_PLACES:
            self.wrong(f"has more than {_MAX_DECIMAL_PLACES} decimal places; write fewer")
        return value

    def _parsed(self, text: str, example: str) -> Decimal:
        try:
            return Decimal(text)
        except InvalidOperation:
            self.wrong(f"{text!r} is not a number; write a decimal, such as {example}")

    def count(self, what: str) -> int:
        """Returns a whole number above zero, of at most 15 digits; `_` may group the digits."""
        text = self.text(what)
        digits = text.replace("_", "")
        is_number = digits.isascii() and digits.isdigit() and len(digits) <= _MAX_COUNT_DIGITS
        if not is_number or int(digits) == 0:
            self.wrong(f"{text!r} is not {what}; write a whole number above 0, such as 200000")
        return int(digits)

    def time_ms(self) -> int:
        """Returns a time with a zone, in whole UTC milliseconds."""
        text = self.text("a time, such as 2026-01-01T00:00:00Z")
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.wrong(f"{text!r} is not a time; write it such as 2026-01-01T00:00:00Z")
        if moment.tzinfo is None or moment.microsecond % 1000:
            self.wrong(
                f"{text!r} has no zone, or parts of a millisecond;"
                " write it such as 2026-01-01T00:00:00Z"
            )
        return (moment - _EPOCH) // _MS


Keys = Mapping[str, YamlNode]


def mapping_under(
    keys: Keys,
    key: str,
    what: str,
) -> Keys:
    """Returns the mapping that stands under `key`; an empty one without the key."""
    if key not in keys:
        return {}
    return keys[key].mapping(what)


def _is_within(
    value: Decimal,
    least: int,
    most: int,
) -> bool:
    if not value.is_finite():
        return False
    if least == 0 and value.is_signed():  # "-0" is no price
        return False
    return least <= value <= most
