"""Tables of prices, and of the differences between prices, for people."""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from rich.table import Table

from gate.cli.connection import console
from gate.cli.output import add_number_columns, facts_table
from gate.cli.price_text import instant, per, percentage, shown
from meter.prices import ModelPrice, PriceWindow
from meter.prices.catalog import CURRENCY
from meter.prices.diff import (
    MarkupChange,
    PriceChange,
    TargetChange,
    TrustChange,
    rate_changes,
)
from meter.prices.fallbacks import without_repeats

_EVERYONE = "everyone"
_YES_OR_NO = {True: "yes", False: "no"}
_MAIN_UNITS = ("input_tokens", "cached_input_tokens", "output_tokens")


def print_list(prices: Iterable[tuple[ModelPrice, PriceWindow]]) -> None:
    """Prints a line for each price, with the source of the price."""
    table = Table("model", "currency", box=None)
    add_number_columns(table, "input", "cached", "output")
    for heading in ("also priced", "tiers", "source", "version"):
        table.add_column(heading)
    for price, window in prices:
        _, rates = price.bands()[0]
        main_prices = [shown(unit, rates.get(unit)) for unit in _MAIN_UNITS]
        told = without_repeats(rates, price.model)
        others = [unit for unit in told if unit not in _MAIN_UNITS]
        tiers = [f"> {tier.above_input_tokens:,}" for tier in price.tiers]
        table.add_row(
            price.model,
            price.currency,
            *main_prices,
            ", ".join(others),
            ", ".join(tiers),
            _source_text(window),
            price.version,
        )
    console.print(table)


def print_price(
    price: ModelPrice,
    window: PriceWindow | None,
    service_tiers: Iterable[str],
) -> None:
    """Prints everything about a price; `window` tells since when it is in force, and why.

    `service_tiers` are the others in which the model has a price.
    """
    table = facts_table(price.model)
    for name, value in _facts(price, window):
        table.add_row(name, value)
    priced = ", ".join(service_tiers)
    if priced:
        table.add_row("also sold as", priced)
    console.print(table)
    console.print(_rates_table(price))


def print_changes(
    trust: Iterable[TrustChange],
    targets: Iterable[TargetChange],
    markups: Iterable[MarkupChange],
    prices: Iterable[PriceChange],
) -> None:
    """Prints the differences between two price tables, by account and time."""
    table = _changes_table("account", "from")
    for change_of_trust in trust:
        table.add_row(*_trust_cells(change_of_trust))
    for target in targets:
        table.add_row(*_target_cells(target))
    for markup in markups:
        table.add_row(*_markup_cells(markup))
    for change in prices:
        owner = change.account_id or _EVERYONE
        start = instant(change.from_ms) or ""
        for row in _change_rows(change.before, change.after):
            table.add_row(owner, start, _change_name(change), *row)
    _print_unless_empty(table)


def _change_name(change: PriceChange) -> str:
    """Returns the model, with the service tier, and with a currency that is not the catalog's."""
    parts = [change.model]
    if change.service_tier:
        parts.append(change.service_tier)
    if change.currency != CURRENCY:
        parts.append(change.currency)
    return ", ".join(parts)


def _trust_cells(change: TrustChange) -> list[str]:
    return [
        change.account_id or _EVERYONE,
        "",
        "(reported costs)",
        "trusted",
        "",
        "",
        _YES_OR_NO[change.before],
        _YES_OR_NO[change.after],
        "",
    ]


def _target_cells(target: TargetChange) -> list[str]:
    return [
        target.account_id or _EVERYONE,
        "",
        target.name,
        "same as",
        "",
        "",
        target.before or "-",
        target.after or "-",
        "",
    ]


def _markup_cells(markup: MarkupChange) -> list[str]:
    return [
        markup.account_id or _EVERYONE,
        instant(markup.from_ms) or "",
        "(list prices)",
        "markup",
        "",
        "",
        f"{markup.before:f}%",
        f"{markup.after:f}%",
        "",
    ]


def print_price_changes(before: ModelPrice, after: ModelPrice) -> None:
    """Prints the differences between two versions of a price."""
    table = _changes_table()
    for row in _change_rows(before, after):
        table.add_row(after.model, *row)
    _print_unless_empty(table)


def _rates_table(price: ModelPrice) -> Table:
    """Returns a row for each unit, with a column for each tier of input tokens."""
    bands = price.bands()
    _, base = bands[0]
    tiers = [f"> {start:,} input" for start, _ in bands[1:]]
    table = Table("unit", box=None)
    add_number_columns(table, "for each", "base", *tiers)
    rates_of = {unit: [rates[unit] for _, rates in bands] for unit in base}
    for unit, rates in without_repeats(rates_of, price.model).items():
        prices = [shown(unit, rate) for rate in rates]
        table.add_row(unit, f"{per(unit):,}", *prices)
    return table


def _changes_table(*first_headings: str) -> Table:
    table = Table(*first_headings, "model", "unit", box=None)
    add_number_columns(table, "above", "for each", "old", "new", "change")
    return table


def _change_rows(
    before: ModelPrice | None,
    after: ModelPrice | None,
) -> Iterator[list[str]]:
    if before and after and before.currency != after.currency:
        yield ["currency", "", "", before.currency, after.currency, ""]
    for change in rate_changes(before, after):
        above = ""
        if change.above_input_tokens:
            above = f"{change.above_input_tokens:,}"
        yield [
            change.unit,
            above,
            f"{per(change.unit):,}",
            shown(change.unit, change.before),
            shown(change.unit, change.after),
            percentage(change.percent),
        ]


def _facts(
    price: ModelPrice,
    window: PriceWindow | None,
) -> Iterator[tuple[str, str]]:
    yield "version", price.version
    yield "currency", price.currency
    if price.service_tier:
        yield "service tier", price.service_tier
    if window:
        yield "source", _source_text(window)
        yield "in force since", instant(window.from_ms) or "always"
        yield "until", instant(window.until_ms) or "further notice"
    if price.markup:
        yield "markup", f"{price.markup.percent}% on list price {price.markup.listed.version}"
    for unit, least in price.minimums:
        yield "least charged", f"{least} {unit}"


def _source_text(window: PriceWindow) -> str:
    source = str(window.source)
    if window.price is None or window.price.markup is None:
        return source
    return f"{source}, {Decimal(window.price.markup.percent):+f}%"


def _print_unless_empty(table: Table) -> None:
    if table.rows:
        console.print(table)
    else:
        console.print("no price differs")
