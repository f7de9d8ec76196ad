"""Says what a unit without a price of its own costs: only what a provider's own rule says.

A unit may take the price of a more general unit only where providers bill it so. Any other price
would be a guess, and a guess that is too low loses money without a word.
"""

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import NamedTuple, TypeVar

from meter.prices.units import UNITS, Unit

Price = TypeVar("Price")

_Dimension = tuple[str, str]

# What providers do not bill apart, unless they list a price for it. Tokens read from a cache
# without a listed discount have none; reasoning is output, and the results of tools are input.
_BILLED_AS_THE_REST = frozenset(
    {
        ("token_type", "cache_read"),
        ("token_type", "cache_write"),
        ("token_type", "reasoning"),
        ("token_type", "tool"),
        ("direction", "input"),
        ("direction", "output"),
    }
)
_INPUT_IMAGE = ("input", "image")


class _BilledAlike(NamedTuple):
    """Says which kinds of tokens cost what other tokens cost, at models of certain names."""

    names: re.Pattern[str]
    kinds: frozenset[tuple[str, str]]  # (direction, modality)


_BILLED_ALIKE = (
    # Google lists a price apart for each kind of input that costs something else.
    _BilledAlike(
        re.compile("^(google/)?gemini"),
        frozenset({("input", "audio"), ("input", "video")}),
    ),
    # All output of these models is of the one kind, so that the price of output is its price.
    _BilledAlike(re.compile("tts"), frozenset({("output", "audio")})),
    _BilledAlike(re.compile("gpt-image"), frozenset({("output", "image")})),
)

# Anthropic bills a write to the cache by the input price, whoever sells the model.
_CLAUDE = "claude"
_CLAUDE_WRITES = {
    "cache_write_tokens": Fraction(5, 4),
    "cache_write_1h_tokens": Fraction(2),
}


def with_fallbacks(given: Mapping[str, Price], model: str = "") -> dict[str, Price]:
    """Returns the price of every unit that can be charged, in invoice order, from `given` prices.

    A unit without a price of its own takes the price of the nearest more general unit, where
    providers bill the unit so (docs/prices.md). Where two units of different kinds apply (cached
    audio, when audio and cached input have prices) there is no price: a guess would be a wrong
    charge.
    """
    prices = {}
    for name, unit in UNITS.items():
        source = _source(unit, given, model)
        if source is not None:
            prices[name] = given[source]
    return prices


def multiples_of_input(given: Iterable[str], model: str) -> dict[str, Fraction]:
    """Returns the units whose price is a multiple of the input's, by the model's maker's own rule.

    Units with a price among those `given` are left out.
    """
    if _CLAUDE not in model.lower() or "input_tokens" not in given:
        return {}
    return {unit: factor for unit, factor in _CLAUDE_WRITES.items() if unit not in given}


def without_repeats(values: Mapping[str, Price], model: str = "") -> dict[str, Price]:
    """Returns the `values` by unit to display: `with_fallbacks` would supply the others."""
    told: dict[str, Price] = {}
    for name in sorted(values, key=_generality):
        if not _repeats(name, values[name], told, model):
            told[name] = values[name]
    return {name: value for name, value in values.items() if name in told}


def _generality(name: str) -> int:
    """Returns how many dimensions the unit has; the most general units have the fewest."""
    if name not in UNITS:
        return 0
    return len(UNITS[name].dimensions)


def _repeats(
    name: str,
    value: Price,
    told: Mapping[str, Price],
    model: str,
) -> bool:
    """Returns whether the value is what the unit would cost by the units told."""
    if name not in UNITS:
        return False
    source = _source(UNITS[name], told, model)
    return source is not None and told[source] == value


def _source(unit: Unit, priced_names: Iterable[str], model: str) -> str | None:
    """Returns the priced unit whose price the unit has; None if the unit has no price."""
    nearest = _nearest_priced(unit, priced_names)
    if nearest is None:
        return None
    not_told_apart = unit.dimensions - UNITS[nearest].dimensions
    if all(_is_billed_as_the_rest(each, unit, model) for each in not_told_apart):
        return nearest
    return None


def _is_billed_as_the_rest(dimension: _Dimension, unit: Unit, model: str) -> bool:
    """Returns whether tokens with the dimension cost what tokens without the dimension cost."""
    if dimension in _BILLED_AS_THE_REST:
        return True
    what, modality = dimension
    if what != "modality":
        return False
    kind = (dict(unit.dimensions)["direction"], modality)
    return kind == _INPUT_IMAGE or _are_billed_alike(kind, model.lower())


def _are_billed_alike(kind: tuple[str, str], model: str) -> bool:
    return any(kind in rule.kinds and rule.names.search(model) for rule in _BILLED_ALIKE)


def _nearest_priced(unit: Unit, priced_names: Iterable[str]) -> str | None:
    """Returns the most specific of the priced units that cover `unit`.

    None if no priced unit covers `unit`, or if the covering units do not contain each other.
    """
    candidates = _covering(unit, priced_names)
    if not candidates:
        return None
    nearest = max(candidates, key=lambda candidate: len(candidate.dimensions))
    if not all(candidate.covers(nearest) for candidate in candidates):
        return None
    return nearest.name


def _covering(unit: Unit, names: Iterable[str]) -> list[Unit]:
    """Returns the named units that are `unit` or more general; names of no unit are passed over."""
    return [UNITS[name] for name in names if name in UNITS and UNITS[name].covers(unit)]
