"""Connections to Redis that all calls in flight share.

A call is packed, appended to what goes out at the end of this turn of the event loop, and waits for
its place in the stream of replies. Redis answers in order, so replies are matched by counting: a
caller that has gone away leaves its place behind, and its reply is dropped there. Nothing is ever
sent twice from here. A connection that is late with a reply is closed, and everything that waits on
it fails: whoever repeats a call does so with the same request id.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Awaitable, Callable
from ssl import SSLContext, create_default_context
from typing import Any, cast

import hiredis
import structlog
from redis.connection import parse_url

from meter.errors import Unavailable

Reply = Any  # bytes, int, None, a list of them, or hiredis.ReplyError
_RECONNECT_CAP_S = 2.0

log = structlog.get_logger()


class RedisUnavailable(Unavailable):
    """Redis did not answer: the call may or may not have taken effect."""

    def __init__(self, why: str) -> None:
        super().__init__(
            "REDIS_UNAVAILABLE",
            f"the store cannot be reached ({why}); repeat the call with the same request_id",
        )


class CommandFailed(Exception):
    """Redis answered a command with an error; `str()` is its text."""


class UnfitRedis(Exception):
    """This Redis must not hold credits: it may drop or refuse what the gate relies on."""


class Connection(asyncio.Protocol):
    """One connection; `send` may be called by any number of tasks at once."""

    def __init__(self, timeout_s: float, on_lost: Callable[["Connection"], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout_s = timeout_s
        self._on_lost = on_lost
        self._reader = hiredis.Reader()
        self._waiting: deque[tuple[asyncio.Future[Reply], float]] = deque()
        self._outgoing: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None

    def send(self, *command: str | bytes | int) -> asyncio.Future[Reply]:
        """Sends one command at the end of this turn; the future has its reply, error
        replies included.
        """
        if self._transport is None:
            raise RedisUnavailable("connection lost")
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(hiredis.pack_command(command))  # type: ignore[arg-type]  # its stub names a tuple of one
        reply: asyncio.Future[Reply] = self._loop.create_future()
        self._waiting.append((reply, self._loop.time() + self._timeout_s))
        if self._watch is None:
            self._watch = self._loop.call_later(self._timeout_s, self._check_late)
        return reply

    @property
    def is_lost(self) -> bool:
        return self._transport is None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own are no subclass

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            future, _ = self._waiting.popleft()
            if not future.done():  # else its caller has gone: the reply ends here
                future.set_result(reply)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._outgoing.clear()
        if self._watch is not None:
            self._watch.cancel()
        for future, _ in self._waiting:
            if not future.done():
                future.set_exception(RedisUnavailable(str(error or "connection lost")))
                # retrieved here: a caller that has gone away must not leave a warning
                future.exception()
        self._waiting.clear()
        self._on_lost(self)

    def _flush(self) -> None:
        if self._transport is not None and self._outgoing:
            self._transport.write(b"".join(self._outgoing))
            self._outgoing.clear()

    def _check_late(self) -> None:
        self._watch = None
        if not self._waiting:
            return
        due = self._waiting[0][1]
        if due <= self._loop.time():
            log.error("redis_timeout", timeout_s=self._timeout_s, waiting=len(self._waiting))
            self.close()
        else:
            self._watch = self._loop.call_at(due, self._check_late)


class Wire:
    """A few connections to one Redis, kept open: lost ones are opened again with back-off until
    `close`.

    `on_open` is awaited with each new connection before it is used, and refuses it by raising.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int,
        timeout_s: float,
        on_open: Callable[[Connection], Awaitable[None]],
    ) -> None:
        self._options = parse_url(url)
        self._timeout_s = timeout_s
        self._on_open = on_open
        self._connections: list[Connection | None] = [None] * connections
        self._keepers: list[asyncio.Task[None]] = []
        self._lost = [asyncio.Event() for _ in self._connections]

    async def open(self) -> None:
        """Opens every connection once; raises what hinders it, so that a wrong setting is told at
        start.
        """
        for index in range(len(self._connections)):
            self._connections[index] = await self._connect(index)
        self._keepers = [
            asyncio.create_task(self._keep(index)) for index in range(len(self._connections))
        ]

    async def close(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for connection in self._connections:
            if connection is not None:
                connection.close()

    def connection(self, lane: int) -> Connection:
        """The connection of a lane: calls of one lane are sent in the order in which they
        were made.
        """
        connection = self._connections[lane % len(self._connections)]
        if connection is None:
            raise RedisUnavailable("reconnecting")
        return connection

    async def command(self, lane: int, *command: str | bytes | int) -> Reply:
        """One command's reply; CommandFailed if Redis answered with an error."""
        reply = await self.connection(lane).send(*command)
        if isinstance(reply, hiredis.ReplyError):
            raise CommandFailed(str(reply))
        return reply

    async def _keep(self, index: int) -> None:
        while True:
            await self._lost[index].wait()
            self._lost[index].clear()
            delay_s = 0.02
            while self._connections[index] is None:
                try:
                    self._connections[index] = await self._connect(index)
                except (OSError, RedisUnavailable, CommandFailed, UnfitRedis) as error:
                    log.warning("redis_reconnect", error=str(error), retry_s=round(delay_s, 2))
                    await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))
                    delay_s = min(_RECONNECT_CAP_S, delay_s * 2)

    async def _connect(self, index: int) -> Connection:
        def lost(connection: Connection) -> None:
            if self._connections[index] is connection:
                self._connections[index] = None
                self._lost[index].set()

        connection = Connection(self._timeout_s, lost)
        async with asyncio.timeout(self._timeout_s):
            await self._dial(connection)
        try:
            await self._greet(connection)
            await self._on_open(connection)
            if connection.is_lost:  # since its last reply: nobody was told yet
                raise RedisUnavailable("connection lost")
        except BaseException:
            connection.close()
            raise
        return connection

    async def _dial(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        options = self._options
        if "path" in options:
            await loop.create_unix_connection(lambda: connection, options["path"])
            return
        tls: SSLContext | None = (
            create_default_context() if options.get("connection_class") is not None else None
        )
        host = options.get("host", "localhost")
        port = options.get("port", 6379)
        await loop.create_connection(lambda: connection, host, port, ssl=tls)

    async def _greet(self, connection: Connection) -> None:
        """Signs in and chooses the database that the URL names."""
        password = self._options.get("password")
        username = self._options.get("username")
        if password is not None:
            await ask(connection, "AUTH", *([username] if username else []), password)
        if self._options.get("db"):
            await ask(connection, "SELECT", self._options["db"])
        with contextlib.suppress(
            CommandFailed
        ):  # a name in CLIENT LIST is a courtesy, and some proxies refuse it
            await ask(connection, "CLIENT", "SETNAME", "creditgate")


async def ask(connection: Connection, *command: str | bytes | int) -> Reply:
    """One command on a given connection; CommandFailed if Redis answered with an error."""
    reply = await connection.send(*command)
    if isinstance(reply, hiredis.ReplyError):
        raise CommandFailed(str(reply))
    return reply
