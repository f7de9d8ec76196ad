"""The price file: an operator's own prices and markups, in YAML, before the prices of the catalog.

Every mistake is a PriceFileError that names the place: a price that was not understood must not be
charged as another.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import yaml

from meter.errors import InvalidField
from meter.ids import check_id
from meter.prices.compile import UnitPrice, compile_price, picos
from meter.prices.errors import PriceFileError
from meter.prices.price import ModelPrice
from meter.prices.timeline import Steps, T
from meter.prices.units import UNITS
from meter.prices.yaml_node import Place

MAX_MODEL_NAME = 256
_MAX_PRICE = 10**9  # credits; a larger one is a mistake
_LEAST_PERCENT = -100
_MOST_PERCENT = 10_000
_BLOCKS = {"per_million": 1_000_000, "per_unit": 1}
_TOP_KEYS = ("currency", "markup_percent", "models", "accounts")
_TERMS = ("markup_percent", "models")
_ALWAYS_MS = -(2**63)


@dataclass(frozen=True, slots=True)
class Terms:
    """What the file says for everyone, or for one account: percentages on list prices, and models' own
    prices by name.
    """

    markups: Steps[Decimal] = ()
    models: Mapping[str, Steps[ModelPrice]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Overrides:
    """A price file's content; an account's terms go before everyone's."""

    everyone: Terms = field(default_factory=Terms)
    accounts: Mapping[str, Terms] = field(default_factory=dict)


def read_overrides(path: Path, text: bytes) -> Overrides:
    """What `text`, the content of the file at `path`, says; PriceFileError if it is wrong."""
    top = Place(path, "", _compose(path, text)).mapping(
        f"currency and models, or others of {_TOP_KEYS}", _TOP_KEYS
    )
    if not top.keys() - {"currency"}:
        raise PriceFileError(
            path,
            "models",
            "is missing; give models, markup_percent or accounts, or use no price file",
        )
    currency = _currency(top["currency"]) if "currency" in top else "USD"
    accounts = (
        top["accounts"].mapping("accounts by id, each with its terms") if "accounts" in top else {}
    )
    return Overrides(
        _terms(top, currency),
        {name: _account(name, place, currency) for name, place in accounts.items()},
    )


def _compose(path: Path, text: bytes) -> yaml.Node | None:
    try:
        return yaml.compose(text.decode(), Loader=yaml.SafeLoader)
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise PriceFileError(
            path, "", f"is not YAML in UTF-8: {' '.join(str(error).split())}"
        ) from error
    except RecursionError:
        raise PriceFileError(path, "", "is nested too deeply") from None


def _currency(place: Place) -> str:
    text = place.text("a currency, such as USD")
    if not re.fullmatch("[A-Z]{3,8}", text):
        place.wrong(f"{text!r} is not a currency; write 3 to 8 capital letters, such as USD")
    return text


def _account(account_id: str, place: Place, currency: str) -> Terms:
    try:
        check_id("account id", account_id)
    except InvalidField as error:
        place.wrong(error.message)
    return _terms(place.mapping("markup_percent, models", _TERMS), currency)


def _terms(keys: Mapping[str, Place], currency: str) -> Terms:
    models = (
        keys["models"].mapping("at least one model, each with a list of prices")
        if "models" in keys
        else {}
    )
    _refuse_same_names(models)
    prices = {name: _prices(name, currency, place) for name, place in models.items()}
    return Terms(_markups(keys["markup_percent"]) if "markup_percent" in keys else (), prices)


def _refuse_same_names(models: Mapping[str, Place]) -> None:
    seen: dict[str, str] = {}
    for name, place in models.items():
        if not name.isprintable() or not 0 < len(name.strip()) == len(name) <= MAX_MODEL_NAME:
            place.wrong(f"expected a model's name of 1 to {MAX_MODEL_NAME} printable characters")
        if name.lower() in seen:
            place.wrong(
                f"names the same model as {seen[name.lower()]!r}: case does not matter; keep one"
            )
        seen[name.lower()] = name


def _prices(name: str, currency: str, place: Place) -> Steps[ModelPrice]:
    allowed = (*_BLOCKS, "tiers")
    return _steps(
        place.items("a list of prices, each beginning with '-'"),
        allowed,
        lambda entry, keys: _price(name, currency, entry, keys),
    )


def _markups(place: Place) -> Steps[Decimal]:
    if not place.is_list:
        return ((_ALWAYS_MS, _percent(place)),)
    return _steps(
        place.items("a percentage"),
        ("percent",),
        lambda entry, keys: (
            _percent(keys["percent"]) if "percent" in keys else entry.wrong("has no percent")
        ),
    )


def _percent(place: Place) -> Decimal:
    return place.decimal("a percentage", _LEAST_PERCENT, _MOST_PERCENT, "12.5")


def _steps(
    entries: list[Place], allowed: tuple[str, ...], value: Callable[[Place, Mapping[str, Place]], T]
) -> Steps[T]:
    steps: dict[int, T] = {}
    for entry in entries:
        keys = entry.mapping(f"effective_at, {', '.join(allowed)}", ("effective_at", *allowed))
        from_ms = keys["effective_at"].time_ms() if "effective_at" in keys else _ALWAYS_MS
        if from_ms in steps:
            entry.wrong(
                "takes effect when another one here does; keep one, or change its effective_at"
            )
        steps[from_ms] = value(entry, keys)
    return tuple(sorted(steps.items(), key=lambda step: step[0]))


def _price(name: str, currency: str, entry: Place, keys: Mapping[str, Place]) -> ModelPrice:
    base = _rates(entry, keys)
    tiers = _tiers(keys["tiers"], base) if "tiers" in keys else []
    given = {
        unit: UnitPrice(
            rate, tuple((start, rates[unit]) for start, rates in tiers if unit in rates)
        )
        for unit, rate in base.items()
    }
    price = compile_price(name, currency, given)
    assert price is not None, "an entry without prices was refused"
    return price


def _tiers(place: Place, base: Mapping[str, Fraction]) -> list[tuple[int, dict[str, Fraction]]]:
    """Rates by the input tokens above which they hold, in order; of those units that
    change there.
    """
    tiers: dict[int, dict[str, Fraction]] = {}
    for entry in place.items("a list of tiers, each beginning with '-'"):
        keys = entry.mapping(
            "above_input_tokens, per_million, per_unit", ("above_input_tokens", *_BLOCKS)
        )
        if "above_input_tokens" not in keys:
            entry.wrong("has no above_input_tokens")
        start = keys["above_input_tokens"].count("a number of input tokens")
        if start in tiers:
            entry.wrong(
                "begins where another tier does; keep one, or change its above_input_tokens"
            )
        tiers[start] = _rates(entry, keys)
        for unit in tiers[start].keys() - base.keys():
            entry.wrong(f"{unit} has no price below this tier; give it one beside `tiers`")
    return sorted(tiers.items())


def _rates(entry: Place, keys: Mapping[str, Place]) -> dict[str, Fraction]:
    rates: dict[str, Fraction] = {}
    for block, per in _BLOCKS.items():
        for unit, place in (
            keys[block].mapping("unit: price pairs").items() if block in keys else ()
        ):
            if unit not in UNITS:
                place.wrong(f"unknown unit; expected one of: {', '.join(UNITS)}")
            if unit in rates:
                place.wrong("has a price under per_million already; keep one")
            rates[unit] = picos(place.decimal("a price", 0, _MAX_PRICE, "2.50"), per)
    return rates or entry.wrong("has no prices; give per_million or per_unit")
