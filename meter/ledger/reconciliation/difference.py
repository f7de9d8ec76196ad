"""Compares an account as an older ledger has it with the account as the store has it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from meter.database.errors import LedgerError
from meter.journal.account_sums import AccountSums
from meter.ledger.projections.budgets import BudgetState
from meter.ledger.projections.snapshot import AccountSnapshot, OpenHold


class Irreconcilable(LedgerError):
    """The store has an account in a way to which no history leads from what the ledger has."""

    def __init__(self, account_id: str, why: str) -> None:
        super().__init__(
            f"account {account_id}: {why}; nothing of this account was written. Put the newer"
            " ledger back, or empty the store to go on from this one"
        )


@dataclass(frozen=True, slots=True)
class FoundAccount:
    """Holds an account as the store has it."""

    snapshot: AccountSnapshot
    # by hold, the windows of budgets in which the hold counts, as `open_holds` stores them
    held_in: Mapping[str, str]

    @property
    def account_id(self) -> str:
        return self.snapshot.account_id

    @property
    def holds(self) -> tuple[OpenHold, ...]:
        """Returns the open holds, with the windows as `open_holds` stores them."""
        return tuple(
            replace(hold, budgets=self.held_in[hold.hold_id]) for hold in self.snapshot.holds
        )


class Difference(NamedTuple):
    """Says what the ledger lacks of an account; amounts in nanos."""

    account_id: str
    remaining_before: int
    remaining_after: int
    granted: int
    used: int
    expired: int
    held: int
    holds: int  # open in the store
    operations: int
    goes_back: bool  # the store is the older of the two: the account stays as the ledger has it


def nothing_of(found: AccountSnapshot) -> AccountSnapshot:
    """Returns the account as a ledger has it that never heard of the account."""
    return replace(
        found,
        applied_op=0,
        state=AccountSums(),
        holds=(),
        grants=(),
        overage_left=0,
        overage_held=0,
        budgets=(),
        levels=(),
        graces=(),
        graces_begun={},
    )


def is_same(known: AccountSnapshot, found: AccountSnapshot) -> bool:
    """Says whether the ledger lacks nothing."""
    windows = {budget.number: budget for budget in known.budgets}
    budgets = tuple(_in_known_window(windows.get(each.number), each) for each in found.budgets)
    return ordered(known) == ordered(replace(found, budgets=budgets))


def goes_back(known: AccountSnapshot, found: AccountSnapshot) -> bool:
    """Says whether the account in the store is older than the ledger's."""
    was = known.state
    now = found.state
    return (
        found.applied_op < known.applied_op
        or now.total < was.total
        or now.used < was.used
        or now.expired < was.expired
    )


def difference(known: AccountSnapshot, found: AccountSnapshot) -> Difference:
    """Returns what the ledger lacks, summed up."""
    was = known.state
    now = found.state
    return Difference(
        account_id=found.account_id,
        remaining_before=was.remaining,
        remaining_after=now.remaining,
        granted=now.total - was.total,
        used=now.used - was.used,
        expired=now.expired - was.expired,
        held=now.held - was.held,
        holds=len(found.holds),
        operations=found.applied_op - known.applied_op,
        goes_back=goes_back(known, found),
    )


def debt_in(account: AccountSnapshot) -> int:
    """Returns the overage in use."""
    return account.state.overage - account.overage_left - account.overage_held


def ordered(account: AccountSnapshot) -> AccountSnapshot:
    """Returns the account with all its lists in one order, whoever kept them."""
    return replace(
        account,
        holds=_sorted(account.holds),
        grants=_sorted(account.grants),
        budgets=_sorted(map(_counted, account.budgets)),
        levels=_sorted(account.levels),
        graces=_sorted(account.graces),
        graces_begun=dict(account.graces_begun),
    )


def _in_known_window(known: BudgetState | None, found: BudgetState) -> BudgetState:
    """Returns the budget in the window that the ledger knows, if a later one counts nothing yet."""
    if known is None or known.start_hour >= found.start_hour:
        return found
    if any(map(any, found.counters.values())):
        return found
    return replace(found, start_hour=known.start_hour, counters=known.counters)


def _counted(budget: BudgetState) -> BudgetState:
    """Returns the budget with the counters alone that count something; without any, in no window.

    Nothing in the ledger tells of others.
    """
    counters = {value: sums for value, sums in budget.counters.items() if any(sums)}
    start_hour = budget.start_hour
    if not counters:
        start_hour = 0
    return replace(budget, start_hour=start_hour, counters=counters)


def _sorted(items: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(sorted(items, key=repr))
