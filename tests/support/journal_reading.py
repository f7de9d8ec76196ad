"""What a journal alone tells of an account: each entry found it as the one before left it, and the
sums follow from the entries.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from meter.journal.account_sums import AccountSums
from meter.journal.allocation import Part
from meter.journal.effect import Effect
from meter.journal.entry import JournalEntry, Method
from meter.journal.kinds import Kind
from meter.journal.operations import Operation
from meter.v1.journal_pb2 import JournaledRequest
from model import OVERAGE, Line, month_of

CALLS = (Method.AUTHORIZE, Method.DEBIT, Method.RELEASE, Method.EXTEND)
_TAKING = (
    Kind.AUTHORIZE,
    Kind.EXTEND,
    Kind.DEBIT,
    Kind.GRANT_EXPIRED,
    Kind.GRANT_VOIDED,
    Kind.DEBT_PAID,
)
_GIVING = (Kind.RELEASE, Kind.EXPIRE, Kind.GRANT, Kind.GRANT_STARTED)


@dataclass
class Reading:
    """An account, followed entry by entry."""

    day: int = 0
    state: AccountSums = field(default_factory=AccountSums)
    left: Counter[int] = field(default_factory=Counter)
    held: Counter[int] = field(default_factory=Counter)
    excused: int = 0  # shortfalls, grace, and overage protection taken away
    lines: list[Line] = field(default_factory=list)

    def see(self, effect: Effect) -> None:
        assert effect.day >= self.day
        if effect.kind is Kind.UPDATE:
            self._update(effect)
        elif effect.kind is Kind.CREATE:
            self.left[OVERAGE] = effect.before.overage
        else:
            assert effect.before == rolled(self.state, self.day, effect.day)
        check_admission(effect)
        self._move(effect)
        self.day = effect.day
        self.state = effect.after()
        self.excused += effect.shortfall + effect.grace
        self.lines.append(line_of(effect))
        assert self.state.remaining + self.state.overage - self.state.held >= -self.excused
        assert self.state.held == sum(self.held.values()) >= 0
        assert self.state.spendable + self.state.scoped == sum(self.left.values())
        assert all(left >= 0 for grant, left in self.left.items() if grant != OVERAGE)

    def _update(self, effect: Effect) -> None:
        was = rolled(self.state, self.day, effect.day)
        settings = effect.before
        more = settings.overage - was.overage
        assert settings == was._replace(
            overage=settings.overage,
            spendable=was.spendable + more,
            daily_limit=settings.daily_limit,
            day_remaining=was.day_remaining + (settings.daily_limit or 0) - (was.daily_limit or 0),
        )
        self.left[OVERAGE] += more
        self.excused += max(0, -more)

    def _move(self, effect: Effect) -> None:
        pins = effect.kind in (Kind.AUTHORIZE, Kind.EXTEND)
        ends = effect.kind in (Kind.RELEASE, Kind.EXPIRE, Kind.DEBIT)
        for part in effect.returned:
            self.left[part.grant] += part.amount
            self.held[part.grant] -= part.amount if ends else 0
        for part in effect.taken:
            self.left[part.grant] -= part.amount
            self.held[part.grant] += part.amount if pins else 0


def check_admission(effect: Effect) -> None:
    """Invariant 3: what can be denied was available, or grace carried it."""
    was = effect.before
    amount = effect.amount
    admits = effect.kind in (Kind.AUTHORIZE, Kind.EXTEND) or (
        effect.kind is Kind.DEBIT and not effect.hold_id
    )
    if not admits or effect.flags.incurred or not amount:
        return
    assert amount <= was.spendable + was.scoped or effect.flags.in_grace
    if effect.flags.spend_management_off:
        return
    assert was.daily_limit is None or amount <= was.day_remaining
    assert all(amount <= budget.remaining for budget in effect.budgets if budget.hard)


def line_of(effect: Effect) -> Line:
    """What the model tells of it."""
    kind = str(effect.kind)
    amount = effect.amount
    match effect.kind:
        case Kind.THRESHOLD:
            return Line(kind, amount, effect.crossing)
        case Kind.GRANT_EXHAUSTED | Kind.GRANT_EXPIRED:
            return Line(kind, amount, tuple((part.grant, part.amount) for part in effect.taken))
        case _ if effect.kind in _TAKING:
            return Line(kind, amount, _sums(effect.taken))
        case _ if effect.kind in _GIVING:
            return Line(kind, amount, _sums(effect.returned))
        case _:
            return Line(kind, amount)


def _sums(parts: Iterable[Part]) -> tuple[tuple[int, int], ...]:
    sums: Counter[int] = Counter()
    for part in parts:
        sums[part.grant] += part.amount
    return tuple(sorted((grant, amount) for grant, amount in sums.items() if amount))


def rolled(state: AccountSums, day: int, today: int) -> AccountSums:
    """The same account on a later day."""
    if today == day:
        return state
    return state._replace(
        day_remaining=state.daily_limit or 0,
        day_base=state.used,
        yesterday_base=state.day_base if today == day + 1 else state.used,
        month_base=state.used if month_of(today) != month_of(day) else state.month_base,
    )


def owner_of(entry: JournalEntry) -> str:
    match entry.method:
        case Method.CONSEQUENCE:
            return entry.request.decode()
        case Method.EXPIRE:
            return JournaledRequest.FromString(entry.request).account_id
        case method if method in CALLS:
            return JournaledRequest.FromString(entry.request).account_id
        case _:
            return Operation.from_json(entry.request).account_id
