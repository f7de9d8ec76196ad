"""The gate's store with all that it needs, on a real ledger: the product's own objects, built as
the composition root builds them.
"""

import asyncio
from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry

from gate.metrics import GateMetrics
from gate.store.account_scripts import AccountScripts
from gate.store.calls import Store
from gate.store.connections import Connection, Connections, Endpoint
from gate.store.errors import RedisUnavailable
from gate.store.expiry import Expiry
from gate.store.inspection import Inspection
from gate.store.lost_holds import LostHolds
from gate.store.operations import OperationScripts
from gate.store.reaper import Reaper
from gate.store.redis_server import prepare_server
from gate.store.restore import Restorer
from gate.store.script_runner import ScriptRunner
from gate.store.shards import Shards
from meter.admin.recorder import OperationRecorder
from meter.database.engine import Ledger
from meter.ledger.positions import Positions

REPLAY_MS = 900_000
STORE_NAME = "the store of the tests"
_TIMEOUT_S = 10.0
_REAP_MS = 500


class GateStore:
    """One gate's store. To be built and used in a running event loop."""

    def __init__(
        self,
        endpoint: Endpoint,
        ledger: Ledger,
        shards: int,
        prepare: Callable[[Connection], Awaitable[str]] = prepare_server,
    ) -> None:
        metrics = GateMetrics(CollectorRegistry())
        self._positions = Positions(ledger)
        self.recorded = OperationRecorder(ledger)
        self.connections = Connections(endpoint, count=1, timeout_s=_TIMEOUT_S, prepare=prepare)
        self.runner = ScriptRunner(self.connections, metrics)
        self.shards = Shards(
            shards, self.connections, self.runner, self._positions, metrics, STORE_NAME
        )
        self.restorer = Restorer(
            self.connections, self.runner, self.shards, ledger, self.recorded, metrics, REPLAY_MS
        )
        self.operations = OperationScripts(self.runner, self.shards, REPLAY_MS)
        scripts = AccountScripts(self.runner, self.shards, self.restorer)
        self.calls = Store(scripts, REPLAY_MS)
        self.lost_holds = LostHolds(self.calls, self.shards, ledger)
        self.expiry = Expiry(scripts)
        self.inspection = Inspection(self.connections, self.runner, self.shards)
        self.reaper = Reaper(
            self.connections, self.expiry, self.inspection, shards, _REAP_MS, metrics
        )

    async def reap(self, rounds: int) -> None:
        """Reaps every shard, that many times."""
        now_ms = await self.inspection.now_ms()
        for _ in range(rounds):
            for shard in range(self.shards.count):
                await self.reaper.reap(shard, now_ms)

    async def open(self) -> None:
        """Connects, and opens every shard."""
        await asyncio.to_thread(self._positions.ensure, self.shards.count)
        await self.connections.open()
        await self.shards.verify_all()

    async def open_again(self) -> None:
        """Returns once a Redis that was away is found again, and every shard is open."""
        async with asyncio.timeout(_TIMEOUT_S):
            while True:
                try:
                    await self.connections.command(0, "PING")
                    await self.shards.verify_all()
                    return
                except RedisUnavailable:
                    await asyncio.sleep(0.01)

    async def close(self) -> None:
        await self.connections.close()
