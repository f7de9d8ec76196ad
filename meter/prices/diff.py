"""Compares two prices, or two price tables from a time on."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import product
from typing import NamedTuple

from meter.prices.fallbacks import without_repeats
from meter.prices.overrides import Terms
from meter.prices.price import ModelPrice
from meter.prices.service_tiers import STANDARD
from meter.prices.table import PriceTable
from meter.prices.timeline import T
from meter.prices.units import unit_order

_UnitRates = dict[str, Fraction]  # credits by unit
_Bands = list[tuple[int, _UnitRates]]  # by the input tokens above which the rates hold
_Pairs = dict[str, "_Pair"]  # by unit


class RateChange(NamedTuple):
    """Holds one unit's prices, in credits per unit, in calls of more than so many input tokens.

    A price is None where the unit has no price.
    """

    unit: str
    above_input_tokens: int
    before: Fraction | None
    after: Fraction | None
    in_one_currency: bool = True

    @property
    def percent(self) -> Fraction | None:
        """Returns the rise in percent; None from or to no price, from zero, and to a price in
        another currency.
        """
        if not self.before or self.after is None or not self.in_one_currency:
            return None
        return (self.after / self.before - 1) * 100


@dataclass(frozen=True, slots=True)
class PriceChange:
    """Holds a model's prices before and after, for an account, from a time on.

    Both are in one currency and of one service tier. `model` is the name in the price file, a
    listed model's as provider/model. An empty `account_id` stands for everyone without prices of
    their own.
    """

    account_id: str
    from_ms: int
    before: ModelPrice | None
    after: ModelPrice | None
    model: str

    @property
    def currency(self) -> str:
        known = self.after or self.before
        if known is None:
            return ""
        return known.currency

    @property
    def service_tier(self) -> str:
        known = self.after or self.before
        if known is None:
            return ""
        return known.service_tier


@dataclass(frozen=True, slots=True)
class MarkupChange:
    """Holds the percentages on list prices before and after, for an account, from a time on.

    An empty `account_id` stands for everyone without a markup of their own.
    """

    account_id: str
    from_ms: int
    before: Decimal
    after: Decimal


@dataclass(frozen=True, slots=True)
class TargetChange:
    """Holds which model a name costs the same as, before and after; empty for none.

    An empty `account_id` stands for everyone.
    """

    account_id: str
    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class TrustChange:
    """Holds whether reported costs are trusted before and after, for an account.

    An empty `account_id` stands for everyone.
    """

    account_id: str
    before: bool
    after: bool


class _Kind(NamedTuple):
    """Names one of the prices that a model may have at a time."""

    currency: str
    service_tier: str


class _Pair(NamedTuple):
    """Holds a unit's price under two model prices."""

    before: Fraction | None
    after: Fraction | None


def rate_changes(
    before: ModelPrice | None,
    after: ModelPrice | None,
) -> list[RateChange]:
    """Returns the units whose price differs, tier by tier.

    Units that only follow a more general unit, or the tier below, are left out.
    """
    changes: list[RateChange] = []
    below: _Pairs = {}
    model = _model_of(before, after)
    in_one_currency = not before or not after or before.currency == after.currency
    for start, pairs in _pairs_by_start(before, after):
        told = without_repeats(pairs, model)
        changes += _changes_above(start, told, below, in_one_currency)
        below = pairs
    return changes


def markup_changes(
    old: PriceTable,
    new: PriceTable,
    at_ms: int,
) -> list[MarkupChange]:
    """Returns the percentages that differ from `at_ms` on, everyone's first.

    Each change has the time from which the percentage differs.
    """
    instants = _instants(old, new, at_ms)
    changes: list[MarkupChange] = []
    for account_id in _accounts(old, new):
        if account_id and not _has_markups(old, new, account_id):
            continue
        pairs = _markup_pairs(old, new, account_id, instants)
        changes += [MarkupChange(account_id, *told) for told in _told_once(pairs)]
    return changes


def _markup_pairs(
    old: PriceTable,
    new: PriceTable,
    account_id: str,
    instants: Iterable[int],
) -> list[tuple[int, Decimal, Decimal]]:
    """Returns the percentages before and after, by time."""
    return [(ms, old.markup(ms, account_id), new.markup(ms, account_id)) for ms in instants]


def price_changes(
    old: PriceTable,
    new: PriceTable,
    at_ms: int,
) -> list[PriceChange]:
    """Returns the prices that differ from `at_ms` on, of the models that either price file names.

    Other models differ by a markup alone.
    """
    instants = _instants(old, new, at_ms)
    changes: list[PriceChange] = []
    for account_id in _accounts(old, new):
        for name in _names(old, new, account_id):
            for kind in _kinds(old, new):
                changes += _changes_of(old, new, name, account_id, kind, instants)
    return changes


def target_changes(old: PriceTable, new: PriceTable) -> list[TargetChange]:
    """Returns the names of the price files that cost the same as another model than before."""
    changes: list[TargetChange] = []
    for account_id in _accounts(old, new):
        before = _terms(old, account_id).same_as
        after = _terms(new, account_id).same_as
        for name in sorted({*before, *after}):
            if before.get(name) != after.get(name):
                change = TargetChange(account_id, name, before.get(name, ""), after.get(name, ""))
                changes.append(change)
    return changes


def trust_changes(old: PriceTable, new: PriceTable) -> list[TrustChange]:
    """Returns for whom reported costs are trusted otherwise than before, everyone first."""
    changes: list[TrustChange] = []
    everyones: TrustChange | None = None
    for account_id in _accounts(old, new):
        before = old.trusts_reported_cost(account_id)
        after = new.trusts_reported_cost(account_id)
        change = TrustChange("", before, after)
        if change == everyones:
            continue
        if before != after:
            changes.append(TrustChange(account_id, before, after))
        if not account_id:
            everyones = change
    return changes


