"""Turns an account of the ledger into the arguments of gate/lua/upkeep/load_account.lua."""

from collections.abc import Iterator, Mapping

from gate.store.account_codec import (
    OVERAGE,
    GrantTerms,
    Settings,
    StoredGrant,
    encode_flags,
    encode_graces,
    encode_scope,
    encode_thresholds,
)
from gate.store.budget_codec import (
    encode_budget_thresholds,
    encode_counters,
    encode_held_budgets,
    encode_labels,
)
from gate.store.contracts import LoadAccountArguments, LoadedBudget, LoadedGrant, LoadedHold
from gate.store.keys import hold_member
from meter.journal.counter_names import NO_VALUE
from meter.ledger.projections.budgets import UNUSED, BudgetState
from meter.ledger.projections.snapshot import AccountSnapshot, GrantLeft, OpenHold

Argument = str | bytes | int


def snapshot_arguments(snapshot: AccountSnapshot, epoch: int) -> list[Argument]:
    """Returns the arguments of load_account.

    Overage stands as the current grant; the script finds the right grant.
    """
    numbers = {budget.budget_id: budget.number for budget in snapshot.budgets}
    arguments: list[Argument] = [*_account(snapshot, epoch)]
    for grant in snapshot.grants:
        arguments += _grant(grant)
    arguments.append(len(snapshot.budgets))
    for budget in snapshot.budgets:
        arguments += _budget(budget)
    for hold in snapshot.holds:
        arguments += _hold(hold, snapshot.account_id, numbers)
    return arguments


def _account(snapshot: AccountSnapshot, epoch: int) -> LoadAccountArguments:
    sums = snapshot.state
    return LoadAccountArguments(
        epoch=epoch,
        settings=_settings(snapshot, epoch).encode(),
        left_of_current=snapshot.overage_left,
        held_of_current=snapshot.overage_held,
        left_of_others=sums.spendable - snapshot.overage_left,
        held_of_others=sums.held - snapshot.overage_held,
        used=sums.used,
        day_remaining=sums.day_remaining,
        thresholds=encode_thresholds(snapshot.levels),
        graces=encode_graces(snapshot.graces, snapshot.graces_begun),
        due_member=snapshot.account_id,
        grant_count=len(snapshot.grants),
    )


def _settings(snapshot: AccountSnapshot, epoch: int) -> Settings:
    sums = snapshot.state
    flags = encode_flags(
        spend_management=snapshot.spend_management,
        thresholds=snapshot.levels,
        graces=snapshot.graces,
    )
    return Settings(
        epoch=epoch,
        status=snapshot.status,
        test_clock_ms=snapshot.test_clock_ms,
        day=snapshot.day,
        due_ms=None,
        flags=flags or None,
        current_grant=OVERAGE,
        operation_number=snapshot.applied_op,
        currency=snapshot.currency,
        total=sums.total,
        daily_limit=sums.daily_limit,
        overage=sums.overage,
        expired=sums.expired,
        day_base=sums.day_base,
        month_base=sums.month_base,
        yesterday_base=sums.yesterday_base,
    )


def _grant(grant: GrantLeft) -> LoadedGrant:
    terms = GrantTerms(
        pays_debt=int(grant.pays_debt),
        type=grant.type,
        priority=grant.priority,
        expires_ms=grant.expires_ms,
        effective_ms=grant.effective_ms,
        scope=encode_scope(grant.scope),
    )
    stored = StoredGrant(grant.state, terms.encode())
    return LoadedGrant(
        number=grant.number,
        left_nanos=grant.left,
        held_nanos=grant.held,
        meta=stored.encode(),
    )


def _budget(budget: BudgetState) -> LoadedBudget:
    own = budget.counters.get(NO_VALUE, UNUSED)
    return LoadedBudget(
        budget_id=budget.budget_id,
        hard=int(budget.hard),
        window=budget.window,
        limit_nanos=budget.limit,
        start_hour=budget.start_hour,
        number=budget.number,
        thresholds=encode_budget_thresholds(budget.levels),
        labels=encode_labels(budget.labels),
        remaining_nanos=budget.limit - own.used - own.held,
        held_nanos=own.held,
        counters=encode_counters(_counters(budget)),
    )


def _counters(budget: BudgetState) -> Iterator[tuple[str, int, int]]:
    """Yields the counters that a budget for each value has: value, used + held, held."""
    for value, sums in budget.counters.items():
        if value != NO_VALUE:
            yield value, sums.used + sums.held, sums.held


def _hold(
    hold: OpenHold,
    account_id: str,
    numbers: Mapping[str, int],
) -> LoadedHold:
    return LoadedHold(
        hold_id=hold.hold_id,
        amount_nanos=hold.amount_nanos,
        day=hold.day,
        expires_ms=hold.expires_ms,
        pins=hold.pins,
        budgets=encode_held_budgets(hold.budgets, numbers),
        hold_member=hold_member(account_id, hold.hold_id),
    )
