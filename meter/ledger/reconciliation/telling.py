"""The entries that tell what an older ledger lost of an account: sums, and no single calls."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from meter.journal.allocation import OVERAGE, Allocation, Part, first_of, total
from meter.journal.effect import Effect, Flags
from meter.journal.kinds import Kind
from meter.journal.operations import (
    AdvanceClock,
    Change,
    Create,
    GrantCredits,
    Operation,
    VoidGrant,
)
from meter.ledger.projections.snapshot import AccountSnapshot
from meter.ledger.reconciliation.difference import Irreconcilable, debt_in
from meter.ledger.reconciliation.lost_operations import waits_to_begin

_FLAGS = Flags(reconciled=True)
_NOTHING = Allocation()
_USED = "usage that the ledger had lost"
_EXPIRED = "expired or was voided; the ledger had lost when"
_PAID = "overage paid; the ledger had lost when"
_TAKEN_OVER = "taken over as Redis had it"


class Told(NamedTuple):
    """Holds an entry before it has a place."""

    effect: Effect
    description: str = ""
    operation: Operation | None = None


class _Had(NamedTuple):
    """Holds what a grant had left and held."""

    nanos: int
    is_scoped: bool
    expires_ms: int | None


class Telling:
    """Tells what happened to one account, effect by effect."""

    def __init__(
        self,
        known: AccountSnapshot,
        found: AccountSnapshot,
        at_ms: int,
    ) -> None:
        self._known = known
        self._found = found
        self._at_ms = at_ms
        self._sums = known.state
        self._in_store = {grant.number: grant for grant in found.grants}
        # by grant, what was there before anything was used
        self._had = {
            grant.number: _Had(grant.left + grant.held, bool(grant.scope), grant.expires_ms)
            for grant in known.grants
        }
        self._waiting = {grant.number for grant in known.grants if grant.state == "p"}

    def tell(self, operations: Iterable[Operation], started: Iterable[Part]) -> Iterator[Told]:
        """Yields the entries in order: operations, then credits, at last the account itself.

        Raises Irreconcilable.
        """
        for operation in operations:
            yield self._operation(operation)
        for part in started:
            allocation = Allocation(returned=(part,))
            yield Told(self._effect(Kind.GRANT_STARTED, part.amount, allocation))
        yield from self._credits()
        held = self._found.state.held - self._sums.held
        self._sums = self._found.state
        yield Told(self._effect(Kind.RECONCILED, held), _TAKEN_OVER)

    def _operation(self, operation: Operation) -> Told:
        change = operation.change
        if isinstance(change, GrantCredits):
            return self._grant(operation, change)
        if isinstance(change, VoidGrant) and change.number in self._waiting:
            del self._had[change.number]
        effect = self._effect(_kind_of(change), 0)
        return Told(effect, operation=operation)

    def _grant(self, operation: Operation, change: GrantCredits) -> Told:
        number = operation.seq
        is_scoped = bool(change.scope)
        self._had[number] = _Had(change.amount_nanos, is_scoped, change.expires_at_ms)
        flags = _FLAGS
        amount = change.amount_nanos
        if waits_to_begin(change, self._in_store.get(number), self._at_ms):
            flags = flags._replace(is_scheduled=True)
            amount = 0
        parts: tuple[Part, ...] = ()
        if amount:
            parts = (Part(number, amount, is_scoped),)
        effect = self._effect(Kind.GRANT, amount, Allocation(returned=parts), flags)
        return Told(effect, change.description, operation)

    def _credits(self) -> Iterator[Told]:
        """Yields what expired, what was used, and what paid overage; each in one sum."""
        gone = self._gone()
        was, now = self._known.state, self._found.state
        debt = debt_in(self._found) - debt_in(self._known)
        expired = first_of(gone, now.expired - was.expired)
        gone = _without(gone, expired)
        paid = first_of(gone, max(0, -debt))
        spent = _without(gone, paid)
        used = now.used - was.used
        if total(expired) != now.expired - was.expired or total(spent) != used - max(0, debt):
            raise self._irreconcilable("what its grants lost is not what was used or expired")
        if expired:
            effect = self._effect(Kind.GRANT_EXPIRED, total(expired), Allocation(taken=expired))
            yield Told(effect, _EXPIRED)
        if used:
            taken = spent
            if debt > 0:
                taken = (*spent, Part(OVERAGE, debt))
            flags = _FLAGS._replace(incurred=True)
            yield Told(self._effect(Kind.DEBIT, used, Allocation(taken=taken), flags), _USED)
        if paid:
            allocation = Allocation(taken=paid, returned=(Part(OVERAGE, total(paid)),))
            yield Told(self._effect(Kind.DEBT_PAID, total(paid), allocation), _PAID)

    def _gone(self) -> tuple[Part, ...]:
        """Returns what the grants have lost: of grants that have expired first."""
        gone = []
        for number, had in self._had.items():
            grant = self._in_store.get(number)
            has = 0
            if grant is not None:
                has = grant.left + grant.held
            if has > had.nanos:
                raise self._irreconcilable(f"grant {number} has {has - had.nanos} nanos too many")
            if has < had.nanos:
                lives = had.expires_ms is None or had.expires_ms > self._at_ms
                place = (grant is not None, lives, number)
                gone.append((place, Part(number, had.nanos - has, had.is_scoped)))
        return tuple(part for _, part in sorted(gone))

    def _effect(
        self,
        kind: Kind,
        amount: int,
        allocation: Allocation = _NOTHING,
        flags: Flags = _FLAGS,
    ) -> Effect:
        """Returns the next effect, on top of the effects before."""
        effect = Effect(
            kind=kind,
            at_ms=self._at_ms,
            day=self._found.day,
            amount=amount,
            hold_amount=0,
            hold_day=None,
            expires_ms=None,
            flags=flags,
            hold_id="",
            current_grant=OVERAGE,
            allocation=allocation,
            crossing=None,
            before=self._sums,
        )
        self._sums = effect.after()
        return effect

    def _irreconcilable(self, why: str) -> Irreconcilable:
        return Irreconcilable(self._found.account_id, why)


def _kind_of(change: Change) -> Kind:
    match change:
        case Create():
            return Kind.CREATE
        case VoidGrant():
            return Kind.GRANT_VOIDED
        case AdvanceClock():
            return Kind.CLOCK
        case _:
            return Kind.UPDATE


def _without(parts: Iterable[Part], taken: Iterable[Part]) -> tuple[Part, ...]:
    """Returns what is left of the parts."""
    less = {part.grant: part.amount for part in taken}
    rest = [part._replace(amount=part.amount - less.get(part.grant, 0)) for part in parts]
    return tuple(part for part in rest if part.amount)
