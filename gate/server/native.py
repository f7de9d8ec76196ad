"""Serves by the native server: threads outside the interpreter's lock do HTTP/2 and gRPC, and only
whole calls come to the event loop.

Health and reflection, which stream, are passed on to a grpcio server behind the native server.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from tempfile import TemporaryDirectory
from typing import ClassVar

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from pygrpc_native import NativeGrpcFront

from gate.access.callers import present
from gate.address import Address, clear_socket
from gate.server.edge import NO_MESSAGE, STOPPING, Edge, Method, details_of
from gate.server.grpcio import LINGER_S, MAX_MESSAGE_BYTES, GrpcioServer
from gate.server.status import code_of
from meter.errors import ServiceError

# kind, call, method, message (None: cancelled), the metadata asked for (a text: the peer)
_Event = tuple[int, int, int, bytes | None, object]

_EVENTS_AT_ONCE = 256
_IO_THREADS = 1  # a thread does several times as many calls as Python can answer


class NativeServer:
    """Serves unary methods of services by their descriptors, with health and reflection."""

    transport: ClassVar[str] = "native"

    def __init__(
        self,
        services: Mapping[ServiceDescriptor, object],
        edge: Edge,
        *,
        shares_port: bool = False,
        asks_for_tokens: bool = False,
    ) -> None:
        self._asks_for_tokens = asks_for_tokens
        self._paths: list[tuple[str, bool]] = []
        self._methods: list[tuple[Callable[[bytes], Message], Method]] = []
        for descriptor, service in services.items():
            for method in descriptor.methods:
                self._paths.append((f"/{descriptor.full_name}/{method.name}", False))
                call = edge.wrap(method.name, getattr(service, method.name))
                self._methods.append((GetMessageClass(method.input_type).FromString, call))
        self._behind = GrpcioServer(services, edge)
        self._max_streams = edge.max_streams
        self._shares_port = shares_port
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._responses: list[tuple[int, bytes]] = []
        self._draining = False
        self._opened = ExitStack()

    async def start(self, address: Address) -> None:
        """Listens; raises OSError if the address cannot be had."""
        self._loop = asyncio.get_running_loop()
        self._front = self._bind(address)
        folder = self._opened.enter_context(TemporaryDirectory(prefix="creditgate-"))
        behind = Address(path=f"{folder}/grpcio")
        await self._behind.start(behind)
        self._front.set_fallback(behind.path)
        self._front.start()
        receiver = threading.Thread(
            target=self._receive,
            name="native-receiver",
            daemon=True,
        )
        receiver.start()
        self._opened.callback(receiver.join)
        self._opened.callback(self._front.close)

    def describe(self) -> str:
        """Returns the transport in a few words, TLS included."""
        return self.transport

    async def set_serving(self, serving: bool) -> None:
        """Sets the health of the services; that of the process stays as it is."""
        await self._behind.set_serving(serving)

    async def drain(self, timeout_s: float) -> None:
        """Takes no new calls, lets those in flight end, and stops."""
        self._draining = True
        await self._behind.begin_drain()
        if self._calls:
            await asyncio.wait(self._calls.values(), timeout=timeout_s)
        await self._cancel_unfinished()
        await asyncio.sleep(LINGER_S)
        await self._behind.stop()
        await asyncio.to_thread(self._opened.close)

    async def _cancel_unfinished(self) -> None:
        unfinished = list(self._calls.values())
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)

    def _bind(self, address: Address) -> NativeGrpcFront:
        try:
            clear_socket(address)
            return NativeGrpcFront(
                str(address),
                self._paths,
                client_key_metadata=self._presented_metadata(),
                io_threads=_IO_THREADS,
                call_details=True,  # without it nothing tells that a client has gone away
                max_concurrent_streams=self._max_streams,
                reuse_port=self._shares_port,
            )
        except OSError as error:
            raise OSError(address.refused(error)) from None

    def _presented_metadata(self) -> str | None:
        """Returns the metadata of a call that its event brings along, in place of the peer."""
        if self._asks_for_tokens:
            return "authorization"
        return None

    def _receive(self) -> None:
        """Runs in the receiver's thread: waits without the interpreter's lock, hands calls over."""
        while (events := self._front.recv_batch(_EVENTS_AT_ONCE)) is not None:
            self._loop.call_soon_threadsafe(self._take, events)

    def _take(self, events: Sequence[_Event]) -> None:
        for _, call_id, method, message, header in events:
            if message is None:  # the client has gone away, or its deadline has passed
                if task := self._calls.pop(call_id, None):
                    task.cancel()
            elif self._draining:
                self._fail(call_id, grpc.StatusCode.UNAVAILABLE, STOPPING)
            elif len(message) > MAX_MESSAGE_BYTES:
                size = f"{len(message)} vs. {MAX_MESSAGE_BYTES} bytes"
                why = f"the request is larger than max ({size})"
                self._fail(call_id, grpc.StatusCode.RESOURCE_EXHAUSTED, why)
            else:
                if self._asks_for_tokens:
                    present(header)
                answer = self._answer(call_id, method, message)
                self._calls[call_id] = self._loop.create_task(answer)

    async def _answer(self, call_id: int, method: int, message: bytes) -> None:
        parse, call = self._methods[method]
        try:
            response = await call(parse(message))
            self._respond(call_id, response.SerializeToString())
        except ServiceError as refused:
            self._fail(
                call_id,
                code_of(refused),
                refused.message,
                details_of(refused),
            )
        except DecodeError:
            self._fail(call_id, grpc.StatusCode.INTERNAL, NO_MESSAGE)
        finally:
            self._calls.pop(call_id, None)

    def _respond(self, call_id: int, message: bytes) -> None:
        """Sends a lone call's response at once, and others together at the end of the loop's turn.

        Each waking of the I/O thread costs both sides more than the response itself.
        """
        if len(self._calls) == 1:
            self._front.respond(call_id, message)
            return
        if not self._responses:
            self._loop.call_soon(self._flush)
        self._responses.append((call_id, message))

    def _flush(self) -> None:
        for call_id, message in self._responses:
            self._front.respond(call_id, message)
        self._responses.clear()

    def _fail(
        self,
        call_id: int,
        code: grpc.StatusCode,
        why: str,
        details: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        self._front.fail(call_id, code.value[0], why, details)
