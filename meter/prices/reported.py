"""Reads a provider's own usage object as quantities of units that do not overlap.

No count is negative and no usage is free: where an object contradicts itself, the larger reading is
charged, without discounts, and the contradiction is told.
"""

import json
import math
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from genai_prices.data_units import unit_data

from meter.prices.reported_shapes import Shape, in_camel_case, shape_of, values_at
from meter.prices.units import UNIT_OF_USAGE_KEY

_WHOLES = ("input_tokens", "output_tokens")
_SNAKE_GOOGLE = frozenset({"prompt_token_count", "candidates_token_count", "total_token_count"})

# Usage keys without a unit of their own, by the key whose unit they are charged under.
_CHARGED_AS = {
    "cache_write_5m_tokens": "cache_write_tokens",
    "input_audio_tool_tokens": "input_audio_tokens",
    "input_image_tool_tokens": "input_image_tokens",
    "input_video_tool_tokens": "input_video_tokens",
}


class UnreadableUsage(ValueError):
    """A text is no usage object of any known form; the message says why, and what to send."""


class Reported(NamedTuple):
    """Holds the quantities of a usage object by unit, those of 0 left out.

    `is_consistent` is false for an object that contradicts itself.
    """

    quantities: dict[str, int]
    is_consistent: bool


def read_usage(text: str, provider: str) -> Reported:
    """Returns the quantities of a usage object in JSON, of a model that the `provider` sells.

    Raises UnreadableUsage.
    """
    try:
        reported = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableUsage(f"is no JSON ({error})") from None
    if not isinstance(reported, dict):
        raise UnreadableUsage("must be a JSON object, such as the `usage` of a response")
    return quantities_of(reported, provider)


def quantities_of(reported: Mapping[str, Any], provider: str) -> Reported:
    """Returns the quantities of a usage object; raises UnreadableUsage."""
    if _SNAKE_GOOGLE & reported.keys():
        reported = {**reported, **_camel_keys(reported)}
    shape = shape_of(reported, provider)
    if shape is None:
        raise UnreadableUsage(
            "has none of the counts of a known provider: send the object that stands under"
            " `usage` (Google: `usageMetadata`) of the response, as it is"
        )
    return _Reading(reported, shape).quantities()


def _camel_keys(reported: Mapping[str, Any]) -> dict[str, Any]:
    renamed = in_camel_case(reported)
    assert isinstance(renamed, dict)
    return renamed


class _Reading:
    """Reads one usage object."""

    def __init__(self, reported: Mapping[str, Any], shape: Shape) -> None:
        self._reported = reported
        self._shape = shape
        self._is_consistent = True
        self._counts: dict[str, int] = {}
        for count in shape.counts:
            number = self._first_number(count.paths)
            for key in count.keys:
                self._counts[key] = self._counts.get(key, 0) + number

    def quantities(self) -> Reported:
        self._heed_total()
        leaves = self._leaves()
        quantities: dict[str, int] = {}
        for key, number in leaves.items():
            unit = UNIT_OF_USAGE_KEY[_CHARGED_AS.get(key, key)]
            if number:
                quantities[unit] = quantities.get(unit, 0) + number
        return Reported(quantities, self._is_consistent)

    def _first_number(self, paths: Iterable[str]) -> int:
        for path in paths:
            values = values_at(self._reported, path)
            if values:
                return sum(self._number(path, value) for value in values)
        return 0

    def _number(self, path: str, value: object) -> int:
        """Returns the count, a part of a unit as a whole one, and less than nothing as nothing."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UnreadableUsage(f"{path} must be a number; it is {str(value)[:40]!r}")
        if not math.isfinite(value):
            raise UnreadableUsage(f"{path} must be a finite number")
        if value < 0:
            self._is_consistent = False
            return 0
        return math.ceil(value)

    def _heed_total(self) -> None:
        """Charges as output what the total has beyond input and output.

        Some providers count reasoning in the total alone, or beside the completion.
        """
        if not self._shape.total:
            return
        total = self._first_number((self._shape.total,))
        counted = sum(self._counts.get(key, 0) for key in _WHOLES)
        if not total or total == counted:
            return
        reasoning = self._counts.get("output_reasoning_tokens", 0)
        self._is_consistent = self._is_consistent and total == counted + reasoning
        if total > counted:
            self._counts["output_tokens"] = self._counts.get("output_tokens", 0) + total - counted

    def _leaves(self) -> dict[str, int]:
        """Returns each count without the more specific counts within it."""
        leaves: dict[str, int] = {}
        for key in sorted(self._counts, key=_generality, reverse=True):
            within = [leaf for other, leaf in leaves.items() if _is_within(other, key)]
            leaves[key] = self._counts[key] - sum(within)
        for whole in _WHOLES:
            parts = [key for key in leaves if key != whole and _is_within(key, whole)]
            if any(leaves[key] < 0 for key in (*parts, whole) if key in leaves):
                self._is_consistent = False
                self._make_plain(whole, parts, leaves)
        return leaves

    def _make_plain(self, whole: str, parts: Iterable[str], leaves: dict[str, int]) -> None:
        """Has the whole charged as plain tokens; without a whole, the largest part."""
        largest = max(self._counts[key] for key in parts)
        leaves.update(dict.fromkeys(parts, 0))
        leaves[whole] = self._counts.get(whole, 0) or largest


def _generality(key: str) -> int:
    return len(unit_data[key]["dimensions"])


@cache
def _is_within(key: str, other: str) -> bool:
    """Returns whether what `key` counts is a part of what `other` counts."""
    dimensions = set(unit_data[key]["dimensions"].items())
    return dimensions > set(unit_data[other]["dimensions"].items())
