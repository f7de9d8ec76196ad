"""The effect: what one script did to an account, and the account as it stood before.

A script that moves money writes one effect line (meter/journal/effect_codec.py). The line is
journaled and returned; a short form of the line is remembered for replays
(meter/journal/replay_record.py). The reply to the client and the row in the ledger are both
computed from the effect here, in exact integers. So Lua adds nothing up for reporting, and a
replayed reply cannot differ from the first reply.
"""

from collections.abc import Iterator
from typing import NamedTuple

from meter.journal.account_sums import AccountSums
from meter.journal.allocation import (
    Allocation,
    MatchedBudget,
    Part,
    total,
    total_scoped,
    total_unscoped,
)
from meter.journal.counter_names import NO_VALUE
from meter.journal.kinds import Kind


class Flags(NamedTuple):
    """Says what was special about an effect."""

    late: bool = False  # the hold had expired
    incurred: bool = False  # the usage has happened already, and cannot be denied
    in_grace: bool = False  # grace carries the part that was not available
    grace_began: bool = False
    graces_ended: bool = False  # a grant left something to spend: no grace of the account goes on
    is_scheduled: bool = False  # the grant is not effective yet
    spend_management_off: bool = False  # the account's limits and budgets deny nothing
    suspended: bool = False  # the account may spend nothing new
    reconciled: bool = False  # told by the store, to a ledger that had lost the entries
    # a refund of a duplicate: the amount counts no longer as used today, yesterday, this month
    uncounts_today: bool = False
    uncounts_yesterday: bool = False
    uncounts_month: bool = False


NO_FLAGS = Flags()


class Crossing(NamedTuple):
    """Says which threshold was crossed."""

    subject: str  # daily_use, low_balance or budget
    budget_id: str  # empty: the threshold is of no budget
    threshold_id: str
    window: str  # within one window, each threshold is crossed once
    level: int
    reached: int  # credits used, or remaining, after the effect
    value: str = NO_VALUE  # of the budget's counter


