"""Credits set aside, charged, and given back."""

from dataclasses import dataclass

from model.account import Account
from model.consequences import crossings, lapse
from model.facts import DEBT_FLOOR, MOST, Budget, Charge, Hold, Parts, first_of, merged
from model.judging import Asked


def pin(account: Account, hold: Hold, amount: int, asked: Asked, kind: str, in_grace: bool) -> None:
    """Adds so much to the hold."""
    parts = account.take(amount, asked.labels)
    was = account.spendable
    account.add(kind, amount, parts)
    sums = merged(hold.pins + parts)
    hold.pins = [(number, sums[number]) for number in dict(hold.pins + parts)]
    if amount:
        account.counted.update(hold.windows)
    if in_grace:
        begin_grace(account, asked)
        account.excused += deeper(was, was - account.unscoped(parts))


def begin_grace(account: Account, asked: Asked) -> None:
    account.graces_begun.setdefault(asked.traffic_class, account.clock_ms)


def give_back(account: Account, hold: Hold, kind: str) -> None:
    """What a hold that has ended had pinned goes back whole."""
    account.add(kind, hold.amount, hold.pins)
    lapse(account, hold, taken=[])


@dataclass
class Charging:
    """Usage to be charged; the hold that it ends, if any, is not among the account's any more."""

    account: Account
    cost: int
    asked: Asked
    hold: Hold | None
    settles: bool  # the hold, in time

    @property
    def budgets(self) -> list[Budget]:
        """Those that it meets."""
        if self.hold and self.settles:
            return self.account.budgets_behind(self.hold.windows)
        return self.asked.budgets

    @property
    def parts(self) -> Parts:
        """Whose credits it takes."""
        pinned = first_of(self.hold.pins, self.cost) if self.hold and self.settles else []
        rest = self.cost - sum(amount for _, amount in pinned)
        return pinned + self.account.take(rest, self.asked.labels, but=pinned)

    def leaves_range(self, was: int) -> bool:
        """Whether it takes more than a hold gives back, and more than sums can bear, even if no
        scoped grant helps.
        """
        account = self.account
        hold = self.hold
        returned = hold.amount if hold and hold.open else 0
        counts_today = not self.settles or (hold is not None and hold.day == account.day)
        spendable = was + returned
        if account.used + self.cost > MOST:
            return True
        if hold and counts_today and hold.day != account.day:
            returned = 0  # it goes back to another day
        if self.cost <= returned:
            return False
        windows = [budget.now(account.hour) for budget in self.budgets]
        counted = max(
            (account.used_in(window) + account.held_in(window) for window in windows), default=0
        )
        floor = -MOST if account.limit is None else DEBT_FLOOR
        return (
            spendable - self.cost < DEBT_FLOOR
            or (counts_today and account.day_remaining - self.cost < floor)
            or counted + self.cost > MOST
        )

    def charge(self, was: int) -> int:
        """Takes it; by how much more than there was, when `was` could be spent before the hold went
        back.
        """
        account = self.account
        hold = self.hold
        parts = self.parts
        day = hold.day if hold and self.settles else account.day
        windows = tuple(budget.now(account.hour) for budget in self.asked.budgets)
        with crossings(account):
            account.add("D", self.cost, parts)
            account.charges.append(
                Charge(
                    parts,
                    day,
                    account.day,
                    hold.windows if hold and self.settles else windows,
                )
            )
        if self.cost:
            account.counted.update(account.charges[-1].windows)
        if hold and hold.open:
            lapse(account, hold, taken=parts if self.settles else [])
        uncovered = deeper(was, account.spendable)
        account.excused += uncovered
        return uncovered


def deeper(was: int, is_: int) -> int:
    """How much further below zero."""
    return max(0, max(0, -is_) - max(0, -was))
