"""Budgets as of the flushed position, and what each has used in its windows."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, func, select, update

from meter.database.engine import upsert, write_many
from meter.database.schema import applied_budgets, budget_windows
from meter.journal.account_sums import ABSENT
from meter.journal.effect import Effect, Kind, MatchedBudget
from meter.journal.operations import DeleteBudget, SetBudget
from meter.ledger.journal_records import JournalRecord
from meter.windows import window_of

_IDS_PER_QUERY = 500
_MEETS = frozenset(
    (Kind.AUTHORIZE, Kind.EXTEND, Kind.DEBIT, Kind.RELEASE, Kind.EXPIRE, Kind.THRESHOLD)
)
_BUDGET = ("budget_id", "number", "labels", "period", "hard", "limit_nanos", "levels")

Key = tuple[str, int, int]  # account, budget's number, window's first day


@dataclass(frozen=True, slots=True)
class AppliedBudget:
    """A budget as set."""

    budget_id: str
    number: int  # of the operation that made it: made anew, it is another
    labels: tuple[str, ...]
    window: str  # day, week, month or lifetime
    hard: bool
    limit: int
    levels: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class BudgetState(AppliedBudget):
    """And what was used of it in its newest window that is known, which may have ended since."""

    start_day: int
    used: int
    held: int


def set_to(known: AppliedBudget | None, number: int, change: SetBudget) -> AppliedBudget:
    """The budget as operation `number` leaves it."""
    made = number if known is None or change.anew else known.number
    return AppliedBudget(
        change.budget_id,
        made,
        change.labels,
        change.window,
        change.hard,
        change.limit_nanos,
        change.levels,
    )


def moves_of(effect: Effect) -> Iterator[tuple[MatchedBudget, int, int]]:
    """What the effect adds to use and to holds of the windows in which it counts."""
    kind = effect.kind
    amount = effect.amount
    ended = effect.hold_amount
    if kind is not Kind.DEBIT:
        held = effect.held_delta
        yield from ((budget, 0, held) for budget in effect.budgets)
    elif effect.hold_id and not effect.late:
        yield from ((budget, amount, -ended) for budget in effect.budgets)
    else:
        yield from ((budget, amount, 0) for budget in effect.budgets)
        yield from ((budget, 0, -ended) for budget in effect.freed)


class BudgetProjection:
    """What a transaction's records do to budgets."""

    def __init__(self, connection: Connection, records: Iterable[JournalRecord]) -> None:
        self._connection = connection
        self._budgets = _load(
            connection, sorted({record.account_id for record in records if _concerns(record)})
        )
        self._set: set[tuple[str, str]] = set()
        self._ended: set[tuple[str, int]] = set()
        self._windows: dict[Key, list[int]] = {}

    def see(self, record: JournalRecord) -> str:
        """Counts the record, as posted; the budgets that a hold placed by it counts in, as
        `open_holds` has them.
        """
        if record.operation is not None:
            self._change(record, record.operation.seq)
            return ABSENT
        if record.effect.extras == ABSENT or record.effect.kind not in _MEETS:
            return ABSENT
        matched = []
        for budget, used, held in moves_of(record.effect):
            number = self.number(record.account_id, budget.budget_id)
            if number:
                sums = self._windows.setdefault(
                    (record.account_id, number, budget.start_day), [0, 0]
                )
                sums[0] += used
                sums[1] += held
                matched.append(f"{budget.budget_id},{budget.start_day},{number}")
        return ";".join(matched) or ABSENT

    def number(self, account_id: str, budget_id: str) -> int:
        """Of the operation that made the budget; 0 if there is none of that id."""
        budget = self._budgets.get(account_id, {}).get(budget_id)
        return budget.number if budget else 0

    def settle(self, account_id: str, number: int, change: SetBudget | DeleteBudget) -> None:
        """Puts an operation into effect."""
        own = self._budgets.setdefault(account_id, {})
        known = own.pop(change.budget_id, None)
        if isinstance(change, SetBudget):
            own[change.budget_id] = set_to(known, number, change)
        if known and self.number(account_id, change.budget_id) != known.number:
            self._ended.add((account_id, known.number))
        self._set.add((account_id, change.budget_id))

    def store(self) -> None:
        """Writes it all."""
        self._store_windows()
        # Holds of a budget that is no more count in nothing.
        ended = update(budget_windows).where(
            budget_windows.c.account_id == bindparam("account"),
            budget_windows.c.number == bindparam("made"),
        )
        rows = [
            {"account": account_id, "made": number} for account_id, number in sorted(self._ended)
        ]
        write_many(
            self._connection,
            ended.values(held_nanos=bindparam("none")),
            [row | {"none": 0} for row in rows],
        )
        self._store_budgets()

    def _change(self, record: JournalRecord, number: int) -> None:
        assert record.operation is not None
        change = record.operation.change
        if isinstance(change, SetBudget | DeleteBudget) and not record.is_again:
            self.settle(record.account_id, number, change)

    def _store_windows(self) -> None:
        insert = upsert(self._connection, budget_windows)
        table = budget_windows.c
        added = {name: table[name] + insert.excluded[name] for name in ("used_nanos", "held_nanos")}
        statement = insert.on_conflict_do_update(
            index_elements=["account_id", "number", "start_day"], set_=added
        )
        names = ("account_id", "number", "start_day", "used_nanos", "held_nanos")
        rows = [
            dict(zip(names, (*key, *self._windows[key]), strict=True))
            for key in sorted(self._windows)
        ]
        write_many(self._connection, statement, rows)

    def _store_budgets(self) -> None:
        gone = [
            (account, budget)
            for account, budget in sorted(self._set)
            if budget not in self._budgets[account]
        ]
        own = (applied_budgets.c.account_id == bindparam("account")) & (
            applied_budgets.c.budget_id == bindparam("id")
        )
        rows = [{"account": account, "id": budget} for account, budget in gone]
        write_many(self._connection, delete(applied_budgets).where(own), rows)
        insert = upsert(self._connection, applied_budgets)
        changed = {name: insert.excluded[name] for name in _BUDGET[1:]}
        statement = insert.on_conflict_do_update(
            index_elements=["account_id", "budget_id"], set_=changed
        )
        there = sorted(self._set - set(gone))
        write_many(
            self._connection,
            statement,
            [_row(account, self._budgets[account][budget]) for account, budget in there],
        )


