"""The rule of grants: each part that was taken was there, for such a request, and goes where the
part belongs.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from meter.audit.entry import LedgerEntry
from meter.audit.grant import Grant
from meter.journal.account_sums import AccountSums
from meter.journal.allocation import OVERAGE, Part, total
from meter.journal.effect import Effect
from meter.journal.kinds import Kind
from meter.journal.operations import Change, GrantCredits, VoidGrant
from meter.ledger.reconciliation.taken_over import TakenOver


class GrantRule:
    """Follows an account's grants and overage."""

    def __init__(self, recorded: Callable[[int], GrantCredits | None]) -> None:
        """`recorded` returns the grant made by the operation of a number."""
        self._recorded = recorded
        self.known: dict[int, Grant] = {}
        self._overage_left = 0
        self._overage_held = 0
        self._protection = 0

    @property
    def debt(self) -> int:
        """Returns the overage in use."""
        return self._protection - self._overage_left - self._overage_held

    def is_scoped(self, number: int) -> bool:
        terms = self._recorded(number)
        return terms is not None and bool(terms.scope)

    def scoped_for(self, entry: LedgerEntry) -> int:
        """Returns what scoped grants have for the entry's request, in nanos."""
        at_ms = entry.effect.at_ms
        labels = entry.labels
        scoped = [grant for grant in self.known.values() if grant.is_scoped]
        return sum(grant.left for grant in scoped if grant.serves(at_ms, labels))

    def sums(self) -> dict[int, tuple[int, int]]:
        """Returns left and held by grant and overage; a grant that has neither is left out."""
        sums = {}
        for number, grant in self.known.items():
            sums[number] = (grant.left, grant.held)
        sums[OVERAGE] = (self._overage_left, self._overage_held)
        return {number: pair for number, pair in sums.items() if pair != (0, 0)}

    def check(
        self,
        entry: LedgerEntry,
        changes: Iterable[tuple[int, Change]],
    ) -> Iterator[str]:
        """Follows by an entry; the entry put `changes` into effect."""
        self._set_protection(entry.effect.before.overage)
        yield from self._begin(entry)
        yield from self._return(entry)
        yield from self._take(entry)
        yield from self._end(entry, changes)
        yield from self._check_sums(entry)

    def take_over(self, entry: LedgerEntry, taken_over: TakenOver) -> Iterator[str]:
        """Sets grants and overage to what a reconciliation found; each grant must add up."""
        self._protection = entry.effect.before.overage
        self._overage_left = taken_over.overage_left
        self._overage_held = taken_over.overage_held
        self.known = {}
        for number, state, *sums in taken_over.grants:
            terms = self._recorded(number)
            if terms is None or terms.amount_nanos != sum(sums):
                yield f"{entry.id}: grant {number} has {sums}, recorded is {terms}"
            else:
                self.known[number] = Grant(number, terms, state, *sums)
        yield from self._check_sums(entry)

    def _set_protection(self, protection: int) -> None:
        self._overage_left += protection - self._protection
        self._protection = protection

    def _begin(self, entry: LedgerEntry) -> Iterator[str]:
        """Makes the grant, or starts the grants, that the entry tells of."""
        kind = entry.effect.kind
        if kind is Kind.GRANT and entry.burned:
            yield from self._make(entry)
        elif kind is Kind.GRANT_STARTED:
            yield from self._start(entry)

    def _make(self, entry: LedgerEntry) -> Iterator[str]:
        number = entry.burned[0][0]
        terms = self._recorded(number)
        if terms is None:
            yield f"{entry.id}: is about grant {number}, which nobody recorded"
            return
        state = "LIVE"
        if entry.effect.flags.is_scheduled:
            state = "SCHEDULED"
        new_grant = Grant(number, terms, state, left=0)
        grant = self.known.setdefault(number, new_grant)
        grant.left += terms.amount_nanos

    def _start(self, entry: LedgerEntry) -> Iterator[str]:
        for part in entry.effect.returned:
            grant = self.known.get(part.grant)
            if grant is None or grant.state != "SCHEDULED":
                yield f"{entry.id}: grant {part.grant} was not waiting to begin"
                continue
            grant.state = "LIVE"
            yield from _check_start(entry, part, grant)

    def _return(self, entry: LedgerEntry) -> Iterator[str]:
        effect = entry.effect
        if effect.kind is Kind.DEBT_PAID:
            self._overage_left += total(effect.returned)
        if effect.kind.ends_hold:
            yield from self._end_hold(entry)

    def _end_hold(self, entry: LedgerEntry) -> Iterator[str]:
        for part in entry.effect.returned:
            yield from self._unpin(entry, part)
        yield from self._check_lapsed(entry)

    def _unpin(self, entry: LedgerEntry, part: Part) -> Iterator[str]:
        """Moves what a hold had pinned back to the grant."""
        if part.grant == OVERAGE:
            self._overage_left += part.amount
            self._overage_held -= part.amount
            return
        grant = self.known.get(part.grant)
        if grant is None:
            yield f"{entry.id}: grant {part.grant} is not known"
            return
        grant.left += part.amount
        grant.held -= part.amount

    def _check_lapsed(self, entry: LedgerEntry) -> Iterator[str]:
        living = []
        for part in entry.effect.lapsed:
            grant = self.known.get(part.grant)
            if grant and grant.lives_at(entry.effect.at_ms):
                living.append(part.grant)
        if living:
            yield f"{entry.id}: credits of grants {living} lapsed, which still live"

    def _take(self, entry: LedgerEntry) -> Iterator[str]:
        effect = entry.effect
        pins = _settled_pins(effect)
        for part in effect.taken:
            if part.grant == OVERAGE:
                self._take_overage(effect.kind, part.amount)
            else:
                pinned = pins.get(part.grant, 0)
                yield from self._take_part(entry, part, pinned)

    def _take_part(
        self,
        entry: LedgerEntry,
        part: Part,
        pinned: int,
    ) -> Iterator[str]:
        grant = self.known.get(part.grant)
        if grant is None:
            yield f"{entry.id}: grant {part.grant} is not known"
            return
        yield from _check_taken(entry, part, grant, pinned)
        grant.take(entry.effect.kind, part.amount)

    def _take_overage(self, kind: Kind, amount: int) -> None:
        self._overage_left -= amount
        if kind in (Kind.AUTHORIZE, Kind.EXTEND):
            self._overage_held += amount

    def _end(
        self,
        entry: LedgerEntry,
        changes: Iterable[tuple[int, Change]],
    ) -> Iterator[str]:
        """Checks the entries of a grant's end, or of debt paid from a grant."""
        kind = entry.effect.kind
        if kind in _ENDINGS:
            for grant in self._taken_grants(entry):
                yield from _ENDINGS[kind](entry, grant)
        elif kind is Kind.GRANT_VOIDED:
            yield from self._void_all(entry, changes)

    def _void_all(
        self,
        entry: LedgerEntry,
        changes: Iterable[tuple[int, Change]],
    ) -> Iterator[str]:
        for _, change in changes:
            if isinstance(change, VoidGrant):
                yield from self._void(entry, change)

    def _taken_grants(self, entry: LedgerEntry) -> Iterator[Grant]:
        for part in entry.effect.taken:
            if part.grant in self.known:
                yield self.known[part.grant]

    def _void(self, entry: LedgerEntry, change: VoidGrant) -> Iterator[str]:
        grant = self.known.get(change.number)
        if grant is None or grant.is_over:
            return
        if grant.state == "SCHEDULED":
            grant.withdraw()
            return
        voided = entry.effect.amount
        left_before = grant.left + voided
        if voided != _due_void(left_before, change):
            yield (
                f"{entry.id}: {voided} nanos of grant {grant.number} were voided,"
                f" {left_before} were left, {change.amount_nanos} asked"
            )
        elif change.amount_nanos is None or grant.left == grant.held == 0:
            grant.state = "VOIDED"

    def _check_sums(self, entry: LedgerEntry) -> Iterator[str]:
        state: AccountSums = entry.effect.after()
        have = self._begun_sums()
        if have != (state.spendable, state.scoped, state.held):
            yield (
                f"{entry.id}: grants and overage have {have.left} left, {have.scoped} in scopes,"
                f" and {have.held} held;"
                f" the account {state.spendable}, {state.scoped} and {state.held}"
            )

    def _begun_sums(self) -> "_BegunSums":
        """Returns the sums of overage and of all grants, except scheduled grants."""
        left = self._overage_left
        held = self._overage_held
        scoped = 0
        for grant in self.known.values():
            if grant.state == "SCHEDULED":
                continue
            held += grant.held
            if grant.is_scoped:
                scoped += grant.left
            else:
                left += grant.left
        return _BegunSums(left, scoped, held)


