"""Brings an account in Redis up to what the ledger says: operations not yet applied, and accounts that
are missing.

An account that is missing in Redis is not a fresh one. It is loaded from the ledger once the ledger
holds everything that was journaled up to a moment at which it was missing: nothing can have been
journaled for it since.
"""

import asyncio
from collections.abc import Iterable, Mapping

import structlog

from gate.metrics import GateMetrics
from gate.store.connections import CommandFailed
from gate.store.keys import (
    account_key,
    budgets_key,
    due_key,
    expiries_key,
    grants_key,
    hold_key,
    hold_member,
    journal_key,
    replay_key,
    shard_of,
)
from gate.store.script_runner import Runner
from gate.store.shards import Shards
from meter.admin.recorder import AccountSnapshot, Operations
from meter.errors import NotFound, ServiceError, Unavailable
from meter.journal.account_sums import ABSENT
from meter.journal.operations import (
    AdvanceClock,
    Create,
    DeleteBudget,
    Grace,
    GrantCredits,
    Level,
    Operation,
    SetBudget,
    Update,
    VoidGrant,
)
from meter.money import SETTING_MAX

_SWEEP_S = 1.0
_SWEEP_LIMIT = 500
_ATTEMPTS = 4

Argument = str | bytes | int

log = structlog.get_logger()


class Restorer:
    """Applies operations and loads accounts; every step may be repeated by anyone at any time."""

    def __init__(
        self,
        runner: Runner,
        shards: Shards,
        operations: Operations,
        metrics: GateMetrics,
        replay_window_ms: int,
    ) -> None:
        self._runner = runner
        self._shards = shards
        self._operations = operations
        self._metrics = metrics
        self._replay_window_ms = replay_window_ms
        self._restoring: dict[str, asyncio.Task[None]] = {}

    async def restore(self, account_id: str) -> None:
        """Returns when the account is in Redis as the ledger knows it.

        NotFound if it does not exist; Unavailable if that is uncertain.
        """
        task = self._restoring.get(account_id)
        if task is None:
            task = asyncio.create_task(self._restore(account_id))
            self._restoring[account_id] = task
            task.add_done_callback(lambda done: self._restored(account_id, done))
        await asyncio.shield(
            task
        )  # others wait for it too: the first caller's going away must not end it

    def _restored(self, account_id: str, done: asyncio.Task[None]) -> None:
        del self._restoring[account_id]
        if not done.cancelled():
            done.exception()  # retrieved here: those who waited for it may all have gone away

    async def apply(self, operation: Operation) -> str | None:
        """Applies an operation that has just been recorded, and whatever was recorded before it and is
        not applied yet.

        Its effect line; None if it had been applied before.
        """
        for _ in range(_ATTEMPTS):
            status, *effect = await self._apply(operation)
            if status == b"ok":
                return effect[0].decode()
            if status == b"replayed":
                return None
            await self.restore(operation.account_id)
        raise Unavailable(
            "OPERATION_PENDING",
            "the change is recorded and will be applied shortly; repeat the call to see it through",
        )

    async def sweep(self) -> None:
        """Runs for good: applies what was recorded and not applied, by whomever."""
        after = ("", 0)
        while True:
            await asyncio.sleep(_SWEEP_S)
            try:
                pending = await asyncio.to_thread(
                    self._operations.pending, None, _SWEEP_LIMIT, after
                )
            except ServiceError as error:
                log.warning("operations_pending", error=str(error))
                continue
            # Page by page, and each shard for itself: one that cannot be restored now must not keep
            # the others waiting.
            after = (
                (pending[-1].account_id, pending[-1].seq)
                if len(pending) == _SWEEP_LIMIT
                else ("", 0)
            )
            accounts: dict[int, dict[str, None]] = {}
            for operation in pending:
                accounts.setdefault(self._shard(operation.account_id), {})[operation.account_id] = (
                    None
                )
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
                "ACCOUNT_NOT_FOUND",
                "account_id: no such account; create it with Accounts.CreateAccount",
                "account_id",
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
        account_id = snapshot.account_id
        epoch = self._shards.epoch(shard)
        keys = [*_keys(shard, account_id), expiries_key(shard), due_key(shard)]
        keys += (hold_key(shard, account_id, hold.hold_id) for hold in snapshot.holds)
        status, *_ = await self._run(
            "load_account", shard, keys, epoch, *_snapshot_arguments(snapshot, epoch)
        )
        if status == b"ok":
            self._metrics.accounts_restored.inc()
            log.info("account_restored", shard=shard, holds=len(snapshot.holds))

    async def _apply(self, operation: Operation) -> list[bytes]:
        """What the operation's script says. Grants that are due come first."""
        account_id = operation.account_id
        shard = self._shard(operation.account_id)
        epoch = self._shards.epoch(shard)
        account, journal, grants, budgets = _keys(shard, account_id)
        keys = [account, replay_key(shard, account_id, operation.request_id), journal, grants]
        name, arguments = _script_of(operation)
        keys.append(
            due_key(shard) if isinstance(operation.change, GrantCredits | VoidGrant) else budgets
        )
        common = (operation.seq, operation.method, operation.to_json(), self._replay_window_ms)
        for _ in range(_ATTEMPTS):
            reply = await self._run(name, shard, keys, epoch, *common, *arguments)
            if reply[0] != b"due":
                break
            await self._run(
                "process_due_grants",
                shard,
                [account, journal, grants, due_key(shard)],
                epoch,
                account_id,
            )
        return reply

    async def _run(
        self, name: str, shard: int, keys: list[str], epoch: int, *arguments: Argument
    ) -> list[bytes]:
        """The reply.

        Another epoch may have begun without this gate's knowing: then the shard is verified anew.
        """
        reply = await self._runner.run(name, shard, keys, epoch, *arguments)
        if reply[0] == b"stale":
            await self._shards.verify(shard, epoch)
        return reply

    def _shard(self, account_id: str) -> int:
        return shard_of(account_id, self._shards.count)


