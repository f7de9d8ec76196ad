"""The projection of budgets: the budgets that operations have set, and each window's use."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Insert, Select, bindparam, delete, func, select, update
from sqlalchemy import Row as DatabaseRow

from meter.database.engine import upsert, write_many
from meter.database.schema import applied_budgets, budget_windows
from meter.journal.account_sums import ABSENT
from meter.journal.allocation import MatchedBudget
from meter.journal.effect import Effect
from meter.journal.kinds import Kind
from meter.journal.operations import DeleteBudget, SetBudget
from meter.ledger.journal_records import JournalRecord
from meter.ledger.portions import portions
from meter.times import HOURS_PER_DAY
from meter.windows import window_of

_CHANGED = ("number", "labels", "period", "hard", "limit_nanos", "levels")

_CLEAR_HELD = (
    update(budget_windows)
    .where(
        budget_windows.c.account_id == bindparam("account"),
        budget_windows.c.number == bindparam("ended_number"),
    )
    .values(held_nanos=bindparam("none"))
)

_DELETE = delete(applied_budgets).where(
    applied_budgets.c.account_id == bindparam("account"),
    applied_budgets.c.budget_id == bindparam("id"),
)

WindowKey = tuple[str, int, int, str]  # account, budget's number, window's first hour, value


@dataclass(frozen=True, slots=True)
class AppliedBudget:
    """Holds a budget as set."""

    budget_id: str
    number: int  # of the operation that made the budget; made anew, the budget is another
    labels: tuple[str, ...]
    window: str  # hour, day, week, month or lifetime
    hard: bool
    limit: int
    levels: tuple[tuple[str, int], ...]


Row = dict[str, object]
BudgetsByAccount = dict[str, dict[str, AppliedBudget]]  # by account and budget id


class CounterSums(NamedTuple):
    """Holds what is used and held of a budget's counter, in nanos."""

    used: int
    held: int


UNUSED = CounterSums(0, 0)


@dataclass(frozen=True, slots=True)
class BudgetState(AppliedBudget):
    """Holds a budget with the counters of its newest known window, which may have ended since.

    A counter that has counted nothing is not there.
    """

    start_hour: int
    counters: Mapping[str, CounterSums]  # by value (meter/journal/counter_names.py)


class BudgetMove(NamedTuple):
    """Says what an effect adds to a budget's counter."""

    budget: MatchedBudget
    used: int
    held: int


def changed_budget(
    known: AppliedBudget | None,
    number: int,
    change: SetBudget,
) -> AppliedBudget:
    """Returns the budget as operation `number` leaves it."""
    if known is not None and not change.anew:
        number = known.number
    return AppliedBudget(
        budget_id=change.budget_id,
        number=number,
        labels=change.labels,
        window=change.window,
        hard=change.hard,
        limit=change.limit_nanos,
        levels=change.levels,
    )


def moves_of(effect: Effect) -> Iterator[BudgetMove]:
    """Yields the effect's additions to the counters of budgets; none where nothing is added."""
    if effect.kind.gives:
        yield from _moves(effect.budgets, -effect.amount, 0)
    elif effect.kind is not Kind.DEBIT:
        yield from _moves(effect.budgets, 0, effect.held_delta)
    elif effect.hold_id and not effect.flags.late:
        yield from _moves(effect.budgets, effect.amount, -effect.hold_amount)
    else:
        yield from _moves(effect.budgets, effect.amount, 0)
        yield from _moves(effect.freed, 0, -effect.hold_amount)


def _moves(
    budgets: Iterable[MatchedBudget],
    used: int,
    held: int,
) -> Iterator[BudgetMove]:
    if not used and not held:
        return
    for budget in budgets:
        yield BudgetMove(budget, used, held)


