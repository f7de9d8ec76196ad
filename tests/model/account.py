"""One account: what happened to it, and what that adds up to."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gate.v1.gate_pb2 import Balance, CreditsLeft, GraceState
from meter.journal.effect import Crossing
from meter.journal.operations import Grace, Level
from model.days import DAY_MS, HOUR_MS, at, month_of
from model.facts import (
    OVERAGE,
    Budget,
    Charge,
    Grant,
    Hold,
    Labels,
    Line,
    Parts,
    Uncounted,
    Window,
    merged,
)

Replies = dict[str, tuple[object, object]]


@dataclass
class Account:
    currency: str
    clock_ms: int
    overage: int = 0
    limit: int | None = None
    spend_management: bool = True
    levels: tuple[Level, ...] = ()
    graces: dict[str, Grace] = field(default_factory=dict)
    suspended: bool = False
    today: int = 0  # never goes back
    grants: dict[int, Grant] = field(default_factory=dict)
    budgets: dict[str, Budget] = field(default_factory=dict)
    charges: list[Charge] = field(default_factory=list)
    uncounted: list[Uncounted] = field(default_factory=list)
    losses: Parts = field(default_factory=list)  # expired or voided
    payments: Parts = field(default_factory=list)  # of overage in use, by grants
    holds: dict[str, Hold] = field(default_factory=dict)
    graces_begun: dict[str, int] = field(default_factory=dict)
    replies: Replies = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)  # everything that took effect
    counted: set[Window] = field(default_factory=set)  # in which something was ever used or held
    # how far below zero `spendable` may be: shortfalls, grace, and overage protection taken away
    excused: int = 0

    @property
    def day(self) -> int:
        self.today = max(self.today, self.clock_ms // DAY_MS)
        return self.today

    @property
    def hour(self) -> int:
        return max(self.day * 24, self.clock_ms // HOUR_MS)

    def left(self) -> dict[int, int]:
        """What there is to take, by grant."""
        left = {grant.number: grant.amount for grant in self.grants.values() if grant.begun} | {
            OVERAGE: self.overage
        }
        _subtract(left, self.payments)
        left[OVERAGE] += sum(amount for _, amount in self.payments)
        for charge in self.charges:
            _subtract(left, charge.parts)
        for hold in self.open_holds():
            _subtract(left, hold.pins)
        _subtract(left, self.losses)
        return left

    def open_holds(self) -> Iterator[Hold]:
        return (hold for hold in self.holds.values() if hold.open)

    def scheduled(self) -> dict[int, int]:
        """What will be there to take, by grant, if nobody voids it before."""
        return {
            grant.number: grant.amount
            for grant in self.grants.values()
            if not grant.begun and not grant.voided
        }

    def pinned(self) -> dict[int, int]:
        return merged(part for hold in self.open_holds() for part in hold.pins)

    @property
    def total(self) -> int:
        return sum(grant.amount for grant in self.grants.values() if grant.begun)

    @property
    def expired(self) -> int:
        return sum(amount for _, amount in self.losses)

    @property
    def used(self) -> int:
        return sum(charge.amount for charge in self.charges)

    @property
    def remaining(self) -> int:
        return self.total - self.expired - self.used

    @property
    def held(self) -> int:
        return sum(hold.amount for hold in self.open_holds())

    @property
    def spendable(self) -> int:
        return sum(left for number, left in self.left().items() if not self.is_scoped(number))

    @property
    def scoped(self) -> int:
        return sum(left for number, left in self.left().items() if self.is_scoped(number))

    @property
    def debt(self) -> int:
        taken = sum(
            amount
            for charge in self.charges
            for number, amount in charge.parts
            if number == OVERAGE
        )
        return taken - sum(amount for _, amount in self.payments)

    def used_on(self, day: int) -> int:
        uncounted = sum(each.amount for each in self.uncounted if each.day == day)
        return sum(charge.amount for charge in self.charges if charge.day == day) - uncounted

    def used_in_month(self, month: tuple[int, int]) -> int:
        uncounted = sum(each.amount for each in self.uncounted if each.month == month)
        return sum(charge.amount for charge in self.charges if charge.month == month) - uncounted

    @property
    def held_today(self) -> int:
        return sum(hold.amount for hold in self.open_holds() if hold.day == self.day)

    @property
    def day_remaining(self) -> int:
        return (self.limit or 0) - self.used_on(self.day) - self.held_today

    def used_in(self, window: Window) -> int:
        uncounted = sum(each.amount for each in self.uncounted if window in each.windows)
        used = sum(charge.amount for charge in self.charges if window in charge.windows)
        return used - uncounted

    def held_in(self, window: Window) -> int:
        return sum(hold.amount for hold in self.open_holds() if window in hold.windows)

    def remaining_of(self, budget: Budget) -> int:
        window = budget.now(self.hour)
        return budget.limit - self.used_in(window) - self.held_in(window)

    def budgets_of(self, labels: Labels) -> list[Budget]:
        """Those that usage with these labels counts in."""
        met = (budget.met_by(labels) for budget in self._by_id())
        return [budget for budget in met if budget is not None]

    def budgets_behind(self, windows: Iterable[Window]) -> list[Budget]:
        """Those of these windows that still are the same."""
        values = {window.number: window.value for window in windows}
        behind = (budget for budget in self._by_id() if budget.number in values)
        return [budget.of(values[budget.number]) for budget in behind]

    def _by_id(self) -> list[Budget]:
        return [self.budgets[budget_id] for budget_id in sorted(self.budgets)]

    def usable_grants(self, labels: Labels) -> list[Grant]:
        """The grants that usage with these labels may take from, in the order in which they are
        burned.
        """
        usable = (
            grant
            for grant in self.grants.values()
            if grant.begun and not grant.is_over(self.clock_ms)
        )
        return sorted(
            (grant for grant in usable if grant.is_for(labels)), key=lambda grant: grant.place
        )

    def covered(self, labels: Labels) -> int:
        """What usage with these labels may take without a grace."""
        left = self.left()
        return self.spendable + sum(
            left[grant.number] for grant in self.usable_grants(labels) if grant.scope
        )

    def take(self, amount: int, labels: Labels, but: Iterable[tuple[int, int]] = ()) -> Parts:
        """The credits that are taken for so much, when those of `but` are gone already; overage
        bears the rest.
        """
        left = self.left()
        parts = []
        _subtract(left, but)
        for grant in self.usable_grants(labels):
            part = min(amount, left[grant.number])
            if part > 0:
                parts.append((grant.number, part))
                amount -= part
        return [*parts, (OVERAGE, amount)] if amount else parts

    def unscoped(self, parts: Parts) -> int:
        """What of them any request could take."""
        return sum(amount for number, amount in parts if not self.is_scoped(number))

    def is_past(self, hold: Hold) -> bool:
        """Whether its time is over, whether or not that was seen to."""
        return not hold.open or self.clock_ms >= hold.expires_ms

    def open_grace(self, traffic_class: str) -> Grace | None:
        """The grace of this class, while its time is not over."""
        grace = self.graces.get(traffic_class)
        began_ms = self.graces_begun.get(traffic_class)
        if grace and grace.duration_ms is not None and began_ms is not None:
            return grace if self.clock_ms < began_ms + grace.duration_ms else None
        return grace

    def bounds(self, budgets: Iterable[Budget]) -> list[int]:
        """The bounds that spend management sets."""
        if not self.spend_management:
            return []
        bounds = [self.remaining_of(budget) for budget in budgets if budget.hard]
        return bounds if self.limit is None else [self.day_remaining, *bounds]

    def add(self, kind: str, amount: int, parts: Iterable[tuple[int, int]] = ()) -> None:
        self.lines.append(Line(kind, amount, tuple(merged(parts).items())))

    def tell(self, crossing: Crossing) -> None:
        self.lines.append(Line("T", 0, crossing))

    def available(self, budgets: Iterable[Budget] = ()) -> int:
        if self.suspended:
            return 0
        return max(0, min([self.spendable, *self.bounds(budgets)]))

    def balance(self, budgets: Iterable[Budget] = ()) -> Balance:
        return Balance(
            total_credits_nanos=self.total,
            period_usage_nanos=self.used_in_month(month_of(self.day)),
            remaining_nanos=self.remaining,
            overage_protection_nanos=self.overage,
            held_nanos=self.held,
            daily_limit_nanos=self.limit,
            daily_used_nanos=self.used_on(self.day),
            available_nanos=self.available(budgets),
            daily_used_yesterday_nanos=self.used_on(self.day - 1),
            scoped_nanos=self.scoped,
            expired_nanos=self.expired,
        )

    def breakdown(self) -> list[CreditsLeft]:
        left = self.left()
        pinned = self.pinned()
        kinds = []
        for kind in sorted({grant.type for grant in self.grants.values()}):
            of_kind = [
                grant.number for grant in self.grants.values() if grant.type == kind and grant.begun
            ]
            held = sum(pinned.get(number, 0) for number in of_kind)
            remaining = held + sum(left[number] for number in of_kind)
            if remaining:
                kinds.append(CreditsLeft(type=kind, remaining_nanos=remaining, held_nanos=held))
        return kinds

    def graces_told(self) -> list[GraceState]:
        return [
            GraceState(
                traffic_class=name,
                began_at=at(began_ms),
                ends_at=None if grace.duration_ms is None else at(began_ms + grace.duration_ms),
            )
            for name, grace in self.graces.items()
            if (began_ms := self.graces_begun.get(name)) is not None and self.open_grace(name)
        ]

    @property
    def blocked(self) -> int:
        """What is left of grants for any request, and cannot be spent."""
        left = sum(left for number, left in self.left().items() if number != OVERAGE)
        return max(0, left - self.scoped - max(0, self.spendable))

    def is_scoped(self, number: int) -> bool:
        return number != OVERAGE and bool(self.grants[number].scope)


def _subtract(left: dict[int, int], parts: Iterable[tuple[int, int]]) -> None:
    for number, amount in parts:
        if amount:
            left[number] -= amount
