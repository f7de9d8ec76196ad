"""Connect's unary protocol (connectrpc.com/docs/protocol): any Connect client may call."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gate.server.edge import NO_MESSAGE
from gate.server.status import status_of
from gate.web.calls import Call, TooLarge, body_of
from gate.web.json_messages import read_json, write_json
from meter.errors import InvalidField, ServiceError

JSON = "application/json"
PROTO = "application/proto"
_CLIENT_CLOSED = 499
_ANY_PREFIX = "type.googleapis.com/"
_MAX_TIMEOUT_DIGITS = 10

_HTTP_STATUS = {
    "CANCELLED": _CLIENT_CLOSED,
    "UNKNOWN": HTTPStatus.INTERNAL_SERVER_ERROR,
    "INVALID_ARGUMENT": HTTPStatus.BAD_REQUEST,
    "DEADLINE_EXCEEDED": HTTPStatus.GATEWAY_TIMEOUT,
    "NOT_FOUND": HTTPStatus.NOT_FOUND,
    "ALREADY_EXISTS": HTTPStatus.CONFLICT,
    "PERMISSION_DENIED": HTTPStatus.FORBIDDEN,
    "RESOURCE_EXHAUSTED": HTTPStatus.TOO_MANY_REQUESTS,
    "FAILED_PRECONDITION": HTTPStatus.BAD_REQUEST,
    "OUT_OF_RANGE": HTTPStatus.BAD_REQUEST,
    "UNIMPLEMENTED": HTTPStatus.NOT_IMPLEMENTED,
    "INTERNAL": HTTPStatus.INTERNAL_SERVER_ERROR,
    "UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
    "UNAUTHENTICATED": HTTPStatus.UNAUTHORIZED,
}


def connect_endpoint(call: Call) -> Callable[[Request], Awaitable[Response]]:
    """Returns the endpoint of a method."""

    async def answer(request: Request) -> Response:
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type not in (JSON, PROTO):
            status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
            return Response(status_code=status, headers={"Accept-Post": f"{JSON}, {PROTO}"})
        if request.headers.get("content-encoding", "identity") != "identity":
            return _error("UNIMPLEMENTED", "requests are taken as they are, uncompressed")
        try:
            message = _read(call.input_class, content_type, await body_of(request))
            async with asyncio.timeout(_timeout_s(request)):
                reply = await call.run(request, message)
        except ServiceError as refused:
            return _error(refused.code, refused.message, status_of(refused))
        except TooLarge:
            return _error("RESOURCE_EXHAUSTED", "the request is larger than a message may be")
        except TimeoutError:
            return _error("DEADLINE_EXCEEDED", "no answer within Connect-Timeout-Ms")
        return Response(_written(content_type, reply), media_type=content_type)

    return answer


def _read(
    input_class: type[Message],
    content_type: str,
    body: bytes,
) -> Message:
    if content_type == JSON:
        return read_json(input_class, body)
    try:
        return input_class.FromString(body)
    except DecodeError:
        raise InvalidField("body", NO_MESSAGE) from None


def _written(content_type: str, reply: Message) -> bytes:
    if content_type == JSON:
        return write_json(reply)
    return reply.SerializeToString()


def _timeout_s(request: Request) -> float | None:
    text = request.headers.get("connect-timeout-ms")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_TIMEOUT_DIGITS):
        raise InvalidField("Connect-Timeout-Ms", "must be up to 10 digits")
    return int(text) / 1000


def _error(
    code: str,
    message: str,
    status: Status | None = None,
) -> Response:
    body: dict[str, Any] = {"code": _connect_code(code), "message": message}
    if status is not None:
        body["details"] = [
            {
                "type": detail.type_url.removeprefix(_ANY_PREFIX),
                "value": base64.b64encode(detail.value).decode().rstrip("="),
            }
            for detail in status.details
        ]
    return JSONResponse(body, status_code=_HTTP_STATUS[code])


def _connect_code(code: str) -> str:
    if code == "CANCELLED":
        return "canceled"  # as Connect spells it
    return code.lower()
