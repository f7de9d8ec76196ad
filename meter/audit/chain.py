"""Each entry found the account as the one before it left it."""

from collections.abc import Callable, Collection, Iterator

from meter.audit.entry import LedgerEntry
from meter.journal.account_sums import AccountSums
from meter.journal.allocation import Part
from meter.journal.effect import Effect, Kind
from meter.ledger.journal_records import continues
from meter.ledger.rebase import rebased
from meter.times import date_of


class Chain:
    """But for a new day; and only an update changes settings.

    What found other sums, or is of an epoch that lost entries, was posted on top of what the ledger
    had; so it is read here.
    """

    def __init__(self, is_scoped: Callable[[int], bool], lossy: Collection[int]) -> None:
        """`lossy`: epochs that lost entries."""
        self.last: Effect | None = None
        self.state: AccountSums | None = None
        self._is_scoped = is_scoped
        self._lossy = lossy

    @property
    def posted(self) -> tuple[Effect, AccountSums]:
        """The last entry's effect as it was posted, and the account as that left it."""
        assert self.last is not None, "see() comes first"
        assert self.state is not None
        return self.last, self.state

    def see(self, entry: LedgerEntry, pins: tuple[Part, ...]) -> Iterator[str]:
        """Follows the account by one entry, whose hold, if it names one, had `pins`."""
        effect = entry.effect
        was = self.state
        found = entry.effect.before
        if self.last is None or was is None:
            if effect.kind is not Kind.CREATE:
                yield f"{entry.id}: the history begins with {entry.kind}, not with CREATE"
                effect = self._rebased(entry, effect, AccountSums(), pins)
        else:
            if effect.day < self.last.day:
                yield f"{entry.id}: the day went back from {date_of(self.last.day)} to {date_of(effect.day)}"
            due = _rolled(was, self.last.day, effect.day)
            due = _updated(due, found) if effect.kind is Kind.UPDATE else due
            if found != due:
                yield f"{entry.id}: found the account at [{found.tokens()}], left at [{due.tokens()}]"
            if entry.position.epoch in self._lossy or not continues(due, found):
                effect = self._rebased(entry, effect._replace(before=found), due, pins)
        self.last = effect
        self.state = effect.after()

    def _rebased(
        self, entry: LedgerEntry, effect: Effect, known: AccountSums, pins: tuple[Part, ...]
    ) -> Effect:
        is_over = effect.kind in (
            Kind.GRANT_EXPIRED,
            Kind.GRANT_EXHAUSTED,
        )  # then an amount of 0 tells of it, too
        parts = tuple(
            Part(number, nanos, self._is_scoped(number))
            for number, nanos in entry.burned
            if nanos or is_over
        )
        return rebased(effect, known, parts, pins, parts)


def _rolled(state: AccountSums, day: int, today: int) -> AccountSums:
    """The account in a new day, as `roll_day` in gate/lua/lib/account.lua has it."""
    if today <= day:
        return state
    new_month = date_of(today)[:7] != date_of(day)[:7]
    return state._replace(
        room=state.limit or 0,
        day_base=state.used,
        month_base=state.used if new_month else state.month_base,
        yesterday_base=state.day_base if today == day + 1 else state.used,
    )


def _updated(state: AccountSums, settings: AccountSums) -> AccountSums:
    """The account with other settings: what may be spent moves by their differences."""
    return state._replace(
        spendable=state.spendable + settings.overage - state.overage,
        overage=settings.overage,
        room=state.room + (settings.limit or 0) - (state.limit or 0),
        limit=settings.limit,
    )
