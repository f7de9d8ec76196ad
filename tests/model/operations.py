"""What an administrator's operations do to an account."""

from meter.journal.operations import (
    AdvanceClock,
    Change,
    Create,
    DeleteBudget,
    GrantCredits,
    SetBudget,
    Update,
    VoidGrant,
)
from model.account import Account
from model.consequences import arrive, exhaust, filled, process_due_grants, void
from model.days import month_of
from model.facts import Budget, Grant, Uncounted, Window


def created(change: Create) -> Account:
    assert change.test_clock_ms is not None
    account = Account(
        change.currency,
        change.test_clock_ms,
        change.overage_protection_nanos,
        change.daily_limit_nanos,
        change.spend_management,
        change.levels,
        {grace.traffic_class: grace for grace in change.graces},
    )
    account.add("C", 0)
    return account


def apply(account: Account, number: int, change: Change) -> None:
    """Does the account's operation of this number."""
    process_due_grants(account)
    match change:
        case AdvanceClock():
            account.clock_ms = change.time_ms
            account.add("K", 0)
        case Update():
            _update(account, change)
        case GrantCredits():
            _grant(account, number, change)
        case VoidGrant():
            _void(account, change)
        case SetBudget():
            _set_budget(account, number, change)
        case DeleteBudget():
            account.budgets.pop(change.budget_id, None)
            account.add("U", 0)


def _update(account: Account, change: Update) -> None:
    account.excused += max(0, account.overage - change.overage_protection_nanos)
    account.suspended = change.status == "suspended"
    account.overage = change.overage_protection_nanos
    account.limit = change.daily_limit_nanos
    account.spend_management = change.spend_management
    account.levels = change.levels
    account.graces = {grace.traffic_class: grace for grace in change.graces}
    account.graces_begun = {
        name: began for name, began in account.graces_begun.items() if name in account.graces
    }
    account.add("U", 0)


def _grant(account: Account, number: int, change: GrantCredits) -> None:
    effective_ms = change.effective_at_ms or 0
    grant = Grant(
        number, change.type, change.amount_nanos, change.priority, effective_ms, change.expires_at_ms, change.scope,
        change.pays_debt, begun=effective_ms <= account.clock_ms,
    )  # fmt: skip
    account.grants[number] = grant
    account.levels = account.levels if change.levels is None else change.levels
    if not grant.begun:
        account.add("G", 0)
        return
    account.add("G", grant.amount, [(number, grant.amount)])
    _uncount(account, change)
    funded = filled(account)
    arrive(account, grant)
    exhaust(account, funded)


def _uncount(account: Account, change: GrantCredits) -> None:
    """What a refunded repeat counted as used counts no longer."""
    if change.refund_day is None or change.refund_charged_day is None:
        return
    account.uncounted.append(
        Uncounted(
            change.amount_nanos,
            change.refund_day,
            month_of(change.refund_charged_day),
            refunded_windows(change),
        )
    )


def refunded_windows(change: GrantCredits) -> tuple[Window, ...]:
    """Where the repeat counted."""
    counted = [text.split(",") for text in change.refund_budgets.split(";") if text != "-"]
    return tuple(
        Window(int(number), int(start), name[name.find(":") :] if ":" in name else "")
        for name, start, number in counted
    )


def uncounted_flags(account: Account, change: GrantCredits) -> str:
    """What its line says of where the repeat still counted."""
    if change.refund_day is None or change.refund_charged_day is None:
        return ""
    when = {account.day: "t", account.day - 1: "y"}.get(change.refund_day, "")
    is_of_month = month_of(change.refund_charged_day) == month_of(account.day)
    return when + is_of_month * "m"


def _void(account: Account, change: VoidGrant) -> None:
    """A grant that has not begun counts nowhere: nothing can be taken from it, but it can be kept
    from ever beginning.
    """
    grant = account.grants[change.number]
    left = 0 if grant.is_over(account.clock_ms) else account.left().get(grant.number, 0)
    amount = left if change.amount_nanos is None else min(change.amount_nanos, left)
    void(account, grant.number, amount)
    grant.voided = grant.voided or change.amount_nanos is None or not grant.begun


def _set_budget(account: Account, number: int, change: SetBudget) -> None:
    known = account.budgets.get(change.budget_id)
    account.budgets[change.budget_id] = Budget(
        change.budget_id,
        number if change.anew or known is None else known.number,
        change.labels,
        change.window,
        change.hard,
        change.limit_nanos,
        change.levels,
    )
    account.add("U", 0)
