"""Each hold ends once, and gives back what it had pinned; one that has expired may still see one late
debit.
"""

from collections.abc import Iterator
from dataclasses import replace

from meter.audit.entry import LedgerEntry
from meter.journal.account_sums import ABSENT
from meter.journal.allocation import Part, joined, parts_of, text_of
from meter.journal.effect import Effect, Kind
from meter.ledger.projections.snapshot import OpenHold


class Holds:
    """The account's holds along its history."""

    def __init__(self) -> None:
        self.open: dict[str, OpenHold] = {}
        self._expired: set[str] = set()

    def pins(self, hold_id: str) -> tuple[Part, ...]:
        """What an open hold pins."""
        hold = self.open.get(hold_id)
        return parts_of(hold.pins) if hold else ()

    def see(self, entry: LedgerEntry, budgets: str) -> Iterator[str]:
        """Follows by one entry; a hold that it places counts in `budgets`."""
        effect = entry.effect
        hold = self.open.get(entry.effect.hold_id)
        match effect.kind:
            case Kind.AUTHORIZE:
                if hold:
                    yield f"{entry.id}: hold {hold.hold_id} was placed twice"
                self.open[effect.hold_id] = _placed(effect, budgets)
            case Kind.EXTEND:
                yield from _same_amount(entry, hold, effect.hold_amount)
                self.open[effect.hold_id] = _extended(hold or _known_from(effect), effect)
            case Kind.RELEASE | Kind.EXPIRE:
                yield from self._end(entry, effect.amount)
            case Kind.DEBIT if effect.hold_id:
                yield from self._end(entry, effect.hold_amount)

    def _end(self, entry: LedgerEntry, amount: int) -> Iterator[str]:
        effect = entry.effect
        hold = self.open.pop(effect.hold_id, None)
        if (
            hold is None
            and effect.kind is Kind.DEBIT
            and effect.late
            and effect.hold_id in self._expired
        ):
            self._expired.remove(effect.hold_id)
            if amount:
                yield f"{entry.id}: {amount} nanos of hold {effect.hold_id} went back twice"
            return
        if effect.kind is Kind.EXPIRE:
            self._expired.add(effect.hold_id)
        yield from _same_amount(entry, hold, amount)
        if hold and text_of(effect.returned) != hold.pins:
            yield f"{entry.id}: hold {hold.hold_id} gave back {text_of(effect.returned)}, it had pinned {hold.pins}"


def _same_amount(entry: LedgerEntry, hold: OpenHold | None, amount: int) -> Iterator[str]:
    if hold is None:
        yield f"{entry.id}: hold {entry.effect.hold_id} is not open"
    elif hold.amount_nanos != amount:
        yield f"{entry.id}: hold {hold.hold_id} was of {amount} nanos, the entries before it say {hold.amount_nanos}"


def _placed(effect: Effect, budgets: str) -> OpenHold:
    day = effect.day if effect.hold_day is None else effect.hold_day
    return OpenHold(
        effect.hold_id, effect.amount, day, effect.expires_ms or 0, text_of(effect.taken), budgets
    )


def _known_from(effect: Effect) -> OpenHold:
    """A hold whose placing was lost, as its extension is posted."""
    return replace(_placed(effect, ABSENT), amount_nanos=effect.hold_amount, pins=ABSENT)


def _extended(hold: OpenHold, effect: Effect) -> OpenHold:
    pins = joined(parts_of(hold.pins), effect.taken)
    amount = hold.amount_nanos + effect.amount
    return replace(hold, amount_nanos=amount, expires_ms=effect.expires_ms or 0, pins=text_of(pins))
