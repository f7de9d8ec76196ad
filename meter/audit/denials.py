"""The rule of denials, of which no entry tells: each was possible under what had been recorded."""

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import Connection, Row, select

from meter.database.schema import events
from meter.journal.counter_names import NO_VALUE, is_for_each_value
from meter.journal.operations import Change, Create, SetBudget, Update
from meter.times import HOURS_PER_DAY, MS_PER_DAY
from meter.windows import window_of


def check_denials(
    connection: Connection,
    account_id: str,
    changes: Collection[Change],
) -> Iterator[str]:
    """Compares the account's denials with all changes that were ever recorded for the account."""
    query = select(events).where(events.c.account_id == account_id, events.c.reason != "")
    for row in connection.execute(query):
        if not _was_possible(row, changes):
            yield f"event {row.number}: {_name(row)}, which no recorded change allows for"
        if not _fits_window(row, changes):
            yield f"event {row.number}: {_name(row)}, where no window of it begins"


def _was_possible(row: Row[Any], changes: Collection[Change]) -> bool:
    """Says whether there ever was what the request was denied for."""
    match row.reason:
        case "INSUFFICIENT_CREDITS":
            return True
        case "ACCOUNT_SUSPENDED":
            return any(_suspends(change) for change in changes)
        case "DAILY_LIMIT_EXCEEDED":
            return any(_limits(change) for change in changes)
        case "BUDGET_EXCEEDED":
            return any(budget.hard for budget in _budgets(row, changes))
        case _:
            return False


def _suspends(change: Change) -> bool:
    return isinstance(change, Update) and change.status == "suspended"


def _limits(change: Change) -> bool:
    return isinstance(change, Create | Update) and change.daily_limit_nanos is not None


def _budgets(row: Row[Any], changes: Collection[Change]) -> list[SetBudget]:
    """Returns all that the denial's budget was ever set to, with counters of the denial's kind."""
    budgets = [change for change in changes if isinstance(change, SetBudget)]
    return [budget for budget in budgets if _may_have_denied(budget, row)]


def _may_have_denied(budget: SetBudget, row: Row[Any]) -> bool:
    if budget.budget_id != row.budget_id:
        return False
    return row.budget_value == NO_VALUE or is_for_each_value(budget.labels)


def _fits_window(row: Row[Any], changes: Collection[Change]) -> bool:
    """Says whether a window begins in the denial's hour.

    An account's day never goes back, even if the clock does: it may be later than the denial's
    time.
    """
    hour = int(row.period)
    if row.reason != "BUDGET_EXCEEDED":
        day, hour_of_day = divmod(hour, HOURS_PER_DAY)
        clock_day: int = row.occurred_at_ms // MS_PER_DAY
        return hour_of_day == 0 and day >= clock_day
    return any(window_of(budget.window, hour)[0] == hour for budget in _budgets(row, changes))


def _name(row: Row[Any]) -> str:
    denial = f"{row.reason} {row.budget_id}{row.budget_value}".strip()
    return f"{denial} in {row.period}"
