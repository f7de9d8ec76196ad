"""Reads the names by which gateways call models: the provider that a name tells, and the model.

A name tells a provider by the text before its first slash, or by a form that only one provider
uses. Where a name tells no provider, the catalog's own rules for the makers of models decide.
"""

import re
from typing import NamedTuple

# What gateways write before the slash, by the catalog's id of the provider. Nothing is guessed from
# a part of a word: `my-openai-proxy/gpt-4o` does not say what OpenAI asks.
_OTHER_NAMES = {
    "anthropic": ("anthropic_text",),
    "aws": (
        "amazon",
        "amazon-bedrock",
        "aws-bedrock",
        "aws_bedrock",
        "bedrock",
        "bedrock_converse",
    ),
    "azure": ("azure-openai", "azure_ai", "azure_openai", "azure_text"),
    "cohere": ("cohere_chat",),
    "fireworks": ("fireworks-ai", "fireworks_ai"),
    "github-copilot": ("copilot", "github_copilot"),
    "google": (
        "gemini",
        "google-ai-studio",
        "google-gla",
        "google-vertex",
        "google_ai_studio",
        "google_genai",
        "google_vertexai",
        "vertex",
        "vertex-ai",
        "vertex_ai",
        "vertex_ai_beta",
        "vertexai",
    ),
    "mistral": ("mistralai",),
    "moonshotai": ("moonshot",),
    "openai": ("text-completion-openai",),
    "together": ("together-ai", "together_ai", "togetherai"),
    "voyageai": ("voyage",),
    "x-ai": ("xai",),
    "zai": ("z-ai", "z.ai"),
}
PROVIDER_OF_PREFIX = {
    prefix: provider for provider, prefixes in _OTHER_NAMES.items() for prefix in prefixes
}

# Forms without a provider that a single provider uses.
_FORMS = (
    ("openai", re.compile("ft:")),
    ("google", re.compile("models/")),
    ("google", re.compile("(projects/[^/]+/locations/[^/]+/)?publishers/[^/]+/models/")),
    ("fireworks", re.compile("accounts/fireworks/")),
    ("groq", re.compile("llama-.*-(versatile|instant)$")),
    ("perplexity", re.compile("sonar(-|$)")),
    ("aws", re.compile("arn:aws[a-z-]*:bedrock:")),
    (
        "aws",
        re.compile(
            r"((us|eu|apac|jp|au|ca|sa|us-gov|global)\.)?"
            "(ai21|amazon|anthropic|cohere|deepseek|google|luma|meta|minimax|mistral|moonshot|"
            r"moonshotai|nvidia|openai|qwen|stability|twelvelabs|writer|zai)\.[a-z]"
        ),
    ),
)
# How a model is called or where it is kept, at a provider: no part of the model's name.
_PATHS = {
    "aws": re.compile("^(converse|invoke)/"),
    "google": re.compile("^((projects/[^/]+/locations/[^/]+/)?publishers/[^/]+/)?models/"),
}


# What a name says apart from the model: the seller's marks before it; date and release after it.
_BEFORE_MODEL = re.compile(r"^.*/|^([a-z-]+\.)+(?=[a-z])")
_AFTER_MODEL = re.compile(r"(@.*|-v1|-v?\d+:\d+|-20\d\d-?\d\d-?\d\d|-latest)$")


class NameRead(NamedTuple):
    """Holds what a name says, in small letters; `provider` is empty if the name tells none."""

    provider: str
    model: str


def read_name(name: str, providers: frozenset[str]) -> NameRead:
    """Returns what a name says; `providers` are the catalog's ids of providers.

    Spaces around the name do not count.
    """
    text = name.strip().lower()
    prefix, _, rest = text.partition("/")
    if rest and prefix in providers:
        return _plain(prefix, rest)
    if rest and prefix in PROVIDER_OF_PREFIX:
        return _plain(PROVIDER_OF_PREFIX[prefix], rest)
    for provider, form in _FORMS:
        if form.match(text):
            return _plain(provider, text)
    return NameRead("", text)


def _plain(provider: str, model: str) -> NameRead:
    """Returns the model's name without what does not change the price at the provider."""
    path = _PATHS.get(provider)
    if path is not None:
        model = path.sub("", model)
    if provider == "openrouter":
        model = model.removesuffix(":beta")
    return NameRead(provider, model)


def model_alone(name: str) -> str:
    """Returns the name of a model without seller, region, date and release.

    Two sellers' names of one model are alike then; so are a model's dated versions.
    """
    rest = name.strip().lower()
    alone = ""
    while alone != rest:
        alone = rest
        rest = _AFTER_MODEL.sub("", _BEFORE_MODEL.sub("", alone))
    return alone.replace(".", "-")
