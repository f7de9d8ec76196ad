"""`/v1`: the calls of the gate for gateways that look at status codes."""

from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus

from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gate.v1.gate_pb2 import DENIED, GetBalanceRequest
from gate.web import problems
from gate.web.calls import Call, TooLarge, body_of
from gate.web.json_messages import fields_of, read_json
from meter.errors import InvalidField, ServiceError

KEY = "Idempotency-Key"
_BALANCE = "/gate.v1.Gate/GetBalance"
BALANCE_ENDPOINT = "/v1/accounts/{account_id}/balance"
# The endpoints with a body, and the methods that they call.
ENDPOINTS = {
    "/v1/authorize": "/gate.v1.Gate/Authorize",
    "/v1/debit": "/gate.v1.Gate/Debit",
    "/v1/release": "/gate.v1.Gate/Release",
    "/v1/extend": "/gate.v1.Gate/Extend",
    "/v1/batch": "/gate.v1.Gate/Batch",
    "/v1/estimate": "/gate.v1.Gate/EstimateCost",
}

_Endpoint = Callable[[Request], Awaitable[Response]]
_ReadMessage = Callable[[Request], Awaitable[Message]]


def v1_routes(calls: Iterable[Call]) -> list[Route]:
    """Returns the routes; none where the gate's calls are not served."""
    by_path = {call.path: call for call in calls}
    routes = []
    for endpoint, path in ENDPOINTS.items():
        if path in by_path:
            call = by_path[path]
            answer = _endpoint(call, _from_body(call))
            routes.append(Route(endpoint, answer, methods=["POST"]))
    if _BALANCE in by_path:
        answer = _endpoint(by_path[_BALANCE], _from_path)
        # An account's id may have slashes.
        path = BALANCE_ENDPOINT.replace("}", ":path}")
        routes.append(Route(path, answer, methods=["GET"]))
    return routes


def _endpoint(call: Call, read: _ReadMessage) -> _Endpoint:
    async def answer(request: Request) -> Response:
        try:
            reply = await call.run(request, await read(request))
        except ServiceError as error:
            return problems.refused(error)
        except TooLarge:
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            return problems.plain(status, "the request is larger than a message may be")
        except _NotJson:
            status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
            return problems.plain(status, "send the request as application/json")
        return _replied(reply)

    return answer


class _NotJson(Exception):
    """The request's body is of another type."""


def _from_body(call: Call) -> _ReadMessage:
    async def read(request: Request) -> Message:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise _NotJson
        message = read_json(call.input_class, await body_of(request))
        _take_key(request, message)
        return message

    return read


async def _from_path(request: Request) -> Message:
    return GetBalanceRequest(account_id=request.path_params["account_id"])


def _take_key(request: Request, message: Message) -> None:
    """Makes the idempotency key the message's request id, where the message has one."""
    key = request.headers.get(KEY, "")
    if not key or "request_id" not in message.DESCRIPTOR.fields_by_name:
        return
    given = getattr(message, "request_id", "")
    if given and given != key:
        raise InvalidField(KEY, "differs from the request_id of the body; give one of the two")
    setattr(message, "request_id", key)  # noqa: B010  the type of the message is not known here


def _replied(reply: Message) -> Response:
    if getattr(reply, "decision", None) == DENIED:
        return problems.denied(reply, reply.denial)  # type: ignore[attr-defined]
    headers = {}
    if getattr(reply, "replayed", False):
        headers["Idempotent-Replayed"] = "true"
    return JSONResponse(fields_of(reply), headers=headers)
