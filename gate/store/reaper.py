"""The reaper: gives back the holds whose time is over, and has grants begin and expire on time even
if nobody calls.

Any number of gates may run a reaper: each hold still ends once, and each grant expires once; they
share the shards out (gate/store/reaper_leases.py). A hold
or an account that cannot be processed harms nothing else: the reaper counts it, tells of it once,
and passes over it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

import structlog

from gate.hold_ids import made_at_s
from gate.metrics import GateMetrics
from gate.store.connections import Connections, Reply
from gate.store.errors import CommandFailed, RedisUnavailable
from gate.store.expiry import Expiry
from gate.store.inspection import Inspection
from gate.store.keys import due_key, expiries_key
from gate.store.reaper_leases import ReaperLeases
from gate.store.shards import ShardClosed
from gate.store.store_clock import StoreClock
from meter.errors import ServiceError
from meter.outage_log import OutageLog, described

_BATCH = 200
_MEASURE_EVERY_S = 2.0
_MOST_TOLD = 1000
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
        self._clock = StoreClock(metrics.upkeep)
        self._leases = ReaperLeases(connections, shards)
        self._measures_at_s = 0.0
        # of each sorted set: how many members at its head were passed over in the round before
        self._passed_over: Counter[str] = Counter()
        self._told: set[bytes] = set()
        self._outage = OutageLog("holds_not_reaped", "holds_reaped_again")

    async def keep(self) -> None:
        """Reaps at each interval. Runs until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self._measure_now_and_then()
                now_ms = await self._inspection.now_ms()
            except (ServiceError, CommandFailed) as error:
                self._outage.failed(error)
                continue
            self._outage.ended()
            if self._clock.is_steady(now_ms):
                kept = await self._leases.kept()
                await asyncio.gather(*[self.reap(shard, now_ms) for shard in kept])

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
        expired = 0
        for member in members:
            if member.startswith(prefix):
                expired += await self._try(shard, member, self._expire) or 0
        return expired

    async def reap(self, shard: int, now_ms: int) -> None:
        """Expires the shard's holds that are due, oldest first, and then turns its grants."""
        try:
            await self._process(shard, expiries_key(shard), now_ms, self._expire)
            await self._process(shard, due_key(shard), now_ms, self._process_due_grants)
        except (ServiceError, CommandFailed) as error:
            log.warning("shard_not_reaped", shard=shard, error=described(error))

    async def _process(
        self,
        shard: int,
        key: str,
        now_ms: int,
        process: Callable[[bytes], Awaitable[int]],
    ) -> None:
        """Processes some of the members that are due, and passes over those that fail.

        RedisUnavailable and ShardClosed, which are about more than one member, are raised.
        """
        begin = self._passed_over[key]
        members = await self._due(shard, key, now_ms, begin)
        failed = 0
        for member in members:
            failed += await self._try(shard, member, process) is None
        self._passed_over[key] = begin + failed if len(members) == _BATCH else 0

    async def _try(
        self,
        shard: int,
        member: bytes,
        process: Callable[[bytes], Awaitable[int]],
    ) -> int | None:
        """Returns how much was processed; None if the member was passed over."""
        try:
            return await process(member)
        except (RedisUnavailable, ShardClosed):
            raise
        except (ServiceError, CommandFailed) as error:
            self._tell(shard, member, error)
            return None

    def _tell(
        self,
        shard: int,
        member: bytes,
        error: Exception,
    ) -> None:
        """Counts a member that was passed over, and tells of it once."""
        self._metrics.upkeep.reaper_skipped.inc()
        if member in self._told:
            return
        if len(self._told) >= _MOST_TOLD:
            self._told.clear()
        self._told.add(member)
        log.error("reaper_skipped", shard=shard, member=member.decode(), error=described(error))

    async def _due(
        self,
        shard: int,
        key: str,
        now_ms: int,
        begin: int,
    ) -> list[bytes]:
        """Returns some members of a sorted set whose time is not after `now_ms`."""
        members: list[bytes] = await self._connections.command(
            shard,
            "ZRANGE",
            key,
            "-inf",
            now_ms,
            "BYSCORE",
            "LIMIT",
            begin,
            _BATCH,
        )
        return members

    async def _process_due_grants(self, member: bytes) -> int:
        """Begins and expires the account's grants whose time has come."""
        return await self._expiry.process_due_grants(member.decode())

    async def _expire(self, member: bytes) -> int:
        account_id, hold_id = member.decode().split(" ")
        expired = await self._expiry.expire(account_id, hold_id)
        self._metrics.upkeep.holds_expired.inc(expired)
        return int(expired)

    async def _measure_now_and_then(self) -> None:
        """Measures, but not in every round: each process measures all shards."""
        if time.monotonic() >= self._measures_at_s:
            self._measures_at_s = time.monotonic() + _MEASURE_EVERY_S
            await self._measure()

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
