"""The effect line: what one script did, in the words that Redis wrote down.

A script that moves money writes one line of space-separated facts: what was done, and the account
as it stood before. The same line is journaled, remembered for replays, and returned; the reply to
the client and the row in the ledger are both computed from it, here, in exact integers. So Lua adds
nothing up for reporting, and a replayed reply cannot differ from the first.

    kind time day amount hold_amount hold_day expiry flags hold_id bucket extras  gl gh ol oh used room  tot lim ovr exp dbase mbase ybase

`bucket` is the grant that was being burned (0: overage); the sums are those of the account's hash
(gate/store/keys.py). `extras` is `-` in the usual case: everything was taken from, and went back
to, that bucket. Otherwise it is `taken/returned/lapsed/budgets`, each `-` or a list (and a fifth,
`freed`, in the form of budgets, where a late debit's hold had counted in some):

| part     | form                                        | meaning                                                                  |
|----------|---------------------------------------------|--------------------------------------------------------------------------|
| taken    | `7:30,9s:10,0:5`                            | nanos by grant number; `s`: of a scoped grant; 0: of overage             |
| returned | the same                                    | what an ended hold had pinned; what a grant, its start or a payment gave |
| lapsed   | the same                                    | of `returned`: came back too late, and expired by an entry of its own    |
| budgets  | `id,start,end,room,held,limit,flags;...`    | the budgets matched, each as it stood before (`MatchedBudget`)                   |

A threshold's line has its crossing in place of `extras`:
`subject,budget,threshold,window,level,value`.
"""

from enum import StrEnum
from typing import NamedTuple

from meter.journal.account_sums import ABSENT, AccountSums
from meter.journal.allocation import Part, parts_of, scoped, unscoped_in

OVERAGE = "0"  # the bucket that is no grant
HARD = "h"
PAST = "p"  # flags of a budget that was matched: hard, not soft; of a window that has passed


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
    GRANT_EXPIRED = "V"
    GRANT_STARTED = "S"
    GRANT_EXHAUSTED = "Q"
    GRANT_VOIDED = "Z"
    DEBT_PAID = "P"
    THRESHOLD = "T"
    BALANCE = "B"  # a look, never journaled


class MatchedBudget(NamedTuple):
    """A budget that matched, as it stood before. A hold that ends names those of its windows."""

    budget_id: str
    start_day: int  # first UTC day of the window
    end_day: int | None  # first day behind it; None: never ends
    room: int  # limit - used - held
    held: int
    limit: int
    hard: bool
    current: bool = (
        True  # False: a hold's window that has passed; the sums are those of the present one
    )


class Crossing(NamedTuple):
    """A threshold that was crossed."""

    subject: str  # daily_use, low_balance or budget
    budget_id: str
    threshold_id: str
    window: str  # each threshold is crossed once in it
    level: int
    value: int  # used, or remaining, as left