class BudgetProjection:
    """Adds up what a transaction's records do to budgets."""

    def __init__(self, connection: Connection, records: Iterable[JournalRecord]) -> None:
        self._connection = connection
        concerned = {record.account_id for record in records if _concerns_budgets(record)}
        self._budgets = _load(connection, sorted(concerned))
        self._changed: set[tuple[str, str]] = set()  # account, budget id
        self._ended: set[tuple[str, int]] = set()  # account, budget's number
        self._windows: dict[WindowKey, list[int]] = {}  # used and held, to be added
        self._used_in: dict[str, str] = {}  # by the id of a debit's entry

    def apply(self, record: JournalRecord) -> None:
        """Counts the record in the windows of its budgets, or puts its operation into effect."""
        operation = record.operation
        if operation is not None:
            change = operation.change
            if isinstance(change, SetBudget | DeleteBudget) and not record.is_again:
                self.apply_change(record.account_id, operation.seq, change)
        if record.effect.allocation is not None:
            self._count(record)

    def apply_change(
        self,
        account_id: str,
        number: int,
        change: SetBudget | DeleteBudget,
    ) -> None:
        """Puts operation `number` into effect."""
        budgets = self._budgets.setdefault(account_id, {})
        known = budgets.pop(change.budget_id, None)
        if isinstance(change, SetBudget):
            budgets[change.budget_id] = changed_budget(known, number, change)
        if known and self.number(account_id, change.budget_id) != known.number:
            self._ended.add((account_id, known.number))
        self._changed.add((account_id, change.budget_id))

    def number(self, account_id: str, budget_id: str) -> int:
        """Returns the number of the operation that made the budget; 0: there is no such budget."""
        budgets = self._budgets.get(account_id, {})
        if budget_id not in budgets:
            return 0
        return budgets[budget_id].number

    def counted_in(self, record: JournalRecord) -> str:
        """Returns the windows that the record counts in, as `open_holds` stores windows."""
        windows = []
        for budget in record.effect.budgets:
            number = self.number(record.account_id, budget.budget_id)
            if number:
                windows.append(f"{budget.name},{budget.start_hour},{number}")
        return ";".join(windows) or ABSENT

    def used_in(self, record: JournalRecord) -> str:
        """Returns the counters in which the usage of an applied debit counts, as `counted_in`."""
        return self._used_in.get(record.entry_id, ABSENT)

    def save(self) -> None:
        """Writes the windows' sums and the budgets."""
        self._save_windows()
        self._clear_ended()
        self._save_budgets()

    def _count(self, record: JournalRecord) -> None:
        if record.effect.kind is Kind.DEBIT and record.effect.budgets:
            self._used_in[record.entry_id] = self.counted_in(record)
        for budget, used, held in moves_of(record.effect):
            number = self.number(record.account_id, budget.budget_id)
            if not number:
                continue
            key = (record.account_id, number, budget.start_hour, budget.value)
            sums = self._windows.setdefault(key, [0, 0])
            sums[0] += used
            sums[1] += held

    def _save_windows(self) -> None:
        statement = _add_to_windows(self._connection.dialect.name)
        write_many(self._connection, statement, self._window_rows())

    def _window_rows(self) -> list[Row]:
        rows: list[Row] = []
        for key, sums in sorted(self._windows.items()):
            account_id, number, start_hour, value = key
            used, held = sums
            row: Row = {
                "account_id": account_id,
                "number": number,
                "start_hour": start_hour,
                "value": value,
                "used_nanos": used,
                "held_nanos": held,
            }
            rows.append(row)
        return rows

    def _clear_ended(self) -> None:
        """Sets held to 0 in ended budgets: such a budget's holds count in nothing."""
        rows = [
            {"account": account_id, "ended_number": number, "none": 0}
            for account_id, number in sorted(self._ended)
        ]
        write_many(self._connection, _CLEAR_HELD, rows)

    def _save_budgets(self) -> None:
        gone: list[Row] = []
        present: list[Row] = []
        for account_id, budget_id in sorted(self._changed):
            budget = self._budgets[account_id].get(budget_id)
            if budget is None:
                gone.append({"account": account_id, "id": budget_id})
            else:
                present.append(_row(account_id, budget))
        write_many(self._connection, _DELETE, gone)
        write_many(self._connection, _set_budget(self._connection.dialect.name), present)


@cache
def _add_to_windows(dialect: str) -> Insert:
    insert = upsert(dialect, budget_windows)
    table = budget_windows.c
    return insert.on_conflict_do_update(
        index_elements=["account_id", "number", "start_hour", "value"],
        set_={
            "used_nanos": table.used_nanos + insert.excluded.used_nanos,
            "held_nanos": table.held_nanos + insert.excluded.held_nanos,
        },
    )


@cache
def _set_budget(dialect: str) -> Insert:
    insert = upsert(dialect, applied_budgets)
    return insert.on_conflict_do_update(
        index_elements=["account_id", "budget_id"],
        set_={name: insert.excluded[name] for name in _CHANGED},
    )


