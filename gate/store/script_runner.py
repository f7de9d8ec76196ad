"""Runs the scripts over the wire, and makes sure that the Redis behind it is one that keeps what it is
given.
"""

from collections.abc import Callable
from time import perf_counter

import hiredis
import structlog

from gate.metrics import SECONDS, GateMetrics
from gate.store.connections import CommandFailed, Connection, Reply, UnfitRedis, Wire, ask
from gate.store.script_library import library, script_names

log = structlog.get_logger()


class Runner:
    """Scripts by name; one that Redis does not know, after FUNCTION FLUSH say, is loaded and sent
    again (it had not run).
    """

    def __init__(self, metrics: GateMetrics) -> None:
        self._function = {name: library().function(name) for name in script_names()}
        seconds = metrics.script_seconds
        times = metrics.buffer.histogram
        self._seconds = {name: times(seconds.labels(name), SECONDS) for name in script_names()}
        self._wire: Wire | None = None

    def attach(self, wire: Wire) -> None:
        """The wire to run over; it greets each of its connections by `prepare`."""
        self._wire = wire

    @property
    def wire(self) -> Wire:
        assert self._wire is not None, "attach() comes first"
        return self._wire

    async def run(
        self, name: str, shard: int, keys: list[str], *args: str | bytes | int
    ) -> list[Reply]:
        """The script's reply.

        RedisUnavailable: it may or may not have run. CommandFailed: it wrote nothing.
        """
        connection = self.wire.connection(shard)
        command = ("FCALL", self._function[name], len(keys), *keys, *args)
        started = perf_counter()
        reply = await connection.send(*command)
        if isinstance(reply, hiredis.ReplyError) and "Function not found" in str(reply):
            # On the same connection: another may lead to another run of the server, for which
            # `args` name the wrong epoch.
            await load(connection)
            reply = await connection.send(*command)
        self._seconds[name].observe(perf_counter() - started)
        if isinstance(reply, hiredis.ReplyError):
            raise CommandFailed(f"{name}: {reply}")
        return reply  # type: ignore[no-any-return]


async def prepare(connection: Connection, on_run_id: Callable[[str], None]) -> None:
    """Checks the server behind a new connection, loads the scripts, and tells which run of the server
    it is.
    """
    info = _parse_info(await ask(connection, "INFO"))
    version = info.get("valkey_version") or info.get("redis_version", "0")
    if int(version.split(".")[0]) < 7:
        raise UnfitRedis(f"Redis {version} is too old: Redis 7 or Valkey 7.2 at least")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise UnfitRedis(
            f"maxmemory-policy is {policy}: holds and replay records would be dropped under memory pressure;"
            " set it to noeviction (CONFIG SET maxmemory-policy noeviction, and in redis.conf)"
        )
    if info.get("role") == "slave":
        raise UnfitRedis("this Redis is a read-only replica; connect to its primary")
    if info.get("aof_enabled") == "0":
        log.warning(
            "redis_without_aof",
            fix="set appendonly yes: without it a restart loses what was not yet flushed",
        )
    await load(connection)
    on_run_id(info.get("run_id", ""))


async def load(connection: Connection) -> None:
    """Makes the scripts known to the server; it keeps them as it keeps data."""
    await ask(connection, "FUNCTION", "LOAD", "REPLACE", library().code)


def _parse_info(reply: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in reply.decode().splitlines() if ":" in line)
    return {name: value.strip() for name, _, value in pairs}
