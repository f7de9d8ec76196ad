"""Records that requests were denied: one event for each account, reason, budget, value and window.

The journal knows nothing of denials, which write nothing in Redis. Gates record them, beside the
calls.
"""

from collections.abc import Iterable
from typing import NamedTuple

from meter.database.engine import Ledger
from meter.journal.counter_names import values_of
from meter.ledger.events import Event, record_events
from meter.times import beginning_of

REQUEST_DENIED = "request.denied"


class DenialEvent(NamedTuple):
    """Says that requests were denied in a window, and when the first of them was."""

    account_id: str
    reason: str  # a name of gate.v1.Reason
    budget_id: str  # for BUDGET_EXCEEDED; else empty
    budget_value: str  # of a budget for each value, as meter/journal/counter_names.py has it
    window_hour: int  # the first hour of the account's UTC day, or of the budget's window
    at_ms: int  # by the account's clock
    affordable_nanos: int  # what the denied request could have spent


def record_denials(ledger: Ledger, denials: Iterable[DenialEvent]) -> None:
    """Records the denials that are not recorded yet; harmless when repeated.

    LedgerUnavailable leaves the outcome unknown.
    """
    with ledger.write() as connection:
        record_events(connection, map(_event, denials))


def _event(denial: DenialEvent) -> Event:
    budget = f"{denial.budget_id}{denial.budget_value}"
    return Event(
        account_id=denial.account_id,
        type=REQUEST_DENIED,
        once_key=f"{denial.reason} {budget} {denial.window_hour}",
        occurred_at_ms=denial.at_ms,
        data={
            "reason": denial.reason,
            "budget_id": denial.budget_id,
            "budget_values": values_of(denial.budget_value),
            "window": beginning_of(denial.window_hour),
            "affordable_nanos": denial.affordable_nanos,
        },
    )
