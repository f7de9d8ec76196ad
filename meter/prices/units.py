"""The closed vocabulary of metered units, and at whose price a unit without its own is charged.

Quantities of different units never overlap: `input_tokens` are those not counted under any other input unit. Each unit
is one of genai-prices' usage keys, but those do overlap: its `input_tokens` include the cached ones.
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


@dataclass(frozen=True, slots=True)
class Unit:
    """A metered unit; `dimensions` say what it counts, and a unit with a subset of them is more general."""

    name: str
    usage_key: str
    price_key: str
    per: int  # units that one genai-prices price buys
    dimensions: frozenset[tuple[str, str]]


def _unit(name: str, usage_key: str) -> Unit:
    data = unit_data[usage_key]
    return Unit(name, usage_key, data["price_key"], data["per"], frozenset(data["dimensions"].items()))


UNITS: Mapping[str, Unit] = {name: _unit(name, usage_key) for name, usage_key in _USAGE_KEYS.items()}
UNIT_OF_PRICE_KEY: Mapping[str, str] = {unit.price_key: name for name, unit in UNITS.items()}
INPUT_TOKEN_UNITS = frozenset(
    name for name, unit in UNITS.items() if unit.dimensions >= UNITS["input_tokens"].dimensions
)
_ORDER = {name: index for index, name in enumerate(UNITS)}


def unit_order(name: str) -> tuple[int, str]:
    """Sort key of a unit's name: invoice order, then names that this release no longer knows."""
    return _ORDER.get(name, len(_ORDER)), name


def with_fallbacks(given: Mapping[str, Price]) -> dict[str, Price]:
    """The price of every unit that can be charged, in invoice order, from those `given` by name.

    A unit without a price of its own takes that of the nearest more general unit. Where two of different kinds apply
    (cached audio, when audio and cached input have prices) there is none: a guess would be a wrong charge.
    """
    nearest = {name: _nearest_priced(unit, given) for name, unit in UNITS.items()}
    return {name: given[source] for name, source in nearest.items() if source is not None}


def _nearest_priced(unit: Unit, given: Mapping[str, Price]) -> str | None:
    priced = [UNITS[name] for name in given if UNITS[name].dimensions <= unit.dimensions]
    if not priced:
        return None
    nearest = max(priced, key=lambda candidate: len(candidate.dimensions))
    return nearest.name if all(other.dimensions <= nearest.dimensions for other in priced) else None
