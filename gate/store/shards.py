"""Shards: the epoch of each shard, and whether the shard may admit anything.

Redis is trusted only while it is the ledger's own store, and not behind the ledger. Whenever the
server behind a connection turns out to be another run of itself (a restart, a failover), what
stands in Redis is compared with what the ledger knows before anything is admitted
(meter/ledger/shard_state.py):

- open: the journal goes on from the ledger's position; the shard admits calls, in the journal's
  epoch;
- new: nothing stands anywhere; the ledger notes the store, and the store the ledger;
- lost: acknowledged writes were lost. The ledger begins a new epoch, the journal follows, and
  accounts are loaded from the ledger as they are asked for, since what Redis still holds is of an
  older epoch;
- awaits_flusher: the flusher has fenced the shard and is catching up. The shard stays closed until
  then;
- ledger_older, foreign, other_form: a person has to act. The shard stays closed, and nothing is
  written.

A process that decides nothing, as billing does, begins no epochs: a shard that would need a new one
stays closed there until a gate has begun it.
"""

import asyncio
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress

import structlog

from gate.metrics import GateMetrics
from gate.store.acknowledged import Acknowledged
from gate.store.closed_shards import STOPS, ClosedShards
from gate.store.connections import Connections
from gate.store.contracts import OpenEpochArguments
from gate.store.errors import CommandFailed
from gate.store.keys import call_keys
from gate.store.script_runner import ScriptRunner
from gate.store.shard_look import look, look_at_journal
from meter.database.errors import LedgerError
from meter.errors import Unavailable
from meter.flush_requests import FLUSH_CHANNEL
from meter.journal.entry import Method, Position
from meter.ledger.positions import Positions
from meter.ledger.shard_state import (
    REFUSED,
    LedgerShard,
    ShardState,
    StoredShard,
    StoreName,
    judge,
    refused_store,
)
from meter.outage_log import OutageLog

_RETRY_S = 0.25
_WATCH_S = 1.0
_FLUSH_POLL_S = 0.02
_FLUSH_WAIT_S = 10.0

log = structlog.get_logger()


class ShardClosed(Unavailable):
    """The shard admits nothing now; nothing was written."""

    def __init__(self, shard: int, why: str) -> None:
        super().__init__("SHARD_CLOSED", f"shard {shard} is closed ({why})")


