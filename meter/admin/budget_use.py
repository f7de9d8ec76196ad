"""Tells what is used of budgets in their present windows, as of the flushed position."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, func, select

from meter.admin.accounts import AccountRow, find_account
from meter.admin.budgets import BudgetRow, budgets_by_id, find_budget
from meter.admin.recording import now_of
from meter.database.engine import Ledger
from meter.database.errors import AccountNotFound
from meter.database.schema import applied_budgets, budget_windows
from meter.journal.counter_names import NO_VALUE
from meter.times import MS_PER_HOUR
from meter.windows import window_of


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """Holds a budget and its use in the present window, by all values together."""

    budget: BudgetRow
    used_nanos: int
    held_nanos: int
    value_count: int  # 0: the budget is not for each value, or nothing has been counted
    end_hour: int | None  # the first hour behind the window; None for a window that never ends


class ValueUse(NamedTuple):
    """Holds what one counter of a budget has counted in the present window."""

    value: str  # meter/journal/counter_names.py
    used_nanos: int
    held_nanos: int


class BudgetUses:
    """Reads the budgets of all accounts, with their use.

    The present window is the one that contains the account's own time. Both methods may raise
    LedgerUnavailable or AccountNotFound.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def all(self, account_id: str) -> list[BudgetUse]:
        """Returns the account's budgets by id, each with its use."""
        with self._ledger.read() as connection:
            account = _account(connection, account_id)
            found = list(budgets_by_id(connection, account_id).values())
            return _in_windows(connection, account, found)

    def values(
        self,
        account_id: str,
        budget_id: str,
        after: str | None,
        limit: int,
    ) -> tuple[BudgetUse, Sequence[ValueUse]]:
        """Returns the budget, and up to `limit` of its counters, those behind the value `after`.

        Raises NotFound for an unknown budget.
        """
        with self._ledger.read() as connection:
            account = _account(connection, account_id)
            budget = find_budget(connection, account_id, budget_id)
            [use] = _in_windows(connection, account, [budget])
            counted = _is_counted(account, budget)
            return use, _values(connection, counted, after, limit)


class _Sums(NamedTuple):
    used_nanos: int
    held_nanos: int
    value_count: int


_UNUSED = _Sums(0, 0, 0)


def _account(connection: Connection, account_id: str) -> AccountRow:
    account = find_account(connection, account_id)
    if account is None:
        raise AccountNotFound(account_id)
    return account


def _window(account: AccountRow, budget: BudgetRow) -> tuple[int, int | None]:
    """Returns the budget's present window."""
    return window_of(budget.period, now_of(account) // MS_PER_HOUR)


def _in_windows(
    connection: Connection,
    account: AccountRow,
    found: Sequence[BudgetRow],
) -> list[BudgetUse]:
    """Returns the budgets with each budget's use in its present window."""
    start_hours = {_window(account, budget)[0] for budget in found}
    uses = _uses(connection, account.account_id, start_hours)
    return [_use_in(_window(account, budget), budget, uses) for budget in found]


def _use_in(
    window: tuple[int, int | None],
    budget: BudgetRow,
    uses: Mapping[tuple[str, int], _Sums],
) -> BudgetUse:
    start_hour, end_hour = window
    sums = uses.get((budget.budget_id, start_hour), _UNUSED)
    return BudgetUse(budget, *sums, end_hour)


def _uses(
    connection: Connection,
    account_id: str,
    start_hours: set[int],
) -> dict[tuple[str, int], _Sums]:
    """Returns the use by budget id and first hour of the window."""
    uses = {}
    for row in connection.execute(_select_uses(account_id, start_hours)):
        sums = _Sums(int(row.used_nanos), int(row.held_nanos), row.value_count)
        uses[row.budget_id, row.start_hour] = sums
    return uses


def _select_uses(account_id: str, start_hours: set[int]) -> Select[Any]:
    windows = budget_windows.c
    columns = (applied_budgets.c.budget_id, windows.start_hour)
    is_of_value = windows.value != NO_VALUE
    return (
        select(
            *columns,
            func.sum(windows.used_nanos).label("used_nanos"),
            func.sum(windows.held_nanos).label("held_nanos"),
            func.count().filter(is_of_value).label("value_count"),
        )
        .join(budget_windows, _same_budget())
        .where(
            applied_budgets.c.account_id == account_id,
            windows.start_hour.in_(start_hours),
        )
        .group_by(*columns)
    )


def _is_counted(account: AccountRow, budget: BudgetRow) -> ColumnElement[bool]:
    """Returns the condition that a window is the budget's present one."""
    start_hour, _ = _window(account, budget)
    return and_(
        applied_budgets.c.account_id == account.account_id,
        applied_budgets.c.budget_id == budget.budget_id,
        budget_windows.c.start_hour == start_hour,
    )


def _values(
    connection: Connection,
    counted: ColumnElement[bool],
    after: str | None,
    limit: int,
) -> list[ValueUse]:
    windows = budget_windows.c
    statement = (
        select(windows.value, windows.used_nanos, windows.held_nanos)
        .select_from(applied_budgets)
        .join(budget_windows, _same_budget())
        .where(counted)
        .order_by(windows.value)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(windows.value > after)
    return [ValueUse(*row) for row in connection.execute(statement)]


def _same_budget() -> ColumnElement[bool]:
    """Returns the condition that a window is of an applied budget."""
    return (applied_budgets.c.account_id == budget_windows.c.account_id) & (
        applied_budgets.c.number == budget_windows.c.number
    )
