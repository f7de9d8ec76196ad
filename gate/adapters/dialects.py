"""Writes refusals as the clients of each provider read errors."""

import json
from typing import NamedTuple

# By status: how Anthropic's and Google's clients know an error.
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_GOOGLE_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
}


class Refused(NamedTuple):
    """Holds a refusal: HTTP status, OpenAI's type and code, and a message for people.

    `retry_after_s` is None where waiting does not help.
    """

    status: int
    kind: str
    code: str
    message: str
    retry_after_s: int | None = None
    is_final: bool = False  # asked again at once, the answer would be the same


def body_of(refused: Refused, path: str) -> str:
    """Returns the body of the response, in the dialect of the path that was called."""
    if "/messages" in path:
        kind = _ANTHROPIC_TYPES[refused.status]
        error: dict[str, object] = {"type": kind, "message": refused.message}
        return json.dumps({"type": "error", "error": error})
    if ":generateContent" in path or ":streamGenerateContent" in path:
        status = _GOOGLE_STATUSES[refused.status]
        error = {"code": refused.status, "message": refused.message, "status": status}
        return json.dumps({"error": error})
    error = {
        "message": refused.message,
        "type": refused.kind,
        "param": None,
        "code": refused.code,
    }
    return json.dumps({"error": error})


def headers_of(refused: Refused) -> dict[str, str]:
    """Returns the headers of the response. Official clients repeat a 429 unless they are told."""
    headers = {"content-type": "application/json"}
    if refused.is_final:
        headers["x-should-retry"] = "false"
    if refused.retry_after_s is not None:
        headers["retry-after"] = str(refused.retry_after_s)
    return headers
