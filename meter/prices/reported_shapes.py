"""Says where each provider's usage object has which count.

A count adds to every usage key of genai-prices that the count is part of: Anthropic's tokens read
from the cache add to the input and to the tokens read. Usage keys overlap; meter/prices/reported.py
takes the overlaps apart.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_MODALITIES = {"AUDIO": "audio", "IMAGE": "image", "DOCUMENT": "image", "VIDEO": "video"}
_OTEL = "gen_ai.usage."
_ITEM = re.compile(r"(\w+)\[(\w+)=(\w+)\]")


class Count(NamedTuple):
    """Names the usage keys of a count; the first of the `paths` that has a number is read.

    A path is keys with slashes between them; `list[key=value]` are the list's items that have the
    value, whose counts are added up.
    """

    keys: tuple[str, ...]
    paths: tuple[str, ...]


class Shape(NamedTuple):
    """Describes one form of usage object.

    `total` is the path of the sum of all input and output, where the form has such a sum.
    """

    counts: tuple[Count, ...]
    total: str = ""


def _count(keys: str, *paths: str) -> Count:
    return Count(tuple(keys.split()), paths)


def _google_details() -> Iterator[Count]:
    for modality, name in _MODALITIES.items():
        item = f"[modality={modality}]/tokenCount"
        tool_keys = f"input_{name}_tokens input_{name}_tool_tokens"
        yield _count(f"cache_{name}_read_tokens", f"cacheTokensDetails{item}")
        yield _count(f"input_{name}_tokens", f"promptTokensDetails{item}")
        yield _count(f"output_{name}_tokens", f"candidatesTokensDetails{item}")
        yield _count(tool_keys, f"toolUsePromptTokensDetails{item}")


_CHAT_INPUT = (
    _count("input_tokens", "prompt_tokens"),
    _count(
        "cache_read_tokens",
        "prompt_tokens_details/cached_tokens",
        "cached_tokens",
        "cached_prompt_text_tokens",
        "prompt_cache_hit_tokens",
        "cache_read_input_tokens",
    ),
    _count(
        "cache_write_tokens",
        "prompt_tokens_details/cache_write_tokens",
        "prompt_tokens_details/cache_creation_tokens",
        "cache_creation_input_tokens",
    ),
    _count(
        "cache_write_1h_tokens",
        "prompt_tokens_details/cache_creation_token_details/ephemeral_1h_input_tokens",
    ),
    _count("input_audio_tokens", "prompt_tokens_details/audio_tokens"),
    _count("input_image_tokens", "prompt_tokens_details/image_tokens"),
    _count("input_video_tokens", "prompt_tokens_details/video_tokens"),
)
_CHAT_OUTPUT = (
    _count("output_tokens", "completion_tokens"),
    _count("output_audio_tokens", "completion_tokens_details/audio_tokens"),
    _count("output_image_tokens", "completion_tokens_details/image_tokens"),
    _count(
        "web_searches",
        "server_tool_use/web_search_requests",
        "num_search_queries",
    ),
)
_REASONING = ("completion_tokens_details/reasoning_tokens", "reasoning_tokens")

OPENAI_CHAT = Shape(
    (*_CHAT_INPUT, *_CHAT_OUTPUT, _count("output_reasoning_tokens", *_REASONING)),
    total="total_tokens",
)
# These two do not count reasoning among the completion.
XAI_CHAT = Shape(
    (*_CHAT_INPUT, *_CHAT_OUTPUT, _count("output_tokens output_reasoning_tokens", *_REASONING)),
    total="total_tokens",
)
PERPLEXITY_CHAT = Shape(
    (
        *XAI_CHAT.counts,
        _count("output_tokens output_citation_tokens", "citation_tokens"),
    )
)
OPENAI_RESPONSES = Shape(
    (
        _count("input_tokens", "input_tokens"),
        _count(
            "cache_read_tokens",
            "input_tokens_details/cached_tokens",
            "input_tokens_details/cache_read_input_tokens",
        ),
        _count("cache_write_tokens", "input_tokens_details/cache_write_tokens"),
        _count("input_audio_tokens", "input_tokens_details/audio_tokens"),
        _count("input_image_tokens", "input_tokens_details/image_tokens"),
        _count("output_tokens", "output_tokens"),
        _count("output_reasoning_tokens", "output_tokens_details/reasoning_tokens"),
        _count("output_audio_tokens", "output_tokens_details/audio_tokens"),
        _count("output_image_tokens", "output_tokens_details/image_tokens"),
        _count("web_searches", "tool_calls_details/search_web/invocation"),
    ),
    total="total_tokens",
)
# OpenAI's realtime and transcriptions; LangChain's `usage_metadata`.
TOKEN_DETAILS = Shape(
    (
        _count("input_tokens", "input_tokens"),
        _count(
            "cache_read_tokens",
            "input_token_details/cached_tokens",
            "input_token_details/cache_read",
        ),
        _count("cache_audio_read_tokens", "input_token_details/cached_tokens_details/audio_tokens"),
        _count("cache_image_read_tokens", "input_token_details/cached_tokens_details/image_tokens"),
        # LangChain sets the sum to 0 where the message tells the lifetimes apart.
        _count("cache_write_tokens", "input_token_details/cache_creation"),
        _count("cache_write_tokens", "input_token_details/ephemeral_5m_input_tokens"),
        _count(
            "cache_write_tokens cache_write_1h_tokens",
            "input_token_details/ephemeral_1h_input_tokens",
        ),
        _count(
            "input_audio_tokens", "input_token_details/audio_tokens", "input_token_details/audio"
        ),
        _count("input_image_tokens", "input_token_details/image_tokens"),
        _count("output_tokens", "output_tokens"),
        _count(
            "output_audio_tokens", "output_token_details/audio_tokens", "output_token_details/audio"
        ),
        _count("output_reasoning_tokens", "output_token_details/reasoning"),
    ),
    total="total_tokens",
)
ANTHROPIC = Shape(
    (
        _count("input_tokens", "input_tokens"),
        _count("input_tokens cache_write_tokens", "cache_creation_input_tokens"),
        _count("cache_write_5m_tokens", "cache_creation/ephemeral_5m_input_tokens"),
        _count("cache_write_1h_tokens", "cache_creation/ephemeral_1h_input_tokens"),
        _count("input_tokens cache_read_tokens", "cache_read_input_tokens"),
        _count("output_tokens", "output_tokens"),
        _count("output_reasoning_tokens", "output_tokens_details/thinking_tokens"),
        _count("web_searches", "server_tool_use/web_search_requests"),
    )
)
GOOGLE = Shape(
    (
        _count("input_tokens", "promptTokenCount"),
        _count("cache_read_tokens", "cachedContentTokenCount"),
        _count("input_tokens input_tool_tokens", "toolUsePromptTokenCount"),
        _count("output_tokens", "candidatesTokenCount"),
        _count("output_tokens output_reasoning_tokens", "thoughtsTokenCount"),
        *_google_details(),
    ),
    total="totalTokenCount",
)
BEDROCK = Shape(
    (
        _count("input_tokens", "inputTokens"),
        _count("input_tokens cache_read_tokens", "cacheReadInputTokens"),
        _count("input_tokens cache_write_tokens", "cacheWriteInputTokens"),
        _count("cache_write_5m_tokens", "cacheDetails[ttl=5m]/inputTokens"),
        _count("cache_write_1h_tokens", "cacheDetails[ttl=1h]/inputTokens"),
        _count("output_tokens", "outputTokens"),
    )
)
COHERE = Shape(
    (
        _count("input_tokens", "billed_units/input_tokens"),
        _count("output_tokens", "billed_units/output_tokens"),
        _count("rerank_searches", "billed_units/search_units"),
    )
)
OPEN_TELEMETRY = Shape(
    (
        _count("input_tokens", f"{_OTEL}input_tokens", f"{_OTEL}prompt_tokens"),
        _count("cache_read_tokens", f"{_OTEL}cache_read.input_tokens"),
        _count("cache_write_tokens", f"{_OTEL}cache_creation.input_tokens"),
        _count("output_tokens", f"{_OTEL}output_tokens", f"{_OTEL}completion_tokens"),
        _count("output_reasoning_tokens", f"{_OTEL}reasoning.output_tokens"),
    )
)
PYDANTIC_AI = Shape(
    (
        _count("input_tokens", "input_tokens"),
        _count("cache_read_tokens", "cache_read_tokens"),
        _count("cache_write_tokens", "cache_write_tokens"),
        _count("input_audio_tokens", "input_audio_tokens"),
        _count("cache_audio_read_tokens", "cache_audio_read_tokens"),
        _count("output_tokens", "output_tokens"),
        _count("output_audio_tokens", "output_audio_tokens"),
        _count("output_reasoning_tokens", "details/reasoning_tokens"),
    )
)
AUDIO_TIME = Shape((_count("input_audio_seconds", "seconds"),))
PAGES = Shape((_count("input_document_pages", "pages_processed"),))
EMBEDDINGS = Shape((_count("input_tokens", "total_tokens"),))

# The first whose keys, any of them, the object has. What tells a form stands before what two forms
# have in common.
_BY_KEYS: tuple[tuple[frozenset[str], Shape], ...] = (
    (
        frozenset(
            {"promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount"}
        ),
        GOOGLE,
    ),
    (frozenset({"inputTokens", "outputTokens"}), BEDROCK),
    (frozenset({"billed_units"}), COHERE),
    (frozenset({"prompt_tokens", "completion_tokens"}), OPENAI_CHAT),
    (frozenset({"cache_read_tokens", "cache_write_tokens"}), PYDANTIC_AI),
    (frozenset({"input_token_details", "output_token_details"}), TOKEN_DETAILS),
    (frozenset({"cache_read_input_tokens", "cache_creation_input_tokens"}), ANTHROPIC),
    (frozenset({"cache_creation", "server_tool_use"}), ANTHROPIC),
    (frozenset({"input_tokens_details"}), OPENAI_RESPONSES),
)
_BY_LAST_KEYS: tuple[tuple[frozenset[str], Shape], ...] = (
    (frozenset({"input_tokens", "output_tokens"}), ANTHROPIC),
    (frozenset({"total_tokens"}), EMBEDDINGS),
    (frozenset({"seconds"}), AUDIO_TIME),
    (frozenset({"pages_processed"}), PAGES),
)
_CHAT_OF_PROVIDER = {"x-ai": XAI_CHAT, "perplexity": PERPLEXITY_CHAT}


def shape_of(reported: Mapping[str, Any], provider: str) -> Shape | None:
    """Returns the form of a usage object; None if the object is of no known form."""
    shape = _shape_by_keys(reported, _BY_KEYS)
    if shape is OPENAI_CHAT:
        return _CHAT_OF_PROVIDER.get(provider, OPENAI_CHAT)
    if shape is not None:
        return shape
    if any(key.startswith(_OTEL) for key in reported):
        return OPEN_TELEMETRY
    if "total_tokens" in reported and "input_tokens" in reported:
        return OPENAI_RESPONSES
    return _shape_by_keys(reported, _BY_LAST_KEYS)


def _shape_by_keys(
    reported: Mapping[str, Any],
    table: tuple[tuple[frozenset[str], Shape], ...],
) -> Shape | None:
    for keys, shape in table:
        if keys & reported.keys():
            return shape
    return None


def values_at(reported: object, path: str) -> list[object]:
    """Returns what stands at the path, nulls left out; several values only for a list's items."""
    found = [reported]
    for step in path.split("/"):
        found = [value for each in found for value in _members(each, step)]
    return found


def _members(value: object, step: str) -> list[object]:
    item = _ITEM.fullmatch(step)
    if item is None:
        return _member(value, step)
    name, key, wanted = item.groups()
    found: list[object] = []
    for members in _member(value, name):
        if isinstance(members, list):
            found += [each for each in members if wanted in _member(each, key)]
    return found


def _member(value: object, key: str) -> list[object]:
    if not isinstance(value, Mapping) or value.get(key) is None:
        return []
    return [value[key]]


def in_camel_case(value: object) -> object:
    """Returns the value with keys as Google's JSON has them; its Python package writes others."""
    if isinstance(value, list):
        return [in_camel_case(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    return {_camel(key): in_camel_case(each) for key, each in value.items()}


def _camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(part.capitalize() for part in rest)
