"""Finds the provider's usage object in a response of any SDK, without knowing the SDK."""

import json
from collections.abc import Mapping
from typing import Any

# Where responses, and the events of streams, have the usage object.
_PLACES = (
    ("usage",),
    ("message", "usage"),
    ("response", "usage"),
    ("usage_metadata",),
    ("usageMetadata",),
)


def usage_in(response: object) -> dict[str, Any] | None:
    """Returns the usage object of a response or of an event; None if there is none.

    `response` is a mapping, JSON text, or an object of an SDK.
    """
    response = _parsed(response)
    for place in _PLACES:
        found = response
        for name in place:
            found = _member(found, name)
        usage = _plain(found)
        if usage:
            return usage
    return None


def usage_of(reported: object) -> dict[str, Any]:
    """Returns the usage object of a response, or `reported` itself if that is the usage object.

    Raises TypeError for what is neither a mapping, JSON text of an object, nor an object of an SDK.
    """
    usage = usage_in(reported) or _plain(_parsed(reported))
    if usage is None:
        raise TypeError(
            "reported: a mapping, JSON text of an object, or an SDK's response is required;"
            f" this is {type(reported).__name__}"
        )
    return usage


def json_of(usage: Mapping[str, Any]) -> str:
    """Returns the usage object as `Usage.reported_json` takes it."""
    return json.dumps(usage, separators=(",", ":"), default=_plain)


def merged(first: Mapping[str, Any], last: Mapping[str, Any]) -> dict[str, Any]:
    """Returns two usage objects of one stream as one: each count is the larger of the two.

    Counts of a stream grow. Some providers count the input at the beginning only.
    """
    both = dict(first)
    for name, value in last.items():
        both[name] = _larger(both.get(name), value)
    return both


def _larger(first: Any, last: Any) -> Any:
    if last is None:
        return first
    if isinstance(first, Mapping) and isinstance(last, Mapping):
        return merged(first, last)
    if _is_number(first) and _is_number(last):
        return max(first, last)
    return last


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _parsed(response: object) -> object:
    if not isinstance(response, str | bytes):
        return response
    try:
        return json.loads(response)
    except ValueError:
        return None


def _member(value: object, name: str) -> object:
    if isinstance(value, Mapping):
        return value.get(name)
    return getattr(value, name, None)


def _plain(value: object) -> dict[str, Any] | None:
    """Returns a mapping, or an SDK's object, as a dict; None for anything else."""
    if isinstance(value, Mapping):
        return dict(value)
    for method in ("model_dump", "to_dict"):
        dump = getattr(value, method, None)
        if callable(dump):
            return dict(dump())
    try:
        return dict(vars(value))
    except TypeError:
        return None