class Effect(NamedTuple):
    """One line, parsed. Which of the amounts mean something depends on `kind`; see `after`."""

    kind: Kind
    at_ms: int  # by the store's clock, or the account's test clock
    day: int  # UTC day number that the account lives in
    amount: int  # held, charged, released, added, granted, expired or voided
    hold_amount: int  # the hold that a debit ended, or as it stood before an extension
    hold_day: int | None  # day the hold was authorized
    expires_ms: int | None  # the hold's expiry, as left
    flags: str
    hold_id: str
    bucket: int
    extras: str
    before: AccountSums

    @property
    def late(self) -> bool:
        """The hold had expired."""
        return "l" in self.flags

    @property
    def incurred(self) -> bool:
        return "i" in self.flags

    @property
    def in_grace(self) -> bool:
        """Grace carries what was not available."""
        return "g" in self.flags

    @property
    def grace_began(self) -> bool:
        return "b" in self.flags

    @property
    def graces_ended(self) -> bool:
        """A grant left something to spend: every grace of the account is over."""
        return "e" in self.flags

    @property
    def is_scheduled(self) -> bool:
        """A grant that is not effective yet."""
        return "p" in self.flags

    @property
    def hold_counts_today(self) -> bool:
        return self.hold_day == self.day

    @property
    def charge_counts_today(self) -> bool:
        """A settled hold's usage counts on the day it was authorized; any other usage
        counts today.
        """
        return self.hold_day is None or self.late or self.hold_counts_today

    @property
    def usage_day(self) -> int:
        if self.hold_day is None or self.late:
            return self.day
        return self.hold_day

    @property
    def taken(self) -> tuple[Part, ...]:
        """The amount, by the buckets that it came from."""
        if self.extras != ABSENT:
            return parts_of(self.extras.split("/")[0]) if self.kind is not Kind.THRESHOLD else ()
        if self.kind in _TAKES and self.amount:
            return (Part(self.bucket, self.amount),)
        return ()

    @property
    def returned(self) -> tuple[Part, ...]:
        """What went back to, or into, buckets."""
        if self.extras != ABSENT:
            return parts_of(self.extras.split("/")[1]) if self.kind is not Kind.THRESHOLD else ()
        amount = self.hold_amount if self.kind is Kind.DEBIT else self.amount
        return (Part(self.bucket, amount),) if self.kind in _RETURNS and amount else ()

    @property
    def lapsed(self) -> tuple[Part, ...]:
        """Of `returned`: what expired by returning; entries of its own follow."""
        return (
            ()
            if self.extras == ABSENT or self.kind is Kind.THRESHOLD
            else parts_of(self.extras.split("/")[2])
        )

    @property
    def budgets(self) -> tuple[MatchedBudget, ...]:
        if self.extras == ABSENT or self.kind is Kind.THRESHOLD:
            return ()
        return _budgets(self.extras.split("/")[3])

    @property
    def freed(self) -> tuple[MatchedBudget, ...]:
        """Budgets that a late debit's hold had counted in, and left; `budgets` are then those that its
        usage matched.
        """
        parts = self.extras.split("/")
        return _budgets(parts[4]) if len(parts) > 4 else ()

    @property
    def crossing(self) -> Crossing:
        """What a threshold's line is about."""
        subject, budget_id, threshold_id, window, level, value = self.extras.split(",")
        return Crossing(
            subject,
            "" if budget_id == ABSENT else budget_id,
            threshold_id,
            window,
            int(level),
            int(value),
        )

    @property
    def lapsed_amount(self) -> int:
        return 0 if self.extras == ABSENT else sum(part.amount for part in self.lapsed)

    def available_after(self, state: AccountSums) -> int:
        """What such a request may spend once this effect has left the account as `state`; never below
        zero.
        """
        bound = state.spendable
        if "o" not in self.flags:
            if state.limit is not None and state.room < bound:
                bound = state.room
            if self.extras != ABSENT:
                for room in self._rooms_left():
                    if room < bound:
                        bound = room
        return max(0, bound)

    @property
    def affordable(self) -> int:
        """For a look: what the request that was denied could have spent, scoped grants that apply and
        grace included.
        """
        state = self.before
        bounds = [state.spendable + sum(part.amount for part in (*self.taken, *self.returned))]
        if "o" not in self.flags:
            if state.limit is not None:
                bounds.append(state.room)
            bounds += [budget.room for budget in self.budgets if budget.hard]
        return max(0, min(bounds))

    @property
    def uncovered(self) -> int:
        """The part of what was taken that neither a hold nor what could be spent could cover."""
        spendable = self.before.spendable
        amount = self.amount
        if amount <= spendable or self.kind not in _TAKES:
            return 0
        covered = max(0, spendable)
        if self.kind is Kind.DEBIT:
            covered += self.hold_amount - self.lapsed_amount
        if self.extras != ABSENT:
            covered += scoped(self.taken) - scoped(self.returned) + scoped(self.lapsed)
        return max(0, amount - covered)

    @property
    def shortfall(self) -> int:
        """The part of a charge that was not available, and became debt."""
        return self.uncovered if self.kind is Kind.DEBIT and not self.in_grace else 0

    @property
    def grace(self) -> int:
        """The part that grace carried."""
        return self.uncovered if self.in_grace else 0

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
    def budgets_delta(self) -> int:
        """Change of what present windows of `budgets` have used and held together."""
        if self.kind is Kind.DEBIT and not self.late:
            return self.amount - self.hold_amount
        return self.amount if self.kind is Kind.DEBIT else self.held_delta

    @property
    def balance_delta(self) -> int:
        """Change of remaining credits."""
        match self.kind:
            case Kind.DEBIT | Kind.GRANT_EXPIRED | Kind.GRANT_VOIDED:
                return -self.amount
            case Kind.GRANT | Kind.GRANT_STARTED:
                return self.amount
            case _:
                return 0

    def after(self) -> AccountSums:
        """The account as this effect left it; what lapsed is still there, for its own
        entry to take.
        """
        kind = self.kind
        state = self.before
        amount = self.amount
        if kind in _STILL:
            return state
        spendable = state.spendable + self._unscoped_delta()
        if kind is Kind.DEBIT:
            return self._after_debit(spendable)
        if kind is Kind.GRANT or kind is Kind.GRANT_STARTED:
            return state._replace(spendable=spendable, total=state.total + amount)
        if kind is Kind.GRANT_EXPIRED or kind is Kind.GRANT_VOIDED:
            return state._replace(spendable=spendable, expired=state.expired + amount)
        delta = self.held_delta
        room = state.room
        if delta and (kind is Kind.AUTHORIZE or self.hold_counts_today):
            room -= delta
        return state._replace(spendable=spendable, held=state.held + delta, room=room)

    def settled(self) -> AccountSums:
        """The account as the client is told of it: what lapsed is gone."""
        state = self.after()
        if self.extras == ABSENT or not (lapsed := self.lapsed):
            return state
        amount = sum(part.amount for part in lapsed)
        return state._replace(
            spendable=state.spendable - amount + scoped(lapsed), expired=state.expired + amount
        )

    def _unscoped_delta(self) -> int:
        """Change of what any request may take."""
        if self.extras == ABSENT:
            if self.kind is Kind.DEBIT:
                return self.hold_amount - self.amount
            return -self.amount if self.kind in _TAKES else self.amount
        taken, returned, _ = self.extras.split("/", 2)
        return unscoped_in(returned) - unscoped_in(taken)

    def _rooms_left(self) -> list[int]:
        """Of the hard budgets that the request matched; read without a MatchedBudget of each, for it
        is on the way of every call that meets one.
        """
        _, _, _, matched, *freed = self.extras.split("/")
        if matched == ABSENT:
            return []
        back = (
            {budget.budget_id: self.hold_amount for budget in _budgets(freed[0]) if budget.current}
            if freed
            else {}
        )
        delta = self.budgets_delta
        rooms = []
        for each in matched.split(";"):
            budget_id, _, _, room, _, _, flags = each.split(",")
            if flags[0] == HARD:
                moved = 0 if PAST in flags else delta
                rooms.append(int(room) - moved + back.get(budget_id, 0))
        return rooms

    def _after_debit(self, spendable: int) -> AccountSums:
        state = self.before
        amount = self.amount
        ended = self.hold_amount
        room = state.room
        day_base = state.day_base
        yesterday_base = state.yesterday_base
        if self.charge_counts_today:
            room -= amount
        else:
            day_base += amount
            if self.hold_day != self.day - 1:
                yesterday_base += amount
        if self.hold_counts_today:
            room += ended
        return AccountSums(
            spendable,
            state.held - ended,
            state.overage,
            state.total,
            state.used + amount,
            room,
            state.limit,
            day_base,
            state.month_base,
            state.expired,
            yesterday_base,
        )


