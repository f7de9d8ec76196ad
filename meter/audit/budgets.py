"""The rule of budgets: each call matched the budgets that are on the call, and found each budget as
the calls before left it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from meter.audit.entry import LedgerEntry
from meter.journal.account_sums import ABSENT
from meter.journal.allocation import MatchedBudget
from meter.journal.counter_names import (
    MOST_VALUES,
    NO_VALUE,
    OTHER_VALUES,
    met_value,
    split_name,
)
from meter.journal.effect import Effect
from meter.journal.kinds import Kind
from meter.journal.operations import Change, DeleteBudget, GrantCredits, SetBudget
from meter.ledger.projections.budgets import (
    AppliedBudget,
    BudgetMove,
    changed_budget,
    moves_of,
)
from meter.ledger.reconciliation.taken_over import TakenOver
from meter.windows import hour_of, window_of

WindowKey = tuple[int, int, str]  # budget's number, window's first hour, counter's value

Counter = tuple[int, int, int]  # first hour of the window, remaining and held nanos


class BudgetRule:
    """Follows an account's budgets."""

    def __init__(self) -> None:
        self.known: dict[str, AppliedBudget] = {}
        self.windows: dict[WindowKey, tuple[int, int]] = {}  # used and held
        self._values: dict[tuple[int, int], int] = {}  # how many a window has, by number and hour
        # the first hour of the newest window, by number: a clock that goes back begins no older one
        self._newest: dict[int, int] = {}
        # the windows in which the last entry counts, as `open_holds` stores a hold's
        self.counted = ABSENT

    def check(
        self,
        entry: LedgerEntry,
        changes: Iterable[tuple[int, Change]],
        hold_windows: str,
    ) -> Iterator[str]:
        """Follows by one entry, which put `changes` into effect.

        The entry's hold, if the entry names a hold, counts in `hold_windows`. The refund of a
        duplicate is taken back from where the duplicate counted.
        """
        hour = hour_of(entry.effect.day, entry.effect.at_ms)
        self.apply_changes(changes, hour)
        self.counted = ABSENT
        if entry.effect.kind is Kind.GRANT:
            hold_windows = _refunded(changes)
        if entry.effect.kind.matches_budgets or hold_windows != ABSENT:
            yield from self._check_matched(entry, hold_windows)
            yield from self._check_freed(entry, hold_windows)
            yield from self._check_sums(entry)
            self._count(entry.effect, hour)

    def take_over(self, taken_over: TakenOver) -> None:
        """Sets the windows to what a reconciliation found."""
        for number, start_hour, value, used, held in taken_over.windows:
            self._set((number, start_hour, value), (used, held))
            self._newest[number] = max(start_hour, self._newest.get(number, 0))

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

    def in_redis(self, found: Mapping[str, Counter]) -> dict[str, Counter]:
        """Returns the counters that Redis should have, by name, in the windows `found` there.

        Those of a budget that Redis does not have are not among them, but its id is.
        """
        due = {}
        for budget_id, budget in self.known.items():
            start_hour, _, _ = found.get(budget_id, (0, 0, 0))
            remaining, held = self._remaining(budget, start_hour, NO_VALUE)
            due[budget_id] = (start_hour, remaining, held)
        by_number = {budget.number: budget for budget in self.known.values()}
        for (number, start_hour, value), (used, held) in self.windows.items():
            of_number = by_number.get(number)
            if of_number is None or not value or due[of_number.budget_id][0] != start_hour:
                continue
            due[of_number.budget_id + value] = (start_hour, of_number.limit - used - held, held)
        return due

    def apply_changes(self, changes: Iterable[tuple[int, Change]], hour: int) -> None:
        """Puts the changes into effect, as far as they are of budgets."""
        for number, change in changes:
            if isinstance(change, SetBudget | DeleteBudget):
                self._apply_change(number, change)
                self._begin_windows(change, hour)

    def _begin_windows(self, change: SetBudget | DeleteBudget, hour: int) -> None:
        """Notes that budgets which are stored with a changed one are in the present window."""
        changed = [change.labels]
        if isinstance(change, SetBudget):
            changed.append(change.replaces)
        for budget in self.known.values():
            if budget.labels in changed:
                self._newest[budget.number], _ = self._window(budget, hour)

    def _window(self, budget: AppliedBudget, hour: int) -> tuple[int, int | None]:
        """Returns the window that a budget is in at an hour: never one before the newest."""
        start_hour, end_hour = window_of(budget.window, hour)
        newest = self._newest.get(budget.number, 0)
        if newest > start_hour:
            return window_of(budget.window, newest)
        return start_hour, end_hour

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
            window_number, _, _ = key
            if window_number == number:
                used, _ = sums
                self.windows[key] = (used, 0)

    def _count(self, effect: Effect, hour: int) -> None:
        """Adds the effect to the counters in which the effect counts."""
        for move in moves_of(effect):
            budget = self.known.get(move.budget.budget_id)
            if budget is not None:
                self._add(move, budget.number)
                self._newest[budget.number], _ = self._window(budget, hour)
        self.counted = self._counted_in(effect)

    def _counted_in(self, effect: Effect) -> str:
        """Returns where the effect counts, as `open_holds` stores it for a hold."""
        counted = []
        for matched in effect.budgets:
            number = self.number(matched.budget_id)
            if number:
                counted.append(f"{matched.name},{matched.start_hour},{number}")
        return ";".join(counted) or ABSENT

    def _add(self, move: BudgetMove, number: int) -> None:
        """Adds the move to a counter of the budget with the given number."""
        matched = move.budget
        key = (number, matched.start_hour, matched.value)
        used, held = self.windows.get(key, (0, 0))
        self._set(key, (used + move.used, held + move.held))

    def _set(self, key: WindowKey, sums: tuple[int, int]) -> None:
        number, start_hour, value = key
        if key not in self.windows and value != OTHER_VALUES:
            window = (number, start_hour)
            self._values[window] = self._values.get(window, 0) + 1
        self.windows[key] = sums

    def _check_matched(self, entry: LedgerEntry, hold_windows: str) -> Iterator[str]:
        matched = _names(entry.effect.budgets)
        due = self._due(entry, hold_windows)
        if matched != due:
            yield f"{entry.id}: matched the budgets {matched}, those on it are {due}"

    def _due(self, entry: LedgerEntry, hold_windows: str) -> list[str]:
        """Returns the names of the counters in which the entry should count."""
        effect = entry.effect
        if _goes_by_hold(effect):
            return self._of_hold(hold_windows)
        hour = hour_of(effect.day, effect.at_ms)
        return sorted(self._on_call(entry.met_dimensions, hour))

    def _check_freed(self, entry: LedgerEntry, hold_windows: str) -> Iterator[str]:
        effect = entry.effect
        if not effect.flags.late:
            return
        freed = _names(effect.freed)
        if freed != self._due_freed(effect, hold_windows):
            yield f"{entry.id}: freed the budgets {freed}, its hold counted in {hold_windows}"

    def _due_freed(self, effect: Effect, hold_windows: str) -> list[str]:
        """Returns the names of the counters that a late debit should free."""
        if not effect.hold_amount:
            return []
        return self._of_hold(hold_windows)

    def _on_call(self, dimensions: Mapping[str, str], hour: int) -> Iterator[str]:
        """Yields the names of the counters that a call with the given dimensions meets."""
        for budget in self.known.values():
            value = met_value(budget.labels, dimensions)
            if value is None:
                continue
            if value != NO_VALUE and self._shares(budget, value, hour):
                value = OTHER_VALUES
            yield budget.budget_id + value

    def _shares(self, budget: AppliedBudget, value: str, hour: int) -> bool:
        """Says whether a value comes too late for a counter of its own."""
        start_hour, _ = self._window(budget, hour)
        if (budget.number, start_hour, value) in self.windows:
            return False
        return self._values.get((budget.number, start_hour), 0) >= MOST_VALUES

    def _of_hold(self, hold_windows: str) -> list[str]:
        """Returns the names of the counters in which a hold counts, without ended budgets."""
        names = []
        for name, number in _counted_budgets(hold_windows):
            budget_id, _ = split_name(name)
            if self.number(budget_id) == number:
                names.append(name)
        return sorted(names)

    def _check_sums(self, entry: LedgerEntry) -> Iterator[str]:
        effect = entry.effect
        for matched in (*effect.budgets, *effect.freed):
            yield from self._check_found(entry, matched)

    def _check_found(self, entry: LedgerEntry, matched: MatchedBudget) -> Iterator[str]:
        budget = self.known.get(matched.budget_id)
        if budget is None:
            yield f"{entry.id}: budget {matched.budget_id} is not known"
            return
        hour = hour_of(entry.effect.day, entry.effect.at_ms)
        start_hour, end_hour = self._window(budget, hour)
        remaining, held = self._remaining(budget, start_hour, matched.value)
        left = (
            end_hour,
            remaining,
            held,
            budget.limit,
            budget.hard,
        )
        yield from _check_left(entry, matched, left)
        yield from _check_window(entry, matched, start_hour)

    def _remaining(
        self,
        budget: AppliedBudget,
        start_hour: int,
        value: str,
    ) -> tuple[int, int]:
        """Returns the remaining and the held nanos of a counter of the budget's window."""
        key = (budget.number, start_hour, value)
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
        matched.end_hour,
        matched.remaining,
        matched.held,
        matched.limit,
        matched.hard,
    )
    if found != left:
        yield (
            f"{entry.id}: found budget {matched.name} at"
            f" (end, remaining, held, limit, hard) {found}, left at {left}"
        )


