"""Brings Redis up to the ledger: applies pending operations, and loads missing accounts.

An account missing in Redis is not a fresh account. The account is loaded from the ledger once the
ledger holds everything journaled up to a moment at which Redis did not have the account: nothing
can have been journaled for the account since.
"""

import asyncio
from collections.abc import Iterable, Sequence

import structlog

from gate.metrics import GateMetrics
from gate.store.account_codec import AccountField, epoch_of
from gate.store.connections import Connections
from gate.store.due_grants import ATTEMPTS
from gate.store.errors import CommandFailed
from gate.store.keys import account_key, call_keys, hold_key, shard_of
from gate.store.operations import OperationScripts
from gate.store.script_runner import ScriptRunner
from gate.store.shards import Shards
from gate.store.snapshot_arguments import snapshot_arguments
from meter.admin.recorder import OperationRecorder
from meter.database.engine import Ledger
from meter.errors import NotFound, ServiceError, Unavailable
from meter.journal.operations import Create, Operation
from meter.ledger.projections.snapshot import AccountSnapshot, load_snapshot
from meter.outage_log import OutageLog, described

_SWEEP_S = 1.0
_SWEEP_LIMIT = 500

log = structlog.get_logger()


class Restorer:
    """Applies operations and loads accounts. Every step may be repeated by anyone at any time."""

    def __init__(
        self,
        connections: Connections,
        runner: ScriptRunner,
        shards: Shards,
        ledger: Ledger,
        recorded: OperationRecorder,
        metrics: GateMetrics,
        replay_window_ms: int,
    ) -> None:
        self._connections = connections
        self._runner = runner
        self._shards = shards
        self._ledger = ledger
        self._recorded = recorded
        self._metrics = metrics
        self._scripts = OperationScripts(runner, shards, replay_window_ms)
        self._restoring: dict[str, asyncio.Task[None]] = {}

    async def restore(self, account_id: str) -> None:
        """Returns when Redis has the account as the ledger has recorded it.

        NotFound if the account does not exist; Unavailable if Redis or the ledger cannot tell.
        """
        task = self._restoring.get(account_id)
        if task is None:
            task = self._begin_restore(account_id)
        # Others wait for the task too: when the first caller goes away, the task must go on.
        await asyncio.shield(task)

    async def apply(self, operation: Operation) -> str | None:
        """Applies a recorded operation, after the account's earlier operations.

        Returns the effect line; None if the operation had been applied before. Unavailable if the
        operation will be applied later.
        """
        for _ in range(ATTEMPTS):
            status, *effect = await self._scripts.run(operation)
            if status == b"ok":
                line: bytes = effect[0]
                return line.decode()
            if status == b"replayed":
                return None
            await self.restore(operation.account_id)
        raise Unavailable(
            "OPERATION_PENDING",
            "the change is recorded and will be applied shortly; repeat the call to see it through",
        )

    async def load(self, snapshot: AccountSnapshot) -> None:
        """Puts a missing account back into Redis; does nothing if Redis has the account."""
        name = "load_account"
        account_id = snapshot.account_id
        shard = self._shard(account_id)
        epoch = self._shards.epoch(shard)
        keys = call_keys(name, shard, account_id)
        for hold in snapshot.holds:
            keys.append(hold_key(shard, account_id, hold.hold_id))
        status, *_ = await self._runner.run(
            name,
            shard,
            keys,
            snapshot_arguments(snapshot, epoch),
        )
        if status == b"stale":
            await self._shards.verify(shard, epoch)
        elif status == b"ok":
            self._metrics.upkeep.accounts_restored.inc()
            log.info("account_restored", shard=shard, holds=len(snapshot.holds))

    async def sweep(self) -> None:
        """Applies operations left pending by any process. Runs until cancelled."""
        after = ("", 0)
        outage = OutageLog("operations_not_read", "operations_read_again")
        while True:
            await asyncio.sleep(_SWEEP_S)
            try:
                pending = await asyncio.to_thread(
                    self._recorded.pending,
                    None,
                    _SWEEP_LIMIT,
                    after,
                )
            except ServiceError as error:
                outage.failed(error)
                continue
            outage.ended()
            # Page by page, and each shard for itself: an account that cannot be restored now must
            # not keep the others waiting.
            after = _next_page(pending)
            by_shard = self._accounts_by_shard(pending)
            await asyncio.gather(*map(self._restore_all, by_shard))

    def _accounts_by_shard(self, operations: Sequence[Operation]) -> list[Iterable[str]]:
        """Returns the operations' accounts, each once and in order, apart for each shard."""
        accounts_by_shard: dict[int, dict[str, None]] = {}
        for operation in operations:
            shard = self._shard(operation.account_id)
            accounts = accounts_by_shard.setdefault(shard, {})
            accounts[operation.account_id] = None
        return list(accounts_by_shard.values())

    async def _restore_all(self, account_ids: Iterable[str]) -> None:
        try:
            for account_id in account_ids:
                await self.restore(account_id)
        except (ServiceError, CommandFailed) as error:
            log.warning("operations_pending", error=described(error))

    def _begin_restore(self, account_id: str) -> asyncio.Task[None]:
        task = asyncio.create_task(self._restore(account_id))
        self._restoring[account_id] = task
        task.add_done_callback(lambda done: self._restored(account_id, done))
        return task

    async def _restore(self, account_id: str) -> None:
        account = await asyncio.to_thread(self._recorded.account, account_id)
        if account is None:
            raise NotFound(
                "ACCOUNT_NOT_FOUND",
                "account_id: no such account; create it with `creditgate account create`, or"
                " Accounts.CreateAccount",
                "account_id",
            )
        shard = self._shard(account_id)
        is_present = await self._is_present(shard, account_id)
        if not is_present:
            await self._load_from_ledger(shard, account_id)
        pending = await asyncio.to_thread(self._recorded.pending, account_id)
        for operation in pending:
            # An account that was there has been created. Should Redis lose the account now, it must
            # be loaded with its credits, not created anew.
            if not (is_present and isinstance(operation.change, Create)):
                await self._scripts.run(operation)

    async def _load_from_ledger(self, shard: int, account_id: str) -> None:
        """Loads the account once the ledger holds all that is journaled for the shard."""
        await self._shards.flushed([shard])
        snapshot = await asyncio.to_thread(
            load_snapshot,
            self._ledger,
            account_id,
        )
        if snapshot is not None and snapshot.applied_op > 0:
            await self.load(snapshot)

    async def _is_present(self, shard: int, account_id: str) -> bool:
        settings = await self._connections.command(
            shard,
            "HGET",
            account_key(shard, account_id),
            AccountField.SETTINGS,
        )
        return epoch_of(settings) == self._shards.epoch(shard)

    def _restored(self, account_id: str, done: asyncio.Task[None]) -> None:
        del self._restoring[account_id]
        if not done.cancelled():
            done.exception()  # retrieved here: those who waited may all have gone away

    def _shard(self, account_id: str) -> int:
        return shard_of(account_id, self._shards.count)


def _next_page(pending: Sequence[Operation]) -> tuple[str, int]:
    """Returns the place after which the next page begins: at the start, if this is the last."""
    if len(pending) < _SWEEP_LIMIT:
        return ("", 0)
    last = pending[-1]
    return (last.account_id, last.seq)
