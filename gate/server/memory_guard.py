"""Closes connections when clients make the process keep more than it may.

A message that is not whole yet, or not answered yet, is kept in memory. A server bounds the size of
a message and the streams of a connection, but not what all connections keep together.
"""

import asyncio
import ctypes
import os
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

import structlog
from prometheus_client import Counter

from gate.address import Address
from gate.server.sockets import borrowed_sockets, close_connections

_LOOK_S = 0.025
_MEASURE_S = 0.02
_FAST_BYTES = 1024 * 1024  # within _MEASURE_S: more than any caller of the gate needs
_SETTLE_S = 0.1  # by then, a server has let go of what a closed connection had sent
_HEADROOM_BYTES = 64 * 1024 * 1024
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TCP_INFO_BYTES = 136
_RECEIVED = slice(128, 136)  # tcpi_bytes_received in struct tcp_info, which grows at its end alone

log = structlog.get_logger()


class MemoryGuard:
    """Bounds the memory of a process by closing connections to the process's address.

    Connections that send fast are closed first; if there are none, all are. A client whose
    connection was closed has UNAVAILABLE, and may repeat. Only Linux tells what has to be known;
    elsewhere nothing is bounded.
    """

    def __init__(self, address: Address, max_bytes: int, closed: Counter) -> None:
        self._address = address
        self._max_bytes = max_bytes
        self._kept_bytes = 0  # what no closed connection gave back
        self._closed = closed

    async def keep(self) -> None:
        """Looks at the process's memory for good."""
        if sys.platform != "linux":
            await asyncio.Event().wait()
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._is_over():
                await self._relieve()

    def _is_over(self) -> bool:
        now_bytes = private_bytes()
        self._kept_bytes = min(self._kept_bytes, now_bytes)
        return now_bytes > max(self._max_bytes, self._kept_bytes + _HEADROOM_BYTES)

    async def _relieve(self) -> None:
        await asyncio.to_thread(_give_back)
        if not self._is_over():
            return
        log.warning("memory_over_bound", private_bytes=private_bytes(), max_bytes=self._max_bytes)
        closed = await self.close_fast()
        if closed:
            await asyncio.sleep(_SETTLE_S)
            return
        self.close_all()
        await asyncio.sleep(_SETTLE_S)
        await asyncio.to_thread(_give_back)
        self._kept_bytes = private_bytes()

    async def close_fast(self) -> int:
        """Closes the connections that send faster than callers need to; returns how many."""
        with borrowed_sockets() as sockets:
            before = [_received_bytes(each) for each in sockets]
            await asyncio.sleep(_MEASURE_S)
            fast = [
                each
                for each, bytes_before in zip(sockets, before, strict=True)
                if _received_bytes(each) - bytes_before > _FAST_BYTES
            ]
            return self._close(fast)

    def close_all(self) -> int:
        """Closes every connection to the address; returns how many."""
        with borrowed_sockets() as sockets:
            return self._close(sockets)

    def _close(self, sockets: Iterable[socket.socket]) -> int:
        count = close_connections(sockets, self._address)
        self._closed.inc(count)
        return count


def private_bytes() -> int:
    """Returns the memory that the process shares with no file and no other process."""
    pages = Path("/proc/self/statm").read_text().split()
    return (int(pages[1]) - int(pages[2])) * _PAGE_BYTES


def _received_bytes(connection: socket.socket) -> int:
    """Returns what a connection has received since it began; of a unix socket nothing is known."""
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except OSError:
        return 0
    return int.from_bytes(info[_RECEIVED], sys.byteorder)


def _give_back() -> None:
    """Gives the kernel back what the C library keeps of freed memory."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
