"""What differs between two prices, or between two price tables from a time on."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from meter.prices.overrides import Terms
from meter.prices.price import ModelPrice
from meter.prices.table import PriceTable
from meter.prices.timeline import T
from meter.prices.units import unit_order, without_repeats

_Bands = list[tuple[int, dict[str, Fraction]]]
_Rates = tuple[Fraction | None, Fraction | None]
_Pair = tuple[ModelPrice | None, ModelPrice | None]


class RateChange(NamedTuple):
    """One unit's price in calls of more than so many input tokens, in credits per unit; None where it
    has none.
    """

    unit: str
    above_input_tokens: int
    before: Fraction | None
    after: Fraction | None

    @property
    def percent(self) -> Fraction | None:
        """By how much it rose; None from or to no price, and from zero."""
        return (
            (self.after / self.before - 1) * 100 if self.before and self.after is not None else None
        )


@dataclass(frozen=True, slots=True)
class PriceChange:
    """A model's price for an account (none: for everyone without prices of their own),
    from a time on.
    """

    account_id: str
    from_ms: int
    before: ModelPrice | None
    after: ModelPrice | None

    @property
    def model(self) -> str:
        known = self.after or self.before
        return known.model if known else ""


@dataclass(frozen=True, slots=True)
class MarkupChange:
    """The percentage on list prices that an account pays (none: everyone without one of their own),
    from a time on.
    """

    account_id: str
    from_ms: int
    before: Decimal
    after: Decimal


def rate_changes(before: ModelPrice | None, after: ModelPrice | None) -> list[RateChange]:
    """The units whose price differs, tier by tier; not those that follow a more general unit, or the
    tier below.
    """
    old = _bands(before)
    new = _bands(after)
    changes: list[RateChange] = []
    below: dict[str, _Rates] = {}
    for start in sorted({start for start, _ in (*old, *new)}):
        old_rates = _at(old, start)
        new_rates = _at(new, start)
        rates = {
            unit: (old_rates.get(unit), new_rates.get(unit)) for unit in {**old_rates, **new_rates}
        }
        told = [unit for unit in without_repeats(rates) if rates[unit] != below.get(unit)]
        changes += [
            RateChange(unit, start, *rates[unit])
            for unit in sorted(told, key=unit_order)
            if rates[unit][0] != rates[unit][1]
        ]
        below = rates
    return changes


def markup_changes(old: PriceTable, new: PriceTable, at_ms: int) -> list[MarkupChange]:
    """Percentages that differ from `at_ms` on, everyone's first; each with the time from which it is
    so.
    """
    changes = []
    for account_id in _accounts(old, new):
        if not account_id or any(_terms(table, account_id).markups for table in (old, new)):
            pairs = [
                (ms, old.markup(ms, account_id), new.markup(ms, account_id))
                for ms in _instants(old, new, at_ms)
            ]
            changes += [MarkupChange(account_id, *pair) for pair in _told_once(pairs)]
    return changes


def price_changes(old: PriceTable, new: PriceTable, at_ms: int) -> list[PriceChange]:
    """Prices that differ from `at_ms` on, of the models that either price file names: others differ by
    a markup alone.
    """
    instants = _instants(old, new, at_ms)
    changes = []
    for account_id in _accounts(old, new):
        for name in _names(old, new, account_id):
            pairs = [(ms, *_pair(old, new, name, ms, account_id)) for ms in instants]
            changes += [PriceChange(account_id, *pair) for pair in _told_once(pairs)]
    return changes


def _pair(old: PriceTable, new: PriceTable, name: str, ms: int, account_id: str) -> _Pair:
    """Before and after; for an account whose prices are everyone's, nothing: it is told once."""
    before, after = (table.window(name, ms, account_id).price for table in (old, new))
    if account_id and (before, after) == _pair(old, new, name, ms, ""):
        return None, None
    return before, after


def _told_once(pairs: Iterable[tuple[int, T, T]]) -> Iterator[tuple[int, T, T]]:
    """Those with a difference, unless it is the same as at the time before."""
    last: tuple[T, T] | None = None
    for ms, before, after in pairs:
        if before != after and (before, after) != last:
            yield ms, before, after
        last = before, after


def _bands(price: ModelPrice | None) -> _Bands:
    return price.bands() if price else [(0, {})]


def _at(bands: _Bands, start: int) -> dict[str, Fraction]:
    return next(rates for above, rates in reversed(bands) if above <= start)


def _terms(table: PriceTable, account_id: str) -> Terms:
    return (
        table.overrides.accounts.get(account_id, Terms())
        if account_id
        else table.overrides.everyone
    )


def _accounts(old: PriceTable, new: PriceTable) -> list[str]:
    return ["", *sorted({*old.overrides.accounts, *new.overrides.accounts})]


def _names(old: PriceTable, new: PriceTable, account_id: str) -> list[str]:
    owners = {"", account_id}
    named = (
        name for table in (old, new) for owner in owners for name in _terms(table, owner).models
    )
    return sorted({old.canonical(name).lower(): name for name in named}.values())


def _instants(old: PriceTable, new: PriceTable, at_ms: int) -> list[int]:
    """`at_ms`, and the later times at which either price file says something new."""
    terms = [
        _terms(table, account_id) for table in (old, new) for account_id in _accounts(old, new)
    ]
    steps = [
        step
        for each in terms
        for series in (each.markups, *each.models.values())
        for step in series
    ]
    return sorted({at_ms, *(from_ms for from_ms, _ in steps if from_ms > at_ms)})
