"""Makes a Redis ready for the gate: checks that the server keeps data, and loads the scripts."""

import contextlib
from collections.abc import Mapping

import structlog

from gate.store.connections import Connection, ask
from gate.store.errors import CommandFailed, UnfitRedis
from gate.store.script_library import NAME_PREFIX, library

_OLDEST_VERSION = 7

log = structlog.get_logger()


async def prepare_server(connection: Connection) -> str:
    """Checks the server behind a new connection and loads the scripts.

    Returns the run id of the server, which changes with each start. UnfitRedis if the server may
    drop or refuse data.
    """
    info = _parse_info(await ask(connection, "INFO"))
    require_fit(info)
    _warn_without_aof(info)
    await load_library(connection)
    await _delete_former_libraries(connection)
    return info.get("run_id", "")


def _warn_without_aof(info: dict[str, str]) -> None:
    if info.get("aof_enabled") == "0":
        log.warning(
            "redis_without_aof",
            fix="set appendonly yes: without it a restart loses what was not yet flushed",
        )


async def _delete_former_libraries(connection: Connection) -> None:
    """Deletes the scripts of other versions; a gate that still uses some loads them again."""
    with contextlib.suppress(CommandFailed):  # the commands may not be allowed
        listed = await ask(connection, "FUNCTION", "LIST", "LIBRARYNAME", f"{NAME_PREFIX}*")
        for fields in listed:
            found = dict(zip(fields[::2], fields[1::2], strict=True))
            name = found[b"library_name"].decode()
            if name != library().name:
                await ask(connection, "FUNCTION", "DELETE", name)


async def load_library(connection: Connection) -> None:
    """Loads the scripts; the server keeps scripts as long as data."""
    await ask(connection, "FUNCTION", "LOAD", "REPLACE", library().code)


def require_fit(info: Mapping[str, str]) -> None:
    """Raises UnfitRedis if the server, of which INFO says this, may drop or refuse data."""
    version = info.get("valkey_version") or info.get("redis_version", "0")
    major, _, _ = version.partition(".")
    if int(major) < _OLDEST_VERSION:
        raise UnfitRedis(f"Redis {version} is too old: Redis 7 or Valkey 7.2 at least")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise UnfitRedis(
            f"maxmemory-policy is {policy}: holds and replay records would be dropped under memory"
            " pressure; set it to noeviction (CONFIG SET maxmemory-policy noeviction, and in"
            " redis.conf)"
        )
    if info.get("cluster_enabled") == "1":
        raise UnfitRedis("this Redis is a node of a cluster; use a server that is not in a cluster")
    if info.get("role") == "slave":
        raise UnfitRedis("this Redis is a read-only replica; connect to its primary")


def _parse_info(reply: bytes) -> dict[str, str]:
    info = {}
    for line in reply.decode().splitlines():
        name, separator, value = line.partition(":")
        if separator:
            info[name] = value.strip()
    return info