def _kinds(old: PriceTable, new: PriceTable) -> list[_Kind]:
    currencies = sorted(old.currencies | new.currencies)
    service_tiers = sorted({STANDARD, *old.service_tiers, *new.service_tiers})
    return [_Kind(*kind) for kind in product(currencies, service_tiers)]


def _changes_of(
    old: PriceTable,
    new: PriceTable,
    name: str,
    account_id: str,
    kind: _Kind,
    instants: Iterable[int],
) -> list[PriceChange]:
    """Returns the changes of one model's price of one kind."""
    pairs = [(ms, *_own_prices(old, new, name, ms, account_id, kind)) for ms in instants]
    model = old.canonical(name)
    return [PriceChange(account_id, *told, model) for told in _told_once(pairs)]


def _model_of(before: ModelPrice | None, after: ModelPrice | None) -> str:
    known = after or before
    if known is None:
        return ""
    return known.model


def _pairs_by_start(
    before: ModelPrice | None,
    after: ModelPrice | None,
) -> Iterator[tuple[int, _Pairs]]:
    """Yields the units' prices in each band, by the input tokens above which they hold."""
    old_bands = _bands(before)
    new_bands = _bands(after)
    starts = {start for start, _ in old_bands + new_bands}
    for start in sorted(starts):
        old_rates = _rates_above(old_bands, start)
        new_rates = _rates_above(new_bands, start)
        yield start, _pairs(old_rates, new_rates)


def _changes_above(
    start: int,
    pairs: _Pairs,
    below: _Pairs,
    in_one_currency: bool,
) -> Iterator[RateChange]:
    """Yields the changes among the pairs, without what only follows `below`."""
    for unit in sorted(pairs, key=unit_order):
        pair = pairs[unit]
        if pair != below.get(unit) and pair.before != pair.after:
            yield RateChange(unit, start, pair.before, pair.after, in_one_currency)


def _has_markups(
    old: PriceTable,
    new: PriceTable,
    account_id: str,
) -> bool:
    """Returns whether either price file has markups of the account's own."""
    return any(_terms(table, account_id).markups for table in (old, new))


def _own_prices(
    old: PriceTable,
    new: PriceTable,
    name: str,
    ms: int,
    account_id: str,
    kind: _Kind,
) -> tuple[ModelPrice | None, ModelPrice | None]:
    """Returns the prices of one kind before and after.

    An account whose prices are everyone's has none here: everyone's change is told once.
    """
    before = old.window(name, ms, account_id, *kind).price
    after = new.window(name, ms, account_id, *kind).price
    if account_id and (before, after) == _own_prices(old, new, name, ms, "", kind):
        return None, None
    return before, after


def _told_once(pairs: Iterable[tuple[int, T, T]]) -> Iterator[tuple[int, T, T]]:
    """Yields the pairs with a difference, unless the pair before was the same."""
    last: tuple[T, T] | None = None
    for ms, before, after in pairs:
        if before != after and (before, after) != last:
            yield ms, before, after
        last = (before, after)


def _bands(price: ModelPrice | None) -> _Bands:
    if price is None:
        return [(0, {})]
    return price.bands()


def _rates_above(bands: _Bands, start: int) -> _UnitRates:
    """Returns the rates of a call of just over `start` input tokens."""
    return next(rates for above, rates in reversed(bands) if above <= start)


def _pairs(old_rates: _UnitRates, new_rates: _UnitRates) -> _Pairs:
    units = {**old_rates, **new_rates}
    pairs = {}
    for unit in units:
        before = old_rates.get(unit)
        after = new_rates.get(unit)
        pairs[unit] = _Pair(before, after)
    return pairs


def _terms(table: PriceTable, account_id: str) -> Terms:
    if not account_id:
        return table.overrides.everyone
    return table.overrides.accounts.get(account_id, Terms())


def _accounts(old: PriceTable, new: PriceTable) -> list[str]:
    """Returns everyone, as an empty id, and the accounts that either price file names."""
    named = {*old.overrides.accounts, *new.overrides.accounts}
    return ["", *sorted(named)]


def _names(
    old: PriceTable,
    new: PriceTable,
    account_id: str,
) -> list[str]:
    """Returns the models priced for everyone or the account, each under one name."""
    by_canonical: dict[str, str] = {}
    for table in (old, new):
        for name in _priced_names(table, account_id):
            canonical = old.canonical(name)
            by_canonical[canonical.lower()] = name
    return sorted(by_canonical.values())


def _priced_names(table: PriceTable, account_id: str) -> Iterator[str]:
    for owner in sorted({"", account_id}):
        yield from _terms(table, owner).models


def _instants(
    old: PriceTable,
    new: PriceTable,
    at_ms: int,
) -> list[int]:
    """Returns `at_ms`, and the later times at which either price file says something new."""
    instants = {at_ms}
    for terms in _all_terms(old, new):
        instants.update(ms for ms in _step_times(terms) if ms > at_ms)
    return sorted(instants)


def _all_terms(old: PriceTable, new: PriceTable) -> Iterator[Terms]:
    """Yields everyone's and every account's terms in both tables."""
    for table in (old, new):
        for account_id in _accounts(old, new):
            yield _terms(table, account_id)


def _step_times(terms: Terms) -> Iterator[int]:
    for from_ms, _ in terms.markups:
        yield from_ms
    for steps in terms.models.values():
        for from_ms, _ in steps:
            yield from_ms
