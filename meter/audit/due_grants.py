"""The rule of due grants: grants begin, expire, are used up and pay debt in their time, each by an
entry directly behind the entry that brought it about.
"""

from collections.abc import Iterator

from meter.audit.entry import LedgerEntry
from meter.audit.grant import Grant
from meter.audit.grants import GrantRule
from meter.journal.kinds import Kind


class DueGrantRule:
    """Follows what is due by itself; no such entry may be missing."""

    def __init__(self, grants: GrantRule) -> None:
        self._grants = grants
        self._last: LedgerEntry | None = None
        self._paying = 0  # number of the grant that came last, if that grant must pay debt

    def check(self, entry: LedgerEntry) -> Iterator[str]:
        """Yields what was due before the entry, and has no entry.

        Comes before all other rules follow by the entry.
        """
        if entry.effect.kind.is_consequence or self._last is None:
            return
        yield from self._check_paid(self._last)
        for grant in self._grants.known.values():
            yield from _check_used_up(self._last, grant)
            # The entry of an advanced clock has the time to which the clock was advanced.
            if entry.effect.kind is not Kind.CLOCK:
                yield from _check_time(entry, grant)

    def apply(self, entry: LedgerEntry) -> None:
        """Follows by one entry, after all other rules."""
        self._last = entry
        if entry.effect.kind.gives and not entry.effect.flags.reconciled:
            for part in entry.effect.returned:
                self._paying = self._payer(part.grant)

    def take_over(self) -> None:
        """Expects nothing of what came before a reconciliation."""
        self._paying = 0

    def _payer(self, number: int) -> int:
        """Returns `number` if the grant must pay debt, else 0."""
        grant = self._grants.known.get(number)
        if grant and grant.terms.pays_debt:
            return number
        return 0

    def _check_paid(self, last: LedgerEntry) -> Iterator[str]:
        payer = self._grants.known.get(self._paying)
        debt = self._grants.debt
        if payer and payer.left and debt > 0:
            yield (f"{last.id}: grant {payer.number} was to pay debt of {debt} nanos, and did not")
        self._paying = 0


def _check_used_up(last: LedgerEntry, grant: Grant) -> Iterator[str]:
    if grant.state != "LIVE" or grant.left or grant.held:
        return
    # A grant that is used up and over at once has no entry: nothing is left to expire, and nobody
    # can use the grant.
    needs_entry = grant.lives_at(last.effect.at_ms)
    grant.state = "EXHAUSTED"
    if needs_entry:
        yield f"{last.id}: grant {grant.number} was used up, and no entry says so"


def _check_time(entry: LedgerEntry, grant: Grant) -> Iterator[str]:
    at_ms = entry.effect.at_ms
    if grant.state == "SCHEDULED":
        if at_ms >= (grant.terms.effective_at_ms or 0):
            yield f"{entry.id}: grant {grant.number} was to begin before"
        return
    has_ended = not grant.lives_at(at_ms)
    if has_ended and (grant.left or (grant.held and grant.state == "LIVE")):
        yield f"{entry.id}: of grant {grant.number} {grant.left} nanos were to expire before"
