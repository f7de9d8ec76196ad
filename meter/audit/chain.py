"""The rule of the chain: each entry found the account as the entry before left it."""

from collections.abc import Callable, Collection, Iterator

from meter.audit.entry import LedgerEntry
from meter.journal.account_sums import AccountSums
from meter.journal.allocation import Part
from meter.journal.effect import Effect
from meter.journal.kinds import Kind
from meter.ledger.journal_records import continues
from meter.ledger.rebase import rebased
from meter.times import date_of, month_of


class ChainRule:
    """Follows an account's sums; only a new day and an update change sums between two entries.

    An entry that found other sums, or is of an epoch that lost entries, was posted on top of what
    the ledger had; such an entry is read here in the same way.
    """

    def __init__(
        self,
        is_scoped: Callable[[int], bool],
        lossy: Collection[int],
    ) -> None:
        """`lossy` are the epochs that lost entries."""
        self.last: Effect | None = None
        self._state: AccountSums | None = None
        self._is_scoped = is_scoped
        self._lossy = lossy

    @property
    def posted(self) -> tuple[Effect, AccountSums]:
        """Returns the last entry's effect as posted, and the account's sums after the effect."""
        assert self.last is not None, "check() comes first"
        assert self._state is not None
        return self.last, self._state

    def check(self, entry: LedgerEntry, pins: tuple[Part, ...]) -> Iterator[str]:
        """Follows by one entry, whose hold, if the entry names a hold, had `pins`."""
        effect = entry.effect
        if self.last is None:
            if effect.kind is not Kind.CREATE:
                yield f"{entry.id}: the history begins with {entry.kind}, not with CREATE"
                effect = self._rebased(entry, AccountSums(), pins)
        else:
            due = self._due(effect)
            yield from self._check_found(entry, due)
            if self._was_rebased(entry, due):
                effect = self._rebased(entry, due, pins)
        self.last = effect
        self._state = effect.after()

    def check_reconciled(self, entry: LedgerEntry) -> Iterator[str]:
        """Follows by an entry of a reconciliation, which may leave the account in any way."""
        effect = entry.effect
        if self.last is None:
            if effect.kind is not Kind.CREATE:
                yield f"{entry.id}: the history begins with {entry.kind}, not with CREATE"
        else:
            yield from self._check_day(entry)
        self.last = effect
        self._state = effect.after()

    def _due(self, effect: Effect) -> AccountSums:
        """Returns the sums for the effect to find."""
        last, state = self.posted
        due = _rolled(state, last.day, effect.day)
        if effect.kind is Kind.UPDATE:
            return _updated(due, effect.before)
        return due

    def _check_found(self, entry: LedgerEntry, due: AccountSums) -> Iterator[str]:
        """Yields a finding for a day before the last, and for sums other than `due`."""
        yield from self._check_day(entry)
        found = entry.effect.before
        if found != due:
            yield f"{entry.id}: found the account at [{found.encode()}], left at [{due.encode()}]"

    def _check_day(self, entry: LedgerEntry) -> Iterator[str]:
        last, _ = self.posted
        day = entry.effect.day
        if day < last.day:
            last_date = date_of(last.day)
            new_date = date_of(day)
            yield f"{entry.id}: the day went back from {last_date} to {new_date}"

    def _was_rebased(self, entry: LedgerEntry, due: AccountSums) -> bool:
        is_lossy = entry.position.epoch in self._lossy
        return is_lossy or not continues(due, entry.effect.before)

    def _rebased(
        self,
        entry: LedgerEntry,
        known: AccountSums,
        pins: tuple[Part, ...],
    ) -> Effect:
        """Returns the entry's effect as posted on top of the sums `known`."""
        parts = tuple(self._burned_parts(entry))
        return rebased(
            entry.effect,
            known,
            taken=parts,
            pins=pins,
            given=parts,
        )

    def _burned_parts(self, entry: LedgerEntry) -> Iterator[Part]:
        # An entry that ends a grant names the grant even if nothing was left.
        names_empty = entry.effect.kind in (Kind.GRANT_EXPIRED, Kind.GRANT_EXHAUSTED)
        for number, nanos in entry.burned:
            if nanos or names_empty:
                yield Part(number, nanos, self._is_scoped(number))


def _rolled(state: AccountSums, day: int, today: int) -> AccountSums:
    """Returns the sums in a new day, as `roll_day` in gate/lua/lib/account.lua computes them."""
    if today <= day:
        return state
    return state._replace(
        day_remaining=state.daily_limit or 0,
        day_base=state.used,
        month_base=_month_base(state, day, today),
        yesterday_base=_yesterday_base(state, day, today),
    )


def _month_base(state: AccountSums, day: int, today: int) -> int:
    """Returns what had been used when the month of `today` began."""
    if month_of(today) != month_of(day):
        return state.used
    return state.month_base


def _yesterday_base(state: AccountSums, day: int, today: int) -> int:
    """Returns what had been used when the day before `today` began."""
    if today == day + 1:
        return state.day_base
    return state.used


def _updated(state: AccountSums, settings: AccountSums) -> AccountSums:
    """Returns the sums under other settings: spendable credits move by the difference."""
    limit = settings.daily_limit or 0
    limit_before = state.daily_limit or 0
    limit_delta = limit - limit_before
    return state._replace(
        spendable=state.spendable + settings.overage - state.overage,
        overage=settings.overage,
        day_remaining=state.day_remaining + limit_delta,
        daily_limit=settings.daily_limit,
    )