def budgets_of(connection: Connection, account_id: str, day: int) -> tuple[BudgetState, ...]:
    """The account's budgets, by id; one that has matched nothing yet begins with the
    window of `day`.
    """
    own = budget_windows.c.account_id == account_id
    windows = budget_windows.c
    last = func.max(windows.start_day).over(partition_by=windows.number).label("last")
    found = (
        select(windows.number, windows.start_day, windows.used_nanos, windows.held_nanos, last)
        .where(own)
        .subquery()
    )
    newest = select(found).where(found.c.start_day == found.c.last)
    sums = {
        row.number: (row.start_day, row.used_nanos, row.held_nanos)
        for row in connection.execute(newest)
    }
    known = _load(connection, [account_id]).get(account_id, {})
    return tuple(
        _state(known[budget_id], sums.get(known[budget_id].number), day)
        for budget_id in sorted(known)
    )


def _state(budget: AppliedBudget, sums: tuple[int, int, int] | None, day: int) -> BudgetState:
    start_day, used, held = sums or (window_of(budget.window, day)[0], 0, 0)
    return BudgetState(
        budget.budget_id,
        budget.number,
        budget.labels,
        budget.window,
        budget.hard,
        budget.limit,
        budget.levels,
        start_day,
        used,
        held,
    )


def _concerns(record: JournalRecord) -> bool:
    if record.operation is not None:
        return isinstance(record.operation.change, SetBudget | DeleteBudget)
    return record.effect.extras != ABSENT and record.effect.kind in _MEETS


def _load(connection: Connection, account_ids: list[str]) -> dict[str, dict[str, AppliedBudget]]:
    found: dict[str, dict[str, AppliedBudget]] = {}
    for start in range(0, len(account_ids), _IDS_PER_QUERY):
        own = applied_budgets.c.account_id.in_(account_ids[start : start + _IDS_PER_QUERY])
        for row in connection.execute(select(applied_budgets).where(own)).mappings():
            values = {name: row[name] for name in _BUDGET}
            found.setdefault(row["account_id"], {})[row["budget_id"]] = _read(**values)
    return found


def _read(
    budget_id: str, number: int, labels: str, period: str, hard: bool, limit_nanos: int, levels: str
) -> AppliedBudget:
    ascending = tuple((threshold_id, nanos) for threshold_id, nanos in json.loads(levels))
    return AppliedBudget(
        budget_id, number, tuple(json.loads(labels)), period, hard, limit_nanos, ascending
    )


def _row(account_id: str, budget: AppliedBudget) -> dict[str, object]:
    return {
        "account_id": account_id,
        "budget_id": budget.budget_id,
        "number": budget.number,
        "labels": json.dumps(budget.labels, separators=(",", ":"), ensure_ascii=False),
        "period": budget.window,
        "hard": budget.hard,
        "limit_nanos": budget.limit,
        "levels": json.dumps(budget.levels, separators=(",", ":"), ensure_ascii=False),
    }
