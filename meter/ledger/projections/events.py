"""The projection of events: thresholds that were crossed, each once."""

from dataclasses import dataclass

from sqlalchemy import Connection

from meter.journal.effect import Crossing
from meter.ledger.events import insert_events
from meter.ledger.journal_records import JournalRecord
from meter.ledger.projections.budgets import BudgetProjection


@dataclass(frozen=True, slots=True)
class _CrossedThreshold:
    record: JournalRecord
    crossing: Crossing
    budget_number: int  # 0: the threshold is of no budget


class EventProjection:
    """Collects the crossings that a transaction's records tell."""

    def __init__(self, connection: Connection, budgets: BudgetProjection) -> None:
        self._connection = connection
        self._budgets = budgets
        self._crossed: list[_CrossedThreshold] = []

    def apply(self, record: JournalRecord) -> None:
        """Notes the record's crossing, if the record has one."""
        crossing = record.effect.crossing
        if crossing is not None:
            number = self._budgets.number(record.account_id, crossing.budget_id)
            self._crossed.append(_CrossedThreshold(record, crossing, number))

    def save(self) -> None:
        """Inserts new events; a crossing that Redis lost and told again is known."""
        if self._crossed:
            insert_events(self._connection, map(_row, self._crossed))


def _row(crossed: _CrossedThreshold) -> dict[str, object]:
    record = crossed.record
    crossing = crossed.crossing
    return {
        "account_id": record.account_id,
        "subject": crossing.subject.upper(),
        "reason": "",
        "budget_id": crossing.budget_id,
        "budget_number": crossed.budget_number,
        "budget_value": crossing.value,
        "threshold_id": crossing.threshold_id,
        "period": crossing.window,
        "level_nanos": crossing.level,
        "value_nanos": crossing.reached,
        "occurred_at_ms": record.effect.at_ms,
        "entry_id": record.entry_id,
    }
