"""Serves by grpcio's own server, on asyncio."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from gate.access.callers import present
from gate.address import Address, clear_socket
from gate.server.edge import NO_MESSAGE, STOPPING, Edge, details_of
from gate.server.reflection import add_reflection
from gate.server.sockets import sever
from gate.server.status import code_of
from gate.server.tls import ServerTls
from meter.errors import ServiceError

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
# Calls that wait to be taken: beyond 1,000, grpc would drop some at random. The edge bounds calls,
# and tells the client.
_PENDING_MAX = 2**31 - 1
LINGER_S = 0.25  # nothing tells when a reply is written
_LOOK_S = 0.01
_OPTIONS = [
    ("grpc.server.max_pending_requests", _PENDING_MAX),
    ("grpc.server.max_pending_requests_hard_limit", _PENDING_MAX),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
]

_PROCESS = ""  # the health service's name for the process as a whole


class GrpcioServer:
    """Serves services by their descriptors, with health and reflection."""

    transport: ClassVar[str] = "grpcio"

    def __init__(
        self,
        services: Mapping[ServiceDescriptor, object],
        edge: Edge,
        *,
        shares_port: bool = False,
        asks_for_tokens: bool = False,
        tls: ServerTls | None = None,
    ) -> None:
        self._edge = edge
        self._tls = tls
        self._asks_for_tokens = asks_for_tokens
        self._draining = False
        # Without leave to share it, a second server on the same port is a mistake to tell.
        own_options = [
            ("grpc.so_reuseport", int(shares_port)),
            ("grpc.max_concurrent_streams", edge.max_streams),
        ]
        self._server = grpc.aio.server(options=[*_OPTIONS, *own_options])
        self._health = health.aio.HealthServicer()
        for descriptor, service in services.items():
            handlers = self._handlers(descriptor, service)
            self._server.add_generic_rpc_handlers((handlers,))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = [descriptor.full_name for descriptor in services]
        add_reflection([*names, health.SERVICE_NAME], self._server)
        self._names = names

    async def start(self, address: Address) -> None:
        """Listens; raises OSError if the address cannot be had."""
        self._bind(address)
        self._address = address
        await self._server.start()
        await self._health.set(_PROCESS, health_pb2.HealthCheckResponse.SERVING)
        await self.set_serving(True)

    def _bind(self, address: Address) -> None:
        try:
            clear_socket(address)
            port = self._add_port(address.grpc_target)
        except (OSError, RuntimeError) as error:
            raise OSError(address.refused(error)) from None
        if port == 0:
            raise OSError(f"cannot listen on {address}")

    def _add_port(self, target: str) -> int:
        if self._tls is None:
            return self._server.add_insecure_port(target)
        return self._server.add_secure_port(target, self._tls.credentials())

    def describe(self) -> str:
        """Returns the transport in a few words, TLS included."""
        if self._tls is None:
            return self.transport
        return f"{self.transport} with {self._tls.describe()}"

    async def set_serving(self, serving: bool) -> None:
        """Sets the health of the services; that of the process stays as it is."""
        status = _health_status(serving)
        for name in self._names:
            await self._health.set(name, status)

    async def drain(self, timeout_s: float) -> None:
        """Takes no new calls, lets those in flight end, and stops."""
        self._draining = True
        await self.begin_drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle()
        await asyncio.sleep(LINGER_S)
        await self.stop()

    async def stop(self) -> None:
        """Stops at once: calls that have not ended, or that are just coming, are UNAVAILABLE."""
        # A grpcio server that stops while calls come ends them with CANCELLED.
        sever(self._address)
        await self._server.stop(None)

    async def _idle(self) -> None:
        # Looked for again and again: an event would cost every call, and serve one stop.
        while not self._edge.is_idle:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)

    def _handlers(
        self,
        descriptor: ServiceDescriptor,
        service: object,
    ) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            descriptor.full_name,
            {method.name: self._handler(method, service) for method in descriptor.methods},
        )

    def _handler(
        self,
        method: MethodDescriptor,
        service: object,
    ) -> "grpc.RpcMethodHandler[Any, Any]":
        parse = GetMessageClass(method.input_type).FromString
        call = self._edge.wrap(method.name, getattr(service, method.name))

        async def answer(
            message: bytes,
            context: "grpc.aio.ServicerContext[bytes, bytes]",
        ) -> bytes:
            if self._draining:
                await context.abort(grpc.StatusCode.UNAVAILABLE, STOPPING)
            if self._asks_for_tokens:
                present(_authorization(context))
            try:
                response = await call(parse(message))
                return response.SerializeToString()
            except ServiceError as refused:
                await context.abort(
                    code_of(refused),
                    refused.message,
                    details_of(refused),
                )
            except DecodeError:
                await context.abort(grpc.StatusCode.INTERNAL, NO_MESSAGE)

        # On bytes: where grpcio parses, the client is told of Python's exceptions.
        return grpc.unary_unary_rpc_method_handler(answer)

    async def begin_drain(self) -> None:
        """Tells from now on that neither the process nor its services serve."""
        await self._health.enter_graceful_shutdown()


def _authorization(context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
    for key, value in context.invocation_metadata() or ():
        if key == "authorization" and isinstance(value, str):
            return value.encode()
    return b""


def _health_status(serving: bool) -> int:
    if serving:
        return health_pb2.HealthCheckResponse.SERVING
    return health_pb2.HealthCheckResponse.NOT_SERVING
