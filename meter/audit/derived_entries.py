"""What follows from an entry by itself has entries of its own, directly behind it: none is missing,
and none too many.
"""

from collections.abc import Iterator

from meter.audit.budgets import Budgets
from meter.audit.entry import LedgerEntry
from meter.audit.grants import Grant, Grants
from meter.journal.effect import Crossing, Effect, Kind
from meter.ledger.projections.settings import Settings

FOLLOWS = frozenset(
    (Kind.GRANT_EXPIRED, Kind.GRANT_STARTED, Kind.GRANT_EXHAUSTED, Kind.DEBT_PAID, Kind.THRESHOLD)
)  # by itself, from another entry or from time
_CROSSES = frozenset((Kind.DEBIT, Kind.GRANT_EXPIRED, Kind.GRANT_VOIDED))


class Turns:
    """Grants begin, expire, are used up and pay debt in their time."""

    def __init__(self, grants: Grants) -> None:
        self._grants = grants
        self._last: LedgerEntry | None = None
        self._paying = 0  # number of the grant that came last, if it is to pay debt

    def see_next(self, entry: LedgerEntry) -> Iterator[str]:
        """Before the entry is followed: everything that had to come before it did."""
        if entry.effect.kind in FOLLOWS or self._last is None:
            return
        yield from self._has_paid(self._last)
        for grant in self._grants.known.values():
            yield from self._is_used_up(self._last, grant)
            # A clock's entry tells the time to which it was advanced.
            if entry.effect.kind is not Kind.CLOCK:
                yield from _has_turned(entry, grant)

    def see(self, entry: LedgerEntry) -> None:
        """Follows by one entry."""
        effect = entry.effect
        self._last = entry
        if effect.kind in (Kind.GRANT, Kind.GRANT_STARTED):
            for part in effect.returned:
                grant = self._grants.known.get(part.grant)
                self._paying = part.grant if grant and grant.terms.pays_debt else 0

    def _has_paid(self, last: LedgerEntry) -> Iterator[str]:
        payer = self._grants.known.get(self._paying)
        if payer and payer.left and self._grants.debt > 0:
            yield f"{last.id}: grant {payer.number} was to pay debt of {self._grants.debt} nanos, and did not"
        self._paying = 0

    def _is_used_up(self, last: LedgerEntry, grant: Grant) -> Iterator[str]:
        if grant.state == "LIVE" and grant.left == grant.held == 0:
            # One that is used up and over at once has no entry: there is nothing left to expire,
            # and nobody to use it.
            is_told = grant.lives_at(last.effect.at_ms)
            grant.state = "EXHAUSTED"
            if is_told:
                yield f"{last.id}: grant {grant.number} was used up, and no entry says so"


def _has_turned(entry: LedgerEntry, grant: Grant) -> Iterator[str]:
    at_ms = entry.effect.at_ms
    if grant.state == "SCHEDULED":
        if at_ms >= (grant.terms.effective_at_ms or 0):
            yield f"{entry.id}: grant {grant.number} was to begin before"
    elif (grant.left or (grant.held and grant.state == "LIVE")) and not grant.lives_at(at_ms):
        yield f"{entry.id}: of grant {grant.number} {grant.left} nanos were to expire before"


class Thresholds:
    """Each crossing is told once, by the entry that follows what crossed it."""

    def __init__(self) -> None:
        self._due: dict[Crossing, str] = {}
        self.told: list[tuple[str, int, Crossing]] = []  # entry, budget's number

    def see(self, entry: LedgerEntry, settings: Settings, budgets: Budgets) -> Iterator[str]:
        """Follows by one entry, under the settings that it left."""
        effect = entry.effect
        if effect.kind not in FOLLOWS:
            for crossing, crosser in self._due.items():
                yield f"{crosser}: crossed {_name(crossing)}, and no entry says so"
            self._due = {}
        if effect.kind is Kind.THRESHOLD:
            crossing = effect.crossing
            self.told.append((entry.id, budgets.number(crossing.budget_id), crossing))
            if self._due.pop(crossing, None) is None:
                yield f"{entry.id}: tells of {_name(crossing)}, which nothing has crossed"
        elif settings.spend_management and effect.kind in _CROSSES and effect.amount:
            self._due |= dict.fromkeys(_crossings(effect, settings, budgets), entry.id)


def _crossings(effect: Effect, settings: Settings, budgets: Budgets) -> Iterator[Crossing]:
    after = effect.after()
    amount = effect.amount
    used_before = after.used_today
    if effect.kind is Kind.DEBIT and effect.charge_counts_today:
        used_before -= amount
    for level in settings.levels:
        name = level.threshold_id
        nanos = level.nanos
        if level.subject == "daily_use" and used_before < nanos <= after.used_today:
            yield Crossing("daily_use", "", name, str(effect.day), nanos, after.used_today)
        if level.subject == "low_balance" and after.remaining + amount > nanos >= after.remaining:
            yield Crossing("low_balance", "", name, str(after.total), nanos, after.remaining)
    for matched in effect.budgets if effect.kind is Kind.DEBIT else ():
        used = matched.limit - matched.room - matched.held
        for name, nanos in budgets.levels(matched.budget_id) if matched.current else ():
            if used < nanos <= used + amount:
                yield Crossing(
                    "budget", matched.budget_id, name, str(matched.start_day), nanos, used + amount
                )


def _name(crossing: Crossing) -> str:
    of = f"{crossing.subject} {crossing.budget_id}".strip()
    return f"{of}, threshold {crossing.threshold_id} in {crossing.window} at {crossing.level} nanos"
