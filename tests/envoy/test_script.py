"""The shipped script for Envoy, run in the same Lua: what it finds in responses and changes in
requests, against Python's json.
"""

import json
from collections.abc import Callable
from importlib.resources import files
from random import Random
from typing import Any

import pytest
from lupa.luajit21 import LuaRuntime

SCRIPT = (files("gate") / "shipped" / "envoy" / "creditgate.lua").read_text()
TEXTS = ['"usage":{"a":1}', "\\", '"', "{", "}]", "é\n", "data: {", 'usage"', ""]
KEYS = ["usage", "message", "response", "max_tokens", "a", 'us"age', "usageMetadata", "\\"]

Reader = Callable[[bytes | None], tuple[Any, int, bytes | None]]


@pytest.fixture(scope="module")
def lua() -> Any:
    runtime = LuaRuntime(encoding=None)
    runtime.execute(SCRIPT.encode())
    return runtime.globals()


@pytest.fixture
def count(is_long: bool) -> int:
    return 5_000 if is_long else 400


def value(random: Random, depth: int = 0) -> Any:
    """Draws a JSON value that has the script's own words in wrong places."""
    kind = random.randrange(6 if depth < 4 else 3)
    if kind == 0:
        return random.choice(TEXTS)
    if kind == 1:
        return random.choice([True, None, -1.5e3, 7])
    if kind == 2:
        return random.randrange(10**6)
    if kind == 3:
        return [value(random, depth + 1) for _ in range(random.randrange(3))]
    return {random.choice(KEYS): value(random, depth + 1) for _ in range(random.randrange(4))}


def document(random: Random) -> dict[str, Any]:
    """Draws an object, with a usage object in its place every other time."""
    drawn = {random.choice(KEYS): value(random, 1) for _ in range(random.randrange(4))}
    if random.random() < 0.5:
        drawn["usage"] = {"prompt_tokens": random.randrange(100), "note": random.choice(TEXTS)}
    return drawn


def written(random: Random, content: Any) -> bytes:
    spaces = random.choice([(",", ":"), (", ", ": "), (" , ", " : ")])
    return json.dumps(content, ensure_ascii=random.random() < 0.5, separators=spaces).encode()


def usage_of(content: dict[str, Any]) -> Any:
    """What the script is to find: the last usage object at its place."""
    found = None
    for key, member in content.items():
        if not isinstance(member, dict):
            continue
        if key in ("usage", "usageMetadata"):
            found = member
        elif key in ("message", "response") and isinstance(member.get("usage"), dict):
            found = member["usage"]
    return found


def cut(random: Random, text: bytes) -> list[bytes]:
    edges = sorted(random.randrange(len(text) + 1) for _ in range(random.randrange(6)))
    return [text[start:end] for start, end in zip([0, *edges], [*edges, len(text)], strict=True)]


def read(read_chunk: Reader, chunks: list[bytes]) -> tuple[list[Any], int]:
    found, events = [], 0
    for chunk in (*chunks, None):
        usages, events, _ = read_chunk(chunk)
        found += [json.loads(usages[place]) for place in range(1, len(usages) + 1)]
    return found, events


def test_the_usage_of_a_response_is_found_at_its_place_alone(lua: Any, count: int) -> None:
    random = Random(1)
    for _ in range(count):
        content = document(random)
        chunks = cut(random, written(random, content))
        wanted = [usage_of(content)] if usage_of(content) is not None else []
        assert read(lua.creditgate_usage_reader(False), chunks) == (wanted, 0), content


def test_the_usages_of_a_stream_are_found_whatever_the_chunks(lua: Any, count: int) -> None:
    random = Random(2)
    for _ in range(count):
        events = [document(random) for _ in range(random.randrange(5))]
        end = random.choice([b"\n\n", b"\r\n\r\n"])
        lines = [b"data: " + written(random, event) + end for event in events]
        text = b": a comment\n\nevent: x\n" + b"".join(lines) + b"data: [DONE]" + end
        wanted = [usage_of(event) for event in events if usage_of(event) is not None]
        found = read(lua.creditgate_usage_reader(True), cut(random, text))
        assert found == (wanted, len(events)), events


