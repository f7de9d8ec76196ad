"""Speaks Envoy's own protocols: a Check places a hold, a ShouldRateLimit at the end settles it.

What the check decided travels through Envoy as the text `hold`, and comes back with the end of the
request (docs/envoy.md).
"""

import json
import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple, Self

import grpc
from google.rpc.status_pb2 import Status

from gate.adapters import refusals
from gate.adapters.dialects import Refused, body_of, headers_of
from gate.adapters.model_request import ModelRequest, UnreadableRequest, read_model_request
from gate.envoy.auth_pb2 import (
    AttributeContext,
    CheckRequest,
    CheckResponse,
    DeniedHttpResponse,
    OkHttpResponse,
)
from gate.envoy.core_pb2 import HeaderValue, HeaderValueOption
from gate.envoy.http_status_pb2 import HttpStatus
from gate.envoy_settings import EnvoySettings, Source, read_source, read_sources
from gate.pricing import Pricer
from gate.service import GateService
from gate.v1.gate_pb2 import (
    DENIED,
    AuthorizeRequest,
    AuthorizeResponse,
    EstimateCostRequest,
    Usage,
)
from meter.errors import ServiceError

MAX_OUTPUT_HEADER = "x-creditgate-max-output-tokens"
HOLD_HEADER = "x-creditgate-hold"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_DIGITS = 22