class _BegunSums(NamedTuple):
    """Holds nanos left for any request, left in scopes, and held."""

    left: int
    scoped: int
    held: int


def _check_start(
    entry: LedgerEntry,
    part: Part,
    grant: Grant,
) -> Iterator[str]:
    due_ms = grant.terms.effective_at_ms or 0
    is_early = entry.effect.at_ms < due_ms
    if is_early or part.amount != grant.terms.amount_nanos:
        yield f"{entry.id}: grant {grant.number} began too early, or with other than its amount"


def _settled_pins(effect: Effect) -> dict[int, int]:
    """Returns the nanos that a settled hold had pinned, by grant."""
    if effect.kind is not Kind.DEBIT or effect.flags.late:
        return {}
    return {part.grant: part.amount for part in effect.returned}


def _check_taken(
    entry: LedgerEntry,
    part: Part,
    grant: Grant,
    pinned: int,
) -> Iterator[str]:
    """Yields what was wrong with taking the part.

    `pinned` is what the hold that the entry settles had of the same grant: such credits may be used
    whatever has become of the grant.
    """
    effect = entry.effect
    if part.amount > grant.left:
        yield (
            f"{entry.id}: {part.amount} nanos were taken of grant {grant.number},"
            f" which had {grant.left}"
        )
    yield from _check_scoped(entry, part, grant)
    if effect.kind.spends and part.amount > pinned:
        yield from _check_usable(entry, part, grant)


