"""Whose credits were taken: each part must have been there, and for such a request, and goes where it
belongs.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from meter.audit.entry import LedgerEntry
from meter.journal.account_sums import AccountSums
from meter.journal.allocation import Part
from meter.journal.effect import Effect, Kind
from meter.journal.operations import Change, GrantCredits, VoidGrant

OVERAGE = 0

_SPENDS = frozenset((Kind.AUTHORIZE, Kind.EXTEND, Kind.DEBIT))
_ENDS_HOLD = frozenset((Kind.DEBIT, Kind.RELEASE, Kind.EXPIRE))
# Where what is taken of a grant goes.
_TAKEN_TO = {
    Kind.AUTHORIZE: "held",
    Kind.EXTEND: "held",
    Kind.DEBIT: "spent",
    Kind.DEBT_PAID: "spent",
    Kind.GRANT_EXPIRED: "expired",
    Kind.GRANT_VOIDED: "voided",
}


@dataclass(slots=True)
class Grant:
    """A grant along the history: its amount is left, held, spent, expired or voided."""

    number: int
    terms: GrantCredits
    state: str  # a name of meter.v1.GrantState
    left: int
    held: int = 0
    spent: int = 0
    expired: int = 0
    voided: int = 0

    @property
    def is_over(self) -> bool:
        return self.state not in ("SCHEDULED", "LIVE")

    def lives_at(self, ms: int) -> bool:
        """Whether its credits may be spent then."""
        return self.state == "LIVE" and (
            self.terms.expires_at_ms is None or ms < self.terms.expires_at_ms
        )

    def applies(self, labels: frozenset[str]) -> bool:
        """Whether a request with these labels may use it: of the models named one, and of the services
        one.
        """
        kinds = {label.partition("=")[0] for label in self.terms.scope}
        return all(
            any(f.startswith(f"{kind}=") and f in labels for f in self.terms.scope)
            for kind in kinds
        )


class Grants:
    """The account's grants and its overage along its history."""

    def __init__(self, recorded: Callable[[int], GrantCredits | None]) -> None:
        """`recorded`: the grant that an operation of this number made."""
        self._recorded = recorded
        self.known: dict[int, Grant] = {}
        self.overage_left = 0
        self.overage_held = 0
        self._protection = 0

    @property
    def debt(self) -> int:
        """Overage in use."""
        return self._protection - self.overage_left - self.overage_held

    def is_scoped(self, number: int) -> bool:
        terms = self._recorded(number)
        return terms is not None and bool(terms.scope)

    def usable(self, entry: LedgerEntry) -> int:
        """What scoped grants have for the entry's request, over what any request may take."""
        at_ms = entry.effect.at_ms
        labels = entry.labels
        return sum(
            grant.left
            for grant in self.known.values()
            if grant.terms.scope and grant.lives_at(at_ms) and grant.applies(labels)
        )

    def see(self, entry: LedgerEntry, changes: Iterable[tuple[int, Change]]) -> Iterator[str]:
        """Follows by one entry, which put `changes` into effect."""
        effect = entry.effect
        self._protect(effect.before)
        if effect.kind is Kind.GRANT and entry.burned:
            yield from self._make(entry)
        elif effect.kind is Kind.GRANT_STARTED:
            yield from self._start(entry)
        yield from self._return(entry)
        yield from self._take(entry)
        yield from self._end(entry, changes)
        yield from self._add_up(entry)

    def sums(self) -> dict[int, tuple[int, int]]:
        """What there is of each, left and held; what has neither is left out."""
        sums = {number: (grant.left, grant.held) for number, grant in self.known.items()}
        sums[OVERAGE] = (self.overage_left, self.overage_held)
        return {number: pair for number, pair in sums.items() if pair != (0, 0)}

    def _protect(self, found: AccountSums) -> None:
        self.overage_left += found.overage - self._protection
        self._protection = found.overage

    def _make(self, entry: LedgerEntry) -> Iterator[str]:
        (number, _), *_ = entry.burned
        terms = self._recorded(number)
        if terms is None:
            yield f"{entry.id}: is about grant {number}, which nobody recorded"
            return
        state = "SCHEDULED" if entry.effect.is_scheduled else "LIVE"
        grant = self.known.setdefault(number, Grant(number, terms, state, left=0))
        grant.left += terms.amount_nanos

    def _start(self, entry: LedgerEntry) -> Iterator[str]:
        for part in entry.effect.returned:
            grant = self.known.get(part.grant)
            if grant is None or grant.state != "SCHEDULED":
                yield f"{entry.id}: grant {part.grant} was not waiting to begin"
                continue
            grant.state = "LIVE"
            if (
                entry.effect.at_ms < (grant.terms.effective_at_ms or 0)
                or part.amount != grant.terms.amount_nanos
            ):
                yield f"{entry.id}: grant {grant.number} began too early, or with other than its amount"

    def _return(self, entry: LedgerEntry) -> Iterator[str]:
        effect = entry.effect
        if effect.kind is Kind.DEBT_PAID:
            self.overage_left += sum(part.amount for part in effect.returned)
        if effect.kind not in _ENDS_HOLD:
            return
        for part in effect.returned:
            yield from self._move(entry, part, left=part.amount, held=-part.amount)
        over = [
            part.grant
            for part in effect.lapsed
            if (grant := self.known.get(part.grant)) and grant.lives_at(effect.at_ms)
        ]
        if over:
            yield f"{entry.id}: credits of grants {over} lapsed, which still live"

    def _take(self, entry: LedgerEntry) -> Iterator[str]:
        effect = entry.effect
        pinned = {part.grant: part.amount for part in effect.returned} if _settles(effect) else {}
        for part in effect.taken:
            if part.grant != OVERAGE:
                yield from self._was_there(entry, part, pinned.get(part.grant, 0))
            to = _TAKEN_TO.get(effect.kind, "")
            yield from self._move(
                entry, part, left=-part.amount, held=part.amount if to == "held" else 0
            )
            if to in ("spent", "expired", "voided") and part.grant in self.known:
                grant = self.known[part.grant]
                setattr(grant, to, getattr(grant, to) + part.amount)

    def _was_there(self, entry: LedgerEntry, part: Part, pinned: int) -> Iterator[str]:
        """`pinned`: what the hold that the entry settles had of the same grant, and may use whatever
        has become of it.
        """
        effect = entry.effect
        grant = self.known.get(part.grant)
        if grant is None:
            return  # `_move` tells
        if part.amount > grant.left:
            yield f"{entry.id}: {part.amount} nanos were taken of grant {grant.number}, which had {grant.left}"
        if part.scoped != bool(grant.terms.scope):
            yield f"{entry.id}: grant {grant.number} is told to be {'scoped' if part.scoped else 'for any request'}"
        if effect.kind not in _SPENDS or part.amount <= pinned:
            return
        if not grant.lives_at(effect.at_ms):
            yield f"{entry.id}: {part.amount} nanos were taken of grant {grant.number}, which is {grant.state} or has expired"
        if not grant.applies(entry.labels):
            yield f"{entry.id}: {part.amount} nanos were taken of grant {grant.number}, which is not for such a request"

    def _end(self, entry: LedgerEntry, changes: Iterable[tuple[int, Change]]) -> Iterator[str]:
        effect = entry.effect
        match effect.kind:
            case Kind.GRANT_EXPIRED:
                for part in effect.taken:
                    yield from self._expire(entry, part)
            case Kind.GRANT_EXHAUSTED:
                for part in effect.taken:
                    yield from self._exhaust(entry, part)
            case Kind.GRANT_VOIDED:
                for _, change in changes:
                    if isinstance(change, VoidGrant):
                        yield from self._void(entry, change)
            case Kind.DEBT_PAID:
                for part in effect.taken:
                    grant = self.known.get(part.grant)
                    if grant and not grant.terms.pays_debt:
                        yield f"{entry.id}: grant {grant.number} paid debt, which it is not to"

    def _expire(self, entry: LedgerEntry, part: Part) -> Iterator[str]:
        grant = self.known.get(part.grant)
        if grant is None:
            return
        if grant.lives_at(entry.effect.at_ms):
            yield f"{entry.id}: grant {grant.number} expired, which still lives"
        if grant.left:
            yield f"{entry.id}: of grant {grant.number} {grant.left} nanos did not expire with the rest"
        if not grant.is_over:
            grant.state = "EXPIRED"

    def _exhaust(self, entry: LedgerEntry, part: Part) -> Iterator[str]:
        grant = self.known.get(part.grant)
        if grant is None:
            return
        if grant.left or grant.held or grant.is_over:
            yield f"{entry.id}: grant {grant.number} is {grant.state} and has {grant.left} left and {grant.held} held: not used up"
        if not grant.is_over:
            grant.state = "EXHAUSTED"

    def _void(self, entry: LedgerEntry, change: VoidGrant) -> Iterator[str]:
        grant = self.known.get(change.number)
        if grant is None or grant.is_over:
            return
        was = grant.left + entry.effect.amount
        if grant.state == "SCHEDULED":
            grant.state = "VOIDED"
            grant.voided = grant.left
            grant.left = 0
        elif entry.effect.amount != min(
            was, was if change.amount_nanos is None else change.amount_nanos
        ):
            yield f"{entry.id}: {entry.effect.amount} nanos of grant {grant.number} were voided, {was} were left, {change.amount_nanos} asked"
        elif change.amount_nanos is None or grant.left == grant.held == 0:
            grant.state = "VOIDED"

    def _move(self, entry: LedgerEntry, part: Part, left: int, held: int) -> Iterator[str]:
        if part.grant == OVERAGE:
            self.overage_left += left
            self.overage_held += held
        elif part.grant in self.known:
            grant = self.known[part.grant]
            grant.left += left
            grant.held += held
        else:
            yield f"{entry.id}: grant {part.grant} is not known"

    def _add_up(self, entry: LedgerEntry) -> Iterator[str]:
        state = entry.effect.after()
        living = [grant for grant in self.known.values() if grant.state != "SCHEDULED"]
        left = self.overage_left + sum(grant.left for grant in living if not grant.terms.scope)
        held = self.overage_held + sum(grant.held for grant in living)
        scoped = sum(grant.left for grant in living if grant.terms.scope)
        if (left, held, scoped) != (state.spendable, state.held, state.scoped):
            yield (
                f"{entry.id}: grants and overage have {left} left, {scoped} in scopes, and {held} held; the account"
                f" {state.spendable}, {state.scoped} and {state.held}"
            )


def _settles(effect: Effect) -> bool:
    return effect.kind is Kind.DEBIT and not effect.late
