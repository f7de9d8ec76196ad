"""Draws usage objects as providers document them, from counts that are known.

Each maker takes counts by unit and returns the object that the provider would send, with the sum of
all input as the provider counts it.
"""

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from meter.prices.units import INPUT_TOKEN_UNITS

Counts = dict[str, int]


class Form(NamedTuple):
    """Names a model that reports in this form, the units that the form tells, and how."""

    model: str
    units: str
    make: Callable[[Counts], dict[str, Any]]


def input_of(counts: Counts) -> int:
    return sum(number for unit, number in counts.items() if unit in INPUT_TOKEN_UNITS)


def output_of(counts: Counts) -> int:
    return sum(number for unit, number in counts.items() if unit.startswith("output_"))


def drawn(random: Random, form: Form) -> Counts:
    """Draws counts of the form's units, many of them 0."""
    return {unit: random.choice((0, 1, random.randrange(10**6))) for unit in form.units.split()}


def openai_chat(counts: Counts) -> dict[str, Any]:
    return {
        "prompt_tokens": input_of(counts),
        "completion_tokens": output_of(counts),
        "total_tokens": input_of(counts) + output_of(counts),
        "prompt_tokens_details": {
            "cached_tokens": counts["cached_input_tokens"],
            "audio_tokens": counts.get("input_audio_tokens", 0),
        },
        "completion_tokens_details": {
            "reasoning_tokens": counts["output_reasoning_tokens"],
            "audio_tokens": counts.get("output_audio_tokens", 0),
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def openai_responses(counts: Counts) -> dict[str, Any]:
    return {
        "input_tokens": input_of(counts),
        "input_tokens_details": {
            "cached_tokens": counts["cached_input_tokens"],
            "cache_write_tokens": counts["cache_write_tokens"],
        },
        "output_tokens": output_of(counts),
        "output_tokens_details": {"reasoning_tokens": counts["output_reasoning_tokens"]},
        "total_tokens": input_of(counts) + output_of(counts),
    }


def anthropic(counts: Counts) -> dict[str, Any]:
    short, long = counts["cache_write_tokens"], counts["cache_write_1h_tokens"]
    return {
        "input_tokens": counts["input_tokens"],
        "cache_creation_input_tokens": short + long,
        "cache_read_input_tokens": counts["cached_input_tokens"],
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
        "output_tokens": counts["output_tokens"],
        "server_tool_use": {"web_search_requests": counts["web_searches"]},
        "service_tier": "standard",
    }


def gemini(counts: Counts) -> dict[str, Any]:
    prompt = input_of(counts) - counts["input_tool_tokens"]
    kinds = {
        "AUDIO": counts["input_audio_tokens"] + counts["cached_input_audio_tokens"],
        "IMAGE": counts["input_image_tokens"],
        "VIDEO": counts["input_video_tokens"],
    }
    details = [{"modality": kind, "tokenCount": number} for kind, number in kinds.items()]
    details.append({"modality": "TEXT", "tokenCount": prompt - sum(kinds.values())})
    cached = counts["cached_input_tokens"] + counts["cached_input_audio_tokens"]
    return {
        "promptTokenCount": prompt,
        "cachedContentTokenCount": cached,
        "candidatesTokenCount": counts["output_tokens"],
        "thoughtsTokenCount": counts["output_reasoning_tokens"],
        "toolUsePromptTokenCount": counts["input_tool_tokens"],
        "totalTokenCount": input_of(counts) + output_of(counts),
        "promptTokensDetails": details,
        "cacheTokensDetails": [
            {"modality": "TEXT", "tokenCount": counts["cached_input_tokens"]},
            {"modality": "AUDIO", "tokenCount": counts["cached_input_audio_tokens"]},
        ],
    }


def bedrock(counts: Counts) -> dict[str, Any]:
    short, long = counts["cache_write_tokens"], counts["cache_write_1h_tokens"]
    return {
        "inputTokens": counts["input_tokens"],
        "outputTokens": counts["output_tokens"],
        "totalTokens": input_of(counts) + output_of(counts),
        "cacheReadInputTokens": counts["cached_input_tokens"],
        "cacheWriteInputTokens": short + long,
        "cacheDetails": [{"ttl": "1h", "inputTokens": long}, {"ttl": "5m", "inputTokens": short}],
    }


def cohere(counts: Counts) -> dict[str, Any]:
    billed = {"input_tokens": counts["input_tokens"], "output_tokens": counts["output_tokens"]}
    return {"billed_units": billed, "tokens": {"input_tokens": 2 * counts["input_tokens"] + 5}}


def mistral(counts: Counts) -> dict[str, Any]:
    return {
        "prompt_tokens": input_of(counts),
        "completion_tokens": counts["output_tokens"],
        "total_tokens": input_of(counts) + counts["output_tokens"],
        "prompt_tokens_details": {"cached_tokens": counts["cached_input_tokens"]},
    }


def deepseek(counts: Counts) -> dict[str, Any]:
    return {
        "prompt_tokens": input_of(counts),
        "completion_tokens": output_of(counts),
        "total_tokens": input_of(counts) + output_of(counts),
        "prompt_cache_hit_tokens": counts["cached_input_tokens"],
        "prompt_cache_miss_tokens": counts["input_tokens"],
        "prompt_tokens_details": {"cached_tokens": counts["cached_input_tokens"]},
        "completion_tokens_details": {"reasoning_tokens": counts["output_reasoning_tokens"]},
    }


def xai(counts: Counts) -> dict[str, Any]:
    """Counts reasoning beside the completion."""
    reasoning = counts["output_reasoning_tokens"]
    return {
        "prompt_tokens": input_of(counts),
        "completion_tokens": counts["output_tokens"],
        "total_tokens": input_of(counts) + output_of(counts),
        "prompt_tokens_details": {"cached_tokens": counts["cached_input_tokens"]},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def open_telemetry(counts: Counts) -> dict[str, Any]:
    return {
        "gen_ai.usage.input_tokens": input_of(counts),
        "gen_ai.usage.cache_read.input_tokens": counts["cached_input_tokens"],
        "gen_ai.usage.cache_creation.input_tokens": counts["cache_write_tokens"],
        "gen_ai.usage.output_tokens": output_of(counts),
        "gen_ai.usage.reasoning.output_tokens": counts["output_reasoning_tokens"],
    }


_CHAT = "input_tokens cached_input_tokens output_tokens output_reasoning_tokens"
_WRITES = "input_tokens cached_input_tokens cache_write_tokens cache_write_1h_tokens output_tokens"
_GEMINI = (
    "input_tool_tokens input_audio_tokens cached_input_audio_tokens input_image_tokens"
    " input_video_tokens"
)

FORMS = {
    "openai_chat": Form("openai/gpt-4o", _CHAT, openai_chat),
    "openai_responses": Form("openai/gpt-4.1", f"{_CHAT} cache_write_tokens", openai_responses),
    "anthropic": Form("anthropic/claude-sonnet-4-5", f"{_WRITES} web_searches", anthropic),
    "gemini": Form("google/gemini-2.5-flash", f"{_CHAT} {_GEMINI}", gemini),
    "bedrock": Form("aws/anthropic.claude-sonnet-4-5-20250929-v1:0", _WRITES, bedrock),
    "cohere": Form("cohere/command-a", "input_tokens output_tokens", cohere),
    "mistral": Form(
        "mistral/mistral-large-latest", "input_tokens cached_input_tokens output_tokens", mistral
    ),
    "deepseek": Form("deepseek/deepseek-chat", _CHAT, deepseek),
    "xai": Form("x-ai/grok-4", _CHAT, xai),
    "open_telemetry": Form("openai/gpt-4o", f"{_CHAT} cache_write_tokens", open_telemetry),
}
