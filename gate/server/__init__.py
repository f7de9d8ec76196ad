"""Chooses the server that carries the services; every server takes the same methods."""

from collections.abc import Mapping
from functools import partial
from typing import ClassVar, Literal, Protocol

import structlog
from google.protobuf.descriptor import ServiceDescriptor

from gate.address import Address
from gate.server.edge import Edge
from gate.server.grpcio import GrpcioServer
from gate.settings import SettingsError, env_name

log = structlog.get_logger()


class Server(Protocol):
    """Carries calls from an address to the services."""

    transport: ClassVar[str]

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
) -> Server:
    """Returns the server that the setting asks for, not yet listening.

    A server that `asks_for_tokens` presents the token of each call to the guard of the services.
    Raises SettingsError if the native server is asked for and cannot be loaded on this machine.
    """
    grpcio = partial(
        GrpcioServer,
        services,
        edge,
        shares_port=shares_port,
        asks_for_tokens=asks_for_tokens,
    )
    if transport == "grpcio":
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
