"""How the command shows prices: for people as tables, for programs as exact text in JSON."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

from rich.table import Table

from gate.cli.connection import console
from meter.prices import ModelPrice, PriceWindow
from meter.prices.diff import MarkupChange, PriceChange, RateChange, rate_changes
from meter.prices.timeline import ALWAYS_MS
from meter.prices.units import without_repeats

_MILLION = 1_000_000
_BY_THE_MILLION = ("_tokens", "_characters", "_pixels")
_SHOWN_DIGITS = 12
EVERYONE = "everyone"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def per(unit: str) -> int:
    """For how many of a unit its price is shown."""
    return _MILLION if unit.endswith(_BY_THE_MILLION) else 1


def exact(value: Fraction) -> str:
    """A decimal if it has an end, else a fraction."""
    denominator = value.denominator
    twos = 0
    fives = 0
    while denominator % 2 == 0:
        denominator = denominator // 2
        twos = twos + 1
    while denominator % 5 == 0:
        denominator = denominator // 5
        fives = fives + 1
    if denominator > 1:
        return str(value)
    places = max(twos, fives)
    # By digits, because a Decimal would round them.
    whole, digits = divmod(abs(value.numerator) * 10**places // value.denominator, 10**places)
    return f"{'-' if value < 0 else ''}{whole}" + (f".{digits:0{places}d}" if places else "")


def shown(unit: str, price: Fraction | None) -> str:
    """A price for a table; what is not a short decimal is rounded, and marked."""
    if price is None:
        return "-"
    text = exact(price * per(unit))
    if "/" not in text and len(text) <= _SHOWN_DIGITS:
        return text
    with localcontext(prec=_SHOWN_DIGITS):
        rounded = Decimal((price * per(unit)).numerator) / Decimal((price * per(unit)).denominator)
    return f"~{rounded.normalize():f}"


def percentage(value: Fraction | None) -> str:
    if value is None:
        return ""
    nearest = Decimal(round(value * 100)).scaleb(-2)
    return f"{nearest.normalize():+f}%"


def instant(ms: int) -> str | None:
    """A time as text; None for one that never comes, or has always been."""
    if abs(ms) >= ALWAYS_MS:
        return None
    moment = _EPOCH + timedelta(milliseconds=ms)
    return moment.isoformat().replace("+00:00", "Z")


def print_list(windows: Iterable[PriceWindow]) -> None:
    table = Table(
        "model",
        "currency",
        "input",
        "cached",
        "output",
        "also priced",
        "tiers",
        "source",
        "version",
        box=None,
    )
    for column in table.columns[2:5]:
        column.justify = "right"
        column.no_wrap = True
    for window in windows:
        price = _price(window)
        rates = price.bands()[0][1]
        main = ["input_tokens", "cached_input_tokens", "output_tokens"]
        others = [unit for unit in without_repeats(rates) if unit not in main]
        starts = ", ".join(f"> {tier.above_input_tokens:,}" for tier in price.tiers)
        prices = [shown(unit, rates.get(unit)) for unit in main]
        table.add_row(
            price.model,
            price.currency,
            *prices,
            ", ".join(others),
            starts,
            _source(window),
            price.version,
        )
    console.print(table)


def print_price(price: ModelPrice, window: PriceWindow | None = None) -> None:
    """Everything about one price; `window` tells since when it is in force, and why."""
    heading = Table(title=price.model, show_header=False, box=None, title_justify="left")
    for name, value in _facts(price, window):
        heading.add_row(name, value)
    console.print(heading)
    bands = price.bands()
    columns = ["base"] + [f"> {start:,} input" for start, _ in bands[1:]]
    table = Table("unit", "for each", *columns, box=None)
    for column in table.columns[1:]:
        column.justify = "right"
        column.no_wrap = True
    for unit in without_repeats(
        {unit: [rates[unit] for _, rates in bands] for unit in bands[0][1]}
    ):
        table.add_row(unit, f"{per(unit):,}", *(shown(unit, rates[unit]) for _, rates in bands))
    console.print(table)


def print_changes(markups: Iterable[MarkupChange], prices: Iterable[PriceChange]) -> None:
    """What a price file would change."""
    table = _changes_table("account", "from")
    for markup in markups:
        owner = markup.account_id or EVERYONE
        since = instant(markup.from_ms) or ""
        table.add_row(
            owner,
            since,
            "(list prices)",
            "markup",
            "",
            "",
            f"{markup.before:f}%",
            f"{markup.after:f}%",
            "",
        )
    for change in prices:
        for row in _rows(change.before, change.after):
            table.add_row(
                change.account_id or EVERYONE, instant(change.from_ms) or "", change.model, *row
            )
    console.print(table if table.rows else "no price differs")


def print_price_changes(before: ModelPrice, after: ModelPrice) -> None:
    """What differs between two versions."""
    table = _changes_table()
    for row in _rows(before, after):
        table.add_row(after.model, *row)
    console.print(table if table.rows else "no price differs")


def print_as_json(content: object) -> None:
    print(json.dumps(content, indent=2))


def price_json(price: ModelPrice, window: PriceWindow | None = None) -> dict[str, Any]:
    """A price with its prices as exact text, in the words of the price file; a fraction where no
    decimal is exact.
    """
    (_, base), *tiers = price.bands()
    content: dict[str, Any] = {
        "model": price.model,
        "version": price.version,
        "currency": price.currency,
    }
    if window:
        content |= {
            "source": str(window.source),
            "from": instant(window.from_ms),
            "until": instant(window.until_ms),
        }
    if price.markup:
        content |= {
            "markup_percent": price.markup.percent,
            "list_price": price_json(price.markup.listed),
        }
    content |= _rates_json(base)
    content["tiers"] = [
        {"above_input_tokens": start, **_rates_json(rates)} for start, rates in tiers
    ]
    return content | {"minimums": dict(price.minimums)}


def changes_json(markups: Iterable[MarkupChange], prices: Iterable[PriceChange]) -> dict[str, Any]:
    return {
        "markups": [
            {
                "account": each.account_id,
                "from": instant(each.from_ms),
                "old": f"{each.before:f}",
                "new": f"{each.after:f}",
            }
            for each in markups
        ],
        "prices": [
            {
                "account": each.account_id,
                "from": instant(each.from_ms),
                **price_change_json(each.before, each.after),
            }
            for each in prices
        ],
    }


def price_change_json(before: ModelPrice | None, after: ModelPrice | None) -> dict[str, Any]:
    named = after or before
    return {
        "model": named.model if named else "",
        "old_version": before.version if before else None,
        "new_version": after.version if after else None,
        "old_currency": before.currency if before else None,
        "new_currency": after.currency if after else None,
        "units": [_rate_change_json(change) for change in rate_changes(before, after)],
    }


def _rate_change_json(change: RateChange) -> dict[str, Any]:
    old, new = (
        None if each is None else exact(each * per(change.unit))
        for each in (change.before, change.after)
    )
    return {
        "unit": change.unit,
        "above_input_tokens": change.above_input_tokens,
        "per": per(change.unit),
        "old": old,
        "new": new,
        "percent": None if change.percent is None else exact(change.percent),
    }


def _changes_table(*first: str) -> Table:
    table = Table(*first, "model", "unit", "above", "for each", "old", "new", "change", box=None)
    for column in table.columns[-5:]:
        column.justify = "right"
        column.no_wrap = True
    return table


def _rows(before: ModelPrice | None, after: ModelPrice | None) -> Iterator[list[str]]:
    if before and after and before.currency != after.currency:
        yield ["currency", "", "", before.currency, after.currency, ""]
    for change in rate_changes(before, after):
        start = f"{change.above_input_tokens:,}" if change.above_input_tokens else ""
        old = shown(change.unit, change.before)
        new = shown(change.unit, change.after)
        yield [change.unit, start, f"{per(change.unit):,}", old, new, percentage(change.percent)]


def _facts(price: ModelPrice, window: PriceWindow | None) -> Iterator[tuple[str, str]]:
    yield "version", price.version
    yield "currency", price.currency
    if window:
        yield "source", _source(window)
        yield "in force since", instant(window.from_ms) or "always"
        yield "until", instant(window.until_ms) or "further notice"
    if price.markup:
        yield "markup", f"{price.markup.percent}% on list price {price.markup.listed.version}"
    for unit, least in price.minimums:
        yield "least charged", f"{least} {unit}"


def _source(window: PriceWindow) -> str:
    markup = window.price.markup if window.price else None
    return f"{window.source}, {Decimal(markup.percent):+f}%" if markup else str(window.source)


def _price(window: PriceWindow) -> ModelPrice:
    assert window.price is not None, "only what has a price is listed"
    return window.price


def _rates_json(rates: Mapping[str, Fraction]) -> dict[str, dict[str, str]]:
    blocks = {"per_million": _MILLION, "per_unit": 1}
    return {
        name: {unit: exact(rate * count) for unit, rate in rates.items() if per(unit) == count}
        for name, count in blocks.items()
    }
