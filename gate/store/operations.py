"""Puts recorded operations into effect: the changes of administrators, as scripts.

An operation is applied once, whoever applies it and however often (gate/lua/operations).
"""

from typing import NamedTuple

from gate.store.account_codec import (
    UNCHANGED,
    GrantTerms,
    encode_flags,
    encode_graces,
    encode_scope,
    encode_thresholds,
)
from gate.store.budget_codec import encode_budget_thresholds, encode_labels
from gate.store.connections import Reply
from gate.store.contracts import (
    AdvanceClockArguments,
    CreateAccountArguments,
    DeleteBudgetArguments,
    GrantCreditsArguments,
    SetBudgetArguments,
    UpdateAccountArguments,
    VoidGrantArguments,
)
from gate.store.due_grants import ATTEMPTS, process_due_grants
from gate.store.keys import call_keys, shard_of
from gate.store.script_runner import Arguments, ScriptRunner
from gate.store.shards import Shards
from gate.store.stored_text import or_absent
from meter.journal.account_sums import ABSENT
from meter.journal.operations import (
    AdvanceClock,
    Create,
    DeleteBudget,
    GrantCredits,
    Operation,
    SetBudget,
    Update,
    VoidGrant,
)


class OperationScripts:
    """Runs the scripts of operations."""

    def __init__(
        self,
        runner: ScriptRunner,
        shards: Shards,
        replay_window_ms: int,
    ) -> None:
        self._runner = runner
        self._shards = shards
        self._replay_window_ms = replay_window_ms

    async def run(self, operation: Operation) -> list[Reply]:
        """Runs the operation's script, after the grants that are due; returns the script's reply.

        The reply is `ok` with the effect line, or `replayed`, `behind` with the number of the last
        operation applied, `absent`, `stale`, or `due` after several attempts. Only `ok` says that
        the script wrote something. After `stale` the shard has been verified anew.
        """
        account_id = operation.account_id
        shard = shard_of(account_id, self._shards.count)
        epoch = self._shards.epoch(shard)
        name, arguments = _script_of(
            operation, _Common.of(operation, epoch, self._replay_window_ms)
        )
        keys = call_keys(name, shard, account_id, operation.request_id)
        for _ in range(ATTEMPTS):
            reply = await self._runner.run(name, shard, keys, arguments)
            await self._verify_if_stale(reply, shard, epoch)
            if reply[0] != b"due":
                break
            processed = await process_due_grants(self._runner, shard, account_id, epoch)
            await self._verify_if_stale(processed, shard, epoch)
        return reply

    async def _verify_if_stale(
        self,
        reply: list[Reply],
        shard: int,
        epoch: int,
    ) -> None:
        if reply[0] == b"stale":
            await self._shards.verify(shard, epoch)


class _Common(NamedTuple):
    """Names the first arguments of every operation's script."""

    epoch: int
    operation_number: int
    method: str
    operation: str
    replay_ttl_ms: int

    @classmethod
    def of(
        cls,
        operation: Operation,
        epoch: int,
        replay_ttl_ms: int,
    ) -> "_Common":
        return cls(
            epoch,
            operation.seq,
            operation.method,
            operation.to_json(),
            replay_ttl_ms,
        )


def _script_of(operation: Operation, common: _Common) -> tuple[str, Arguments]:
    """Returns the script that puts the operation into effect, and its arguments."""
    match operation.change:
        case Create() as change:
            return "create_account", _create_account(common, change)
        case Update() as change:
            return "update_account", _update_account(common, change)
        case GrantCredits() as change:
            return "grant_credits", _grant_credits(common, change, operation.account_id)
        case VoidGrant() as change:
            return "void_grant", VoidGrantArguments(
                *common,
                grant_number=change.number,
                amount_nanos=or_absent(change.amount_nanos),
                due_member=operation.account_id,
            )
        case SetBudget() as change:
            return "set_budget", _set_budget(common, change)
        case DeleteBudget() as change:
            return "delete_budget", DeleteBudgetArguments(
                *common,
                budget_id=change.budget_id,
                labels=encode_labels(change.labels),
            )
        case AdvanceClock() as change:
            return "advance_clock", AdvanceClockArguments(*common, time_ms=change.time_ms)


def _create_account(common: _Common, change: Create) -> CreateAccountArguments:
    return CreateAccountArguments(
        *common,
        currency=change.currency,
        overage_protection_nanos=change.overage_protection_nanos,
        daily_limit_nanos=or_absent(change.daily_limit_nanos),
        test_clock_ms=or_absent(change.test_clock_ms),
        flags=_flags_of(change) or ABSENT,
        thresholds=encode_thresholds(change.levels),
        graces=encode_graces(change.graces, began={}),
    )


def _update_account(common: _Common, change: Update) -> UpdateAccountArguments:
    return UpdateAccountArguments(
        *common,
        status=change.status,
        overage_protection_nanos=change.overage_protection_nanos,
        daily_limit_nanos=or_absent(change.daily_limit_nanos),
        flags=_flags_of(change),
        thresholds=encode_thresholds(change.levels),
        graces=encode_graces(change.graces, began={}),
    )


def _grant_credits(
    common: _Common,
    change: GrantCredits,
    account_id: str,
) -> GrantCreditsArguments:
    terms = GrantTerms(
        pays_debt=int(change.pays_debt),
        type=change.type,
        priority=change.priority,
        expires_ms=change.expires_at_ms,
        effective_ms=change.effective_at_ms,
        scope=encode_scope(change.scope),
    )
    thresholds = UNCHANGED
    if change.levels is not None:
        thresholds = encode_thresholds(change.levels)
    return GrantCreditsArguments(
        *common,
        amount_nanos=change.amount_nanos,
        grant_terms=terms.encode(),
        thresholds=thresholds,
        due_member=account_id,
        used_day=or_absent(change.refund_day),
        charged_day=or_absent(change.refund_charged_day),
        counted_in=change.refund_budgets,
    )


def _set_budget(common: _Common, change: SetBudget) -> SetBudgetArguments:
    return SetBudgetArguments(
        *common,
        budget_id=change.budget_id,
        hard=int(change.hard),
        window=change.window,
        limit_nanos=change.limit_nanos,
        thresholds=encode_budget_thresholds(change.levels),
        labels=encode_labels(change.labels),
        anew=int(change.anew),
        replaced_labels=encode_labels(change.replaces),
    )


def _flags_of(change: Create | Update) -> str:
    return encode_flags(
        spend_management=change.spend_management,
        thresholds=change.levels,
        graces=change.graces,
    )
