"""Reads one entry of the price file: what a model's units cost, by tier and by service tier."""

import re
from fractions import Fraction

from meter.prices.compile import UnitPrice, compile_price, picos
from meter.prices.price import ModelPrice
from meter.prices.service_tiers import STANDARD, STANDARD_NAMES, Offer
from meter.prices.units import UNITS
from meter.prices.yaml_node import Keys, YamlNode, mapping_under

_MAX_PRICE = 10**9  # credits; a larger price is a mistake
_MOST_PERCENT = 10_000
_UNITS_PER_PRICE = {
    "per_million": 1_000_000,
    "per_unit": 1,
}
PRICE_KEYS = (*_UNITS_PER_PRICE, "tiers", "service_tiers")
_TIER_KEYS = ("above_input_tokens", *_UNITS_PER_PRICE)
_SERVICE_TIER_KEYS = ("percent", *_UNITS_PER_PRICE, "tiers")

_UnitRates = dict[str, Fraction]  # picos by unit
_Tiers = list[tuple[int, _UnitRates]]  # by the input tokens above which the changed rates hold
_UnitPrices = dict[str, UnitPrice]


def read_offer(
    name: str,
    currency: str,
    entry: YamlNode,
    keys: Keys,
) -> Offer:
    """Returns the prices of a model that an entry gives, by service tier.

    Raises PriceFileError if the entry is wrong.
    """
    standard = _prices_of(entry, keys)
    offer = {STANDARD: _compiled(name, currency, standard, STANDARD)}
    what = "service tiers by name, such as batch"
    for tier, node in mapping_under(keys, "service_tiers", what).items():
        _check_service_tier(tier, node)
        offer[tier] = _compiled(name, currency, _tier_prices(node, standard), tier)
    return offer


def _compiled(
    name: str,
    currency: str,
    prices: _UnitPrices,
    service_tier: str,
) -> ModelPrice:
    price = compile_price(name, currency, prices, service_tier=service_tier)
    assert price is not None, "an entry without prices was refused"
    return price


def _check_service_tier(tier: str, node: YamlNode) -> None:
    if not re.fullmatch("[a-z0-9_-]{1,32}", tier):
        node.wrong('a service tier is named by 1 to 32 of a-z, 0-9, "_" and "-", such as batch')
    if tier in STANDARD_NAMES:
        node.wrong("is the standard service; its prices stand beside service_tiers")


def _tier_prices(node: YamlNode, standard: _UnitPrices) -> _UnitPrices:
    """Returns the prices in a service tier: a percentage of the standard ones, or its own."""
    keys = node.mapping(f"one of {', '.join(_SERVICE_TIER_KEYS)}", _SERVICE_TIER_KEYS)
    if "percent" not in keys:
        return _prices_of(node, keys)
    for key, child in keys.items():
        if key != "percent":
            child.wrong("stands beside percent, which tells all prices; keep one of them")
    percent = keys["percent"].decimal("a percentage", 0, _MOST_PERCENT, "50")
    factor = Fraction(percent) / 100
    return {unit: price.times(factor) for unit, price in standard.items()}


def _prices_of(entry: YamlNode, keys: Keys) -> _UnitPrices:
    base = _rates(entry, keys)
    tiers: _Tiers = []
    if "tiers" in keys:
        tiers = _tiers(keys["tiers"], base)
    return _unit_prices(base, tiers)


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


def _tier_start(entry: YamlNode, keys: Keys) -> int:
    if "above_input_tokens" not in keys:
        entry.wrong("has no above_input_tokens")
    return keys["above_input_tokens"].count("a number of input tokens")


def _tier_rates(
    entry: YamlNode,
    keys: Keys,
    base: _UnitRates,
) -> _UnitRates:
    rates = _rates(entry, keys)
    for unit in rates.keys() - base.keys():
        entry.wrong(f"{unit} has no price below this tier; give it one beside `tiers`")
    return rates


def _rates(entry: YamlNode, keys: Keys) -> _UnitRates:
    """Returns the prices in picos per unit that an entry or a tier gives."""
    rates: _UnitRates = {}
    for key, per in _UNITS_PER_PRICE.items():
        for unit, node in mapping_under(keys, key, "unit: price pairs").items():
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
