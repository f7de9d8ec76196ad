"""Brings an account in Redis up to what the ledger says: operations not yet applied, and accounts that are missing.

An account that is missing in Redis is not a fresh one. It is loaded from the ledger once the ledger holds everything that was journaled up
to a moment at which it was missing: nothing can have been journaled for it since.
"""

import asyncio
from collections.abc import Iterable

import structlog

from gate.keys import account_key, expiries_key, hold_key, hold_member, journal_key, replay_key, shard_of
from gate.metrics import GateMetrics
from gate.runner import Runner
from gate.shards import Shards
from gate.wire import CommandFailed
from meter.errors import NotFound, ServiceError, Unavailable
from meter.ledger.operations import AccountSnapshot, Operations
from meter.operations import AdvanceClock, Create, GrantCredits, Operation, Update

_SWEEP_S = 1.0
_SWEEP_LIMIT = 500
_ATTEMPTS = 4

log = structlog.get_logger()


class Restorer:
    """Applies operations and loads accounts; every step may be repeated by anyone at any time."""

    def __init__(
        self, runner: Runner, shards: Shards, operations: Operations, metrics: GateMetrics, replay_window_ms: int
    ) -> None:
        self._runner, self._shards, self._operations, self._metrics = runner, shards, operations, metrics
        self._replay_window_ms = replay_window_ms
        self._restoring: dict[str, asyncio.Task[None]] = {}

    async def restore(self, account_id: str) -> None:
        """Returns when the account is in Redis as the ledger knows it. NotFound if it does not exist; Unavailable if that is uncertain."""
        task = self._restoring.get(account_id)
        if task is None:
            task = asyncio.create_task(self._restore(account_id))
            self._restoring[account_id] = task
            task.add_done_callback(lambda done: self._restored(account_id, done))
        await asyncio.shield(task)  # others wait for it too: the first caller's going away must not end it

    def _restored(self, account_id: str, done: asyncio.Task[None]) -> None:
        del self._restoring[account_id]
        if not done.cancelled():
            done.exception()  # retrieved here: those who waited for it may all have gone away

    async def apply(self, operation: Operation) -> None:
        """Applies an operation that has just been recorded, and whatever was recorded before it and is not applied yet."""
        for _ in range(_ATTEMPTS):
            if await self._apply(operation) in (b"ok", b"replayed"):
                return
            await self.restore(operation.account_id)
        raise Unavailable(
            "OPERATION_PENDING", "the change is recorded and will be applied shortly; repeat the call to see it through"
        )

    async def sweep(self) -> None:
        """Runs for good: applies what was recorded and not applied, by whomever."""
        after = ("", 0)
        while True:
            await asyncio.sleep(_SWEEP_S)
            try:
                pending = await asyncio.to_thread(self._operations.pending, None, _SWEEP_LIMIT, after)
            except ServiceError as error:
                log.warning("operations_pending", error=str(error))
                continue
            # Page by page, and each shard for itself: one that cannot be restored now must not keep the others waiting.
            after = (pending[-1].account_id, pending[-1].seq) if len(pending) == _SWEEP_LIMIT else ("", 0)
            accounts: dict[int, dict[str, None]] = {}
            for operation in pending:
                accounts.setdefault(self._shard(operation.account_id), {})[operation.account_id] = None
            await asyncio.gather(*(self._sweep(account_ids) for account_ids in accounts.values()))

    async def _sweep(self, account_ids: Iterable[str]) -> None:
        try:
            for account_id in account_ids:
                await self.restore(account_id)
        except (ServiceError, CommandFailed) as error:
            log.warning("operations_pending", error=str(error))

    async def _restore(self, account_id: str) -> None:
        shard = self._shard(account_id)
        if await asyncio.to_thread(self._operations.account, account_id) is None:
            raise NotFound(
                "ACCOUNT_NOT_FOUND", "account_id: no such account; create it with Accounts.CreateAccount", "account_id"
            )
        if not await self._is_present(shard, account_id):
            await self._shards.flushed(shard)
            snapshot = await asyncio.to_thread(self._operations.load_snapshot, account_id)
            if snapshot is not None and snapshot.applied_op > 0:
                await self._load(shard, snapshot)
        for operation in await asyncio.to_thread(self._operations.pending, account_id):
            await self._apply(operation)

    async def _is_present(self, shard: int, account_id: str) -> bool:
        epoch = await self._runner.wire.command(shard, "HGET", account_key(shard, account_id), "ep")
        return bool(epoch == b"%d" % self._shards.epoch(shard))

    async def _load(self, shard: int, snapshot: AccountSnapshot) -> None:
        account_id, epoch, state = snapshot.account_id, self._shards.epoch(shard), snapshot.state
        keys = [account_key(shard, account_id), journal_key(shard), expiries_key(shard)]
        fields: list[str | bytes | int] = [
            epoch, snapshot.applied_op, snapshot.status, snapshot.currency, _or_dash(snapshot.test_clock_ms), snapshot.day,
            state.spendable, state.held, state.overage, state.total, state.used,
            state.room, _or_dash(state.limit), state.day_base, state.month_base,
        ]  # fmt: skip
        for hold in snapshot.holds:
            keys.append(hold_key(shard, account_id, hold.hold_id))
            fields += [
                hold.hold_id,
                hold.amount_nanos,
                hold.day,
                hold.expires_ms,
                hold_member(account_id, hold.hold_id),
            ]
        if await self._run("load_account", shard, keys, epoch, *fields) == b"ok":
            self._metrics.accounts_restored.inc()
            log.info("account_restored", shard=shard, holds=len(snapshot.holds))

    async def _apply(self, operation: Operation) -> bytes:
        shard, body, change = self._shard(operation.account_id), operation.to_json(), operation.change
        account_id, epoch = operation.account_id, self._shards.epoch(shard)
        keys = [account_key(shard, account_id), journal_key(shard), replay_key(shard, account_id, operation.request_id)]
        arguments: list[str | bytes | int]
        match change:
            case Create():
                name = "create_account"
                limit, clock = _or_dash(change.daily_limit_nanos), _or_dash(change.test_clock_ms)
                arguments = [operation.method, body, change.currency, change.overage_protection_nanos, limit, clock]
            case Update():
                name = "update_account"
                limit = _or_dash(change.daily_limit_nanos)
                arguments = [
                    operation.seq,
                    operation.method,
                    body,
                    change.status,
                    change.overage_protection_nanos,
                    limit,
                ]
            case GrantCredits():
                name, arguments = "grant_credits", [operation.seq, operation.method, body, change.amount_nanos]
            case AdvanceClock():
                name, arguments = "advance_clock", [operation.seq, operation.method, body, change.time_ms]
        return await self._run(name, shard, keys, epoch, *arguments, self._replay_window_ms)

    async def _run(self, name: str, shard: int, keys: list[str], epoch: int, *arguments: str | bytes | int) -> bytes:
        """The status. Another epoch may have begun without this gate's knowing: then the shard is verified anew."""
        status, *_ = await self._runner.run(name, shard, keys, epoch, *arguments)
        if status == b"stale":
            await self._shards.verify(shard, epoch)
        return status

    def _shard(self, account_id: str) -> int:
        return shard_of(account_id, self._shards.count)


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)
