"""Connections to Redis that all calls in flight share.

A call is packed, appended to what goes out at the end of the present turn of the event loop, and
waits for a place in the stream of replies. Redis answers in order, so replies are matched by
counting: a caller that has gone away leaves a place behind, where the reply is dropped. Nothing is
ever sent twice from here. A connection that is late with a reply is closed, and every call that
waits there fails: whoever repeats a call does so with the same request id.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Awaitable, Callable
from ssl import SSLContext
from typing import Any, cast

import hiredis
import structlog
from redis.connection import parse_url

from gate.store.errors import CommandFailed, RedisUnavailable, UnfitRedis
from gate.store.tls import tls_context
from meter.outage_log import OutageLog, described

Reply = Any  # bytes, int, None, a list of them, or hiredis.ReplyError
_FIRST_RECONNECT_S = 0.02
_RECONNECT_CAP_S = 2.0

log = structlog.get_logger()


class Connection(asyncio.Protocol):
    """Sends commands to Redis; any number of tasks may call `send` at once."""

    def __init__(
        self,
        timeout_s: float,
        on_lost: Callable[["Connection"], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout_s = timeout_s
        self._on_lost = on_lost
        self._reader = hiredis.Reader()
        self._waiting: deque[tuple[asyncio.Future[Reply], float]] = deque()
        self._outgoing: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None

    def send(self, *command: str | bytes | int) -> asyncio.Future[Reply]:
        """Sends a command at the end of the present turn of the event loop.

        The future has the reply, error replies included. RedisUnavailable if the connection is
        lost.
        """
        if self._transport is None:
            raise RedisUnavailable("connection lost")
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        packed = hiredis.pack_command(command)  # type: ignore[arg-type]  # the stub: a tuple of one
        self._outgoing.append(packed)
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
            if not future.done():  # else the caller has gone, and the reply ends here
                future.set_result(reply)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._outgoing.clear()
        if self._watch is not None:
            self._watch.cancel()
        why = "connection lost"
        if error is not None:
            why = described(error)
        self._fail_waiting(why)
        self._on_lost(self)

    def _fail_waiting(self, why: str) -> None:
        for future, _ in self._waiting:
            if not future.done():
                future.set_exception(RedisUnavailable(why))
                future.exception()  # retrieved: a caller that has gone must not leave a warning
        self._waiting.clear()

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
            log.error(
                "redis_timeout",
                timeout_s=self._timeout_s,
                waiting=len(self._waiting),
            )
            self.close()
        else:
            self._watch = self._loop.call_at(due, self._check_late)


class Endpoint:
    """Says where Redis is, and who signs in there, as a URL."""

    def __init__(self, url: str) -> None:
        self._options = parse_url(url)

    async def connect(self, connection: Connection) -> None:
        """Connects a connection to the server. OSError if the server cannot be reached."""
        loop = asyncio.get_running_loop()
        options = self._options
        if "path" in options:
            await loop.create_unix_connection(lambda: connection, options["path"])
            return
        await loop.create_connection(
            lambda: connection,
            options.get("host", "localhost"),
            options.get("port", 6379),
            ssl=self._tls(),
        )

    async def sign_in(self, connection: Connection) -> None:
        """Signs in, and chooses the database that the URL names."""
        await self._authenticate(connection)
        if self._options.get("db"):
            await ask(connection, "SELECT", self._options["db"])
        # A name in CLIENT LIST is a courtesy, and some proxies refuse the command.
        with contextlib.suppress(CommandFailed):
            await ask(connection, "CLIENT", "SETNAME", "creditgate")

    async def _authenticate(self, connection: Connection) -> None:
        password = self._options.get("password")
        username = self._options.get("username")
        if password is None:
            return
        if username:
            await ask(connection, "AUTH", username, password)
        else:
            await ask(connection, "AUTH", password)

    def _tls(self) -> SSLContext | None:
        if self._options.get("connection_class") is None:
            return None
        return tls_context(self._options)


# Makes a connection of a time-out in seconds, which calls the callback once it is lost.
NewConnection = Callable[[float, Callable[[Connection], None]], Connection]


class Connections:
    """Keeps a few connections to one Redis open.

    A lost connection is opened again, with back-off, until `close`.

    `prepare` is awaited with each new connection before any call may use the connection. It returns
    the server's run id, or refuses the connection by raising.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        count: int,
        timeout_s: float,
        prepare: Callable[[Connection], Awaitable[str]],
        new_connection: NewConnection = Connection,
    ) -> None:
        self._endpoint = endpoint
        self._new_connection = new_connection
        self._timeout_s = timeout_s
        self._prepare = prepare
        self._listeners: list[Callable[[str], None]] = []
        self._slots = range(count)
        self._connections: list[Connection | None] = [None] * count
        self._lost = [asyncio.Event() for _ in self._connections]
        self._keepers: list[asyncio.Task[None]] = []
        self._outage = OutageLog("redis_reconnect", "redis_reconnected")

    def on_server(self, listener: Callable[[str], None]) -> None:
        """Has `listener` told the server's run id by each new connection, before calls use it."""
        self._listeners.append(listener)

    async def open(self) -> None:
        """Opens every connection once.

        Raises whatever hinders that, so that a wrong setting is told at start.
        """
        for slot in self._slots:
            self._connections[slot] = await self._connect(slot)
        for slot in self._slots:
            keeper = asyncio.create_task(self._keep(slot))
            self._keepers.append(keeper)

    async def close(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for connection in self._connections:
            if connection is not None:
                connection.close()

    def connection(self, shard: int) -> Connection:
        """Returns the connection of a shard, so that the shard's calls are sent in their order.

        RedisUnavailable while the connection is opened again.
        """
        connection = self._connections[shard % len(self._connections)]
        if connection is None:
            raise RedisUnavailable("reconnecting")
        return connection

    @property
    def are_all_lost(self) -> bool:
        """Says whether no call can be sent at present."""
        return not any(self._connections)

    async def command(self, shard: int, *command: str | bytes | int) -> Reply:
        """Returns the reply to one command. CommandFailed if Redis answered with an error."""
        return await ask(self.connection(shard), *command)

    async def _keep(self, slot: int) -> None:
        """Opens the connection of a slot again whenever the connection is lost."""
        while True:
            await self._lost[slot].wait()
            self._lost[slot].clear()
            await self._reopen(slot)

    async def _reopen(self, slot: int) -> None:
        """Tries to open the connection of a slot until an attempt succeeds."""
        delay_s = _FIRST_RECONNECT_S
        while self._connections[slot] is None:
            try:
                self._connections[slot] = await self._connect(slot)
            except (OSError, RedisUnavailable, CommandFailed, UnfitRedis) as error:
                self._outage.failed(error, retry_s=round(delay_s, 2))
                await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))
                delay_s = min(_RECONNECT_CAP_S, delay_s * 2)
        if None not in self._connections:
            self._outage.ended()

    async def _connect(self, slot: int) -> Connection:
        """Returns a connection that is signed in and prepared, after telling the listeners."""

        def lost(connection: Connection) -> None:
            if self._connections[slot] is connection:
                self._connections[slot] = None
                self._lost[slot].set()

        connection = self._new_connection(self._timeout_s, lost)
        await self._reach(connection)
        run_id = await self._make_usable(connection)
        for listener in self._listeners:
            listener(run_id)
        return connection

    async def _reach(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._endpoint.connect(connection)
        except TimeoutError as error:
            if str(error):
                raise
            raise RedisUnavailable(f"no connection within {self._timeout_s:g} s") from error

    async def _make_usable(self, connection: Connection) -> str:
        """Signs in and prepares the connection, or closes the connection.

        Returns the server's run id.
        """
        try:
            await self._endpoint.sign_in(connection)
            run_id = await self._prepare(connection)
            if connection.is_lost:  # since its last reply: nobody was told yet
                raise RedisUnavailable("connection lost")
        except BaseException:
            connection.close()
            raise
        return run_id


async def ask(connection: Connection, *command: str | bytes | int) -> Reply:
    """Returns the reply to one command on a connection.

    CommandFailed if Redis answered with an error.
    """
    reply = await connection.send(*command)
    if isinstance(reply, hiredis.ReplyError):
        raise CommandFailed(str(reply))
    return reply
