"""One account as the gate has it: the model does what is asked of it, and it is told in effect
lines.

Nothing is denied.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from meter.audit import RedisSnapshot
from meter.journal.account_sums import AccountSums
from meter.journal.allocation import encode_parts
from meter.journal.effect_codec import decode_effect
from meter.journal.entry import Position
from meter.journal.operations import Change, Create, GrantCredits, VoidGrant
from meter.journal.redis_snapshot import HoldInRedis
from model import Account, Hold, Line
from model.consequences import exhaust, filled, process_due_grants
from model.facts import Labels
from model.judging import Asked, needs_grace
from model.operations import apply, created, refunded_windows, uncounted_flags
from model.spending import Charging, begin_grace, give_back, pin
from support.effect_lines import (
    CONSEQUENCES,
    Call,
    Deed,
    budgets_text,
    burning,
    deed_of,
    hold_text,
    line_text,
    parts_of,
)
from support.journal_reading import rolled

TTL_MS = 600_000


@dataclass
class ModelDriver:
    """The account, and how far its lines have been told."""

    shard: int
    account: Account
    state: AccountSums
    day: int
    told: int = 0
    applied: int = 1  # number of the last operation
    refunded: str = "-"  # the budgets from which the last grant takes use back
    # damage that only Redis has
    reaped_wrongly: tuple[str, ...] = ()
    due_is_wrong: bool = False

    @classmethod
    def opened(cls, shard: int, change: Create, now_ms: int) -> "ModelDriver":
        account = created(replace(change, test_clock_ms=now_ms))
        limit = account.limit
        overage = account.overage
        return cls(
            shard,
            account,
            AccountSums(overage, 0, overage, day_remaining=limit or 0, daily_limit=limit),
            account.day,
        )

    @property
    def untold(self) -> list[Line]:
        return self.account.lines[self.told :]

    def process_due_grants(self, now_ms: int) -> str:
        """What time has brought; the flags that its lines have."""
        self.account.clock_ms = now_ms
        had_graces = bool(self.account.graces_begun)
        process_due_grants(self.account)
        return "e" if had_graces and not self.account.graces_begun else ""

    def apply(self, number: int, change: Change) -> str:
        """Does the account's operation of this number; the flags that its line has."""
        account = self.account
        self.applied = number
        waits = isinstance(change, VoidGrant) and change.number in account.scheduled()
        had_graces = bool(account.graces_begun)
        if isinstance(change, GrantCredits):
            windows = refunded_windows(change)
            hold = Hold([], account.day, 0, windows)
            self.refunded = budgets_text(account, account.budgets_behind(windows), hold)
        apply(account, number, change)
        if isinstance(change, GrantCredits):
            ends_graces = had_graces and not account.graces_begun
            if not account.grants[number].begun:
                return "p"
            return "e" * ends_graces + uncounted_flags(account, change)
        return "p" if waits else self._management

    def authorize(self, hold_id: str, amount: int, labels: Labels, traffic_class: str) -> Deed:
        asked = self._asked(amount, labels, traffic_class)
        account = self.account
        windows = tuple(budget.now(self.account.hour) for budget in asked.budgets)
        hold = account.holds[hold_id] = Hold([], account.day, account.clock_ms + TTL_MS, windows)
        return self._pin(hold_id, hold, asked, "A", budgets_text(account, asked.budgets))

    def extend(self, hold_id: str, amount: int) -> Deed:
        account = self.account
        hold = self.account.holds[hold_id]
        asked = replace(
            self._asked(amount, frozenset(), ""), budgets=account.budgets_behind(hold.windows)
        )
        hold.expires_ms = account.clock_ms + TTL_MS
        return self._pin(hold_id, hold, asked, "E", budgets_text(account, asked.budgets, hold))

    def end(self, hold_id: str, kind: str) -> Deed:
        """Releases the hold, or lets it expire."""
        account = self.account
        hold = self.account.holds[hold_id]
        matched = budgets_text(account, account.budgets_behind(hold.windows), hold)
        facts = hold_text(hold)
        call = self._call(hold_id, hold, matched)
        if kind == "R":
            del account.holds[hold_id]
        hold.open = False
        give_back(account, hold, kind)
        return call.deed(self.untold, facts, self._management)

    def debit(
        self, hold_id: str, amount: int, labels: Labels, traffic_class: str, incurred: bool
    ) -> Deed:
        account = self.account
        hold = self.account.holds.get(hold_id)
        asked = self._asked(amount, labels, traffic_class)
        is_late = hold is not None and account.is_past(hold)
        charging = Charging(account, amount, asked, hold, settles=hold is not None and not is_late)
        matched = budgets_text(account, charging.budgets, hold if charging.settles else None)
        call = self._call(hold_id, hold, matched, frees=is_late)
        funded = filled(account)
        was = account.spendable
        flags = ("l" if is_late else "i" if incurred and hold is None else "") + self._management
        if hold is None and not incurred:
            flags += self._grace(asked)
        account.holds.pop(hold_id, None)
        charging.charge(was)
        exhaust(account, funded)
        return call.deed(
            self.untold, hold_text(hold), flags, parts_of(account, account.charges[-1].parts)
        )

    def tell(self, deed: Deed | None, flags: str) -> Iterator[tuple[bool, str]]:
        """The lines of what has been done, each with whether it is a consequence; `deed` is that of
        the call.
        """
        for line in self.untold:
            follows = line.kind in CONSEQUENCES
            its_flags = flags if line.kind == "S" or not follows else ""
            facts = deed
            if follows or deed is None:
                facts = deed_of(self.account, line, its_flags, self.refunded)
            text = line_text(
                line, facts, self.account.clock_ms, self.account.day, self._found(line)
            )
            self.state = decode_effect(text).after()
            self.day = self.account.day
            yield follows, text
        self.told = len(self.account.lines)
        assert (self.state.remaining, self.state.held) == (
            self.account.remaining,
            self.account.held,
        )

    def seen(self, position: Position, hold_ids: Sequence[str]) -> RedisSnapshot:
        """As a look into Redis finds it."""
        left = {**self.account.left(), **self.account.scheduled()}
        held = self.account.pinned()
        grants = {
            number: (left.get(number, 0), held.get(number, 0))
            for number in left.keys() | held.keys()
        }
        budgets = {}
        for budget in self.account.budgets.values():
            window = budget.now(self.account.hour)
            budgets[budget.budget_id] = (
                window.start_hour,
                self.account.remaining_of(budget),
                self.account.held_in(window),
            )
            for met in self.account.counted:
                if met.value and met.of("") == window:
                    sums = (
                        self.account.remaining_of(budget.of(met.value)),
                        self.account.held_in(met),
                    )
                    budgets[budget.budget_id + met.value] = (window.start_hour, *sums)
        holds = {hold_id: self._hold_seen(hold_id) for hold_id in hold_ids}
        due = ("5", "-") if self.due_is_wrong else ("-", "-")
        return RedisSnapshot(position, self.day, self.state, grants, budgets, holds, due)

    def _hold_seen(self, hold_id: str) -> HoldInRedis | None:
        hold = self.account.holds.get(hold_id)
        if hold is None or not hold.open:
            return None
        reaped_at = "1" if hold_id in self.reaped_wrongly else "inf"
        pins = encode_parts(parts_of(self.account, hold.pins))
        return HoldInRedis(hold.amount, hold.day, hold.expires_ms, pins, reaped_at)

    @property
    def _management(self) -> str:
        return "" if self.account.spend_management else "o"

    def _asked(self, amount: int, labels: Labels, traffic_class: str) -> Asked:
        return Asked(amount, labels, self.account.budgets_of(labels), traffic_class)

    def _call(self, hold_id: str, hold: Hold | None, matched: str, frees: bool = False) -> Call:
        account = self.account
        is_open = hold is not None and hold.open
        pins = parts_of(account, hold.pins) if hold is not None and is_open else ()
        freed = "-"
        if hold is not None and is_open and frees:
            freed = budgets_text(account, account.budgets_behind(hold.windows), hold)
        return Call(account, burning(account), hold_id, pins, matched, freed)

    def _pin(self, hold_id: str, hold: Hold, asked: Asked, kind: str, matched: str) -> Deed:
        call = self._call(hold_id, hold, matched)
        before = hold_text(hold)
        taken = parts_of(self.account, self.account.take(asked.need, asked.labels))
        flags = self._management + self._grace(asked)
        pin(self.account, hold, asked.need, asked, kind, in_grace=False)
        return call.deed(
            self.untold, hold_text(hold) if kind == "A" else before, flags, taken, ends_hold=False
        )

    def _grace(self, asked: Asked) -> str:
        """The flags of a call that grace carries, if any; the grace begins."""
        if not asked.traffic_class or not needs_grace(self.account, asked):
            return ""
        begins = asked.traffic_class not in self.account.graces_begun
        begin_grace(self.account, asked)
        return "gb" if begins else "g"

    def _found(self, line: Line) -> AccountSums:
        """The account before a line; an update's has the new settings."""
        was = rolled(self.state, self.day, self.account.day)
        account = self.account
        if line.kind != "U":
            return was
        day_remaining = was.day_remaining + (account.limit or 0) - (was.daily_limit or 0)
        spendable = was.spendable + account.overage - was.overage
        return was._replace(
            spendable=spendable,
            overage=account.overage,
            day_remaining=day_remaining,
            daily_limit=account.limit,
        )
