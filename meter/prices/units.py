"""The closed vocabulary of metered units, and at whose price a unit without its own is charged.

Quantities of different units never overlap: `input_tokens` are those not counted under any other
input unit. Every unit but a few of ours is one of genai-prices' usage keys, but those do overlap:
its `input_tokens` include the cached ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from genai_prices.data_units import unit_data

Price = TypeVar("Price")

# In the order of invoice lines. Name -> genai-prices usage key.
_USAGE_KEYS = {
    "input_tokens": "input_tokens",
    "cached_input_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "cache_write_1h_tokens": "cache_write_1h_tokens",
    "input_audio_tokens": "input_audio_tokens",
    "cached_input_audio_tokens": "cache_audio_read_tokens",
    "input_image_tokens": "input_image_tokens",
    "cached_input_image_tokens": "cache_image_read_tokens",
    "input_video_tokens": "input_video_tokens",
    "cached_input_video_tokens": "cache_video_read_tokens",
    "input_tool_tokens": "input_tool_tokens",
    "output_tokens": "output_tokens",
    "output_reasoning_tokens": "output_reasoning_tokens",
    "output_citation_tokens": "output_citation_tokens",
    "output_audio_tokens": "output_audio_tokens",
    "output_image_tokens": "output_image_tokens",
    "output_video_tokens": "output_video_tokens",
    "input_characters": "input_characters",
    "input_text_messages": "input_text_messages",
    "audio_seconds": "audio_seconds",
    "input_audio_seconds": "input_audio_seconds",
    "output_audio_seconds": "output_audio_seconds",
    "input_pixels": "input_pixels",
    "input_document_pages": "input_document_pages",
    "input_annotated_document_pages": "input_annotated_document_pages",
    "rerank_searches": "rerank_searches",
    "web_searches": "web_searches",
    "social_searches": "social_searches",
    "storage_searches": "storage_searches",
    "code_executions": "code_executions",
    "requests": "requests",
}

# What genai-prices has no prices for: only a price file does. In the order of invoice lines, before
# the requests.
_OWN_DIMENSIONS = {
    "images": {"family": "images"},
    "video_seconds": {"family": "durations", "modality": "video"},
    "seconds": {"family": "compute"},
}


@dataclass(frozen=True, slots=True)
class Unit:
    """A metered unit; `dimensions` say what it counts, and a unit with a subset of them is more
    general.
    """

    name: str
    dimensions: frozenset[tuple[str, str]]
    price_key: str = ""  # of genai-prices; empty for a unit of ours
    per: int = 1  # units that one price of genai-prices buys


def _units() -> dict[str, Unit]:
    units = {name: _listed_unit(name, usage_key) for name, usage_key in _USAGE_KEYS.items()}
    own = {
        name: Unit(name, frozenset(dimensions.items()))
        for name, dimensions in _OWN_DIMENSIONS.items()
    }
    requests = {"requests": units.pop("requests")}
    return units | own | requests


def _listed_unit(name: str, usage_key: str) -> Unit:
    data = unit_data[usage_key]
    return Unit(name, frozenset(data["dimensions"].items()), data["price_key"], data["per"])


UNITS: Mapping[str, Unit] = _units()
UNIT_OF_PRICE_KEY: Mapping[str, str] = {
    unit.price_key: name for name, unit in UNITS.items() if unit.price_key
}
INPUT_TOKEN_UNITS = frozenset(
    name for name, unit in UNITS.items() if unit.dimensions >= UNITS["input_tokens"].dimensions
)
_ORDER = {name: index for index, name in enumerate(UNITS)}


def unit_order(name: str) -> tuple[int, str]:
    """Sort key of a unit's name: invoice order, then names that this release no longer knows."""
    return _ORDER.get(name, len(_ORDER)), name


def with_fallbacks(given: Mapping[str, Price]) -> dict[str, Price]:
    """The price of every unit that can be charged, in invoice order, from those `given` by name.

    A unit without a price of its own takes that of the nearest more general unit. Where two of
    different kinds apply (cached audio, when audio and cached input have prices) there is none: a
    guess would be a wrong charge.
    """
    nearest = {name: _nearest_priced(unit, given) for name, unit in UNITS.items()}
    return {name: given[source] for name, source in nearest.items() if source is not None}


def without_repeats(values: Mapping[str, Price]) -> dict[str, Price]:
    """Those `values` by unit, for display, from which `with_fallbacks` would make the
    others too.
    """
    told: dict[str, Price] = {}
    for name in sorted(values, key=_generality):
        nearest = _nearest_priced(UNITS[name], told) if name in UNITS else None
        if nearest is None or told[nearest] != values[name]:
            told[name] = values[name]
    return {name: value for name, value in values.items() if name in told}


def _generality(name: str) -> int:
    return len(UNITS[name].dimensions) if name in UNITS else 0


def _nearest_priced(unit: Unit, given: Mapping[str, Price]) -> str | None:
    priced = [
        UNITS[name] for name in given if name in UNITS and UNITS[name].dimensions <= unit.dimensions
    ]
    if not priced:
        return None
    nearest = max(priced, key=lambda candidate: len(candidate.dimensions))
    return nearest.name if all(other.dimensions <= nearest.dimensions for other in priced) else None
