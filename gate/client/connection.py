"""Opens the client for programs with asyncio."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from gate.address import parse_address
from gate.channel_options import NO_PROXY
from gate.client.asynchronous import AsyncClient
from gate.client.process import require_unforked
from gate.client.sender import Sender

TIMEOUT_S = 5.0
_OPTIONS = [
    NO_PROXY,
    ("grpc.enable_retries", 0),  # the sender's own repeats are the only ones
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 1000),  # also what one attempt to connect may take
    ("grpc.max_reconnect_backoff_ms", 1000),
]


@asynccontextmanager
async def connect(
    target: str,
    *,
    timeout_s: float = TIMEOUT_S,
) -> AsyncIterator[AsyncClient]:
    """Opens a client of the gate at `host:port` or `unix:/path`, for the length of a block.

    The client connects with the first call. `timeout_s` is the time that a call, its repeats
    included, may take unless the call is given a time of its own. At the end of the block, calls
    that wait to be sent fail with NotSent, and calls under way may take `timeout_s` to end. Raises
    ValueError for a target of another form, and RuntimeError in a process that was forked after a
    client had been opened.
    """
    address = parse_address(target)
    require_unforked()
    async with grpc.aio.insecure_channel(address.grpc_target, options=_OPTIONS) as channel:
        client = AsyncClient(Sender(channel), timeout_s)
        try:
            yield client
        finally:
            await client.close()
