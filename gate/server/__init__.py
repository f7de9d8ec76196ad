"""Chooses the server that carries the services; every server takes the same methods."""

from collections.abc import Mapping
from functools import partial
from typing import ClassVar, Literal, Protocol

import structlog
from google.protobuf.descriptor import ServiceDescriptor

from gate.address import Address
from gate.server.edge import Edge
from gate.server.grpcio import GrpcioServer
from gate.server.tls import ServerTls
from gate.settings import SettingsError, env_name

log = structlog.get_logger()


class Server(Protocol):
    """Carries calls from an address to the services."""

    transport: ClassVar[str]

    def describe(self) -> str:
        """Returns the transport in a few words, TLS included."""

    async def start(self, address: Address) -> None:
        """Listens; raises OSError if the address cannot be had."""

    async def set_serving(self, serving: bool) -> None:
        """Sets the health of the services; that of the process stays as it is."""

    async def drain(self, timeout_s: float) -> None:
        """Takes no new calls, lets those in flight end, and stops."""


def new_server(
    transport: Literal["auto", "native", "grpcio"],
    services: Mapping[ServiceDescriptor, object],
    edge: Edge,
    *,
    shares_port: bool = False,
    asks_for_tokens: bool = False,
    tls: ServerTls | None = None,
) -> Server:
    """Returns the server that the setting asks for, not yet listening.

    A server that `asks_for_tokens` presents the token of each call to the guard of the services.
    Raises SettingsError if the native server is asked for and cannot be loaded on this machine, or
    asked for with TLS, which it does not have.
    """
    grpcio = partial(
        GrpcioServer,
        services,
        edge,
        shares_port=shares_port,
        asks_for_tokens=asks_for_tokens,
        tls=tls,
    )
    if transport == "native" and tls is not None:
        fix = "it has no TLS; use auto or grpcio, or a unix socket behind a proxy that has TLS"
        raise SettingsError([f"{env_name('transport')}={transport!r}: {fix}"])
    if transport == "grpcio" or tls is not None:
        return grpcio()
    try:
        # Not at the top: for some machines the native server is not made.
        from gate.server.native import NativeServer
    except ImportError as error:
        if transport == "native":
            fix = f"it cannot be loaded on this machine ({error}); use auto or grpcio"
            raise SettingsError([f"{env_name('transport')}={transport!r}: {fix}"]) from None
        log.info("native_transport_unavailable", error=str(error))
        return grpcio()
    return NativeServer(
        services,
        edge,
        shares_port=shares_port,
        asks_for_tokens=asks_for_tokens,
    )
