"""The effect line: what one script did, in the words that Redis wrote down.

A script that moves money writes one line of space-separated facts: the account as it stood before, and what was done. The same line is
journaled, remembered for replays, and returned; the reply to the client and the row in the ledger are both computed from it, here, in
exact integers. So Lua adds nothing up for reporting, and a replayed reply cannot differ from the first.
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

ABSENT = "-"
MS_PER_DAY = 86_400_000


class Kind(StrEnum):
    """What a script did; the first token of its effect line."""

    AUTHORIZE = "A"
    DEBIT = "D"
    RELEASE = "R"
    EXTEND = "E"
    EXPIRE = "X"
    GRANT = "G"
    CREATE = "C"
    UPDATE = "U"
    CLOCK = "K"
    BALANCE = "B"  # a look, never journaled


class State(NamedTuple):
    """An account's sums, as its hash in Redis keeps them (`gate/keys.py`).

    `room` is daily limit - used today - held today, with 0 in place of an absent limit: so that it is known when a limit is set.
    """

    spendable: int = 0  # remaining + overage - held
    held: int = 0
    overage: int = 0
    total: int = 0  # credits ever granted
    used: int = 0  # credits ever used
    room: int = 0
    limit: int | None = None
    day_base: int = 0  # of `used`: what does not count as used today
    month_base: int = 0  # `used` when the month began

    @property
    def remaining(self) -> int:
        return self.spendable - self.overage + self.held

    @property
    def used_today(self) -> int:
        return self.used - self.day_base

    @property
    def used_this_month(self) -> int:
        return self.used - self.month_base

    @property
    def held_today(self) -> int:
        return (self.limit or 0) - self.room - self.used_today

    @property
    def available(self) -> int:
        """What a call may still spend, never below zero."""
        bound = self.spendable if self.limit is None else min(self.spendable, self.room)
        return max(0, bound)

    def tokens(self) -> str:
        limit = ABSENT if self.limit is None else self.limit
        return (
            f"{self.spendable} {self.held} {self.overage} {self.total} {self.used}"
            f" {self.room} {limit} {self.day_base} {self.month_base}"
        )

    @classmethod
    def from_tokens(cls, tokens: list[str]) -> "State":
        spendable, held, overage, total, used, room, limit, day_base, month_base = tokens
        return cls(
            int(spendable), int(held), int(overage), int(total), int(used),
            int(room), None if limit == ABSENT else int(limit), int(day_base), int(month_base),
        )  # fmt: skip


class Effect(NamedTuple):
    """One line, parsed. Which of the amounts mean something depends on `kind`; see `after`."""

    kind: Kind
    at_ms: int  # by the store's clock, or the account's test clock
    day: int  # UTC day number that the account lives in
    amount: int  # held, charged, released, added or granted
    hold_amount: int  # the hold that a debit ended, or as it stood before an extension
    hold_day: int | None  # day the hold was authorized
    expires_ms: int | None  # the hold's expiry, as left
    late: bool
    incurred: bool
    hold_id: str
    before: State

    @property
    def hold_counts_today(self) -> bool:
        return self.hold_day == self.day

    @property
    def charge_counts_today(self) -> bool:
        """A settled hold's usage counts on the day it was authorized; any other usage counts today."""
        return self.hold_day is None or self.late or self.hold_counts_today

    @property
    def usage_day(self) -> int:
        if self.hold_day is None or self.late:
            return self.day
        return self.hold_day

    @property
    def shortfall(self) -> int:
        """The part of a charge that neither the hold nor what was spendable could cover."""
        if self.kind is not Kind.DEBIT:
            return 0
        return max(0, self.amount - self.hold_amount - max(0, self.before.spendable))

    @property
    def held_delta(self) -> int:
        match self.kind:
            case Kind.AUTHORIZE | Kind.EXTEND:
                return self.amount
            case Kind.RELEASE | Kind.EXPIRE:
                return -self.amount
            case Kind.DEBIT:
                return -self.hold_amount
            case _:
                return 0

    @property
    def balance_delta(self) -> int:
        """Change of remaining credits."""
        match self.kind:
            case Kind.DEBIT:
                return -self.amount
            case Kind.GRANT:
                return self.amount
            case _:
                return 0

    def after(self) -> State:
        """The account as this effect left it."""
        kind, amount = self.kind, self.amount
        if kind is Kind.DEBIT:
            return self._after_debit()
        spendable, held, overage, total, used, room, limit, day_base, month_base = self.before
        if kind is Kind.GRANT:
            return State(spendable + amount, held, overage, total + amount, used, room, limit, day_base, month_base)
        delta = self.held_delta
        if delta and (kind is Kind.AUTHORIZE or self.hold_counts_today):
            room -= delta
        return State(spendable - delta, held + delta, overage, total, used, room, limit, day_base, month_base)

    def _after_debit(self) -> State:
        spendable, held, overage, total, used, room, limit, day_base, month_base = self.before
        amount, ended = self.amount, self.hold_amount
        if self.charge_counts_today:
            room -= amount
        else:
            day_base += amount
        if self.hold_counts_today:
            room += ended
        return State(
            spendable + ended - amount, held - ended, overage, total, used + amount, room, limit, day_base, month_base
        )


_KINDS = {kind.value: kind for kind in Kind}


def parse(line: str) -> Effect:
    """An effect line, parsed. Its form is written by `effect_line` in gate/lua/include/account.lua."""
    kind, at_ms, day, amount, hold_amount, hold_day, expires_ms, flags, hold_id, *state = line.split(" ")
    return Effect(
        _KINDS.get(kind) or Kind(kind),
        int(at_ms),
        int(day),
        int(amount),
        int(hold_amount),
        None if hold_day == ABSENT else int(hold_day),
        None if expires_ms == ABSENT else int(expires_ms),
        "l" in flags,
        "i" in flags,
        "" if hold_id == ABSENT else hold_id,
        State.from_tokens(state),
    )


def date_of(day: int) -> str:
    """ISO date of a UTC day number (days since 1970-01-01)."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).date().isoformat()
