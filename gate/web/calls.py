"""The methods of services as HTTP calls them: by path, on messages that are read and written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from starlette.requests import Request

from gate.access.callers import present
from gate.server.edge import Edge, Method
from gate.server.grpcio import MAX_MESSAGE_BYTES
from meter.errors import PermissionDenied


class TooLarge(Exception):
    """Tells that a body is larger than a message may be."""


@dataclass(frozen=True, slots=True)
class Call:
    """Runs one method of a service."""

    path: str  # /package.Service/Method
    input_class: type[Message]
    method: Method
    asks_for_tokens: bool

    async def run(self, request: Request, message: Message) -> Message:
        """Returns the reply, or raises a ServiceError."""
        if self.asks_for_tokens:
            present(request.headers.get("authorization", "").encode("latin-1"))
        elif _is_of_a_page(request):
            # Any page that somebody looks at could spend: a name that leads here is easily had.
            raise PermissionDenied(
                "FORBIDDEN",
                "a page in a browser may call only where tokens are asked for",
            )
        return await self.method(message)


def calls_of(
    services: Mapping[ServiceDescriptor, object],
    edge: Edge,
    *,
    asks_for_tokens: bool,
) -> Iterator[Call]:
    """Yields a call for each method of the services."""
    for descriptor, service in services.items():
        for method in descriptor.methods:
            yield Call(
                f"/{descriptor.full_name}/{method.name}",
                GetMessageClass(method.input_type),
                edge.wrap(method.name, getattr(service, method.name)),
                asks_for_tokens,
            )


def _is_of_a_page(request: Request) -> bool:
    headers = request.headers
    return "origin" in headers or headers.get("sec-fetch-site", "none") != "none"


async def body_of(request: Request) -> bytes:
    """Returns the request's body; TooLarge as soon as more has come than a message may have."""
    parts = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_MESSAGE_BYTES:
            raise TooLarge
        parts.append(part)
    return b"".join(parts)
