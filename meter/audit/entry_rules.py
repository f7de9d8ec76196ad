"""The rules that are checked entry by entry, along one account's history.

Each yields the details of what does not hold.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from meter.audit.entry import LedgerEntry
from meter.journal.account_sums import AccountSums
from meter.journal.effect import Effect, Kind
from meter.journal.entry import Position
from meter.ledger.entries import burned_parts
from meter.ledger.projections.settings import Settings


def columns(entry: LedgerEntry) -> Iterator[str]:
    """An entry's columns are functions of its effect line, and its usage lines add up to
    its charge.
    """
    effect = entry.effect
    burned = tuple((part.grant, part.amount) for part in burned_parts(effect, None) if part.amount)
    says = {
        "kind": (entry.kind, effect.kind.name),
        "occurred_at_ms": (entry.occurred_at_ms, effect.at_ms),
        "usage_day": (entry.usage_day, effect.usage_day),
        "amount_nanos": (entry.amount_nanos, effect.balance_delta),
        "balance_nanos": (entry.balance_nanos, effect.after().remaining),
        "held_nanos": (entry.held_nanos, effect.held_delta),
        "shortfall_nanos": (entry.shortfall_nanos, effect.shortfall),
        "grace_nanos": (entry.grace_nanos, effect.grace),
        "burned": (tuple(part for part in entry.burned if part[1]), burned),
        "overage_nanos": (entry.overage_nanos, _overage(effect)),
        "hold_id": (entry.hold_id, effect.hold_id),
        "late": (entry.late, effect.late),
        "incurred": (entry.incurred, effect.incurred),
    }
    for name, (column, told) in says.items():
        if column != told:
            yield f"{entry.id}: {name} is {column}, its effect line says {told}"
    charged = sum(nanos for _, _, nanos in entry.usage)
    if entry.kind == "DEBIT" and charged != -entry.amount_nanos:
        yield f"{entry.id}: its usage lines add up to {charged} nanos, it charged {-entry.amount_nanos}"


def place(entry: LedgerEntry, shard: int) -> Iterator[str]:
    """An account's entries are all in its shard's journal."""
    if entry.shard != shard:
        yield f"{entry.id}: is of another shard than the account, which is in {shard}"


def admission(entry: LedgerEntry, settings: Settings, scoped: int) -> Iterator[str]:
    """What can be denied was available, or grace carried it.

    `scoped`: what grants in scopes had for the request.
    """
    effect = entry.effect
    was = entry.effect.before
    deniable = effect.kind in (Kind.AUTHORIZE, Kind.EXTEND) or (
        effect.kind is Kind.DEBIT and not effect.incurred and not effect.hold_id
    )
    if not deniable or (effect.kind is Kind.EXTEND and effect.amount == 0):
        return
    covered = was.spendable + scoped
    if (effect.amount > covered) != effect.in_grace:
        yield f"{entry.id}: {effect.amount} nanos were admitted{' in grace' if effect.in_grace else ''}, {covered} could be spent"
    elif effect.in_grace and not _is_graced(entry, settings, covered):
        yield f"{entry.id}: grace of {entry.traffic_class or 'no class'} carried {effect.grace} nanos, which it does not allow"
    is_managed = "o" not in effect.flags
    if settings.spend_management != is_managed:
        yield f"{entry.id}: spend management was {'on' if is_managed else 'off'} for it alone"
    if not is_managed:
        return
    if was.limit is not None and effect.amount > was.room:
        yield f"{entry.id}: {effect.amount} nanos were admitted, the daily limit left {was.room}"
    for budget in effect.budgets:
        if budget.hard and effect.amount > budget.room:
            yield f"{entry.id}: {effect.amount} nanos were admitted, budget {budget.budget_id} left {budget.room}"


@dataclass(slots=True)
class Overage:
    """What may be spent is below zero by no more than shortfall, what grace carried, and what the
    overage protection was lowered by.
    """

    excused: int = 0
    protection: int = 0

    def see(self, entry: LedgerEntry) -> Iterator[str]:
        """Follows by one entry."""
        protection = entry.effect.before.overage
        self.excused += (
            entry.shortfall_nanos + entry.grace_nanos + max(0, self.protection - protection)
        )
        self.protection = protection
        below = -entry.effect.after().spendable
        if below > self.excused:
            yield (
                f"{entry.id}: balance {entry.balance_nanos} is {below} nanos below the overage protection of {protection},"
                f" of which {self.excused} are shortfall or grace"
            )


@dataclass(slots=True)
class AsOf:
    """The account as the last entry up to a position left it."""

    position: Position | None
    day: int = 0
    state: AccountSums | None = None

    def see(self, entry: LedgerEntry, state: AccountSums) -> None:
        """Notes the state that the entry left."""
        if self.is_up_to(entry):
            self.day = entry.effect.day
            self.state = state

    def is_up_to(self, entry: LedgerEntry) -> bool:
        """Whether the entry is at or before the position."""
        return self.position is not None and entry.position <= self.position


def _is_graced(entry: LedgerEntry, settings: Settings, covered: int) -> bool:
    effect = entry.effect
    began_ms = settings.graces_begun.get(entry.traffic_class)
    if (began_ms is None) != effect.grace_began:
        return False
    return any(
        (
            grace.duration_ms is None
            or began_ms is None
            or effect.at_ms < began_ms + grace.duration_ms
        )
        and (grace.amount_nanos is None or effect.amount <= covered + grace.amount_nanos)
        for grace in settings.graces
        if grace.traffic_class == entry.traffic_class
    )


def _overage(effect: Effect) -> int:
    if effect.kind is Kind.DEBT_PAID:
        return -effect.amount
    return (
        sum(part.amount for part in effect.taken if not part.grant)
        if effect.kind is Kind.DEBIT
        else 0
    )
