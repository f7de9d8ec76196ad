"""Reads a model call of any provider: its model, and how much output it asks for."""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

# What providers call the most tokens of output; Google's stands in `generationConfig`.
_MAX_OUTPUT = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_GOOGLE_MODEL = re.compile(r"/models/([^/:]+):(stream)?[gG]enerateContent")


class UnreadableRequest(ValueError):
    """A body is no model call; the message says why."""


class ModelRequest(NamedTuple):
    """Holds what a model call says of itself.

    `max_output_tokens` are those of one answer, None if the call names no maximum; `answers` is the
    number of answers asked for.
    """

    model: str
    max_output_tokens: int | None
    answers: int


def read_model_request(path: str, body: bytes) -> ModelRequest:
    """Reads the body of a model call; raises UnreadableRequest."""
    try:
        # Of UTF-8 alone, as Envoy's script reads the body too: not of what json would guess.
        call = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise UnreadableRequest("the body must be a JSON object") from None
    if not isinstance(call, dict):
        raise UnreadableRequest("the body must be a JSON object")
    generation = call.get("generationConfig")
    if not isinstance(generation, dict):
        generation = {}
    maximums = [_count(call, name) for name in _MAX_OUTPUT]
    maximums.append(_count(generation, "maxOutputTokens"))
    answers = [_count(call, "n"), _count(call, "best_of"), _count(generation, "candidateCount")]
    return ModelRequest(
        model=_model(path, call),
        max_output_tokens=max((each for each in maximums if each is not None), default=None),
        answers=max(1, *(each or 0 for each in answers)),
    )


def _model(path: str, call: Mapping[str, Any]) -> str:
    google = _GOOGLE_MODEL.search(path)
    if google is not None:
        return google.group(1)
    model = call.get("model")
    if not isinstance(model, str) or not model:
        raise UnreadableRequest("the body must name a model")
    return model


def _count(call: Mapping[str, Any], name: str) -> int | None:
    """Returns a count of at least 0; None if there is none, or none that can be."""
    value = call.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return value