def _check_scoped(
    entry: LedgerEntry,
    part: Part,
    grant: Grant,
) -> Iterator[str]:
    if part.scoped and not grant.is_scoped:
        yield f"{entry.id}: grant {grant.number} is told to be scoped"
    if grant.is_scoped and not part.scoped:
        yield f"{entry.id}: grant {grant.number} is told to be for any request"


def _check_usable(
    entry: LedgerEntry,
    part: Part,
    grant: Grant,
) -> Iterator[str]:
    """Yields why the entry's request may not use the grant."""
    if not grant.lives_at(entry.effect.at_ms):
        yield (
            f"{entry.id}: {part.amount} nanos were taken of grant {grant.number},"
            f" which is {grant.state} or has expired"
        )
    if not grant.applies(entry.labels):
        yield (
            f"{entry.id}: {part.amount} nanos were taken of grant {grant.number},"
            " which is not for such a request"
        )


def _due_void(left: int, change: VoidGrant) -> int:
    if change.amount_nanos is None:
        return left
    return min(left, change.amount_nanos)


def _check_pays_debt(entry: LedgerEntry, grant: Grant) -> Iterator[str]:
    if not grant.terms.pays_debt:
        yield f"{entry.id}: grant {grant.number} paid debt, which it is not to"


def _expire(entry: LedgerEntry, grant: Grant) -> Iterator[str]:
    if grant.lives_at(entry.effect.at_ms):
        yield f"{entry.id}: grant {grant.number} expired, which still lives"
    if grant.left:
        yield (
            f"{entry.id}: of grant {grant.number} {grant.left} nanos did not expire with the rest"
        )
    if not grant.is_over:
        grant.state = "EXPIRED"


def _exhaust(entry: LedgerEntry, grant: Grant) -> Iterator[str]:
    if grant.left or grant.held or grant.is_over:
        yield (
            f"{entry.id}: grant {grant.number} is {grant.state} and has {grant.left} left"
            f" and {grant.held} held: not used up"
        )
    if not grant.is_over:
        grant.state = "EXHAUSTED"


# What the entries of a grant's end, or of a payment of debt, mean to each grant they take from.
_ENDINGS = {
    Kind.GRANT_EXPIRED: _expire,
    Kind.GRANT_EXHAUSTED: _exhaust,
    Kind.DEBT_PAID: _check_pays_debt,
}
