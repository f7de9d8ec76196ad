"""The settings of the calls that Envoy makes, and where these find account and dimensions."""

import json
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, Field

from gate.validation import MAX_DIMENSION_KEY, MAX_DIMENSIONS

_FORMS = "write header:NAME, context:KEY, metadata:NAMESPACE/KEY or principal"


class Source(NamedTuple):
    """Says where a value stands in what Envoy sends."""

    kind: Literal["header", "context", "metadata", "principal"]
    name: str = ""  # of the header, of the context extension, or of the metadata's namespace
    key: str = ""  # in the metadata's namespace


def read_source(text: str) -> Source:
    """Reads a source; ValueError tells the forms."""
    kind, _, rest = text.partition(":")
    match kind:
        case "principal" if not rest:
            return Source("principal")
        case "header" if rest:
            return Source("header", rest.lower())
        case "context" if rest:
            return Source("context", rest)
        case "metadata":
            namespace, _, key = rest.rpartition("/")
            if namespace and key:
                return Source("metadata", namespace, key)
    raise ValueError(_FORMS)


def read_sources(text: str) -> dict[str, Source]:
    """Reads the sources of dimensions from a JSON object; ValueError tells how to write one."""
    try:
        sources = json.loads(text)
    except ValueError:
        sources = None
    if not isinstance(sources, dict) or len(sources) > MAX_DIMENSIONS:
        raise ValueError(
            f"write a JSON object of at most {MAX_DIMENSIONS} dimensions,"
            ' such as {"user": "header:x-user"}'
        )
    return {dimension: _source_of(dimension, source) for dimension, source in sources.items()}


def _source_of(dimension: str, source: object) -> Source:
    if not 1 <= len(dimension) <= MAX_DIMENSION_KEY or not dimension.isprintable():
        raise ValueError(f"a dimension has 1 to {MAX_DIMENSION_KEY} printable characters")
    try:
        return read_source(str(source))
    except ValueError as error:
        raise ValueError(f"{dimension}: {error}") from None


def _check_source(text: str) -> str:
    read_source(text)
    return text


def _check_sources(text: str) -> str:
    read_sources(text)
    return text


class EnvoySettings(BaseModel):
    """Holds the part of the settings that the calls of Envoy need."""

    envoy_account: Annotated[str, AfterValidator(_check_source)] = Field(
        default="header:x-creditgate-account",
        description=(
            "Where calls of Envoy have the account: header:NAME, context:KEY, "
            "metadata:NAMESPACE/KEY or principal."
        ),
    )
    envoy_dimensions: Annotated[str, AfterValidator(_check_sources)] = Field(
        default="{}",
        description=(
            "Where calls of Envoy have dimensions, as JSON: a source for each name, "
            "written as for the account."
        ),
    )
    envoy_default_output_tokens: int = Field(
        default=4096,
        ge=1,
        le=10_000_000,
        description="Output tokens to hold for, and to allow, where a request names no maximum.",
    )
    envoy_max_output_tokens: int = Field(
        default=16_384,
        ge=1,
        le=10_000_000,
        description="Most output tokens to hold for; a request may use more, and is charged.",
    )
    envoy_min_output_tokens: int = Field(
        default=256,
        ge=0,
        le=10_000_000,
        description="Fewest output tokens that a request is let pass with. 0: all or nothing.",
    )
    envoy_tokens_per_byte: float = Field(
        default=0.25,
        gt=0,
        le=10,
        description="Input tokens to hold for each byte of a request's body.",
    )
    envoy_hold_ttl_ms: int = Field(
        default=900_000,
        ge=1_000,
        le=86_400_000,
        description="How long a hold outlives a stream that is not settled, in ms.",
    )
    envoy_unreported: Literal["estimate", "hold", "release"] = Field(
        default="estimate",
        description=(
            "What a response without usage is charged: estimate (input, and a token of output an "
            "event), hold (all that was held) or release (nothing)."
        ),
    )
