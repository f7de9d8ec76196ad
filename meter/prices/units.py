"""Defines the closed vocabulary of metered units.

Quantities of different units never overlap: `input_tokens` are the tokens not counted under any
other input unit. Every unit but a few of ours corresponds to a usage key of genai-prices; but usage
keys do overlap: the `input_tokens` of genai-prices include the cached tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from genai_prices.data_units import unit_data

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

# Units that genai-prices has no prices for: only a price file does. In the order of invoice lines,
# before the requests.
_OWN_DIMENSIONS = {
    "images": {"family": "images"},
    "video_seconds": {
        "family": "durations",
        "modality": "video",
    },
    "seconds": {"family": "compute"},
}


@dataclass(frozen=True, slots=True)
class Unit:
    """Describes a metered unit.

    `dimensions` say what the unit counts; a unit with a subset of these dimensions is more general.
    """

    name: str
    dimensions: frozenset[tuple[str, str]]
    price_key: str = ""  # of genai-prices; empty for a unit of ours
    per: int = 1  # units that one price of genai-prices buys

    def covers(self, other: "Unit") -> bool:
        """Returns whether the unit is the `other` or more general."""
        return self.dimensions <= other.dimensions


def _units() -> dict[str, Unit]:
    units = {}
    for name, usage_key in _USAGE_KEYS.items():
        units[name] = _listed_unit(name, usage_key)
    requests = units.pop("requests")
    for name, own_dimensions in _OWN_DIMENSIONS.items():
        units[name] = Unit(name, frozenset(own_dimensions.items()))
    units["requests"] = requests
    return units


def _listed_unit(name: str, usage_key: str) -> Unit:
    data = unit_data[usage_key]
    dimensions = frozenset(data["dimensions"].items())
    return Unit(name, dimensions, data["price_key"], data["per"])


UNITS: Mapping[str, Unit] = _units()
UNIT_OF_PRICE_KEY: Mapping[str, str] = {
    unit.price_key: name for name, unit in UNITS.items() if unit.price_key
}
UNIT_OF_USAGE_KEY: Mapping[str, str] = {usage_key: name for name, usage_key in _USAGE_KEYS.items()}
INPUT_TOKEN_UNITS = frozenset(
    name for name, unit in UNITS.items() if UNITS["input_tokens"].covers(unit)
)
_ORDER = {name: index for index, name in enumerate(UNITS)}


def unit_order(name: str) -> tuple[int, str]:
    """Returns the sort key of a unit's name.

    Known units sort in invoice order, before names that this release no longer knows.
    """
    return _ORDER.get(name, len(_ORDER)), name
