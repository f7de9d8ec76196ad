"""The override file: an operator's own prices, in YAML, before those of the catalog.

Its numbers are read from their text as decimals, so that 0.1 is a tenth and not the nearest binary fraction. Every
mistake is a PriceFileError that names the place: a price that was not understood must not be charged as another.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NoReturn

import yaml

from meter.prices.compile import UnitPrice, compile_price, picos
from meter.prices.errors import PriceFileError
from meter.prices.price import ModelPrice
from meter.prices.units import UNITS

MAX_MODEL_NAME = 256
_MAX_PRICE = 10**9  # credits; a larger one is a mistake, and "1e999999" would be expanded digit by digit
_MAX_DECIMAL_PLACES = 30
_BLOCKS = {"per_million": 1_000_000, "per_unit": 1}
_ALWAYS_MS = -(2**63)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Timeline:
    """A model's own prices: each holds from its time, in ms, until the next one's."""

    steps: tuple[tuple[int, ModelPrice], ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """A node of the file, and the key path to it."""

    path: Path
    where: str
    node: yaml.Node | None

    def wrong(self, problem: str) -> NoReturn:
        raise PriceFileError(self.path, self.where, problem)

    def mapping(self, what: str, allowed: Iterable[str] | None = None) -> dict[str, "_Place"]:
        """The places under each key; refuses anything but a mapping with something in it, and a key given twice."""
        if not isinstance(self.node, yaml.MappingNode) or not self.node.value:
            self.wrong(f"expected {what}")
        places: dict[str, _Place] = {}
        for key_node, value_node in self.node.value:
            key = _Place(self.path, self.where, key_node).text("a plain name as key")
            place = _Place(self.path, f"{self.where}.{key}".lstrip("."), value_node)
            if key in places:
                place.wrong("is given twice; keep one")
            if allowed is not None and key not in allowed:
                place.wrong(f"unknown key; expected one of: {', '.join(allowed)}")
            places[key] = place
        return places

    def items(self, what: str) -> list["_Place"]:
        if not isinstance(self.node, yaml.SequenceNode) or not self.node.value:
            self.wrong(f"expected {what}")
        return [_Place(self.path, f"{self.where}[{index}]", node) for index, node in enumerate(self.node.value)]

    def text(self, what: str) -> str:
        if not isinstance(self.node, yaml.ScalarNode):
            self.wrong(f"expected {what}")
        return str(self.node.value)


def read_overrides(path: Path) -> Mapping[str, Timeline]:
    """The timelines of the file at `path` by model name as written; PriceFileError if it cannot be read or is wrong."""
    top = _Place(path, "", _compose(path)).mapping("currency and models at the top level", ("currency", "models"))
    currency = _currency(top["currency"]) if "currency" in top else "USD"
    if "models" not in top:
        raise PriceFileError(path, "models", "is missing; list at least one model, or run without an override file")
    models = top["models"].mapping("at least one model, each with a list of prices")
    _refuse_same_names(models)
    return {name: _timeline(name, currency, place) for name, place in models.items()}


def _compose(path: Path) -> yaml.Node | None:
    try:
        return yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise PriceFileError(path, "", f"cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise PriceFileError(path, "", f"is not YAML in UTF-8: {error}") from error


def _currency(place: _Place) -> str:
    text = place.text("a currency, such as USD")
    if not re.fullmatch("[A-Z]{3,8}", text):
        place.wrong(f"{text!r} is not a currency; write 3 to 8 capital letters, such as USD")
    return text


def _refuse_same_names(models: Mapping[str, _Place]) -> None:
    seen: dict[str, str] = {}
    for name, place in models.items():
        if not name.isprintable() or not 0 < len(name.strip()) == len(name) <= MAX_MODEL_NAME:
            place.wrong(f"expected a model's name of 1 to {MAX_MODEL_NAME} printable characters")
        if name.lower() in seen:
            place.wrong(f"names the same model as {seen[name.lower()]!r}: case does not matter; keep one")
        seen[name.lower()] = name


def _timeline(name: str, currency: str, place: _Place) -> Timeline:
    steps: dict[int, ModelPrice] = {}
    for entry in place.items("a list of prices, each beginning with '-'"):
        keys = entry.mapping("effective_at, per_million, per_unit", ("effective_at", *_BLOCKS))
        from_ms = _effective_ms(keys["effective_at"]) if "effective_at" in keys else _ALWAYS_MS
        if from_ms in steps:
            entry.wrong("takes effect when another price of this model does; keep one, or change its effective_at")
        steps[from_ms] = _entry_price(name, currency, entry, keys)
    return Timeline(tuple(sorted(steps.items(), key=lambda step: step[0])))


def _entry_price(name: str, currency: str, entry: _Place, keys: Mapping[str, _Place]) -> ModelPrice:
    given: dict[str, UnitPrice] = {}
    for block, per in _BLOCKS.items():
        for unit, place in keys[block].mapping("unit: price pairs").items() if block in keys else ():
            if unit not in UNITS:
                place.wrong(f"unknown unit; expected one of: {', '.join(UNITS)}")
            if unit in given:
                place.wrong("has a price under per_million already; keep one")
            given[unit] = UnitPrice(picos(_price(place), per))
    price = compile_price(name, currency, given)
    return price or entry.wrong("has no prices; give per_million or per_unit")


def _price(place: _Place) -> Decimal:
    text = place.text("a price, such as 2.50")
    try:
        value = Decimal(text)
    except InvalidOperation:
        place.wrong(f"{text!r} is not a number; write credits as a decimal, such as 2.50")
    if not value.is_finite() or value.is_signed() or value > _MAX_PRICE:
        place.wrong(f"{text!r} is not a price; write a decimal from 0 to {_MAX_PRICE}")
    if int(value.as_tuple().exponent) < -_MAX_DECIMAL_PLACES:
        place.wrong(f"has more than {_MAX_DECIMAL_PLACES} decimal places; write fewer")
    return value


def _effective_ms(place: _Place) -> int:
    text = place.text("a time, such as 2026-01-01T00:00:00Z")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        place.wrong(f"{text!r} is not a time; write it such as 2026-01-01T00:00:00Z")
    if at.tzinfo is None or at.microsecond % 1000:
        place.wrong(f"{text!r} has no zone, or parts of a millisecond; write it such as 2026-01-01T00:00:00Z")
    return (at - _EPOCH) // timedelta(milliseconds=1)