class HeldCall(NamedTuple):
    """Holds what a settlement needs of the check."""

    account_id: str
    hold_id: str
    held_nanos: int
    input_tokens: int
    output_tokens: int  # that the hold pays for
    dimensions: dict[str, str]

    def to_text(self) -> str:
        text = json.dumps(self, separators=(",", ":"))
        return urlsafe_b64encode(text.encode()).decode()

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Reads what `to_text` wrote; raises ValueError or TypeError for any other text."""
        return cls(*json.loads(urlsafe_b64decode(text)))


class AuthorizationService:
    """Has the method of envoy.service.auth.v3.Authorization."""

    def __init__(self, gate: GateService, pricer: Pricer, settings: EnvoySettings) -> None:
        self._gate = gate
        self._pricer = pricer
        self._settings = settings
        self._account = read_source(settings.envoy_account)
        self._dimensions = read_sources(settings.envoy_dimensions)

    async def Check(self, request: CheckRequest) -> CheckResponse:
        """Places a hold for the call, or says how to refuse the call.

        Raises a ServiceError where nothing could be decided: Envoy refuses the call by itself.
        """
        attributes = request.attributes
        path = attributes.request.http.path
        account_id = _value(self._account, attributes)
        if not account_id:
            return _denied(refusals.no_account(), path)
        body = attributes.request.http.raw_body or attributes.request.http.body.encode()
        try:
            call = read_model_request(path, body)
        except UnreadableRequest as error:
            return _denied(refusals.bad_body(str(error)), path)
        try:
            authorize = await self._authorize(attributes, account_id, call, body)
            response = await self._gate.Authorize(authorize)
        except ServiceError as error:
            return _denied(refusals.of_error(error), path)
        if response.decision == DENIED:
            return _denied(refusals.of_denial(response.denial), path)
        return _allowed(authorize, response, call)

    async def _authorize(
        self,
        attributes: AttributeContext,
        account_id: str,
        call: ModelRequest,
        body: bytes,
    ) -> AuthorizeRequest:
        settings = self._settings
        output_tokens = settings.envoy_default_output_tokens
        if call.max_output_tokens is not None:
            output_tokens = min(call.max_output_tokens, settings.envoy_max_output_tokens)
        usage = Usage(
            model=call.model,
            input_tokens=max(1, math.ceil(len(body) * settings.envoy_tokens_per_byte)),
            output_tokens=output_tokens * call.answers,
        )
        return AuthorizeRequest(
            account_id=account_id,
            request_id=_request_id(attributes, account_id, body),
            usage=usage,
            min_amount_nanos=await self._least_nanos(account_id, usage),
            hold_ttl_ms=settings.envoy_hold_ttl_ms,
            dimensions=self._dimensions_of(attributes),
        )

    async def _least_nanos(self, account_id: str, usage: Usage) -> int:
        """Returns the least amount to hold: for the input, and the fewest output tokens."""
        least_output = self._settings.envoy_min_output_tokens
        if not least_output:
            return 0
        least = Usage(
            model=usage.model,
            input_tokens=usage.input_tokens,
            output_tokens=min(least_output, usage.output_tokens),
        )
        estimate = EstimateCostRequest(account_id=account_id, usage=least)
        return (await self._pricer.estimate(estimate)).amount_nanos

    def _dimensions_of(self, attributes: AttributeContext) -> dict[str, str]:
        found = {name: _value(source, attributes) for name, source in self._dimensions.items()}
        return {name: value for name, value in found.items() if value}


def _value(source: Source, attributes: AttributeContext) -> str:
    """Returns what stands at the source; an empty text if nothing does."""
    match source.kind:
        case "header":
            return attributes.request.http.headers.get(source.name, "")
        case "context":
            return attributes.context_extensions.get(source.name, "")
        case "principal":
            return attributes.source.principal
        case "metadata":
            return _metadata(source, attributes)


def _metadata(source: Source, attributes: AttributeContext) -> str:
    namespaces = attributes.metadata_context.filter_metadata
    if source.name not in namespaces:
        return ""
    fields = namespaces[source.name].fields
    if source.key not in fields:
        return ""
    return fields[source.key].string_value


def _request_id(attributes: AttributeContext, account_id: str, body: bytes) -> str:
    """Returns an id that Envoy's repeat of a check has again, and no other request.

    No client can choose the id: the time is Envoy's, to the nanosecond.
    """
    http = attributes.request.http
    address = attributes.source.address.socket_address
    parts = (
        str(attributes.request.time.ToNanoseconds()),
        address.address,
        str(address.port_value),
        http.id,
        http.method,
        http.path,
        account_id,
    )
    digest = blake2b(digest_size=16)
    for part in parts:
        # Lengths before the parts, so that no two requests have one text.
        digest.update(f"{len(part)}:{part}".encode())
    digest.update(body)
    number = int.from_bytes(digest.digest(), "big")
    digits = []
    for _ in range(_ID_DIGITS):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "e" + "".join(digits)


def _allowed(
    asked: AuthorizeRequest,
    response: AuthorizeResponse,
    call: ModelRequest,
) -> CheckResponse:
    output_tokens = asked.usage.output_tokens
    is_partial = False
    if response.HasField("affordable_output_tokens"):
        is_partial = response.affordable_output_tokens < output_tokens
        output_tokens = min(output_tokens, response.affordable_output_tokens)
    held = HeldCall(
        asked.account_id,
        response.hold_id,
        response.held_nanos,
        asked.usage.input_tokens,
        output_tokens,
        dict(asked.dimensions),
    )
    allowed = OkHttpResponse(
        headers_to_remove=[MAX_OUTPUT_HEADER],
        response_headers_to_add=_headers({HOLD_HEADER: response.hold_id}),
    )
    if is_partial or call.max_output_tokens is None:
        each = max(1, output_tokens // call.answers)
        allowed = OkHttpResponse(
            headers=_headers({MAX_OUTPUT_HEADER: str(each)}),
            response_headers_to_add=_headers({HOLD_HEADER: response.hold_id}),
        )
    checked = CheckResponse(status=Status(code=0), ok_response=allowed)
    checked.dynamic_metadata["hold"] = held.to_text()
    return checked


def _denied(refused: Refused, path: str) -> CheckResponse:
    # The codes are HTTP's; any of them may stand there, whether the enum names it or not.
    status: Any = refused.status
    return CheckResponse(
        status=Status(code=grpc.StatusCode.PERMISSION_DENIED.value[0]),
        denied_response=DeniedHttpResponse(
            status=HttpStatus(code=status),
            headers=_headers(headers_of(refused)),
            body=body_of(refused, path),
        ),
    )


def _headers(values: Mapping[str, str]) -> list[HeaderValueOption]:
    return [
        HeaderValueOption(header=HeaderValue(key=key, value=value)) for key, value in values.items()
    ]
