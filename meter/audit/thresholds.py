"""The rule of thresholds: each crossing is told once, by an entry directly behind the entry that
crossed the threshold.
"""

from collections.abc import Iterable, Iterator

from meter.audit.budgets import BudgetRule
from meter.audit.entry import LedgerEntry
from meter.journal.account_sums import AccountSums
from meter.journal.allocation import MatchedBudget
from meter.journal.applied_settings import Settings
from meter.journal.effect import Crossing, Effect
from meter.journal.kinds import Kind
from meter.journal.operations import DAILY_USE, LOW_BALANCE, Level

_BUDGET = "budget"


class ThresholdRule:
    """Follows the crossings, and the entries that tell crossings."""

    def __init__(self) -> None:
        self._due: dict[Crossing, str] = {}  # id of the entry that crossed

    def take_over(self) -> None:
        """Expects no entry of a threshold crossed before a reconciliation."""
        self._due = {}

    def check(
        self,
        entry: LedgerEntry,
        settings: Settings,
        budgets: BudgetRule,
    ) -> Iterator[str]:
        """Follows by one entry, under the settings after the entry."""
        effect = entry.effect
        if not effect.kind.is_consequence:
            yield from self._check_all_told()
        if effect.crossing is not None:
            yield from self._check_told(entry, effect.crossing)
        elif _may_cross(effect, settings):
            for crossing in _crossings(effect, settings, budgets):
                self._due[crossing] = entry.id

    def _check_all_told(self) -> Iterator[str]:
        for crossing, entry_id in self._due.items():
            yield f"{entry_id}: crossed {_name(crossing)}, and no entry says so"
        self._due = {}

    def _check_told(self, entry: LedgerEntry, crossing: Crossing) -> Iterator[str]:
        if self._due.pop(crossing, None) is None:
            yield f"{entry.id}: tells of {_name(crossing)}, which nothing has crossed"


def _may_cross(effect: Effect, settings: Settings) -> bool:
    if not settings.spend_management or not effect.kind.may_cross_thresholds:
        return False
    return effect.amount != 0


def _crossings(
    effect: Effect,
    settings: Settings,
    budgets: BudgetRule,
) -> Iterator[Crossing]:
    """Yields the thresholds that the effect crossed."""
    yield from _account_crossings(effect, settings)
    if effect.kind is Kind.DEBIT:
        yield from _budget_crossings(effect, budgets)


def _account_crossings(effect: Effect, settings: Settings) -> Iterator[Crossing]:
    after = effect.after()
    for level in settings.levels:
        if level.subject == DAILY_USE:
            yield from _daily_crossing(effect, after, level)
        if level.subject == LOW_BALANCE:
            yield from _balance_crossing(effect, after, level)


def _daily_crossing(
    effect: Effect,
    after: AccountSums,
    level: Level,
) -> Iterator[Crossing]:
    used_before = _used_today_before(effect, after)
    if used_before < level.nanos <= after.used_today:
        yield _crossing(level, str(effect.day), after.used_today)


def _used_today_before(effect: Effect, after: AccountSums) -> int:
    if effect.kind is Kind.DEBIT and effect.charge_counts_today:
        return after.used_today - effect.amount
    return after.used_today


def _balance_crossing(
    effect: Effect,
    after: AccountSums,
    level: Level,
) -> Iterator[Crossing]:
    remaining_before = after.remaining + effect.amount
    if remaining_before > level.nanos >= after.remaining:
        yield _crossing(level, str(after.total), after.remaining)


def _crossing(level: Level, window: str, value: int) -> Crossing:
    return Crossing(
        level.subject,
        "",
        level.threshold_id,
        window,
        level.nanos,
        value,
    )


def _budget_crossings(effect: Effect, budgets: BudgetRule) -> Iterator[Crossing]:
    for matched in effect.budgets:
        if matched.current:
            levels = budgets.levels(matched.budget_id)
            yield from _window_crossings(matched, levels, effect.amount)


def _window_crossings(
    matched: MatchedBudget,
    levels: Iterable[tuple[str, int]],
    amount: int,
) -> Iterator[Crossing]:
    """Yields the thresholds that the use of `amount` more crossed in a budget's window."""
    used_before = matched.limit - matched.remaining - matched.held
    used = used_before + amount
    window = str(matched.start_hour)
    for threshold_id, nanos in levels:
        if used_before < nanos <= used:
            yield Crossing(
                _BUDGET,
                matched.budget_id,
                threshold_id,
                window,
                nanos,
                used,
                matched.value,
            )


def _name(crossing: Crossing) -> str:
    subject = f"{crossing.subject} {crossing.budget_id}{crossing.value}".strip()
    return (
        f"{subject}, threshold {crossing.threshold_id} in {crossing.window}"
        f" at {crossing.level} nanos"
    )
