"""Reads the price file: an operator's own prices and markups, in YAML, before the catalog's prices.

Every mistake is a PriceFileError with the key path: a price that was not understood must not be
charged as another.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path

import yaml

from meter.currencies import currency_hint, is_currency
from meter.errors import InvalidField
from meter.ids import check_id
from meter.prices.errors import PriceFileError
from meter.prices.price_entry import PRICE_KEYS, read_offer
from meter.prices.service_tiers import Offer
from meter.prices.timeline import Steps, T
from meter.prices.yaml_node import Keys, YamlNode, mapping_under

MAX_MODEL_NAME = 256
STAR = "*"  # in a name of the price file, and in the name of the model that costs the same
_LEAST_PERCENT = -100
_MOST_PERCENT = 10_000
_TERMS_KEYS = ("markup_percent", "models", "trust_reported_cost")
_TOP_KEYS = ("currency", *_TERMS_KEYS, "accounts")
_DEFAULT_CURRENCY = "USD"
_SINCE_ALWAYS_MS = -(2**63)


@dataclass(frozen=True, slots=True)
class Terms:
    """Holds what the file says for everyone, or for one account.

    `markups` are percentages on list prices; `models` are models' own prices by name; `same_as`
    are the names of the models that cost the same, by name. `trusts_reported_cost` is None where
    the file says nothing of it.
    """

    markups: Steps[Decimal] = ()
    models: Mapping[str, Steps[Offer]] = field(default_factory=dict)
    same_as: Mapping[str, str] = field(default_factory=dict)
    trusts_reported_cost: bool | None = None


@dataclass(frozen=True, slots=True)
class Overrides:
    """Holds a price file's content; an account's terms take precedence over everyone's.

    All prices are in `currency`.
    """

    everyone: Terms = field(default_factory=Terms)
    accounts: Mapping[str, Terms] = field(default_factory=dict)
    currency: str = _DEFAULT_CURRENCY


def read_overrides(path: Path, text: bytes) -> Overrides:
    """Returns the content of the file at `path`, which is `text`.

    Raises PriceFileError if the file is wrong.
    """
    keys = _top_keys(path, text)
    currency = _currency(keys)
    account_nodes = mapping_under(keys, "accounts", "accounts by id, each with its terms")
    everyone = _terms(keys, currency)
    accounts = {}
    for account_id, node in account_nodes.items():
        accounts[account_id] = _account(account_id, node, currency)
    return Overrides(everyone, accounts, currency)


def _top_keys(path: Path, text: bytes) -> Keys:
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


def _currency(keys: Keys) -> str:
    if "currency" not in keys:
        return _DEFAULT_CURRENCY
    node = keys["currency"]
    text = node.text("a currency, such as USD")
    if not is_currency(text):
        node.wrong(currency_hint(text))
    return text


def _account(
    account_id: str,
    node: YamlNode,
    currency: str,
) -> Terms:
    try:
        check_id("account id", account_id)
    except InvalidField as error:
        node.wrong(error.message)
    keys = node.mapping(", ".join(_TERMS_KEYS), _TERMS_KEYS)
    return _terms(keys, currency)


def _terms(keys: Keys, currency: str) -> Terms:
    nodes = mapping_under(keys, "models", "at least one model, each with a list of prices")
    _check_names(nodes)
    targets = _targets(nodes)
    models = {}
    for name, node in nodes.items():
        if name not in targets:
            models[name] = _prices(name, currency, node)
    markups: Steps[Decimal] = ()
    if "markup_percent" in keys:
        markups = _markups(keys["markup_percent"])
    trusts_reported_cost = None
    if "trust_reported_cost" in keys:
        trusts_reported_cost = keys["trust_reported_cost"].flag("whether to trust reported costs")
    return Terms(markups, models, targets, trusts_reported_cost)


def _targets(models: Keys) -> dict[str, str]:
    """Returns the names that cost the same as another model, each with that model's name."""
    targets = {}
    for name, node in models.items():
        if node.is_mapping:
            keys = node.mapping("a list of prices, or same_as: MODEL")
            if "same_as" in keys:
                targets[name] = _target(name, keys)
    return targets


def _target(name: str, keys: Keys) -> str:
    for key, node in keys.items():
        if key != "same_as":
            node.wrong("stands beside same_as, which tells the whole price; keep one of them")
    node = keys["same_as"]
    target = node.text("the name of the model that costs the same")
    if not _is_model_name(target):
        node.wrong(f"expected a model's name of 1 to {MAX_MODEL_NAME} printable characters")
    if target.count(STAR) > name.count(STAR):
        node.wrong(f"has a * that stands for no text: {name!r} has none; write the whole name")
    return target


def _check_names(models: Keys) -> None:
    """Refuses a name that is empty, padded or too long, and two names that differ by case alone."""
    seen: dict[str, str] = {}
    for name, node in models.items():
        if not _is_model_name(name):
            node.wrong(f"expected a model's name of 1 to {MAX_MODEL_NAME} printable characters")
        if name.count(STAR) > 1:
            node.wrong("has more than one *; write one, which stands for any text")
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
) -> Steps[Offer]:
    entries = node.items("a list of prices, each beginning with '-', or same_as: MODEL")
    return _steps(entries, PRICE_KEYS, partial(read_offer, name, currency))


def _markups(node: YamlNode) -> Steps[Decimal]:
    if not node.is_list:
        return ((_SINCE_ALWAYS_MS, _percent(node)),)
    entries = node.items("a percentage")
    return _steps(entries, ("percent",), _entry_percent)


def _entry_percent(entry: YamlNode, keys: Keys) -> Decimal:
    if "percent" not in keys:
        entry.wrong("has no percent")
    return _percent(keys["percent"])


def _percent(node: YamlNode) -> Decimal:
    return node.decimal("a percentage", _LEAST_PERCENT, _MOST_PERCENT, "12.5")


def _steps(
    entries: list[YamlNode],
    allowed: tuple[str, ...],
    read_value: Callable[[YamlNode, Keys], T],
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


def _entry_keys(entry: YamlNode, allowed: tuple[str, ...]) -> Keys:
    """Returns an entry's keys, of which `effective_at` may always be one."""
    all_allowed = ("effective_at", *allowed)
    return entry.mapping(", ".join(all_allowed), all_allowed)


def _effective_ms(keys: Keys) -> int:
    if "effective_at" not in keys:
        return _SINCE_ALWAYS_MS
    return keys["effective_at"].time_ms()
