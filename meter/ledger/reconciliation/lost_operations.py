"""Makes up for operations that an older ledger lost: what they did is known, their words are not.

Each lost operation had a number. The store still tells which numbers made the grants and budgets
that it has; the other numbers are given to what else must have changed.
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from meter.admin.accounts import AccountRow
from meter.journal.allocation import Part
from meter.journal.operations import (
    AdvanceClock,
    Change,
    DeleteBudget,
    GrantCredits,
    Operation,
    SetBudget,
    Threshold,
    Update,
    VoidGrant,
)
from meter.ledger.projections.budgets import AppliedBudget, BudgetState, changed_budget
from meter.ledger.projections.snapshot import AccountSnapshot, GrantLeft
from meter.ledger.reconciliation.difference import Irreconcilable

_WHY = "the ledger had lost it, and Redis had it"
_SCHEDULED = "p"


@dataclass(slots=True)
class LostOperations:
    """Holds what is made up for one account."""

    changes: dict[int, Change] = field(default_factory=dict)  # by number
    started: list[Part] = field(default_factory=list)  # grants that waited to begin, and began

    def operations(self, account_id: str) -> list[Operation]:
        """Returns the operations in order; no client can have chosen the same request ids."""
        return [
            Operation(account_id, number, f"reconciled {number}", self.changes[number])
            for number in sorted(self.changes)
        ]


def lost_operations(
    account: AccountRow,
    known: AccountSnapshot,
    pending: Sequence[Operation],
    found: AccountSnapshot,
    at_ms: int,
) -> LostOperations:
    """Returns the operations that the ledger lost.

    `pending` are those that the ledger has recorded and that the store has applied since. Raises
    Irreconcilable if the numbers do not suffice for what has changed.
    """
    lost = LostOperations()
    numbers = range(account.recorded_op + 1, found.applied_op + 1)
    wanted = [
        *_lost_grants(lost, numbers, known, pending, found, at_ms),
        *_lost_budgets(lost, numbers, known, pending, found),
    ]
    if found.test_clock_ms is not None and found.test_clock_ms != account.test_clock_ms:
        wanted.append(AdvanceClock(found.test_clock_ms))
    free = [number for number in numbers if number not in lost.changes]
    if len(wanted) > len(free):
        why = f"{len(wanted)} changes were lost, but only {len(free)} of their numbers are free"
        raise Irreconcilable(found.account_id, why)
    # What is left over changed settings, or is not to be seen any more.
    wanted += [_settings(account, known, found)] * (len(free) - len(wanted))
    lost.changes.update(zip(free, wanted, strict=True))
    return lost


def waits_to_begin(change: GrantCredits, found: GrantLeft | None, at_ms: int) -> bool:
    """Says whether a recorded grant, as the store has it or not, has not begun."""
    if found is not None:
        return found.state == _SCHEDULED
    return change.effective_at_ms is not None and change.effective_at_ms > at_ms


def _lost_grants(
    lost: LostOperations,
    numbers: Sequence[int],
    known: AccountSnapshot,
    pending: Iterable[Operation],
    found: AccountSnapshot,
    at_ms: int,
) -> Iterator[Change]:
    """Notes the lost grants that the store still has; yields the other changes of grants."""
    in_store = {grant.number: grant for grant in found.grants}
    granted = found.state.total - known.state.total
    granted -= _granted_by(pending, in_store, at_ms)
    for number in numbers:
        if number in in_store:
            grant = in_store[number]
            lost.changes[number] = _grant(grant)
            granted -= _begun_amount(grant)
    for grant in known.grants:
        if grant.state != _SCHEDULED or _still_waits(in_store.get(grant.number)):
            continue
        if grant.number in in_store or 0 < grant.left <= granted:
            lost.started.append(Part(grant.number, grant.left, bool(grant.scope)))
            granted -= grant.left
        else:
            yield VoidGrant(grant.number, "", None, "VOID", _WHY)
    yield from _consumed(lost, granted, found)


def _granted_by(
    pending: Iterable[Operation],
    in_store: dict[int, GrantLeft],
    at_ms: int,
) -> int:
    granted = 0
    for operation in pending:
        change = operation.change
        if not isinstance(change, GrantCredits):
            continue
        if not waits_to_begin(change, in_store.get(operation.seq), at_ms):
            granted += change.amount_nanos
    return granted


def _consumed(
    lost: LostOperations,
    granted: int,
    found: AccountSnapshot,
) -> Iterator[Change]:
    """Gives what was granted and is not there any more to a lost grant; yields one if none is."""
    if granted < 0:
        why = f"the ledger has grants of {-granted} nanos more than the store ever had"
        raise Irreconcilable(found.account_id, why)
    if not granted:
        return
    waiting = {grant.number for grant in found.grants if grant.state == _SCHEDULED}
    for number, change in lost.changes.items():
        if isinstance(change, GrantCredits) and number not in waiting:
            lost.changes[number] = replace(change, amount_nanos=change.amount_nanos + granted)
            return
    yield GrantCredits(
        grant_id=_new_grant_id(),
        type="ADJUSTMENT",
        amount_nanos=granted,
        priority=0,
        effective_at_ms=None,
        expires_at_ms=None,
        description=_WHY,
    )


def _still_waits(grant: GrantLeft | None) -> bool:
    return grant is not None and grant.state == _SCHEDULED


def _begun_amount(grant: GrantLeft) -> int:
    if grant.state == _SCHEDULED:
        return 0
    return grant.left + grant.held


def _grant(grant: GrantLeft) -> GrantCredits:
    """Returns a lost grant by its terms, of what the store still has of it."""
    return GrantCredits(
        grant_id=_new_grant_id(),
        type=grant.type,
        amount_nanos=grant.left + grant.held,
        priority=grant.priority,
        effective_at_ms=grant.effective_ms,
        expires_at_ms=grant.expires_ms,
        description=_WHY,
        scope=grant.scope,
        pays_debt=grant.pays_debt,
    )


def _new_grant_id() -> str:
    return f"g{uuid.uuid4().hex}"


def _lost_budgets(
    lost: LostOperations,
    numbers: range,
    known: AccountSnapshot,
    pending: Iterable[Operation],
    found: AccountSnapshot,
) -> Iterator[Change]:
    """Notes the lost budgets; yields the other changes of budgets."""
    budgets = _budgets_after(known, pending)
    for budget in found.budgets:
        if budget.number in numbers:
            lost.changes[budget.number] = _set_budget(budget, anew=True)
        elif _definition(budget) != budgets.get(budget.budget_id):
            yield _set_budget(budget, anew=False)
    left = {budget.budget_id for budget in found.budgets}
    for budget_id, gone in budgets.items():
        if budget_id not in left:
            yield DeleteBudget(budget_id, gone.labels)


def _budgets_after(
    known: AccountSnapshot,
    pending: Iterable[Operation],
) -> dict[str, AppliedBudget]:
    """Returns the budgets that the ledger has once the pending operations are applied."""
    budgets = {budget.budget_id: _definition(budget) for budget in known.budgets}
    for operation in pending:
        change = operation.change
        if isinstance(change, SetBudget):
            before = budgets.get(change.budget_id)
            budgets[change.budget_id] = changed_budget(before, operation.seq, change)
        elif isinstance(change, DeleteBudget):
            budgets.pop(change.budget_id, None)
    return budgets


def _definition(budget: BudgetState) -> AppliedBudget:
    names = AppliedBudget.__dataclass_fields__
    return AppliedBudget(**{name: getattr(budget, name) for name in names})


def _set_budget(budget: AppliedBudget, *, anew: bool) -> SetBudget:
    return SetBudget(
        budget_id=budget.budget_id,
        labels=budget.labels,
        window=budget.window,
        hard=budget.hard,
        limit_nanos=budget.limit,
        levels=budget.levels,
        anew=anew,
    )


def _settings(
    account: AccountRow,
    known: AccountSnapshot,
    found: AccountSnapshot,
) -> Update:
    """Returns the settings as the store has them; what only the ledger knew stays as it was."""
    thresholds = account.thresholds
    if set(known.levels) != set(found.levels):
        thresholds = tuple(
            Threshold(level.threshold_id, level.subject, level.nanos) for level in found.levels
        )
    return Update(
        status=found.status,
        overage_protection_nanos=found.state.overage,
        daily_limit_nanos=found.state.daily_limit,
        spend_management=found.spend_management,
        levels=found.levels,
        graces=found.graces,
        overage_policy=account.overage_policy,
        thresholds=thresholds,
    )
