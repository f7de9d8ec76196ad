"""Budgets: each call matched those that are on it, found them as its forerunners left them, and hard
ones had the room.
"""

from collections.abc import Iterable, Iterator

from meter.audit.entry import LedgerEntry
from meter.journal.account_sums import ABSENT
from meter.journal.effect import Effect, Kind, MatchedBudget
from meter.journal.operations import Change, DeleteBudget, SetBudget
from meter.ledger.projections.budgets import AppliedBudget, moves_of, set_to
from meter.windows import window_of

_MEETS = frozenset((Kind.AUTHORIZE, Kind.EXTEND, Kind.DEBIT, Kind.RELEASE, Kind.EXPIRE))


class Budgets:
    """The account's budgets along its history."""

    def __init__(self) -> None:
        self.known: dict[str, AppliedBudget] = {}
        self.windows: dict[
            tuple[int, int], tuple[int, int]
        ] = {}  # budget's number, first day -> used, held
        self.counted = (
            ABSENT  # in what a hold placed by the last entry counts, as `open_holds` has it
        )

    def see(
        self, entry: LedgerEntry, changes: Iterable[tuple[int, Change]], hold: str
    ) -> Iterator[str]:
        """Follows by one entry, which put `changes` into effect; its hold, if it names one, counts in
        `hold`.
        """
        for number, change in changes:
            self._change(number, change)
        effect = entry.effect
        self.counted = ABSENT
        if effect.kind not in _MEETS:
            return
        yield from self._are_matched(entry, hold)
        for matched in (*effect.budgets, *effect.freed):
            yield from self._as_left(entry, matched)
        texts = []
        for matched, used, held in moves_of(effect):
            budget = self.known.get(matched.budget_id)
            if budget is not None:
                was_used, was_held = self.windows.get((budget.number, matched.start_day), (0, 0))
                self.windows[budget.number, matched.start_day] = (was_used + used, was_held + held)
                texts.append(f"{matched.budget_id},{matched.start_day},{budget.number}")
        self.counted = ";".join(texts) or ABSENT

    def levels(self, budget_id: str) -> tuple[tuple[str, int], ...]:
        """The thresholds of a budget: id and nanos used."""
        return self.known[budget_id].levels if budget_id in self.known else ()

    def number(self, budget_id: str) -> int:
        """Of the operation that made the budget; 0: there is none."""
        return self.known[budget_id].number if budget_id in self.known else 0

    def seen(self, budget_id: str, start_day: int) -> tuple[int, int, int] | None:
        """A window's first day, its room and what holds have of it, as Redis has them; None: there is
        no such budget.
        """
        budget = self.known.get(budget_id)
        if budget is None:
            return None
        used, held = self.windows.get((budget.number, start_day), (0, 0))
        return start_day, budget.limit - used - held, held

    def _change(self, number: int, change: Change) -> None:
        if not isinstance(change, SetBudget | DeleteBudget):
            return
        known = self.known.pop(change.budget_id, None)
        if isinstance(change, SetBudget):
            self.known[change.budget_id] = set_to(known, number, change)
        if known and self.number(change.budget_id) != known.number:
            for (made, start_day), (used, _) in self.windows.items():
                if made == known.number:
                    self.windows[made, start_day] = (used, 0)

    def _are_matched(self, entry: LedgerEntry, hold: str) -> Iterator[str]:
        effect = entry.effect
        due = self._of_hold(hold) if _goes_by_hold(effect) else self._matching(entry.labels)
        matched = [budget.budget_id for budget in effect.budgets]
        if sorted(matched) != due:
            yield f"{entry.id}: matched the budgets {matched}, those on it are {due}"
        if effect.late and [budget.budget_id for budget in effect.freed] != (
            self._of_hold(hold) if effect.hold_amount else []
        ):
            yield f"{entry.id}: freed the budgets {[budget.budget_id for budget in effect.freed]}, its hold counted in {hold}"

    def _matching(self, labels: frozenset[str]) -> list[str]:
        return sorted(
            budget.budget_id for budget in self.known.values() if labels.issuperset(budget.labels)
        )

    def _of_hold(self, hold: str) -> list[str]:
        """Those that a hold counts in and that still are the same."""
        counted = [each.split(",") for each in hold.split(";")] if hold != ABSENT else []
        return sorted(
            budget_id for budget_id, _, number in counted if self.number(budget_id) == int(number)
        )

    def _as_left(self, entry: LedgerEntry, matched: MatchedBudget) -> Iterator[str]:
        budget = self.known.get(matched.budget_id)
        if budget is None:
            yield f"{entry.id}: budget {matched.budget_id} is not known"
            return
        start_day, end_day = window_of(budget.window, entry.effect.day)
        used, held = self.windows.get((budget.number, start_day), (0, 0))
        room = budget.limit - used - held
        found = (matched.end_day, matched.room, matched.held, matched.limit, matched.hard)
        if found != (end_day, room, held, budget.limit, budget.hard):
            yield (
                f"{entry.id}: found budget {matched.budget_id} at (end, room, held, limit, hard) {found},"
                f" left at {(end_day, room, held, budget.limit, budget.hard)}"
            )
        if matched.current != (matched.start_day == start_day):
            yield f"{entry.id}: budget {matched.budget_id} counted from day {matched.start_day}, its window began on {start_day}"


def _goes_by_hold(effect: Effect) -> bool:
    return effect.kind in (Kind.EXTEND, Kind.RELEASE, Kind.EXPIRE) or (
        effect.kind is Kind.DEBIT and bool(effect.hold_id) and not effect.late
    )
