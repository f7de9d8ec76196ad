"""Budgets as set. What is used of them is counted from the journal; this is what they are."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy import Connection, delete, select

from meter.admin.accounts import AccountRow, find_account, lock_account
from meter.admin.recording import now_of, record, recorded
from meter.database.admin_schema import budgets
from meter.database.engine import Ledger, upsert
from meter.database.errors import AccountNotFound
from meter.database.schema import applied_budgets, budget_windows
from meter.errors import FailedPrecondition, NotFound
from meter.journal.operations import Change, DeleteBudget, Operation, SetBudget
from meter.times import MS_PER_DAY
from meter.windows import window_of

MAX_BUDGETS = 1000  # of one account
MAX_MATCHING = 8  # that one request may meet


@dataclass(frozen=True, slots=True)
class BudgetThreshold:
    """As it was given: an amount, or a percentage of the budget's limit."""

    threshold_id: str
    amount_nanos: int | None
    percent: int | None


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """A budget as it is to be."""

    budget_id: str
    labels: tuple[str, ...]  # sorted
    period: str
    hard: bool
    limit_nanos: int
    thresholds: tuple[BudgetThreshold, ...]

    def levels(self) -> tuple[tuple[str, int], ...]:
        """The thresholds in nanos, ascending.

        A soft budget without any has its limit for one: else it would be good for nothing.
        """
        if not self.thresholds and not self.hard:
            return (("limit", self.limit_nanos),)
        levels = (
            (each.threshold_id, each.amount_nanos or self.limit_nanos * (each.percent or 0) // 100)
            for each in self.thresholds
        )
        return tuple(
            sorted((level for level in levels if level[1]), key=lambda level: (level[1], level[0]))
        )


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """A budget in its present window, as of the flushed position."""

    budget: BudgetRow
    used_nanos: int
    held_nanos: int
    end_day: int | None  # the first day behind the window; None: it never ends


class Budgets:
    """The budgets of all accounts.

    Any of the methods may raise LedgerUnavailable or AccountNotFound.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def set(self, account_id: str, wanted: BudgetRow, *, request_id: str) -> Operation:
        """Records a budget, new or changed.

        A repeat returns the first. FailedPrecondition if there would be too many; RequestIdReused.
        """
        with self._ledger.write() as connection:
            account = lock_account(connection, account_id)
            operation = recorded(connection, account, request_id, lambda was: _same(was, wanted))
            if operation is None:
                present = {each.budget_id: each for each in _all(connection, account_id)}
                change = _change(present.get(wanted.budget_id), wanted)
                _check_number({**present, wanted.budget_id: wanted}.values())
                _store(connection, account, wanted)
                operation = record(connection, account, request_id, change)
            return operation

    def delete(self, account_id: str, budget_id: str, *, request_id: str) -> Operation:
        """Records that a budget is no more.

        A repeat returns the first. NotFound; RequestIdReused.
        """
        with self._ledger.write() as connection:
            account = lock_account(connection, account_id)
            operation = recorded(
                connection, account, request_id, lambda was: _same_end(was, budget_id)
            )
            if operation is None:
                found = [
                    each for each in _all(connection, account_id) if each.budget_id == budget_id
                ]
                if not found:
                    message = f"budget_id: account {account_id} has no budget {budget_id}"
                    raise NotFound("BUDGET_NOT_FOUND", message, "budget_id")
                own = (budgets.c.account_id == account_id) & (budgets.c.budget_id == budget_id)
                connection.execute(delete(budgets).where(own))
                operation = record(
                    connection, account, request_id, DeleteBudget(budget_id, found[0].labels)
                )
            return operation

    def used(self, account_id: str) -> list[BudgetUse]:
        """The account's budgets by id, with what is used of each in the window that the account lives
        in now.
        """
        with self._ledger.read() as connection:
            account = find_account(connection, account_id)
            if account is None:
                raise AccountNotFound(account_id)
            return _in_windows(
                connection, account_id, _all(connection, account_id), now_of(account) // MS_PER_DAY
            )


def _all(connection: Connection, account_id: str) -> list[BudgetRow]:
    columns = (budgets.c[name] for name in BudgetRow.__dataclass_fields__)
    rows = connection.execute(select(*columns).where(budgets.c.account_id == account_id)).mappings()
    lists = [(row, json.loads(row["labels"]), json.loads(row["thresholds"])) for row in rows]
    found = [
        BudgetRow(
            **{
                **row,
                "labels": tuple(labels),
                "thresholds": tuple(BudgetThreshold(*each) for each in thresholds),
            }
        )
        for row, labels, thresholds in lists
    ]
    return sorted(found, key=lambda budget: budget.budget_id)


def _in_windows(
    connection: Connection, account_id: str, found: list[BudgetRow], today: int
) -> list[BudgetUse]:
    """The budgets with what is used of them in the windows that `today` is in."""
    windows = {period: window_of(period, today) for period in {budget.period for budget in found}}
    same = (applied_budgets.c.account_id == budget_windows.c.account_id) & (
        applied_budgets.c.number == budget_windows.c.number
    )
    starts = [start_day for start_day, _ in windows.values()]
    query = (
        select(
            applied_budgets.c.budget_id,
            budget_windows.c.start_day,
            budget_windows.c.used_nanos,
            budget_windows.c.held_nanos,
        )
        .join(budget_windows, same)
        .where(applied_budgets.c.account_id == account_id, budget_windows.c.start_day.in_(starts))
    )
    used = {
        (row.budget_id, row.start_day): (row.used_nanos, row.held_nanos)
        for row in connection.execute(query)
    }
    return [
        BudgetUse(budget, *used.get((budget.budget_id, start_day), (0, 0)), end_day)
        for budget, (start_day, end_day) in ((budget, windows[budget.period]) for budget in found)
    ]


def _change(before: BudgetRow | None, wanted: BudgetRow) -> SetBudget:
    anew = before is None or (before.labels, before.period) != (wanted.labels, wanted.period)
    replaces = before.labels if before is not None and before.labels != wanted.labels else ()
    return SetBudget(
        wanted.budget_id,
        wanted.labels,
        wanted.period,
        wanted.hard,
        wanted.limit_nanos,
        wanted.levels(),
        anew,
        replaces,
    )


def _same(was: Change, wanted: BudgetRow) -> bool:
    return isinstance(was, SetBudget) and replace(was, anew=True, replaces=()) == _change(
        None, wanted
    )


def _same_end(was: Change, budget_id: str) -> bool:
    return isinstance(was, DeleteBudget) and was.budget_id == budget_id


def _check_number(all_of_them: Iterable[BudgetRow]) -> None:
    """A request has one value for each dimension: of the budgets on the same dimensions, it meets
    those on one set of values at most.
    """
    number_by_facets = Counter(budget.labels for budget in all_of_them)
    if number_by_facets.total() > MAX_BUDGETS:
        raise FailedPrecondition(
            "TOO_MANY_BUDGETS", f"budget: an account has at most {MAX_BUDGETS}", "budget"
        )
    most: dict[tuple[str, ...], int] = {}
    for labels, number in number_by_facets.items():
        keys = tuple(label.partition("=")[0] for label in labels)
        most[keys] = max(number, most.get(keys, 0))
    if sum(most.values()) > MAX_MATCHING:
        counts = ", ".join(
            f"{number} on {' and '.join(keys)}" for keys, number in sorted(most.items())
        )
        message = f"budget: one request could meet {sum(most.values())} budgets, and at most {MAX_MATCHING} are allowed: {counts}"
        raise FailedPrecondition("TOO_MANY_BUDGETS", message, "budget")


def _store(connection: Connection, account: AccountRow, budget: BudgetRow) -> None:
    thresholds = [
        [each.threshold_id, each.amount_nanos, each.percent] for each in budget.thresholds
    ]
    values = {
        "labels": json.dumps(budget.labels),
        "period": budget.period,
        "hard": budget.hard,
        "limit_nanos": budget.limit_nanos,
        "thresholds": json.dumps(thresholds),
    }
    row = upsert(connection, budgets).values(
        account_id=account.account_id, budget_id=budget.budget_id, **values
    )
    connection.execute(
        row.on_conflict_do_update(index_elements=["account_id", "budget_id"], set_=values)
    )
