"""The reaper: gives back the holds whose time is over, and has grants begin and expire on time though
nobody calls.

Any number of gates may run one: each hold ends once, and each grant expires once, all the same.
"""

import asyncio
import time

import structlog

from gate.metrics import GateMetrics
from gate.store.calls import Store, made_at_s
from gate.store.connections import CommandFailed
from gate.store.keys import due_key, expiries_key
from gate.store.script_runner import Runner
from meter.errors import ServiceError

_BATCH = 200
_TEST_CLOCK = "+inf"  # the score of holds that live by a test clock

log = structlog.get_logger()


class Reaper:
    """Looks through the holds by expiry; the script decides by the account's clock."""

    def __init__(
        self, store: Store, runner: Runner, shards: int, interval_ms: int, metrics: GateMetrics
    ) -> None:
        self._store = store
        self._runner = runner
        self._shards = shards
        self._interval_s = interval_ms / 1000
        self._metrics = metrics

    async def keep(self) -> None:
        """Runs for good."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self._look()
                now_ms = await self._store.now_ms()
                await asyncio.gather(*(self._reap(shard, now_ms) for shard in range(self._shards)))
                await asyncio.gather(
                    *(self._process_due_grants(shard, now_ms) for shard in range(self._shards))
                )
            except (ServiceError, CommandFailed) as error:
                log.warning("holds_not_reaped", error=str(error))

    async def _reap(self, shard: int, now_ms: int) -> None:
        """Expires the shard's holds that are due, oldest first."""
        command = ("ZRANGE", expiries_key(shard), "-inf", now_ms, "BYSCORE", "LIMIT", 0, _BATCH)
        await self._expire(await self._runner.wire.command(shard, *command))

    async def _process_due_grants(self, shard: int, now_ms: int) -> None:
        """Brings the grants into the present whose time has come."""
        command = ("ZRANGE", due_key(shard), "-inf", now_ms, "BYSCORE", "LIMIT", 0, _BATCH)
        for account_id in await self._runner.wire.command(shard, *command):
            await self._store.process_due_grants(account_id.decode())

    async def expire_of(self, shard: int, account_id: str) -> int:
        """Expires an account's holds that are due by its test clock."""
        command = ("ZRANGE", expiries_key(shard), _TEST_CLOCK, _TEST_CLOCK, "BYSCORE")
        members = await self._runner.wire.command(shard, *command)
        own = f"{account_id} ".encode()
        return await self._expire([member for member in members if member.startswith(own)])

    async def _expire(self, members: list[bytes]) -> int:
        expired = 0
        for member in members:
            account_id, hold_id = member.decode().split(" ")
            expired += await self._store.expire(account_id, hold_id)
        self._metrics.holds_expired.inc(expired)
        return expired

    async def _look(self) -> None:
        """Counts the open holds, and tells the age of the one that expires first."""
        wire = self._runner.wire
        shards = range(self._shards)
        counts = await asyncio.gather(
            *(wire.command(shard, "ZCARD", expiries_key(shard)) for shard in shards)
        )
        firsts = await asyncio.gather(
            *(wire.command(shard, "ZRANGE", expiries_key(shard), 0, 0) for shard in shards)
        )
        ages = [
            time.time() - made_at_s(member.decode().split(" ")[1])
            for first in firsts
            for member in first
        ]
        self._metrics.holds_open.set(sum(counts))
        self._metrics.holds_oldest_seconds.set(max(ages, default=0.0))
