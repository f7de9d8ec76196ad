"""Turns what is not a success into HTTP's words: a status, and a problem of RFC 9457."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from google.protobuf.message import Message
from starlette.responses import JSONResponse, Response

from gate.v1.gate_pb2 import Denial, Reason
from gate.web.json_messages import fields_of
from meter.errors import ResourceExhausted, ServiceError

_MEDIA_TYPE = "application/problem+json"
_DO_NOT_RETRY = {"x-should-retry": "false"}  # the SDKs of providers repeat 429 without it
_PAUSE_S = 1

_OF_CODE = {
    "INVALID_ARGUMENT": HTTPStatus.BAD_REQUEST,
    "UNAUTHENTICATED": HTTPStatus.UNAUTHORIZED,
    "PERMISSION_DENIED": HTTPStatus.FORBIDDEN,
    "NOT_FOUND": HTTPStatus.NOT_FOUND,
    "ALREADY_EXISTS": HTTPStatus.CONFLICT,
    "FAILED_PRECONDITION": HTTPStatus.UNPROCESSABLE_ENTITY,
    "OUT_OF_RANGE": HTTPStatus.UNPROCESSABLE_ENTITY,
    "RESOURCE_EXHAUSTED": HTTPStatus.TOO_MANY_REQUESTS,
    "UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
    "INTERNAL": HTTPStatus.INTERNAL_SERVER_ERROR,
}


def denied(reply: Message, denial: Denial) -> Response:
    """Returns the response to a denial: 403 suspended, 429 if time alone heals it, else 402."""
    reason = Reason.Name(denial.reason)
    status = HTTPStatus.PAYMENT_REQUIRED
    headers = dict(_DO_NOT_RETRY)
    if reason == "ACCOUNT_SUSPENDED":
        status = HTTPStatus.FORBIDDEN
    elif denial.HasField("resets_at"):
        status = HTTPStatus.TOO_MANY_REQUESTS
        wait_s = denial.resets_at.ToSeconds() - int(time.time())
        headers["Retry-After"] = str(max(_PAUSE_S, wait_s))
    detail = f"{denial.shortfall_nanos} nanos are missing"
    return _problem(status, reason, detail, fields_of(reply), headers)


def refused(error: ServiceError) -> Response:
    """Returns the response to an error of a service."""
    headers = {}
    if error.code == "UNAVAILABLE":
        headers["Retry-After"] = str(_PAUSE_S)
    if error.code == "UNAUTHENTICATED":
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, ResourceExhausted):
        headers["Retry-After"] = str(max(_PAUSE_S, error.retry_after_ms // 1000))
    more = {}
    if error.field:
        more["field"] = error.field
    return _problem(_OF_CODE[error.code], error.reason, error.message, more, headers)


def plain(status: HTTPStatus, detail: str) -> Response:
    """Returns the response to a request that is no call at all."""
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status,
        "detail": detail,
    }
    return JSONResponse(body, status_code=status, media_type=_MEDIA_TYPE)


def _problem(
    status: HTTPStatus,
    reason: str,
    detail: str,
    more: Mapping[str, Any],
    headers: Mapping[str, str],
) -> Response:
    body = {
        **more,
        "type": f"urn:creditgate:reason:{reason}",
        "title": reason,
        "status": status,
        "detail": detail,
        "reason": reason,
    }
    return JSONResponse(
        body,
        status_code=status,
        headers=headers,
        media_type=_MEDIA_TYPE,
    )