@pytest.mark.parametrize(
    ("text", "tier"),
    [
        ('{"service_tier": "priority", "usage": {}}', b"priority"),
        ('{"usage": {}, "response": {"service_tier": "flex"}}', b"flex"),
        ('{"usage": {"service_tier": "batch"}, "choices": [{"service_tier": "x"}]}', None),
        ('{"service_tier": null, "usage": {}}', None),
    ],
)
def test_the_service_tier_is_found_beside_the_usage(
    lua: Any, text: str, tier: bytes | None
) -> None:
    plain = lua.creditgate_usage_reader(False)
    plain(text.encode())
    assert plain(None)[2] == tier
    assert lua.creditgate_usage_reader(True)(f"data: {text}\n".encode())[2] == tier


def test_a_broken_response_has_no_usage_and_raises_nothing(lua: Any, count: int) -> None:
    random = Random(3)
    for _ in range(count):
        text = written(random, document(random))
        broken = text[: random.randrange(len(text))]
        for is_stream in (False, True):
            read(lua.creditgate_usage_reader(is_stream), [b"data: " * is_stream + broken])


def test_a_response_beyond_the_bound_is_not_kept(lua: Any) -> None:
    usage = {"usage": {"prompt_tokens": 1}}
    large = json.dumps({"data": "x" * 5 * 1024 * 1024, **usage}).encode()
    assert read(lua.creditgate_usage_reader(False), [large]) == ([], 0)
    small = b"\ndata: " + json.dumps(usage).encode() + b"\n"
    stream = [b"data: " + large, small]
    assert read(lua.creditgate_usage_reader(True), stream) == ([usage["usage"]], 1)


def capped(content: Any, cap: int) -> Any:
    """A request as it is to go on: every maximum at most the cap, at least one there."""
    result = dict(content)
    names = [name for name in ("max_tokens", "max_completion_tokens") if name in content]
    for name in names or ["max_tokens"]:
        asked = content.get(name)
        is_number = isinstance(asked, int | float) and not isinstance(asked, bool)
        result[name] = min(asked, cap) if is_number else cap
    return result


def test_a_requests_maximum_is_lowered_and_nothing_else_changed(lua: Any, count: int) -> None:
    random = Random(4)
    path = b"/v1/chat/completions"
    for _ in range(count):
        content = document(random)
        if random.random() < 0.5:
            content["max_completion_tokens"] = random.choice([None, 7, 300, 10**7])
        if random.random() < 0.5:
            content["stream"] = random.choice([True, False])
        if random.random() < 0.3:
            content["stream_options"] = random.choice([None, {}, {"include_usage": False, "b": 1}])
        wanted = capped(content, 250)
        if content.get("stream") is True:
            options = content.get("stream_options") or {}
            wanted["stream_options"] = {**options, "include_usage": True}
        text = lua.creditgate_request_body(path, written(random, content), 250)
        assert json.loads(text) == wanted, content


@pytest.mark.parametrize(
    ("path", "body", "wanted"),
    [
        ("/v1/chat/completions", "{}", {"max_tokens": 9}),
        ("/v1/chat/completions", '{"stream":true}', {"stream": True, "max_tokens": 9, "stream_options": {"include_usage": True}}),
        ("/v1/chat/completions", '{"max\\u005ftokens": 50}', {"max_tokens": 9}),
        ("/v1/chat/completions", '{"max_tokens": 50, "max_tokens": 60}', {"max_tokens": 9}),
        ("/v1/messages", '{"max_tokens": 5, "stream": true}', {"max_tokens": 5, "stream": True}),
        ("/v1/responses", '{"input": "x"}', {"input": "x", "max_output_tokens": 9}),
        ("/v1/models/g:generateContent", "{}", {"generationConfig": {"maxOutputTokens": 9}}),
        ("/v1/models/g:streamGenerateContent", '{"generationConfig": {"maxOutputTokens": 50, "a": 1}}', {"generationConfig": {"maxOutputTokens": 9, "a": 1}}),
    ],
)  # fmt: skip
def test_each_providers_maximum_is_lowered(
    lua: Any, path: str, body: str, wanted: dict[str, Any]
) -> None:
    assert json.loads(lua.creditgate_request_body(path.encode(), body.encode(), 9)) == wanted


def test_a_request_that_needs_no_change_goes_on_byte_by_byte(lua: Any) -> None:
    body = b' { "model" : "gpt-4o" , "max_tokens" : 5 } '
    assert lua.creditgate_request_body(b"/v1/chat/completions", body, None) == body
    assert lua.creditgate_request_body(b"/v1/chat/completions", body, 9) == body
