"""Opens the client for programs with asyncio."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gate.address import parse_address
from gate.client.asynchronous import AsyncClient
from gate.client.channel import open_channel
from gate.client.credentials import Credentials
from gate.client.process import require_unforked
from gate.client.sender import Sender
from gate.client.tls import Tls

TIMEOUT_S = 5.0


@asynccontextmanager
async def connect(
    target: str,
    *,
    timeout_s: float = TIMEOUT_S,
    token: str = "",
    token_file: str | Path = "",
    tls: Tls | None = None,
) -> AsyncIterator[AsyncClient]:
    """Opens a client of the gate at `host:port` or `unix:/path`, for the length of a block.

    The client connects with the first call. `timeout_s` is the time that a call, its repeats
    included, may take unless the call is given a time of its own. At the end of the block, calls
    that wait to be sent fail with NotSent, and calls under way may take `timeout_s` to end. Every
    call carries the `token`, or the token that stands in `token_file`, which is read again when the
    gate refuses the token. With `tls` the client connects by TLS alone. Raises ValueError for a
    target or a token of another form, OSError for a file that cannot be read, and RuntimeError in a
    process that was forked after a client had been opened.
    """
    address = parse_address(target)
    credentials = Credentials(token, token_file)
    require_unforked()
    async with open_channel(address, tls) as channel:
        client = AsyncClient(Sender(channel, credentials), timeout_s)
        try:
            yield client
        finally:
            await client.close()
