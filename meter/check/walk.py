"""The rules that are checked entry by entry, along one account's history. Each yields the details of what does not hold."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from meter.check.line import Line
from meter.effect import Effect, Kind, State, date_of
from meter.journal import Position
from meter.ledger.accounts import OpenHold
from meter.ledger.lines import continues


def columns(line: Line) -> Iterator[str]:
    """An entry's columns are functions of its effect line, and its usage lines add up to its charge."""
    effect = line.effect
    says = {
        "kind": (line.kind, effect.kind.name),
        "occurred_at_ms": (line.occurred_at_ms, effect.at_ms),
        "usage_day": (line.usage_day, effect.usage_day),
        "amount_nanos": (line.amount_nanos, effect.balance_delta),
        "balance_nanos": (line.balance_nanos, effect.after().remaining),
        "held_nanos": (line.held_nanos, effect.held_delta),
        "shortfall_nanos": (line.shortfall_nanos, effect.shortfall),
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


def admission(line: Line) -> Iterator[str]:
    """What can be denied was available."""
    effect, was = line.effect, line.effect.before
    deniable = effect.kind in (Kind.AUTHORIZE, Kind.EXTEND) or (
        effect.kind is Kind.DEBIT and not effect.incurred and not effect.hold_id
    )
    if not deniable or (effect.kind is Kind.EXTEND and effect.amount == 0):
        return
    if effect.amount > was.spendable:
        yield f"{line.id}: {effect.amount} nanos were admitted, {was.spendable} could be spent"
    if was.limit is not None and effect.amount > was.room:
        yield f"{line.id}: {effect.amount} nanos were admitted, the daily limit left {was.room}"


class Chain:
    """Each entry found the account as the one before it left it, but for a new day; only an update changes settings.

    What found other sums (Redis lost something) was posted on top of those that the ledger had; so it is read here.
    """

    def __init__(self) -> None:
        self.last: Effect | None = None
        self.state: State | None = None

    @property
    def posted(self) -> tuple[Effect, State]:
        """The last entry's effect as it was posted, and the account as that left it."""
        assert self.last is not None, "see() comes first"
        assert self.state is not None
        return self.last, self.state

    def see(self, line: Line) -> Iterator[str]:
        """Follows the account by one entry."""
        effect, was, found = line.effect, self.state, line.effect.before
        if self.last is None or was is None:
            if effect.kind is not Kind.CREATE:
                yield f"{line.id}: the history begins with {line.kind}, not with CREATE"
        else:
            if effect.day < self.last.day:
                yield f"{line.id}: the day went back from {date_of(self.last.day)} to {date_of(effect.day)}"
            due = _rolled(was, self.last.day, effect.day)
            due = _updated(due, found) if effect.kind is Kind.UPDATE else due
            if found != due:
                yield f"{line.id}: found the account at [{found.tokens()}], left at [{due.tokens()}]"
            if not continues(due, found):
                effect = effect._replace(before=_carried(due, found))
        self.last, self.state = effect, effect.after()


@dataclass(slots=True)
class Overage:
    """Remaining credits are below the overage protection by no more than recorded shortfall, and what it was lowered by."""

    excused: int = 0
    protection: int = 0

    def see(self, line: Line) -> Iterator[str]:
        protection = line.effect.before.overage
        self.excused += line.shortfall_nanos + max(0, self.protection - protection)
        self.protection = protection
        below = -(line.balance_nanos + protection)
        if below > self.excused:
            yield (
                f"{line.id}: balance {line.balance_nanos} is {below} nanos below the overage protection of {protection},"
                f" of which {self.excused} are shortfall"
            )


class Holds:
    """Each hold ends once; one that has expired may still see one late debit."""

    def __init__(self) -> None:
        self.open: dict[str, OpenHold] = {}
        self._expired: set[str] = set()

    def see(self, line: Line) -> Iterator[str]:
        effect, hold = line.effect, self.open.get(line.effect.hold_id)
        match effect.kind:
            case Kind.AUTHORIZE:
                if hold:
                    yield f"{line.id}: hold {hold.hold_id} was placed twice"
                self.open[effect.hold_id] = _placed(effect)
            case Kind.EXTEND:
                yield from _same_amount(line, hold, effect.hold_amount)
                if hold:
                    amount = hold.amount_nanos + effect.amount
                    self.open[hold.hold_id] = replace(hold, amount_nanos=amount, expires_ms=effect.expires_ms or 0)
            case Kind.RELEASE | Kind.EXPIRE:
                yield from self._end(line, effect.amount)
            case Kind.DEBIT if effect.hold_id:
                yield from self._end(line, effect.hold_amount)

    def _end(self, line: Line, amount: int) -> Iterator[str]:
        effect = line.effect
        hold = self.open.pop(effect.hold_id, None)
        if hold is None and effect.kind is Kind.DEBIT and effect.late and effect.hold_id in self._expired:
            self._expired.remove(effect.hold_id)
            if amount:
                yield f"{line.id}: {amount} nanos of hold {effect.hold_id} went back twice"
            return
        if effect.kind is Kind.EXPIRE:
            self._expired.add(effect.hold_id)
        yield from _same_amount(line, hold, amount)


@dataclass(slots=True)
class AsOf:
    """The account as the last entry up to a position left it."""

    position: Position | None
    day: int = 0
    state: State | None = None

    def see(self, line: Line, state: State) -> None:
        """Notes the state that the entry left."""
        if self.position is not None and line.position <= self.position:
            self.day, self.state = line.effect.day, state


def _same_amount(line: Line, hold: OpenHold | None, amount: int) -> Iterator[str]:
    if hold is None:
        yield f"{line.id}: hold {line.effect.hold_id} is not open"
    elif hold.amount_nanos != amount:
        yield f"{line.id}: hold {hold.hold_id} was of {amount} nanos, the entries before it say {hold.amount_nanos}"


def _placed(effect: Effect) -> OpenHold:
    day = effect.day if effect.hold_day is None else effect.hold_day
    return OpenHold(effect.hold_id, effect.amount, day, effect.expires_ms or 0)


def _carried(sums: State, found: State) -> State:
    """What was found, but for the sums."""
    return found._replace(
        spendable=sums.remaining + found.overage - sums.held,
        held=sums.held,
        total=sums.total,
        used=sums.used,
        day_base=sums.used - found.used_today,
        month_base=sums.used - found.used_this_month,
    )


def _rolled(state: State, day: int, today: int) -> State:
    """The account in a new day, as `roll_day` in gate/lua/include/account.lua has it."""
    if today <= day:
        return state
    new_month = date_of(today)[:7] != date_of(day)[:7]
    return state._replace(
        room=state.limit or 0, day_base=state.used, month_base=state.used if new_month else state.month_base
    )


def _updated(state: State, settings: State) -> State:
    """The account with other settings: what may be spent moves by their differences."""
    return state._replace(
        spendable=state.spendable + settings.overage - state.overage,
        overage=settings.overage,
        room=state.room + (settings.limit or 0) - (state.limit or 0),
        limit=settings.limit,
    )
