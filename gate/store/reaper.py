"""The reaper: gives back the holds whose time is over, and has grants begin and expire on time even
if nobody calls.

Any number of gates may run a reaper: each hold still ends once, and each grant expires once.
"""

import asyncio
import time
from collections.abc import Iterable

import structlog

from gate.hold_ids import made_at_s
from gate.metrics import GateMetrics
from gate.store.connections import CommandFailed, Connections, Reply
from gate.store.expiry import Expiry
from gate.store.inspection import Inspection
from gate.store.keys import due_key, expiries_key
from meter.errors import ServiceError

_BATCH = 200
_TEST_CLOCK = "+inf"  # the score of holds that live by a test clock

log = structlog.get_logger()


class Reaper:
    """Looks for holds and grants that are due; the scripts decide by the account's clock."""

    def __init__(
        self,
        connections: Connections,
        expiry: Expiry,
        inspection: Inspection,
        shards: int,
        interval_ms: int,
        metrics: GateMetrics,
    ) -> None:
        self._connections = connections
        self._expiry = expiry
        self._inspection = inspection
        self._shards = range(shards)
        self._interval_s = interval_ms / 1000
        self._metrics = metrics

    async def keep(self) -> None:
        """Reaps at each interval. Runs until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self._measure()
                await self._reap_shards()
            except (ServiceError, CommandFailed) as error:
                log.warning("holds_not_reaped", error=str(error))

    async def expire_of(self, shard: int, account_id: str) -> int:
        """Expires an account's holds that are due by the account's test clock; returns how many."""
        members = await self._connections.command(
            shard,
            "ZRANGE",
            expiries_key(shard),
            _TEST_CLOCK,
            _TEST_CLOCK,
            "BYSCORE",
        )
        prefix = f"{account_id} ".encode()
        due = [member for member in members if member.startswith(prefix)]
        return await self._expire(due)

    async def _reap_shards(self) -> None:
        now_ms = await self._inspection.now_ms()
        expiring = [self._reap(shard, now_ms) for shard in self._shards]
        await asyncio.gather(*expiring)
        processing = [self._process_due_grants(shard, now_ms) for shard in self._shards]
        await asyncio.gather(*processing)

    async def _reap(self, shard: int, now_ms: int) -> None:
        """Expires the shard's holds that are due, oldest first."""
        due = await self._due(shard, expiries_key(shard), now_ms)
        await self._expire(due)

    async def _process_due_grants(self, shard: int, now_ms: int) -> None:
        """Begins and expires the shard's grants whose time has come."""
        due = await self._due(shard, due_key(shard), now_ms)
        for account_id in due:
            await self._expiry.process_due_grants(account_id.decode())

    async def _due(self, shard: int, key: str, now_ms: int) -> list[bytes]:
        """Returns the first members of a sorted set whose time is not after `now_ms`."""
        members: list[bytes] = await self._connections.command(
            shard,
            "ZRANGE",
            key,
            "-inf",
            now_ms,
            "BYSCORE",
            "LIMIT",
            0,
            _BATCH,
        )
        return members

    async def _expire(self, members: list[bytes]) -> int:
        expired = 0
        for member in members:
            account_id, hold_id = member.decode().split(" ")
            expired += await self._expiry.expire(account_id, hold_id)
        self._metrics.upkeep.holds_expired.inc(expired)
        return expired

    async def _measure(self) -> None:
        """Counts the open holds, and tells the age of the hold that expires first."""
        counts = await self._of_each_shard("ZCARD")
        firsts = await self._of_each_shard("ZRANGE", 0, 0)
        self._metrics.upkeep.holds_open.set(sum(counts))
        self._metrics.upkeep.holds_oldest_seconds.set(_oldest_s(firsts))

    async def _of_each_shard(self, command: str, *arguments: int) -> list[Reply]:
        """Returns the reply to a command on the holds by expiry, of each shard."""
        replies = []
        for shard in self._shards:
            key = expiries_key(shard)
            replies.append(self._connections.command(shard, command, key, *arguments))
        return await asyncio.gather(*replies)


def _oldest_s(firsts: Iterable[list[bytes]]) -> float:
    """Returns the greatest age of the shards' first holds; 0 if no hold is open."""
    now_s = time.time()
    oldest_s = 0.0
    for members in firsts:
        for member in members:
            _, hold_id = member.decode().split(" ")
            oldest_s = max(oldest_s, now_s - made_at_s(hold_id))
    return oldest_s