def _keys(shard: int, account_id: str) -> tuple[str, str, str, str]:
    return (
        account_key(shard, account_id),
        journal_key(shard),
        grants_key(shard, account_id),
        budgets_key(shard, account_id),
    )


def _script_of(operation: Operation) -> tuple[str, list[Argument]]:
    """The script that puts the operation into effect, and its arguments behind those that all of them
    have.
    """
    match operation.change:
        case Create() as change:
            return "create_account", [
                change.currency,
                change.overage_protection_nanos,
                _or_dash(change.daily_limit_nanos),
                _or_dash(change.test_clock_ms),
                _flags(change) or ABSENT,
                _levels(change.levels),
                _graces(change.graces),
            ]
        case Update() as change:
            return "update_account", [
                change.status,
                change.overage_protection_nanos,
                _or_dash(change.daily_limit_nanos),
                _flags(change),
                _levels(change.levels),
                _graces(change.graces),
            ]
        case GrantCredits() as change:
            levels = "=" if change.levels is None else _levels(change.levels)
            return "grant_credits", [
                change.amount_nanos,
                _grant(change),
                levels,
                operation.account_id,
            ]
        case VoidGrant() as change:
            return "void_grant", [
                change.number,
                _or_dash(change.amount_nanos),
                operation.account_id,
            ]
        case SetBudget() as change:
            return "set_budget", [
                change.budget_id,
                int(change.hard),
                change.window,
                change.limit_nanos,
                _budget_levels(change.levels),
                "\n".join(change.labels),
                int(change.anew),
                "\n".join(change.replaces),
            ]
        case DeleteBudget() as change:
            return "delete_budget", [change.budget_id, "\n".join(change.labels)]
        case AdvanceClock() as change:
            return "advance_clock", [change.time_ms]


