"""Reads the price file: an operator's own prices and markups, in YAML, before the catalog's prices.

Every mistake is a PriceFileError with the key path: a price that was not understood must not be
charged as another.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path

import yaml

from meter.currencies import currency_hint, is_currency
from meter.errors import InvalidField
from meter.ids import check_id
from meter.prices.compile import UnitPrice, compile_price, picos
from meter.prices.errors import PriceFileError
from meter.prices.price import ModelPrice
from meter.prices.timeline import Steps, T
from meter.prices.units import UNITS
from meter.prices.yaml_node import YamlNode

MAX_MODEL_NAME = 256
_MAX_PRICE = 10**9  # credits; a larger price is a mistake
_LEAST_PERCENT = -100
_MOST_PERCENT = 10_000
_UNITS_PER_PRICE = {
    "per_million": 1_000_000,
    "per_unit": 1,
}
_TOP_KEYS = ("currency", "markup_percent", "models", "accounts")
_TERMS_KEYS = ("markup_percent", "models")
_PRICE_KEYS = (*_UNITS_PER_PRICE, "tiers")
_TIER_KEYS = ("above_input_tokens", *_UNITS_PER_PRICE)
_DEFAULT_CURRENCY = "USD"
_SINCE_ALWAYS_MS = -(2**63)

_UnitRates = dict[str, Fraction]  # picos by unit
_Tiers = list[tuple[int, _UnitRates]]  # by the input tokens above which the changed rates hold
_Keys = Mapping[str, YamlNode]


@dataclass(frozen=True, slots=True)
class Terms:
    """Holds what the file says for everyone, or for one account.

    `markups` are percentages on list prices; `models` are models' own prices by name.
    """

    markups: Steps[Decimal] = ()
    models: Mapping[str, Steps[ModelPrice]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Overrides:
    """Holds a price file's content; an account's terms take precedence over everyone's."""

    everyone: Terms = field(default_factory=Terms)
    accounts: Mapping[str, Terms] = field(default_factory=dict)


def read_overrides(path: Path, text: bytes) -> Overrides:
    """Returns the content of the file at `path`, which is `text`.

    Raises PriceFileError if the file is wrong.
    """
    keys = _top_keys(path, text)
    currency = _currency(keys)
    account_nodes = _mapping_under(keys, "accounts", "accounts by id, each with its terms")
    everyone = _terms(keys, currency)
    accounts = {}
    for account_id, node in account_nodes.items():
        accounts[account_id] = _account(account_id, node, currency)
    return Overrides(everyone, accounts)


def _top_keys(path: Path, text: bytes) -> _Keys:
    root = YamlNode(path, "", _compose(path, text))
    keys = root.mapping(f"currency and models, or others of {_TOP_KEYS}", _TOP_KEYS)
    if not keys.keys() - {"currency"}:
        raise PriceFileError(
            path,
            "models",
            "is missing; give models, markup_percent or accounts, or use no price file",
        )
    return keys


def _compose(path: Path, text: bytes) -> yaml.Node | None:
    try:
        return yaml.compose(text.decode(), Loader=yaml.SafeLoader)
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        one_line = " ".join(str(error).split())
        raise PriceFileError(path, "", f"is not YAML in UTF-8: {one_line}") from error
    except RecursionError:
        raise PriceFileError(path, "", "is nested too deeply") from None


def _currency(keys: _Keys) -> str:
    if "currency" not in keys:
        return _DEFAULT_CURRENCY
    node = keys["currency"]
    text = node.text("a currency, such as USD")
    if not is_currency(text):
        node.wrong(currency_hint(text))
    return text


def _mapping_under(
    keys: _Keys,
    key: str,
    what: str,
) -> _Keys:
    """Returns the mapping that stands under `key`; an empty one without the key."""
    if key not in keys:
        return {}
    return keys[key].mapping(what)


def _account(
    account_id: str,
    node: YamlNode,
    currency: str,
) -> Terms:
    try:
        check_id("account id", account_id)
    except InvalidField as error:
        node.wrong(error.message)
    keys = node.mapping("markup_percent, models", _TERMS_KEYS)
    return _terms(keys, currency)


def _terms(keys: _Keys, currency: str) -> Terms:
    models = _models(keys, currency)
    markups: Steps[Decimal] = ()
    if "markup_percent" in keys:
        markups = _markups(keys["markup_percent"])
    return Terms(markups, models)


def _models(keys: _Keys, currency: str) -> dict[str, Steps[ModelPrice]]:
    nodes = _mapping_under(keys, "models", "at least one model, each with a list of prices")
    _check_names(nodes)
    return {name: _prices(name, currency, node) for name, node in nodes.items()}


def _check_names(models: _Keys) -> None:
    """Refuses a name that is empty, padded or too long, and two names that differ by case alone."""
    seen: dict[str, str] = {}
    for name, node in models.items():
        if not _is_model_name(name):
            node.wrong(f"expected a model's name of 1 to {MAX_MODEL_NAME} printable characters")
        lower = name.lower()
        if lower in seen:
            node.wrong(f"names the same model as {seen[lower]!r}: case does not matter; keep one")
        seen[lower] = name


