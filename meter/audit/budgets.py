"""The rule of budgets: each call matched the budgets that are on the call, and found each budget as
the calls before left it.
"""

from collections.abc import Iterable, Iterator, Sequence

from meter.audit.entry import LedgerEntry
from meter.journal.account_sums import ABSENT
from meter.journal.allocation import MatchedBudget
from meter.journal.effect import Effect
from meter.journal.kinds import Kind
from meter.journal.operations import Change, DeleteBudget, SetBudget
from meter.ledger.projections.budgets import (
    AppliedBudget,
    BudgetMove,
    changed_budget,
    moves_of,
)
from meter.ledger.reconciliation.taken_over import TakenOver
from meter.windows import window_of

WindowKey = tuple[int, int]  # budget's number, window's first day


class BudgetRule:
    """Follows an account's budgets."""

    def __init__(self) -> None:
        self.known: dict[str, AppliedBudget] = {}
        self.windows: dict[WindowKey, tuple[int, int]] = {}  # used and held
        # the windows in which a hold placed by the last entry counts, as `open_holds` stores them
        self.counted = ABSENT

    def check(
        self,
        entry: LedgerEntry,
        changes: Iterable[tuple[int, Change]],
        hold_windows: str,
    ) -> Iterator[str]:
        """Follows by one entry, which put `changes` into effect.

        The entry's hold, if the entry names a hold, counts in `hold_windows`.
        """
        self.apply_changes(changes)
        self.counted = ABSENT
        if entry.effect.kind.matches_budgets:
            yield from self._check_matched(entry, hold_windows)
            yield from self._check_freed(entry, hold_windows)
            yield from self._check_sums(entry)
            self._count(entry.effect)

    def take_over(self, taken_over: TakenOver) -> None:
        """Sets the windows to what a reconciliation found."""
        for number, start_day, used, held in taken_over.windows:
            self.windows[number, start_day] = (used, held)

    def levels(self, budget_id: str) -> tuple[tuple[str, int], ...]:
        """Returns the budget's thresholds: id and nanos used."""
        budget = self.known.get(budget_id)
        if budget is None:
            return ()
        return budget.levels

    def number(self, budget_id: str) -> int:
        """Returns the number of the operation that made the budget; 0: there is no such budget."""
        budget = self.known.get(budget_id)
        if budget is None:
            return 0
        return budget.number

    def in_redis(
        self,
        budget_id: str,
        start_day: int,
    ) -> tuple[int, int, int] | None:
        """Returns what Redis should have: the window's first day, remaining and held nanos.

        None: there is no such budget.
        """
        budget = self.known.get(budget_id)
        if budget is None:
            return None
        remaining, held = self._remaining(budget, start_day)
        return start_day, remaining, held

    def apply_changes(self, changes: Iterable[tuple[int, Change]]) -> None:
        """Puts the changes into effect, as far as they are of budgets."""
        for number, change in changes:
            if isinstance(change, SetBudget | DeleteBudget):
                self._apply_change(number, change)

    def _apply_change(self, number: int, change: SetBudget | DeleteBudget) -> None:
        known = self.known.pop(change.budget_id, None)
        if isinstance(change, SetBudget):
            self.known[change.budget_id] = changed_budget(
                known,
                number,
                change,
            )
        if known and self.number(change.budget_id) != known.number:
            self._clear_held(known.number)

    def _clear_held(self, number: int) -> None:
        """Clears the held nanos of the budget with the given number."""
        for key, sums in self.windows.items():
            window_number, _ = key
            if window_number == number:
                used, _ = sums
                self.windows[key] = (used, 0)

    def _count(self, effect: Effect) -> None:
        """Adds the effect to the windows in which the effect counts."""
        counted = []
        for move in moves_of(effect):
            matched = move.budget
            number = self.number(matched.budget_id)
            if number:
                self._add(move, number)
                counted.append(f"{matched.budget_id},{matched.start_day},{number}")
        self.counted = ";".join(counted) or ABSENT

    def _add(self, move: BudgetMove, number: int) -> None:
        """Adds the move to a window of the budget with the given number."""
        key = (number, move.budget.start_day)
        used, held = self.windows.get(key, (0, 0))
        self.windows[key] = (used + move.used, held + move.held)

    def _check_matched(self, entry: LedgerEntry, hold_windows: str) -> Iterator[str]:
        matched = _ids(entry.effect.budgets)
        due = self._due(entry, hold_windows)
        if sorted(matched) != due:
            yield f"{entry.id}: matched the budgets {matched}, those on it are {due}"

    def _due(self, entry: LedgerEntry, hold_windows: str) -> list[str]:
        """Returns the budgets in which the entry should count."""
        if _goes_by_hold(entry.effect):
            return self._of_hold(hold_windows)
        return self._on_call(entry.labels)

    def _check_freed(self, entry: LedgerEntry, hold_windows: str) -> Iterator[str]:
        effect = entry.effect
        if not effect.flags.late:
            return
        freed = _ids(effect.freed)
        if freed != self._due_freed(effect, hold_windows):
            yield f"{entry.id}: freed the budgets {freed}, its hold counted in {hold_windows}"

    def _due_freed(self, effect: Effect, hold_windows: str) -> list[str]:
        """Returns the budgets that a late debit should free."""
        if not effect.hold_amount:
            return []
        return self._of_hold(hold_windows)

    def _on_call(self, labels: frozenset[str]) -> list[str]:
        """Returns the budgets on a call with the given labels."""
        budgets = self.known.values()
        matched = [budget.budget_id for budget in budgets if labels.issuperset(budget.labels)]
        return sorted(matched)

    def _of_hold(self, hold_windows: str) -> list[str]:
        """Returns the budgets in which a hold counts, without ended budgets."""
        budget_ids = []
        for budget_id, number in _counted_budgets(hold_windows):
            if self.number(budget_id) == number:
                budget_ids.append(budget_id)
        return sorted(budget_ids)

    def _check_sums(self, entry: LedgerEntry) -> Iterator[str]:
        effect = entry.effect
        for matched in (*effect.budgets, *effect.freed):
            yield from self._check_found(entry, matched)

    def _check_found(self, entry: LedgerEntry, matched: MatchedBudget) -> Iterator[str]:
        budget = self.known.get(matched.budget_id)
        if budget is None:
            yield f"{entry.id}: budget {matched.budget_id} is not known"
            return
        start_day, end_day = window_of(budget.window, entry.effect.day)
        remaining, held = self._remaining(budget, start_day)
        left = (
            end_day,
            remaining,
            held,
            budget.limit,
            budget.hard,
        )
        yield from _check_left(entry, matched, left)
        yield from _check_window(entry, matched, start_day)

    def _remaining(self, budget: AppliedBudget, start_day: int) -> tuple[int, int]:
        """Returns the remaining and the held nanos of a budget's window."""
        key = (budget.number, start_day)
        used, held = self.windows.get(key, (0, 0))
        remaining = budget.limit - used - held
        return remaining, held


