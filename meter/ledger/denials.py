"""Records that requests were denied: one event for each account, reason, budget and window.

The journal knows nothing of denials, which write nothing in Redis. Gates record them, beside the
calls.
"""

from collections.abc import Iterable
from typing import NamedTuple

from meter.database.engine import Ledger
from meter.ledger.events import Event, record_events
from meter.times import date_of

REQUEST_DENIED = "request.denied"


class DenialEvent(NamedTuple):
    """Says that requests were denied in a window, and when the first of them was."""

    account_id: str
    reason: str  # a name of gate.v1.Reason
    budget_id: str  # for BUDGET_EXCEEDED; else empty
    window_day: int  # the account's UTC day, or the first day of the budget's window
    at_ms: int  # by the account's clock
    affordable_nanos: int  # what the denied request could have spent


def record_denials(ledger: Ledger, denials: Iterable[DenialEvent]) -> None:
    """Records the denials that are not recorded yet; harmless when repeated.

    LedgerUnavailable leaves the outcome unknown.
    """
    with ledger.write() as connection:
        record_events(connection, map(_event, denials))


def _event(denial: DenialEvent) -> Event:
    return Event(
        account_id=denial.account_id,
        type=REQUEST_DENIED,
        once_key=f"{denial.reason} {denial.budget_id} {denial.window_day}",
        occurred_at_ms=denial.at_ms,
        data={
            "reason": denial.reason,
            "budget_id": denial.budget_id,
            "window": date_of(denial.window_day),
            "affordable_nanos": denial.affordable_nanos,
        },
    )