class Shards:
    """Knows the shards' epochs. Every call asks `epoch`; `keep` opens shards that were closed."""

    def __init__(
        self,
        count: int,
        connections: Connections,
        runner: ScriptRunner,
        positions: Positions,
        metrics: GateMetrics,
        store_name: str,
        *,
        begins_epochs: bool = True,
    ) -> None:
        """`store_name` is how the store is reached, or what an operator calls the store."""
        self.count = count
        self._store_name = store_name
        self._begins_epochs = begins_epochs
        self._connections = connections
        self._runner = runner
        self._positions = positions
        self._metrics = metrics
        self._epochs: list[int | None] = [None] * count
        self.acknowledged = Acknowledged(count, metrics.upkeep)
        self._run_id = ""
        self._refused = ""
        self._any_closed = asyncio.Event()
        self._verifying = asyncio.Lock()
        self._closed = ClosedShards(count, metrics.upkeep)
        connections.on_server(self.server_is)

    def epoch(self, shard: int) -> int:
        """Returns the epoch to write under. ShardClosed while there is none."""
        epoch = self._epochs[shard]
        if epoch is None:
            raise self._refusal(shard)
        return epoch

    @property
    def are_all_closed(self) -> bool:
        """Says whether nothing is admitted at all."""
        return self._closed.are_all

    def server_is(self, run_id: str) -> None:
        """Closes all shards if the server of a new connection is another run than before."""
        if run_id != self._run_id:
            self._run_id = run_id
            for shard in range(self.count):
                self.close(shard)

    def close(self, shard: int) -> None:
        """Admits nothing more until the shard is verified."""
        self._epochs[shard] = None
        self._closed.close(shard)
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
        outage = OutageLog("shards_not_verified", "shards_verified_again")
        while True:
            await self._any_closed.wait()
            self._any_closed.clear()
            try:
                await self.verify_all()
                outage.ended()
            except (Unavailable, CommandFailed) as error:
                outage.failed(error)
            self._closed.tell()
            if None in self._epochs:
                self._any_closed.set()
                await asyncio.sleep(_RETRY_S)

    async def flushed(self, shards: Iterable[int], wait_s: float = _FLUSH_WAIT_S) -> None:
        """Returns when the ledger holds all that the shards' journals hold at the time of the call.

        Unavailable if that takes more than `wait_s`; ShardClosed if a journal is missing.
        """
        wanted = list(shards)
        ends = await asyncio.gather(*map(self._end_of_journal, wanted))
        goals = dict(zip(wanted, ends, strict=True))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while behind := await asyncio.to_thread(self._behind, goals):
            if loop.time() > deadline:
                raise Unavailable(
                    "LEDGER_BEHIND",
                    f"the ledger has not caught up with shard {behind[0]}: is the flusher running?",
                )
            await self._ask_for_flush(behind[0])
            await asyncio.sleep(_FLUSH_POLL_S)

    async def _end_of_journal(self, shard: int) -> Position:
        self.require_admission(shard)
        end = await look_at_journal(self._connections, shard)
        if end is None:
            # The journal begins before the shard is opened, and never ends: Redis was emptied.
            self.close(shard)
            raise self._refusal(shard)
        return end

    def _behind(self, goals: Mapping[int, Position]) -> list[int]:
        """Returns the shards whose goal the ledger has not reached. Blocks."""
        known = self._positions.shards()
        return [shard for shard, goal in goals.items() if known[shard].position < goal]

    async def _ask_for_flush(self, shard: int) -> None:
        """Asks every flusher to begin a round at once."""
        # A Redis user without leave for the channel waits for the flusher's interval.
        with suppress(CommandFailed):
            await self._connections.command(shard, "PUBLISH", FLUSH_CHANNEL, "")

    def require_own_store(self) -> None:
        """Raises LedgerError if the ledger and the store do not belong to each other."""
        if self._closed.is_any_refused:
            raise LedgerError(self._refused)

    def require_admission(self, shard: int) -> None:
        """Raises ShardClosed if the shard stays closed until a person acts."""
        if self._closed.reason(shard) in STOPS:
            raise self._refusal(shard)

    async def watch(self) -> None:
        """Closes shards that the ledger has seen opened elsewhere, or whose ledger has gone back.

        A gate that still reaches a store which was replaced must not go on for long. Runs until
        cancelled.
        """
        former: dict[int, LedgerShard] = {}
        while True:
            await asyncio.sleep(_WATCH_S)
            try:
                known = await asyncio.to_thread(self._positions.shards)
            except Unavailable:
                continue
            for shard, now in known.items():
                if self._is_overtaken(shard, now) or _has_gone_back(former.get(shard), now):
                    self.close(shard)
            former = known

    def _is_overtaken(self, shard: int, known: LedgerShard) -> bool:
        epoch = self._epochs[shard]
        return epoch is not None and known.position.epoch > epoch

    async def _verify_closed(self) -> None:
        # The positions come before the journals, which only grow.
        known = await asyncio.to_thread(self._positions.shards)
        for shard in range(self.count):
            if self._epochs[shard] is None:
                await self._verify(shard, known[shard])

    async def _verify(self, shard: int, known: LedgerShard) -> None:
        found = await look(self._connections, shard)
        state = judge(known, found, self._store_name)
        if state in STOPS and await self._has_changed(shard, known):
            return  # the ledger went on between the two looks: look again
        if state is ShardState.OPEN:
            await self._open(shard, known, found)
            return
        self._note(shard, state, known, found)
        if state is ShardState.NEW and self._may_begin():
            await self._open_new(shard, known)
        elif state is ShardState.LOST and self._may_begin():
            await self._begin_again(shard, known, found)
        elif state is ShardState.AWAITS_FLUSHER:
            await self._ask_for_flush(shard)

    async def _open(
        self,
        shard: int,
        known: LedgerShard,
        found: StoredShard,
    ) -> None:
        """Opens a shard in the journal's epoch, or begins another if acknowledged entries are lost.

        The flusher carries over what the journal still has before the other epoch is opened.
        """
        assert found.end is not None
        lost = self.acknowledged.lost(shard, known, found)
        if lost:
            epoch = Position(found.end.epoch + 1, 0)
            reason = f"{lost} acknowledged entries behind {found.end} were lost by the store"
            if await self._open_epoch(shard, known, epoch, reason):
                self.acknowledged.count_lost(shard, lost)
        else:
            self._closed.open(shard)
            self._epochs[shard] = found.end.epoch

    def _may_begin(self) -> bool:
        """Says whether shards may be opened: none, if any shard of the store is a stranger's."""
        return self._begins_epochs and not self._closed.is_any_refused

    async def _has_changed(self, shard: int, known: LedgerShard) -> bool:
        now = await asyncio.to_thread(self._positions.shards)
        return now[shard] != known

    def _note(
        self,
        shard: int,
        state: ShardState,
        known: LedgerShard,
        found: StoredShard,
    ) -> None:
        """Keeps why the shard is closed, and tells of what a gate cannot mend, once."""
        former = self._closed.reason(shard)
        self._closed.note(shard, state)
        if state == former or state in (ShardState.NEW, ShardState.LOST):
            return
        if state in REFUSED:
            self._refused = refused_store(known, found, self._store_name)
        tell = log.error if state in STOPS else log.info
        tell(
            "shard_closed",
            shard=shard,
            state=state.value,
            journal=str(found.end),
            ledger=str(known.position),
            ledgers_store=known.store.store_id,
            stores_owner=found.owner and found.owner.encode(),
        )

    def _refusal(self, shard: int) -> ShardClosed:
        return ShardClosed(shard, self._closed.advice(shard))

    async def _open_new(self, shard: int, known: LedgerShard) -> None:
        """Opens a shard that neither the store nor the ledger has anything of."""
        if not known.store.store_id:
            store = StoreName(str(uuid.uuid4()), self._store_name)
            await asyncio.to_thread(self._positions.claim, store)
            known = (await asyncio.to_thread(self._positions.shards))[shard]
        if known.store.name == self._store_name:
            await self._open_epoch(
                shard,
                known,
                known.position,
                "first start",
            )

    async def _begin_again(
        self,
        shard: int,
        known: LedgerShard,
        found: StoredShard,
    ) -> None:
        """Begins a new epoch of a shard whose store has lost what the ledger has."""
        reason = f"journal ends at {found.end or 'nothing'}, the ledger holds {known.position}"
        lost = self.acknowledged.lost(shard, known, found)
        if known.position.seq > 0:
            known = await self._begin_epoch(shard, known, found, reason)
        if await self._open_epoch(shard, known, known.position, reason):
            self.acknowledged.count_lost(shard, lost)

    async def _begin_epoch(
        self,
        shard: int,
        known: LedgerShard,
        found: StoredShard,
        reason: str,
    ) -> LedgerShard:
        self._metrics.upkeep.shards_lost.inc()
        log.error(
            "shard_lost_writes",
            shard=shard,
            journal=str(found.end),
            ledger=str(known.position),
            action="rebuilt from the ledger",
        )
        # An emptied store is another: whoever still reaches the former one finds out.
        store = StoreName(str(uuid.uuid4()), self._store_name) if found.is_empty else None
        await asyncio.to_thread(
            self._positions.begin_epoch,
            shard,
            known.position,
            reason,
            store,
        )
        return (await asyncio.to_thread(self._positions.shards))[shard]

    async def _open_epoch(
        self,
        shard: int,
        known: LedgerShard,
        begin: Position,
        reason: str,
    ) -> bool:
        """Begins an epoch of the journal, and says whether that was done here.

        Another gate may have been first; whether the shard is foreign, the next look tells.
        """
        arguments = OpenEpochArguments(
            begin.epoch,
            Method.EPOCH,
            reason,
            known.owner.encode(),
            str(known.position),
        )
        status, *_ = await self._runner.run(
            "open_epoch",
            shard,
            call_keys("open_epoch", shard),
            arguments,
        )
        return bool(status == b"ok")


def _has_gone_back(former: LedgerShard | None, now: LedgerShard) -> bool:
    return former is not None and now.position < former.position
