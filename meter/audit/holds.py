"""The rule of holds: each hold ends once, and gives back what the hold had pinned.

A hold that has expired may still see one late debit.
"""

from collections.abc import Iterator
from dataclasses import replace

from meter.audit.entry import LedgerEntry
from meter.journal.account_sums import ABSENT
from meter.journal.allocation import Part, decode_parts, encode_parts, joined
from meter.journal.effect import Effect
from meter.journal.kinds import Kind
from meter.ledger.projections.snapshot import OpenHold
from meter.ledger.reconciliation.taken_over import TakenOver


class HoldRule:
    """Follows an account's holds."""

    def __init__(self) -> None:
        self.open: dict[str, OpenHold] = {}
        self._expired: set[str] = set()

    def pins(self, hold_id: str) -> tuple[Part, ...]:
        """Returns what the hold pins; nothing, if the hold is not open."""
        hold = self.open.get(hold_id)
        if hold is None:
            return ()
        return decode_parts(hold.pins)

    def windows(self, hold_id: str) -> str:
        """Returns the budgets' windows in which the hold counts."""
        hold = self.open.get(hold_id)
        if hold is None:
            return ABSENT
        return hold.budgets

    def take_over(self, taken_over: TakenOver) -> None:
        """Sets the open holds to those that a reconciliation found."""
        self.open = {hold.hold_id: hold for hold in taken_over.holds}

    def check(self, entry: LedgerEntry, windows: str) -> Iterator[str]:
        """Follows by an entry; a hold placed by the entry counts in `windows`."""
        effect = entry.effect
        match effect.kind:
            case Kind.AUTHORIZE:
                yield from self._place(entry, windows)
            case Kind.EXTEND:
                yield from self._extend(entry)
            case Kind.RELEASE | Kind.EXPIRE:
                yield from self._check_end(entry, effect.amount)
            case Kind.DEBIT if effect.hold_id:
                yield from self._check_end(entry, effect.hold_amount)

    def _place(self, entry: LedgerEntry, windows: str) -> Iterator[str]:
        hold_id = entry.effect.hold_id
        if hold_id in self.open:
            yield f"{entry.id}: hold {hold_id} was placed twice"
        self.open[hold_id] = _placed(entry.effect, windows)

    def _extend(self, entry: LedgerEntry) -> Iterator[str]:
        effect = entry.effect
        hold = self.open.get(effect.hold_id)
        yield from _check_amount(entry, hold, effect.hold_amount)
        known = hold or _known_from(effect)
        self.open[effect.hold_id] = _extended(known, effect)

    def _check_end(self, entry: LedgerEntry, amount: int) -> Iterator[str]:
        effect = entry.effect
        hold = self.open.pop(effect.hold_id, None)
        if hold is None and effect.flags.late and effect.hold_id in self._expired:
            yield from self._check_late(entry, amount)
            return
        if effect.kind is Kind.EXPIRE:
            self._expired.add(effect.hold_id)
        yield from _check_given_back(entry, hold, amount)

    def _check_late(self, entry: LedgerEntry, amount: int) -> Iterator[str]:
        """Checks the one late debit of a hold that has expired."""
        hold_id = entry.effect.hold_id
        self._expired.remove(hold_id)
        if amount:
            yield f"{entry.id}: {amount} nanos of hold {hold_id} went back twice"


def _check_given_back(
    entry: LedgerEntry,
    hold: OpenHold | None,
    amount: int,
) -> Iterator[str]:
    yield from _check_amount(entry, hold, amount)
    if hold:
        yield from _check_returned(entry, hold)


def _check_amount(
    entry: LedgerEntry,
    hold: OpenHold | None,
    amount: int,
) -> Iterator[str]:
    if hold is None:
        yield f"{entry.id}: hold {entry.effect.hold_id} is not open"
    elif hold.amount_nanos != amount:
        yield (
            f"{entry.id}: hold {hold.hold_id} was of {amount} nanos,"
            f" the entries before it say {hold.amount_nanos}"
        )


def _check_returned(entry: LedgerEntry, hold: OpenHold) -> Iterator[str]:
    returned = encode_parts(entry.effect.returned)
    if returned != hold.pins:
        yield f"{entry.id}: hold {hold.hold_id} gave back {returned}, it had pinned {hold.pins}"


def _placed(effect: Effect, windows: str) -> OpenHold:
    day = effect.hold_day
    if day is None:
        day = effect.day
    return OpenHold(
        effect.hold_id,
        effect.amount,
        day,
        effect.expires_ms or 0,
        encode_parts(effect.taken),
        windows,
    )


def _known_from(effect: Effect) -> OpenHold:
    """Returns a hold with a lost placing, as far as the extension tells."""
    placed = _placed(effect, ABSENT)
    return replace(
        placed,
        amount_nanos=effect.hold_amount,
        pins=ABSENT,
    )


def _extended(hold: OpenHold, effect: Effect) -> OpenHold:
    pins = joined(decode_parts(hold.pins), effect.taken)
    return replace(
        hold,
        amount_nanos=hold.amount_nanos + effect.amount,
        expires_ms=effect.expires_ms or 0,
        pins=encode_parts(pins),
    )
