"""Prices, and the differences between prices, as JSON for programs.

A price is exact text, in the words of the price file; a fraction such as 1/3 where no decimal is
exact.
"""

import json
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from gate.cli.price_text import MILLION, exact, instant, per
from meter.prices import ModelPrice, PriceWindow
from meter.prices.diff import (
    MarkupChange,
    PriceChange,
    RateChange,
    TargetChange,
    TrustChange,
    rate_changes,
)


def print_as_json(content: object) -> None:
    """Prints the content as indented JSON."""
    print(json.dumps(content, indent=2))


def price_json(
    price: ModelPrice,
    window: PriceWindow | None = None,
) -> dict[str, Any]:
    """Returns a price; `window` adds since when the price is in force, and why."""
    content: dict[str, Any] = {
        "model": price.model,
        "version": price.version,
        "currency": price.currency,
        "service_tier": price.service_tier,
    }
    if window:
        content["source"] = str(window.source)
        content["from"] = instant(window.from_ms)
        content["until"] = instant(window.until_ms)
    if price.markup:
        content["markup_percent"] = price.markup.percent
        content["list_price"] = price_json(price.markup.listed)
    (_, base), *tiers = price.bands()
    content |= _rates_json(base)
    content["tiers"] = [
        {"above_input_tokens": start, **_rates_json(rates)} for start, rates in tiers
    ]
    content["minimums"] = dict(price.minimums)
    return content


def changes_json(
    trust: Iterable[TrustChange],
    targets: Iterable[TargetChange],
    markups: Iterable[MarkupChange],
    prices: Iterable[PriceChange],
) -> dict[str, Any]:
    """Returns the differences between two price tables, by account and time."""
    return {
        "trust_reported_cost": [
            {"account": change.account_id, "old": change.before, "new": change.after}
            for change in trust
        ],
        "same_as": [
            {
                "account": change.account_id,
                "model": change.name,
                "old": change.before or None,
                "new": change.after or None,
            }
            for change in targets
        ],
        "markups": [_markup_change_json(change) for change in markups],
        "prices": [
            {
                "account": change.account_id,
                "from": instant(change.from_ms),
                **price_change_json(change.before, change.after),
                "model": change.model,
            }
            for change in prices
        ],
    }


def price_change_json(
    before: ModelPrice | None,
    after: ModelPrice | None,
) -> dict[str, Any]:
    """Returns the differences between two versions of a price; None: no price."""
    model = ""
    service_tier = ""
    known = after or before
    if known is not None:
        model = known.model
        service_tier = known.service_tier
    return {
        "model": model,
        "service_tier": service_tier,
        "old_version": before.version if before else None,
        "new_version": after.version if after else None,
        "old_currency": before.currency if before else None,
        "new_currency": after.currency if after else None,
        "units": [_rate_change_json(change) for change in rate_changes(before, after)],
    }


def _markup_change_json(change: MarkupChange) -> dict[str, Any]:
    return {
        "account": change.account_id,
        "from": instant(change.from_ms),
        "old": f"{change.before:f}",
        "new": f"{change.after:f}",
    }


def _rate_change_json(change: RateChange) -> dict[str, Any]:
    count = per(change.unit)
    return {
        "unit": change.unit,
        "above_input_tokens": change.above_input_tokens,
        "per": count,
        "old": _optional_exact(change.before, count),
        "new": _optional_exact(change.after, count),
        "percent": _optional_exact(change.percent),
    }


def _optional_exact(value: Fraction | None, count: int = 1) -> str | None:
    if value is None:
        return None
    return exact(value * count)


def _rates_json(rates: Mapping[str, Fraction]) -> dict[str, dict[str, str]]:
    """Returns the prices in the two blocks of the price file: per million units, and per unit."""
    per_million = {}
    per_unit = {}
    for unit, rate in rates.items():
        if per(unit) == MILLION:
            per_million[unit] = exact(rate * MILLION)
        else:
            per_unit[unit] = exact(rate)
    return {"per_million": per_million, "per_unit": per_unit}
