"""All that a process listens with: gRPC, and HTTP where an address is set for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gate.address import Address
from gate.server import Server

if TYPE_CHECKING:
    # A process without HTTP starts sooner without what serves it.
    from gate.web.server import HttpServer


@dataclass(frozen=True, slots=True)
class Serving:
    """Holds the servers of a process, which are told the same things."""

    grpc: Server
    address: Address
    http: HttpServer | None

    async def start(self) -> None:
        """Listens; raises OSError if an address cannot be had."""
        await self.grpc.start(self.address)
        if self.http is not None:
            await self.http.start()

    def describe(self) -> str:
        """Returns where and how the process serves, for people."""
        text = f"grpc {self.address}, transport {self.grpc.describe()}"
        if self.http is not None:
            text = f"{text}, http {self.http}"
        return text

    async def set_serving(self, serving: bool) -> None:
        """Sets the health of the services; that of the process stays as it is."""
        await self.grpc.set_serving(serving)
        if self.http is not None:
            await self.http.set_serving(serving)

    async def drain(self, timeout_s: float) -> None:
        """Takes no new calls, lets those in flight end, and stops."""
        draining = [self.grpc.drain(timeout_s)]
        if self.http is not None:
            draining.append(self.http.drain(timeout_s))
        await asyncio.gather(*draining)