class Effect(NamedTuple):
    """Says what one script did; `kind` decides which of the amounts mean something.

    In the usual case there is no allocation: everything was taken from, and went back to, the
    current grant.
    """

    kind: Kind
    at_ms: int  # by the store's clock, or by the account's test clock
    day: int  # UTC day number that the account lives in
    # held, charged, released, added, granted, expired or voided; of kind RECONCILED, how held moved
    amount: int
    hold_amount: int  # the hold that a debit ended, or the hold before an extension
    hold_day: int | None  # day on which the hold was authorized
    expires_ms: int | None  # the hold's expiry, after the effect
    flags: Flags
    hold_id: str
    current_grant: int  # the grant that the usual call takes from, or OVERAGE
    allocation: Allocation | None
    crossing: Crossing | None  # of kind THRESHOLD only
    before: AccountSums

    @property
    def hold_counts_today(self) -> bool:
        return self.hold_day == self.day

    @property
    def charge_counts_today(self) -> bool:
        """Says whether a charge counts as used today.

        A settled hold's usage counts on the day of its authorization; all other usage counts today.
        """
        return self.hold_day is None or self.flags.late or self.hold_day == self.day

    @property
    def usage_day(self) -> int:
        """Returns the UTC day number on which a charge counts."""
        if self.hold_day is None or self.flags.late:
            return self.day
        return self.hold_day

    @property
    def taken(self) -> tuple[Part, ...]:
        """Returns the amount by the grants from which credits were taken."""
        if self.allocation is not None:
            return self.allocation.taken
        if self.amount and self.kind.takes:
            return (Part(self.current_grant, self.amount),)
        return ()

    @property
    def returned(self) -> tuple[Part, ...]:
        """Returns the credits that went back to grants, or into grants."""
        if self.allocation is not None:
            return self.allocation.returned
        amount = self.hold_amount if self.kind is Kind.DEBIT else self.amount
        if amount and self.kind.returns:
            return (Part(self.current_grant, amount),)
        return ()

    @property
    def lapsed(self) -> tuple[Part, ...]:
        """Returns the part of `returned` that expired by returning; own entries take it away."""
        if self.allocation is None:
            return ()
        return self.allocation.lapsed

    @property
    def budgets(self) -> tuple[MatchedBudget, ...]:
        """Returns the budgets matched by the call, or by the call's hold."""
        if self.allocation is None:
            return ()
        return self.allocation.budgets

    @property
    def freed(self) -> tuple[MatchedBudget, ...]:
        """Returns the budgets that a late debit's hold left; the usage counts in `budgets`."""
        if self.allocation is None:
            return ()
        return self.allocation.freed

    @property
    def held_delta(self) -> int:
        """Returns the change of held credits."""
        kind = self.kind
        if kind is Kind.DEBIT:
            return -self.hold_amount
        if kind.ends_hold:
            return -self.amount
        if kind.spends or kind is Kind.RECONCILED:
            return self.amount
        return 0

    @property
    def balance_delta(self) -> int:
        """Returns the change of remaining credits."""
        kind = self.kind
        if kind is Kind.DEBIT or kind.retires:
            return -self.amount
        if kind.gives:
            return self.amount
        return 0

    @property
    def budgets_delta(self) -> int:
        """Returns by how much the effect changes used + held of the budgets' present windows."""
        if self.kind is not Kind.DEBIT:
            return self.held_delta
        if self.flags.late:
            return self.amount
        return self.amount - self.hold_amount

    def after(self) -> AccountSums:
        """Returns the account's sums after the effect.

        Lapsed credits still count: entries of their own take them away.
        """
        kind = self.kind
        before = self.before
        if kind is Kind.DEBIT:
            return self._after_debit(before.spendable + self._spendable_delta())
        if kind.leaves_sums:
            return before
        spendable = before.spendable + self._spendable_delta()
        if kind.gives:
            return self._after_grant(spendable)
        if kind.retires:
            return before._replace(spendable=spendable, expired=before.expired + self.amount)
        return self._after_hold(spendable)

    def settled(self) -> AccountSums:
        """Returns the account's sums as the client reads them: lapsed credits are gone."""
        sums = self.after()
        if self.allocation is None or not self.allocation.lapsed:
            return sums
        lapsed = self.allocation.lapsed
        return sums._replace(
            spendable=sums.spendable - total_unscoped(lapsed),
            expired=sums.expired + total(lapsed),
        )

    def available_after(self, sums: AccountSums) -> int:
        """Returns how much a like request may spend when the account is left with `sums`.

        The amount is never below zero.
        """
        if self.flags.suspended:
            return 0
        available = sums.spendable
        if not self.flags.spend_management_off:
            if sums.daily_limit is not None and sums.day_remaining < available:
                available = sums.day_remaining
            if self.allocation is not None and self.allocation.budgets:
                for left in self._hard_budgets_left():
                    available = min(available, left)
        return max(0, available)

    @property
    def affordable(self) -> int:
        """Returns how much the denied request could have spent.

        Meant for an effect of kind BALANCE. Scoped grants that apply, and grace, are included.
        """
        if self.flags.suspended:
            return 0
        sums = self.before
        bounds = [sums.spendable + total(self.taken) + total(self.returned)]
        if not self.flags.spend_management_off:
            if sums.daily_limit is not None:
                bounds.append(sums.day_remaining)
            bounds += [budget.remaining for budget in self.budgets if budget.hard]
        return max(0, min(bounds))

    @property
    def uncovered(self) -> int:
        """Returns the part of `taken` that neither a hold nor spendable credits covered."""
        if self.amount <= self.before.spendable or not self.kind.takes:
            return 0
        if self.flags.reconciled:
            return 0  # nothing tells how much was there when the usage happened
        return max(0, self.amount - self._covered())

    @property
    def shortfall(self) -> int:
        """Returns the part of a charge that was not available, and became debt."""
        if self.kind is not Kind.DEBIT or self.flags.in_grace:
            return 0
        return self.uncovered

    @property
    def grace(self) -> int:
        """Returns the part of the amount that grace carried."""
        if not self.flags.in_grace:
            return 0
        return self.uncovered

    def _covered(self) -> int:
        """Returns what a hold and spendable credits can cover of the amount."""
        covered = max(0, self.before.spendable)
        if self.kind is Kind.DEBIT:
            covered += self.hold_amount - total(self.lapsed)
        if self.allocation is not None:
            covered += total_scoped(self.taken)
            covered -= total_scoped(self.returned)
            covered += total_scoped(self.lapsed)
        return covered

    def _spendable_delta(self) -> int:
        """Returns the change of the credits that every request may take."""
        allocation = self.allocation
        if allocation is not None:
            return total_unscoped(allocation.returned) - total_unscoped(allocation.taken)
        if self.kind is Kind.DEBIT:
            return self.hold_amount - self.amount
        if self.kind.takes:
            return -self.amount
        return self.amount

    def _hard_budgets_left(self) -> Iterator[int]:
        """Yields how much each matched hard budget has left after the effect."""
        delta = self.budgets_delta
        freed = {budget.name for budget in self.freed if budget.current}
        for budget in self.budgets:
            if not budget.hard:
                continue
            left = budget.remaining
            if budget.current:
                left -= delta
            if budget.name in freed:
                left += self.hold_amount
            yield left

    def _after_grant(self, spendable: int) -> AccountSums:
        before = self.before
        sums = before._replace(spendable=spendable, total=before.total + self.amount)
        flags = self.flags
        if flags.uncounts_today:
            sums = sums._replace(
                day_remaining=before.day_remaining + self.amount,
                day_base=before.day_base + self.amount,
            )
        if flags.uncounts_today or flags.uncounts_yesterday:
            sums = sums._replace(yesterday_base=before.yesterday_base + self.amount)
        if flags.uncounts_month:
            sums = sums._replace(month_base=before.month_base + self.amount)
        return sums

    def _after_hold(self, spendable: int) -> AccountSums:
        """Returns the sums after a hold was placed, extended or given back."""
        before = self.before
        delta = self.held_delta
        day_remaining = before.day_remaining
        if self.kind is Kind.AUTHORIZE or self.hold_counts_today:
            day_remaining -= delta
        return AccountSums(
            spendable,
            before.held + delta,
            before.overage,
            before.total,
            before.used,
            day_remaining,
            before.daily_limit,
            before.day_base,
            before.month_base,
            before.expired,
            before.yesterday_base,
        )

    def _after_debit(self, spendable: int) -> AccountSums:
        before = self.before
        amount = self.amount
        day_remaining = before.day_remaining
        day_base = before.day_base
        yesterday_base = before.yesterday_base
        if self.charge_counts_today:
            day_remaining -= amount
        else:
            day_base += amount
            if self.hold_day != self.day - 1:
                yesterday_base += amount
        if self.hold_day == self.day:
            day_remaining += self.hold_amount
        # By position, here, above and in the codec: every call passes, and keywords cost more.
        return AccountSums(
            spendable,
            before.held - self.hold_amount,
            before.overage,
            before.total,
            before.used + amount,
            day_remaining,
            before.daily_limit,
            day_base,
            before.month_base,
            before.expired,
            yesterday_base,
        )
