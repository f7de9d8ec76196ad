"""The rules that are checked entry by entry, along one account's history. Each yields the details of what does not hold."""

from collections.abc import Iterator
from dataclasses import dataclass

from meter.check.line import Line
from meter.effect import Effect, Kind
from meter.journal import Position
from meter.ledger.entries import burned_parts
from meter.ledger.settings import Settings
from meter.state import State


def columns(line: Line) -> Iterator[str]:
    """An entry's columns are functions of its effect line, and its usage lines add up to its charge."""
    effect = line.effect
    burned = tuple((part.grant, part.amount) for part in burned_parts(effect, None) if part.amount)
    says = {
        "kind": (line.kind, effect.kind.name),
        "occurred_at_ms": (line.occurred_at_ms, effect.at_ms),
        "usage_day": (line.usage_day, effect.usage_day),
        "amount_nanos": (line.amount_nanos, effect.balance_delta),
        "balance_nanos": (line.balance_nanos, effect.after().remaining),
        "held_nanos": (line.held_nanos, effect.held_delta),
        "shortfall_nanos": (line.shortfall_nanos, effect.shortfall),
        "grace_nanos": (line.grace_nanos, effect.grace),
        "burned": (tuple(part for part in line.burned if part[1]), burned),
        "overage_nanos": (line.overage_nanos, _overage(effect)),
        "hold_id": (line.hold_id, effect.hold_id),
        "late": (line.late, effect.late),
        "incurred": (line.incurred, effect.incurred),
    }
    for name, (column, told) in says.items():
        if column != told:
            yield f"{line.id}: {name} is {column}, its effect line says {told}"
    charged = sum(nanos for _, _, nanos in line.usage)
    if line.kind == "DEBIT" and charged != -line.amount_nanos:
        yield f"{line.id}: its usage lines add up to {charged} nanos, it charged {-line.amount_nanos}"


def place(line: Line, shard: int) -> Iterator[str]:
    """An account's entries are all in its shard's journal."""
    if line.shard != shard:
        yield f"{line.id}: is of another shard than the account, which is in {shard}"


def admission(line: Line, settings: Settings, scoped: int) -> Iterator[str]:
    """What can be denied was available, or grace carried it. `scoped`: what grants in scopes had for the request."""
    effect, was = line.effect, line.effect.before
    deniable = effect.kind in (Kind.AUTHORIZE, Kind.EXTEND) or (
        effect.kind is Kind.DEBIT and not effect.incurred and not effect.hold_id
    )
    if not deniable or (effect.kind is Kind.EXTEND and effect.amount == 0):
        return
    covered = was.spendable + scoped
    if (effect.amount > covered) != effect.in_grace:
        yield f"{line.id}: {effect.amount} nanos were admitted{' in grace' if effect.in_grace else ''}, {covered} could be spent"
    elif effect.in_grace and not _is_graced(line, settings, covered):
        yield f"{line.id}: grace of {line.traffic_class or 'no class'} carried {effect.grace} nanos, which it does not allow"
    is_managed = "o" not in effect.flags
    if settings.spend_management != is_managed:
        yield f"{line.id}: spend management was {'on' if is_managed else 'off'} for it alone"
    if not is_managed:
        return
    if was.limit is not None and effect.amount > was.room:
        yield f"{line.id}: {effect.amount} nanos were admitted, the daily limit left {was.room}"
    for budget in effect.budgets:
        if budget.hard and effect.amount > budget.room:
            yield f"{line.id}: {effect.amount} nanos were admitted, budget {budget.budget_id} left {budget.room}"


@dataclass(slots=True)
class Overage:
    """What may be spent is below zero by no more than shortfall, what grace carried, and what the overage protection was lowered by."""

    excused: int = 0
    protection: int = 0

    def see(self, line: Line) -> Iterator[str]:
        """Follows by one entry."""
        protection = line.effect.before.overage
        self.excused += line.shortfall_nanos + line.grace_nanos + max(0, self.protection - protection)
        self.protection = protection
        below = -line.effect.after().spendable
        if below > self.excused:
            yield (
                f"{line.id}: balance {line.balance_nanos} is {below} nanos below the overage protection of {protection},"
                f" of which {self.excused} are shortfall or grace"
            )


@dataclass(slots=True)
class AsOf:
    """The account as the last entry up to a position left it."""

    position: Position | None
    day: int = 0
    state: State | None = None

    def see(self, line: Line, state: State) -> None:
        """Notes the state that the entry left."""
        if self.is_up_to(line):
            self.day, self.state = line.effect.day, state

    def is_up_to(self, line: Line) -> bool:
        """Whether the entry is at or before the position."""
        return self.position is not None and line.position <= self.position


def _is_graced(line: Line, settings: Settings, covered: int) -> bool:
    effect = line.effect
    began_ms = settings.graces_begun.get(line.traffic_class)
    if (began_ms is None) != effect.grace_began:
        return False
    return any(
        (grace.duration_ms is None or began_ms is None or effect.at_ms < began_ms + grace.duration_ms)
        and (grace.amount_nanos is None or effect.amount <= covered + grace.amount_nanos)
        for grace in settings.graces
        if grace.traffic_class == line.traffic_class
    )


def _overage(effect: Effect) -> int:
    if effect.kind is Kind.DEBT_PAID:
        return -effect.amount
    return sum(part.amount for part in effect.taken if not part.grant) if effect.kind is Kind.DEBIT else 0