def budgets_of(
    connection: Connection,
    account_id: str,
    day: int,
) -> tuple[BudgetState, ...]:
    """Returns the account's budgets, by id.

    A budget that has matched nothing yet is in the window of `day`.
    """
    windows = _newest_windows(connection, account_id)
    known = _load(connection, [account_id]).get(account_id, {})
    states = []
    for budget_id in sorted(known):
        budget = known[budget_id]
        window = windows.get(budget.number) or _empty_window(budget, day)
        states.append(_state(budget, window))
    return tuple(states)


class _Window(NamedTuple):
    """Holds a budget's window, with its counters by value."""

    start_hour: int
    counters: dict[str, CounterSums]


def _newest_windows(connection: Connection, account_id: str) -> dict[int, _Window]:
    """Returns the newest window of each of the account's budgets, by the budget's number."""
    newest: dict[int, _Window] = {}
    for row in connection.execute(_select_newest_windows(account_id)):
        window = newest.setdefault(row.number, _Window(row.start_hour, {}))
        window.counters[row.value] = CounterSums(row.used_nanos, row.held_nanos)
    return newest


def _select_newest_windows(account_id: str) -> Select[Any]:
    """Selects by the key of the windows alone, however many there have been."""
    windows = budget_windows.c
    earlier = budget_windows.alias().c
    newest = (
        select(func.max(earlier.start_hour))
        .where(
            earlier.account_id == applied_budgets.c.account_id,
            earlier.number == applied_budgets.c.number,
        )
        .correlate(applied_budgets)
        .scalar_subquery()
    )
    of_budget = (
        (windows.account_id == applied_budgets.c.account_id)
        & (windows.number == applied_budgets.c.number)
        & (windows.start_hour == newest)
    )
    columns = (
        windows.number,
        windows.start_hour,
        windows.value,
        windows.used_nanos,
        windows.held_nanos,
    )
    of_account = applied_budgets.c.account_id == account_id
    return select(*columns).join_from(applied_budgets, budget_windows, of_budget).where(of_account)


def _empty_window(budget: AppliedBudget, day: int) -> _Window:
    start_hour, _ = window_of(budget.window, day * HOURS_PER_DAY)
    return _Window(start_hour, {})


def _state(budget: AppliedBudget, window: _Window) -> BudgetState:
    return BudgetState(
        budget_id=budget.budget_id,
        number=budget.number,
        labels=budget.labels,
        window=budget.window,
        hard=budget.hard,
        limit=budget.limit,
        levels=budget.levels,
        start_hour=window.start_hour,
        counters=window.counters,
    )


def _concerns_budgets(record: JournalRecord) -> bool:
    """Says whether the record may need the account's budgets.

    Every operation may: the operations before, whose entries were lost, are put into effect too.
    """
    effect = record.effect
    return (
        record.operation is not None
        or effect.crossing is not None
        or (effect.allocation is not None and effect.kind.matches_budgets)
    )


def _load(connection: Connection, account_ids: list[str]) -> BudgetsByAccount:
    """Returns the accounts' budgets, by account and budget id."""
    found: BudgetsByAccount = {}
    for some in portions(account_ids):
        query = select(applied_budgets).where(applied_budgets.c.account_id.in_(some))
        for row in connection.execute(query):
            budgets = found.setdefault(row.account_id, {})
            budgets[row.budget_id] = _budget(row)
    return found


def _budget(row: DatabaseRow[Any]) -> AppliedBudget:
    labels = json.loads(row.labels)
    levels = json.loads(row.levels)
    return AppliedBudget(
        budget_id=row.budget_id,
        number=row.number,
        labels=tuple(labels),
        window=row.period,
        hard=row.hard,
        limit=row.limit_nanos,
        levels=tuple((threshold_id, nanos) for threshold_id, nanos in levels),
    )


def _row(account_id: str, budget: AppliedBudget) -> Row:
    return {
        "account_id": account_id,
        "budget_id": budget.budget_id,
        "number": budget.number,
        "labels": _encode(budget.labels),
        "period": budget.window,
        "hard": budget.hard,
        "limit_nanos": budget.limit,
        "levels": _encode(budget.levels),
    }


def _encode(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