_KINDS = {kind.value: kind for kind in Kind}
_TAKES = frozenset((Kind.AUTHORIZE, Kind.EXTEND, Kind.DEBIT, Kind.GRANT_EXPIRED, Kind.GRANT_VOIDED))
_RETURNS = frozenset((Kind.DEBIT, Kind.RELEASE, Kind.EXPIRE, Kind.GRANT, Kind.GRANT_STARTED))
_STILL = frozenset(
    (Kind.CREATE, Kind.UPDATE, Kind.CLOCK, Kind.BALANCE, Kind.THRESHOLD, Kind.GRANT_EXHAUSTED)
)


def parse(line: str) -> Effect:
    """An effect line, parsed. Its form is written by `encode_effect` in gate/lua/lib/journal.lua."""
    tokens = line.split(" ")
    (
        kind,
        at_ms,
        day,
        amount,
        hold_amount,
        hold_day,
        expires_ms,
        flags,
        hold_id,
        bucket,
        extras,
        gl,
        gh,
        ol,
        oh,
        used,
        room,
        tot,
        lim,
        ovr,
        exp,
        dbase,
        mbase,
        ybase,
    ) = tokens
    return Effect(
        _KINDS.get(kind) or Kind(kind),
        int(at_ms),
        int(day),
        int(amount),
        int(hold_amount),
        None if hold_day == ABSENT else int(hold_day),
        None if expires_ms == ABSENT else int(expires_ms),
        flags,
        "" if hold_id == ABSENT else hold_id,
        int(bucket),
        extras,
        AccountSums(
            int(gl) + int(ol),
            int(gh) + int(oh),
            int(ovr),
            int(tot),
            int(used),
            int(room),
            None if lim == ABSENT else int(lim),
            int(dbase),
            int(mbase),
            int(exp),
            int(ybase),
        ),
    )


def _budgets(text: str) -> tuple[MatchedBudget, ...]:
    return () if text == ABSENT else tuple(_budget(*each.split(",")) for each in text.split(";"))


def _budget(
    budget_id: str, start: str, end: str, room: str, held: str, limit: str, flags: str
) -> MatchedBudget:
    return MatchedBudget(
        budget_id,
        int(start),
        None if end == ABSENT else int(end),
        int(room),
        int(held),
        int(limit),
        HARD in flags,
        PAST not in flags,
    )
