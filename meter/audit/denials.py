"""The rule of denials, of which no entry tells: each was possible under what had been recorded."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from meter.database.schema import events
from meter.journal.counter_names import is_for_each_value
from meter.journal.operations import Change, Create, SetBudget, Update
from meter.ledger.denials import REQUEST_DENIED
from meter.times import HOURS_PER_DAY, MS_PER_DAY, hour_beginning_at
from meter.windows import window_of


@dataclass(frozen=True, slots=True)
class _Denial:
    """Holds the data of a denial's event."""

    at_ms: int
    reason: str
    budget_id: str
    budget_values: Sequence[str]  # of a budget for each value
    window: str  # its beginning
    affordable_nanos: str

    @property
    def name(self) -> str:
        denial = " ".join((self.reason, self.budget_id, *self.budget_values)).strip()
        return f"{denial} in {self.window}"


def check_denials(
    connection: Connection,
    account_id: str,
    changes: Collection[Change],
) -> Iterator[str]:
    """Compares the account's denials with all changes that were ever recorded for the account."""
    query = select(events.c.number, events.c.occurred_at_ms, events.c.data).where(
        events.c.account_id == account_id,
        events.c.type == REQUEST_DENIED,
    )
    for number, at_ms, data in connection.execute(query):
        denial = _Denial(at_ms=at_ms, **json.loads(data))
        if not _was_possible(denial, changes):
            yield f"event {number}: {denial.name}, which no recorded change allows for"
        if not _fits_window(denial, changes):
            yield f"event {number}: {denial.name}, where no window of it begins"


def _was_possible(denial: _Denial, changes: Collection[Change]) -> bool:
    """Says whether there ever was what the request was denied for."""
    match denial.reason:
        case "INSUFFICIENT_CREDITS":
            return True
        case "ACCOUNT_SUSPENDED":
            return any(_suspends(change) for change in changes)
        case "DAILY_LIMIT_EXCEEDED":
            return any(_limits(change) for change in changes)
        case "BUDGET_EXCEEDED":
            return any(budget.hard for budget in _budgets(denial, changes))
        case _:
            return False


def _suspends(change: Change) -> bool:
    return isinstance(change, Update) and change.status == "suspended"


def _limits(change: Change) -> bool:
    return isinstance(change, Create | Update) and change.daily_limit_nanos is not None


def _budgets(denial: _Denial, changes: Collection[Change]) -> list[SetBudget]:
    """Returns all that the denial's budget was ever set to, with counters of the denial's kind."""
    budgets = [change for change in changes if isinstance(change, SetBudget)]
    return [budget for budget in budgets if _may_have_denied(budget, denial)]


def _may_have_denied(budget: SetBudget, denial: _Denial) -> bool:
    if budget.budget_id != denial.budget_id:
        return False
    return not denial.budget_values or is_for_each_value(budget.labels)


def _fits_window(denial: _Denial, changes: Collection[Change]) -> bool:
    """Says whether a window begins in the denial's hour.

    An account's day never goes back, even if the clock does: it may be later than the denial's
    time.
    """
    hour = hour_beginning_at(denial.window)
    if denial.reason != "BUDGET_EXCEEDED":
        day, hour_of_day = divmod(hour, HOURS_PER_DAY)
        return hour_of_day == 0 and day >= denial.at_ms // MS_PER_DAY
    return any(window_of(budget.window, hour)[0] == hour for budget in _budgets(denial, changes))