def _check_window(
    entry: LedgerEntry,
    matched: MatchedBudget,
    start_hour: int,
) -> Iterator[str]:
    if matched.current != (matched.start_hour == start_hour):
        yield (
            f"{entry.id}: budget {matched.name} counted from hour {matched.start_hour},"
            f" its window began at {start_hour}"
        )


def _refunded(changes: Iterable[tuple[int, Change]]) -> str:
    """Returns the windows in which the duplicate counts that the last of the changes refunds."""
    windows = ABSENT
    for _, change in changes:
        if isinstance(change, GrantCredits):
            windows = change.refund_budgets
    return windows


def _counted_budgets(windows: str) -> Iterator[tuple[str, int]]:
    """Yields the counters' names and the budgets' numbers in stored `windows`."""
    if windows == ABSENT:
        return
    for window in windows.split(";"):
        name, _, number = window.split(",")
        yield name, int(number)


def _names(budgets: Sequence[MatchedBudget]) -> list[str]:
    return sorted(budget.name for budget in budgets)


def _goes_by_hold(effect: Effect) -> bool:
    """Says whether the effect counts where its hold counts, whatever the call's labels are."""
    if effect.kind is Kind.DEBIT:
        return bool(effect.hold_id) and not effect.flags.late
    return effect.kind is not Kind.AUTHORIZE