def _snapshot_arguments(snapshot: AccountSnapshot, epoch: int) -> list[Argument]:
    """What gate/lua/upkeep/load_account.lua takes behind the epoch.

    Overage stands as what is being burned; the script finds the right grant.
    """
    state = snapshot.state
    graces = _graces(snapshot.graces, snapshot.graces_begun)
    flags = _flags(snapshot)
    settings = (
        f"{epoch} {snapshot.status} {_or_dash(snapshot.test_clock_ms)} {snapshot.day} - {flags or ABSENT} 0"
        f" {snapshot.applied_op} {snapshot.currency} {state.total} {_or_dash(state.daily_limit)} {state.overage}"
        f" {state.expired} {state.day_base} {state.month_base} {state.yesterday_base}"
    )
    arguments: list[Argument] = [
        settings,
        snapshot.overage_left,
        snapshot.overage_held,
        state.spendable - snapshot.overage_left,
        state.held - snapshot.overage_held,
        state.used,
        state.day_remaining,
        _levels(snapshot.levels),
        graces,
        snapshot.account_id,
        len(snapshot.grants),
    ]
    for grant in snapshot.grants:
        scope = "\n".join(grant.scope) or ABSENT
        meta = (
            f"{grant.state} {int(grant.pays_debt)} {grant.type} {grant.priority}"
            f" {_or_dash(grant.expires_ms)} {_or_dash(grant.effective_ms)} {scope}"
        )
        arguments += [grant.number, grant.left, grant.held, meta]
    arguments.append(len(snapshot.budgets))
    made = {}
    for budget in snapshot.budgets:
        made[budget.budget_id] = budget.number
        arguments += [
            budget.budget_id,
            int(budget.hard),
            budget.window,
            budget.limit,
            budget.start_day,
            budget.number,
            _budget_levels(budget.levels),
            "\n".join(budget.labels),
            budget.limit - budget.used - budget.held,
            budget.held,
        ]
    for hold in snapshot.holds:
        counted = ";".join(
            f"{matched},{made[matched.partition(',')[0]]}"
            for matched in hold.budgets.split(";")
            if matched.partition(",")[0] in made
        )
        arguments += [
            hold.hold_id,
            hold.amount_nanos,
            hold.day,
            hold.expires_ms,
            hold.pins,
            counted or ABSENT,
            hold_member(snapshot.account_id, hold.hold_id),
        ]
    return arguments


def _grant(change: GrantCredits) -> str:
    """As the grants beside the account have it (gate/store/keys.py), but for its state."""
    scope = "\n".join(change.scope) or ABSENT
    return (
        f"{int(change.pays_debt)} {change.type} {change.priority}"
        f" {_or_dash(change.expires_at_ms)} {_or_dash(change.effective_at_ms)} {scope}"
    )


def _flags(settings: Create | Update | AccountSnapshot) -> str:
    off = "" if settings.spend_management else "o"
    return off + ("t" if settings.levels else "") + ("g" if settings.graces else "")


def _levels(levels: tuple[Level, ...]) -> str:
    # Each subject's in the order in which they are crossed.
    ordered = sorted(
        levels, key=lambda level: level.nanos if level.subject == "daily_use" else -level.nanos
    )
    return ";".join(f"{level.threshold_id},{level.subject},{level.nanos}" for level in ordered)


def _graces(graces: tuple[Grace, ...], begun: Mapping[str, int] | None = None) -> str:
    return "\n".join(
        # Without a bound of its own it has that of every setting, which keeps the sums within
        # int64.
        f"{_or_dash(grace.duration_ms)} {SETTING_MAX if grace.amount_nanos is None else grace.amount_nanos}"
        f" {_or_dash((begun or {}).get(grace.traffic_class))} {grace.traffic_class}"
        for grace in graces
    )


def _budget_levels(levels: tuple[tuple[str, int], ...]) -> str:
    return "|".join(f"{threshold_id}:{nanos}" for threshold_id, nanos in levels) or ABSENT


def _or_dash(value: int | None) -> str:
    return ABSENT if value is None else str(value)
