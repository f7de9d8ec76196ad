"""Runs the scripts by name over the connections to Redis."""

from collections.abc import Sequence
from time import perf_counter

import hiredis

from gate.metrics import SECONDS, GateMetrics
from gate.store.connections import Connection, Connections, Reply
from gate.store.errors import CommandFailed, RedisUnavailable
from gate.store.redis_server import load_library
from gate.store.script_library import library, script_names

_NOT_A_PRIMARY = ("READONLY", "MASTERDOWN")

Arguments = Sequence[str | bytes | int]


class ScriptRunner:
    """Runs scripts, and measures their round trips."""

    def __init__(self, connections: Connections, metrics: GateMetrics) -> None:
        self._connections = connections
        self._function = {name: library().function(name) for name in script_names()}
        self._seconds = {
            name: metrics.buffer.histogram(metrics.calls.script_seconds.labels(name), SECONDS)
            for name in script_names()
        }

    async def run(
        self,
        name: str,
        shard: int,
        keys: list[str],
        arguments: Arguments,
    ) -> list[Reply]:
        """Returns the script's reply.

        RedisUnavailable: the script may or may not have run. CommandFailed: it wrote nothing. A
        script that Redis does not know, after FUNCTION FLUSH say, is loaded and sent again.
        """
        connection = self._connections.connection(shard)
        command = ("FCALL", self._function[name], len(keys), *keys, *arguments)
        started = perf_counter()
        reply = await connection.send(*command)
        if isinstance(reply, hiredis.ReplyError) and "Function not found" in str(reply):
            # On the same connection: another one may lead to another run of the server, for which
            # the arguments name the wrong epoch.
            await load_library(connection)
            reply = await connection.send(*command)
        self._seconds[name].observe(perf_counter() - started)
        if isinstance(reply, hiredis.ReplyError):
            _require_primary(connection, reply)
            raise CommandFailed(f"{name}: {reply}")
        return reply  # type: ignore[no-any-return]


def _require_primary(connection: Connection, error: hiredis.ReplyError) -> None:
    """Gives up a connection whose server has become a replica: its address may lead elsewhere."""
    if str(error).startswith(_NOT_A_PRIMARY):
        connection.close()
        raise RedisUnavailable(f"the server is a primary no longer: {error}")
