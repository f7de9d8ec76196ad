"""Shards: the epoch of each shard, and whether the shard may admit anything.

Redis is trusted only while it is not behind the ledger. Whenever the server behind a connection
turns out to be another run of itself (a restart, a failover), each shard's journal is compared with
the ledger's position before anything is admitted:

- the journal has reached the position: the shard is open, in the journal's epoch;
- the journal is behind the position: acknowledged writes were lost. The ledger begins a new epoch,
  the journal follows, and accounts are loaded from the ledger as they are asked for, since what
  Redis still holds is of an older epoch;
- the journal is in a newer epoch than the ledger: the flusher has fenced the shard and is catching
  up. It stays closed until then.

A process that decides nothing, as billing does, begins no epochs: a shard that would need a new one
stays closed there until a gate has begun it.
"""

import asyncio

import structlog

from gate.metrics import GateMetrics
from gate.store.connections import CommandFailed, Connections
from gate.store.contracts import OpenEpochArguments
from gate.store.keys import call_keys
from gate.store.script_runner import ScriptRunner
from meter.errors import Unavailable
from meter.journal.entry import Method, Position, journal_key
from meter.ledger.positions import Positions

_RETRY_S = 0.25
_FLUSH_POLL_S = 0.02
_FLUSH_WAIT_S = 10.0

log = structlog.get_logger()


class ShardClosed(Unavailable):
    """The shard admits nothing now; nothing was written."""

    def __init__(
        self,
        shard: int,
        why: str = "is being verified against the ledger",
    ) -> None:
        super().__init__("SHARD_CLOSED", f"shard {shard} {why}; repeat the call shortly")


class Shards:
    """Knows the shards' epochs. Every call asks `epoch`; `keep` opens shards that were closed."""

    def __init__(
        self,
        count: int,
        connections: Connections,
        runner: ScriptRunner,
        positions: Positions,
        metrics: GateMetrics,
        *,
        begins_epochs: bool = True,
    ) -> None:
        self.count = count
        self._begins_epochs = begins_epochs
        self._connections = connections
        self._runner = runner
        self._positions = positions
        self._metrics = metrics
        self._epochs: list[int | None] = [None] * count
        self._run_id = ""
        self._any_closed = asyncio.Event()
        self._verifying = asyncio.Lock()
        self._metrics.upkeep.shards_closed.set(count)
        connections.on_server(self.server_is)

    def epoch(self, shard: int) -> int:
        """Returns the epoch to write under. ShardClosed while there is none."""
        epoch = self._epochs[shard]
        if epoch is None:
            raise self._closed(shard)
        return epoch

    def server_is(self, run_id: str) -> None:
        """Closes all shards if the server of a new connection is another run than before."""
        if run_id != self._run_id:
            self._run_id = run_id
            for shard in range(self.count):
                self.close(shard)

    def close(self, shard: int) -> None:
        """Admits nothing more until the shard is verified."""
        self._epochs[shard] = None
        self._metrics.upkeep.shards_closed.set(self._epochs.count(None))
        self._any_closed.set()

    async def verify(self, shard: int, epoch: int) -> None:
        """Verifies a shard that has moved on from `epoch`; the shard may stay closed."""
        if self._epochs[shard] == epoch:
            self.close(shard)
        await self.verify_all()

    async def verify_all(self) -> None:
        """Opens every shard that may be opened now.

        A shard that needs a new epoch begins one in the first pass, and is opened in the second.
        """
        async with self._verifying:
            for _ in range(2):
                if None not in self._epochs:
                    return
                await self._verify_closed()

    async def keep(self) -> None:
        """Verifies shards that were closed. Runs until cancelled."""
        while True:
            await self._any_closed.wait()
            self._any_closed.clear()
            try:
                await self.verify_all()
            except (Unavailable, CommandFailed) as error:
                log.warning("shards_not_verified", error=str(error))
            if None in self._epochs:
                self._any_closed.set()
                await asyncio.sleep(_RETRY_S)

    async def flushed(self, shard: int, wait_s: float = _FLUSH_WAIT_S) -> None:
        """Returns when the ledger holds all that the shard's journal holds at the time of the call.

        Unavailable if that takes more than `wait_s`; ShardClosed if there is no journal.
        """
        goal = await self.journal_end(shard)
        if goal is None:
            # The journal begins before the shard is opened, and never ends: Redis was emptied.
            self.close(shard)
            raise self._closed(shard)
        await self._wait_until_ledger_holds(shard, goal, wait_s)

    async def _wait_until_ledger_holds(
        self,
        shard: int,
        goal: Position,
        wait_s: float,
    ) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while await asyncio.to_thread(self._positions.of, shard) < goal:
            if loop.time() > deadline:
                raise Unavailable(
                    "LEDGER_BEHIND",
                    f"the ledger has not caught up with shard {shard}: is the flusher running?",
                )
            await asyncio.sleep(_FLUSH_POLL_S)

    async def journal_end(self, shard: int) -> Position | None:
        """Returns the id of the newest entry that the journal ever had; None without a journal."""
        try:
            info = await self._connections.command(
                shard,
                "XINFO",
                "STREAM",
                journal_key(shard),
            )
        except CommandFailed as error:
            if "no such key" in str(error).lower():
                return None
            raise
        fields = dict(zip(info[::2], info[1::2], strict=True))
        return Position.from_id(fields[b"last-generated-id"].decode())

    async def _verify_closed(self) -> None:
        # The positions come before the journals, which only grow.
        positions = await asyncio.to_thread(self._positions.all)
        for shard in range(self.count):
            if self._epochs[shard] is None:
                await self._verify(shard, positions[shard])

    async def _verify(self, shard: int, position: Position) -> None:
        end = await self.journal_end(shard)
        if end is not None and end.epoch > position.epoch:
            log.info(
                "shard_awaits_flusher",
                shard=shard,
                journal=str(end),
                ledger=str(position),
            )
            return
        if end is None or end < position:
            if self._begins_epochs:
                await self._begin(shard, position, end)
            return
        self._epochs[shard] = end.epoch
        self._metrics.upkeep.shards_closed.set(self._epochs.count(None))

    def _closed(self, shard: int) -> ShardClosed:
        if self._begins_epochs:
            return ShardClosed(shard)
        return ShardClosed(shard, "is not opened yet: does a gate run on this store?")

    async def _begin(
        self,
        shard: int,
        position: Position,
        end: Position | None,
    ) -> None:
        reason = f"journal ends at {end or 'nothing'}, the ledger holds {position}"
        if position.seq > 0:
            self._metrics.upkeep.shards_lost.inc()
            log.error(
                "shard_lost_writes",
                shard=shard,
                journal=str(end),
                ledger=str(position),
                action="rebuilt from the ledger",
            )
            position = await asyncio.to_thread(
                self._positions.begin_epoch,
                shard,
                position,
                reason,
            )
        # 'stale' is as good as 'ok': another gate was first.
        arguments = OpenEpochArguments(position.epoch, Method.EPOCH, reason)
        await self._runner.run(
            "open_epoch",
            shard,
            call_keys("open_epoch", shard),
            arguments,
        )
