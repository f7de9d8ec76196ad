"""Finds what the price file says of a model's name: prices, or which model costs the same.

A name that is told with `*` is a pattern. The star stands for any text, of any length.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from meter.prices.catalog import Catalog, ListedModel
from meter.prices.nearest import NearestNames
from meter.prices.overrides import MAX_MODEL_NAME, STAR, Terms
from meter.prices.service_tiers import STANDARD, Offer
from meter.prices.timeline import Source, Steps

_MOST_FOLLOWED = 8  # names from one to the next; the price file is checked with the same bound


@dataclass(frozen=True, slots=True)
class Entry:
    """Holds an entry of the price file: either prices, or the name that costs the same."""

    prices: Steps[Offer] = ()
    same_as: str = ""


class _Pattern(NamedTuple):
    text: str
    form: re.Pattern[str]
    entry: Entry


class OwnPrices:
    """Holds the terms of one owner: everyone, or one account.

    An entry is found by name, or by the listed model that the entry replaces, or by a pattern.
    """

    def __init__(
        self,
        catalog: Catalog,
        terms: Terms,
        source: Source,
    ) -> None:
        self._terms = terms
        self.markups = terms.markups
        self.trusts_reported_cost = terms.trusts_reported_cost
        self.source = source
        self._by_name: dict[str, Entry] = {}
        self._by_model_id: dict[str, Entry] = {}
        patterns: list[_Pattern] = []
        for name, entry in _entries(terms):
            if STAR in name:
                patterns.append(_Pattern(name, _form(name), entry))
                continue
            model_id = overridden_model(catalog, name)
            self._add(name, model_id, entry)
        # The pattern with the most text of its own comes first.
        self._patterns = sorted(patterns, key=lambda pattern: (-len(pattern.text), pattern.text))

    @property
    def has_prices(self) -> bool:
        """Says whether the owner has prices of its own."""
        return bool(self._terms.models)

    @property
    def service_tiers(self) -> set[str]:
        """Returns the service tiers for which the owner has prices."""
        tiers: set[str] = set()
        for steps in self._terms.models.values():
            for _, offer in steps:
                tiers.update(offer)
        return tiers

    @property
    def other_names(self) -> list[str]:
        """Returns the names and patterns with a price that are no listed model's own."""
        entries = [*self._by_name.values(), *(pattern.entry for pattern in self._patterns)]
        names = []
        for entry in entries:
            if entry.prices:
                _, offer = entry.prices[0]
                names.append(offer[STANDARD].model)
        return names

    @cached_property
    def nearest(self) -> NearestNames:
        """The names with a price that are no listed model's own."""
        return NearestNames(self.other_names)

    def entry(self, name: str, model: ListedModel | None) -> Entry | None:
        """Returns the entry for `name`, or else for the model that `name` stands for.

        A pattern holds where no entry has the name itself.
        """
        found = self._by_name.get(name.strip().lower())
        if found is None and model is not None:
            found = self._by_model_id.get(model.id)
        return found or self._of_pattern(name, model)

    def _of_pattern(self, name: str, model: ListedModel | None) -> Entry | None:
        names = [name.strip()]
        if model is not None:
            names.append(model.id)
        for pattern in self._patterns:
            for each in names:
                match = pattern.form.fullmatch(each)
                if match is not None:
                    return _of_match(pattern.entry, match[1], model)
        return None

    def _add(
        self,
        name: str,
        model_id: str | None,
        entry: Entry,
    ) -> None:
        """Adds the entry for `name`, which replaces the model with the id `model_id`."""
        if model_id is None:
            self._by_name[name.lower()] = entry
        else:
            self._by_model_id[model_id] = _named(entry, model_id)


class Resolved(NamedTuple):
    """Holds what a name means.

    `followed` are the names from one to the next that costs the same. `layers` are the prices of
    the price file, the nearest last.
    """

    followed: list[str]
    model: ListedModel | None
    layers: list[tuple[Source, Steps[Offer]]]

    @property
    def is_endless(self) -> bool:
        return len(self.followed) > _MOST_FOLLOWED

    @property
    def meaning(self) -> str:
        """Returns the name that usage is recorded under."""
        if self.layers:
            _, steps = self.layers[-1]
            _, offer = steps[0]
            return offer[STANDARD].model
        if self.model is not None:
            return self.model.id
        return self.followed[-1]


def resolve(
    name: str,
    catalog: Catalog,
    owners: list[OwnPrices],
) -> Resolved:
    """Returns what `name` means by the terms of the owners, the nearest first."""
    followed: list[str] = []
    layers: list[tuple[Source, Steps[Offer]]] = []
    model: ListedModel | None = None
    next_name = name.strip()
    while next_name and len(followed) <= _MOST_FOLLOWED:
        followed.append(next_name)
        model = _find(next_name, catalog)
        next_name = _add_layers(next_name, model, owners, layers)
    if next_name:
        return Resolved(followed, None, [])
    layers.reverse()
    return Resolved(followed, model, layers)


def overridden_model(catalog: Catalog, name: str) -> str | None:
    """Returns the id of the catalog's model that an entry for `name` replaces under all names.

    Otherwise a client could avoid the operator's price by writing provider/model. None unless
    `name` is the model's own id: an alias is overridden as that single name, because a price of one
    dated version must not become the price of all versions.
    """
    model = catalog.find(name)
    if model is None:
        return None
    if not model.is_own_name(name):
        return None
    return model.id


def _find(name: str, catalog: Catalog) -> ListedModel | None:
    if len(name) > MAX_MODEL_NAME:
        return None
    return catalog.find(name)


def _add_layers(
    name: str,
    model: ListedModel | None,
    owners: list[OwnPrices],
    layers: list[tuple[Source, Steps[Offer]]],
) -> str:
    """Adds the owners' prices of a name, the nearest first.

    Returns the name that costs the same, if an owner says so; then farther owners do not count.
    """
    for owner in owners:
        entry = owner.entry(name, model)
        if entry is None:
            continue
        if entry.same_as:
            return entry.same_as
        layers.append((owner.source, entry.prices))
    return ""


def _entries(terms: Terms) -> Iterator[tuple[str, Entry]]:
    for name, prices in terms.models.items():
        yield name, Entry(prices)
    for name, target in terms.same_as.items():
        yield name, Entry(same_as=target)


def _form(pattern: str) -> re.Pattern[str]:
    before, _, after = pattern.partition(STAR)
    return re.compile(f"{re.escape(before)}(.*){re.escape(after)}", re.IGNORECASE | re.DOTALL)


def _of_match(entry: Entry, star: str, model: ListedModel | None) -> Entry:
    """Returns a pattern's entry for a name; `star` is the text that the star stands for there."""
    if entry.same_as:
        return Entry(same_as=entry.same_as.replace(STAR, star))
    if model is None:
        return entry
    return _named(entry, model.id)


def _named(entry: Entry, model_id: str) -> Entry:
    steps = []
    for from_ms, offer in entry.prices:
        named = {tier: replace(price, model=model_id) for tier, price in offer.items()}
        steps.append((from_ms, named))
    return replace(entry, prices=tuple(steps))