def _is_model_name(name: str) -> bool:
    is_padded = name.strip() != name
    return 1 <= len(name) <= MAX_MODEL_NAME and not is_padded and name.isprintable()


def _prices(
    name: str,
    currency: str,
    node: YamlNode,
) -> Steps[ModelPrice]:
    entries = node.items("a list of prices, each beginning with '-'")
    return _steps(entries, _PRICE_KEYS, partial(_price, name, currency))


def _markups(node: YamlNode) -> Steps[Decimal]:
    if not node.is_list:
        return ((_SINCE_ALWAYS_MS, _percent(node)),)
    entries = node.items("a percentage")
    return _steps(entries, ("percent",), _entry_percent)


def _entry_percent(entry: YamlNode, keys: _Keys) -> Decimal:
    if "percent" not in keys:
        entry.wrong("has no percent")
    return _percent(keys["percent"])


def _percent(node: YamlNode) -> Decimal:
    return node.decimal("a percentage", _LEAST_PERCENT, _MOST_PERCENT, "12.5")


def _steps(
    entries: list[YamlNode],
    allowed: tuple[str, ...],
    read_value: Callable[[YamlNode, _Keys], T],
) -> Steps[T]:
    """Returns the entries' values, each from its `effective_at` on, in the order of time."""
    steps: dict[int, T] = {}
    for entry in entries:
        keys = _entry_keys(entry, allowed)
        from_ms = _effective_ms(keys)
        if from_ms in steps:
            entry.wrong(
                "takes effect when another one here does; keep one, or change its effective_at"
            )
        steps[from_ms] = read_value(entry, keys)
    in_order = sorted(steps.items(), key=lambda step: step[0])
    return tuple(in_order)


def _entry_keys(entry: YamlNode, allowed: tuple[str, ...]) -> _Keys:
    """Returns an entry's keys, of which `effective_at` may always be one."""
    all_allowed = ("effective_at", *allowed)
    return entry.mapping(", ".join(all_allowed), all_allowed)


def _effective_ms(keys: _Keys) -> int:
    if "effective_at" not in keys:
        return _SINCE_ALWAYS_MS
    return keys["effective_at"].time_ms()


def _price(
    name: str,
    currency: str,
    entry: YamlNode,
    keys: _Keys,
) -> ModelPrice:
    base = _rates(entry, keys)
    tiers: _Tiers = []
    if "tiers" in keys:
        tiers = _tiers(keys["tiers"], base)
    price = compile_price(name, currency, _unit_prices(base, tiers))
    assert price is not None, "an entry without prices was refused"
    return price


def _unit_prices(base: _UnitRates, tiers: _Tiers) -> dict[str, UnitPrice]:
    prices = {}
    for unit, rate in base.items():
        unit_tiers = [(start, rates[unit]) for start, rates in tiers if unit in rates]
        prices[unit] = UnitPrice(rate, tuple(unit_tiers))
    return prices


def _tiers(node: YamlNode, base: _UnitRates) -> _Tiers:
    """Returns the tiers in order; `base` are the rates below the first tier."""
    tiers: dict[int, _UnitRates] = {}
    for entry in node.items("a list of tiers, each beginning with '-'"):
        keys = entry.mapping("above_input_tokens, per_million, per_unit", _TIER_KEYS)
        start = _tier_start(entry, keys)
        if start in tiers:
            entry.wrong(
                "begins where another tier does; keep one, or change its above_input_tokens"
            )
        tiers[start] = _tier_rates(entry, keys, base)
    return sorted(tiers.items())


def _tier_start(entry: YamlNode, keys: _Keys) -> int:
    if "above_input_tokens" not in keys:
        entry.wrong("has no above_input_tokens")
    return keys["above_input_tokens"].count("a number of input tokens")


def _tier_rates(
    entry: YamlNode,
    keys: _Keys,
    base: _UnitRates,
) -> _UnitRates:
    rates = _rates(entry, keys)
    for unit in rates.keys() - base.keys():
        entry.wrong(f"{unit} has no price below this tier; give it one beside `tiers`")
    return rates


def _rates(entry: YamlNode, keys: _Keys) -> _UnitRates:
    """Returns the prices in picos per unit that an entry or a tier gives."""
    rates: _UnitRates = {}
    for key, per in _UNITS_PER_PRICE.items():
        for unit, node in _mapping_under(keys, key, "unit: price pairs").items():
            if unit in rates:
                node.wrong("has a price under per_million already; keep one")
            rates[unit] = _rate(unit, node, per)
    if not rates:
        entry.wrong("has no prices; give per_million or per_unit")
    return rates


def _rate(
    unit: str,
    node: YamlNode,
    per: int,
) -> Fraction:
    if unit not in UNITS:
        node.wrong(f"unknown unit; expected one of: {', '.join(UNITS)}")
    price = node.decimal("a price", 0, _MAX_PRICE, "2.50")
    return picos(price, per)
