"""Shares the shards out among the reapers of all gates, which need not all look at every shard.

A lease is no lock: two reapers that look at one shard do no harm, and if leases cannot be had every
reaper looks at every shard.
"""

import asyncio
import time
import uuid

from gate.store.connections import Connections
from gate.store.errors import CommandFailed, RedisUnavailable
from gate.store.keys import reaper_key

_LEASE_MS = 5_000
_ASK_EVERY_S = 2.0


class ReaperLeases:
    """Knows the shards that this process's reaper is to look at."""

    def __init__(self, connections: Connections, shards: int) -> None:
        self._connections = connections
        self._shards = range(shards)
        self._id = uuid.uuid4().hex
        self._kept: set[int] = set()
        self._asks_at_s = 0.0

    async def kept(self) -> set[int]:
        """Returns the shards whose lease this process has; takes leases that nobody has."""
        now_s = time.monotonic()
        if now_s >= self._asks_at_s:
            self._asks_at_s = now_s + _ASK_EVERY_S
            had = await asyncio.gather(*[self._keep(shard) for shard in self._shards])
            self._kept = {shard for shard, has in zip(self._shards, had, strict=True) if has}
        return self._kept

    async def _keep(self, shard: int) -> bool:
        try:
            return await self._renew(shard) or await self._take(shard)
        except RedisUnavailable:
            return False
        except CommandFailed:  # out of memory, say, when holds are to end all the more
            return True

    async def _renew(self, shard: int) -> bool:
        if shard not in self._kept:
            return False
        key = reaper_key(shard)
        owner = await self._connections.command(shard, "GET", key)
        if owner != self._id.encode():
            return False
        await self._connections.command(shard, "PEXPIRE", key, _LEASE_MS)
        return True

    async def _take(self, shard: int) -> bool:
        key = reaper_key(shard)
        reply = await self._connections.command(
            shard,
            "SET",
            key,
            self._id,
            "NX",
            "PX",
            _LEASE_MS,
        )
        return reply is not None
