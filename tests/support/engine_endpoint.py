"""A second engine behind the gate's own connections: fakeredis speaks no protocol, so the commands
are read off the connection here, and the replies written to it.
"""

import asyncio
from typing import Any

import hiredis
import redis

from gate.store.connections import Connection, Endpoint
from gate.store.redis_server import load_library


class EngineEndpoint(Endpoint):
    """Connects to an engine in this process."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    async def connect(self, connection: Connection) -> None:
        connection.connection_made(_EngineTransport(self._client, connection))

    async def sign_in(self, connection: Connection) -> None:
        """There is nobody to sign in with."""


async def prepare_engine(connection: Connection) -> str:
    """Loads the scripts; the engine has no INFO to check."""
    await load_library(connection)
    return "one run"


class _EngineTransport(asyncio.Transport):
    def __init__(self, client: redis.Redis, connection: Connection) -> None:
        super().__init__()
        self._client = client
        self._connection = connection
        self._commands = hiredis.Reader()

    def write(self, data: Any) -> None:
        self._commands.feed(data)
        while (command := self._commands.gets()) is not False:
            self._connection.data_received(_encode(self._reply(command)))

    def abort(self) -> None:
        self._connection.connection_lost(None)

    def _reply(self, command: list[bytes]) -> Any:
        try:
            return self._client.execute_command(*command)
        except redis.ResponseError as error:
            return error


def _encode(reply: Any) -> bytes:
    """The reply in the protocol of Redis."""
    match reply:
        case None:
            return b"$-1\r\n"
        case int():
            return b":%d\r\n" % reply
        case bytes():
            return b"$%d\r\n%s\r\n" % (len(reply), reply)
        case list():
            return b"*%d\r\n" % len(reply) + b"".join(map(_encode, reply))
        case redis.ResponseError():
            return b"-ERR %s\r\n" % str(reply).encode()
        case _:
            raise AssertionError(f"no reply of Redis: {reply!r}")