def _check_left(
    entry: LedgerEntry,
    matched: MatchedBudget,
    left: tuple[int | None, int, int, int, bool],
) -> Iterator[str]:
    """Yields a finding unless the entry found the budget's window as it was `left`."""
    found = (
        matched.end_day,
        matched.remaining,
        matched.held,
        matched.limit,
        matched.hard,
    )
    if found != left:
        yield (
            f"{entry.id}: found budget {matched.budget_id} at"
            f" (end, remaining, held, limit, hard) {found}, left at {left}"
        )


def _check_window(
    entry: LedgerEntry,
    matched: MatchedBudget,
    start_day: int,
) -> Iterator[str]:
    if matched.current != (matched.start_day == start_day):
        yield (
            f"{entry.id}: budget {matched.budget_id} counted from day {matched.start_day},"
            f" its window began on {start_day}"
        )


def _counted_budgets(windows: str) -> Iterator[tuple[str, int]]:
    """Yields the ids and numbers of the budgets in stored `windows`."""
    if windows == ABSENT:
        return
    for window in windows.split(";"):
        budget_id, _, number = window.split(",")
        yield budget_id, int(number)


def _ids(budgets: Sequence[MatchedBudget]) -> list[str]:
    return [budget.budget_id for budget in budgets]


def _goes_by_hold(effect: Effect) -> bool:
    """Says whether the effect counts where its hold counts, whatever the call's labels are."""
    if effect.kind is Kind.DEBIT:
        return bool(effect.hold_id) and not effect.flags.late
    return effect.kind is not Kind.AUTHORIZE
