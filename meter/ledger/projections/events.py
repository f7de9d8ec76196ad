"""The projection of events: thresholds that were crossed, each once, numbered in the order in which
the events are committed.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from meter.database.engine import upsert, write_many
from meter.database.schema import events
from meter.journal.effect import Crossing
from meter.ledger.journal_records import JournalRecord
from meter.ledger.projections.budgets import BudgetProjection

# PostgreSQL's advisory lock on the numbering: a reader that goes on from a number then misses no
# event that commits later.
_LOCK = 0x4556454E


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
        """Numbers and inserts new events; a crossing that Redis lost and told again is known."""
        if not self._crossed:
            return
        last = _lock_last_number(self._connection)
        rows = [_row(crossed, number) for number, crossed in enumerate(self._crossed, last + 1)]
        statement = upsert(self._connection, events).on_conflict_do_nothing()
        write_many(self._connection, statement, rows)


def _lock_last_number(connection: Connection) -> int:
    """Returns the newest event's number; nobody else numbers events until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    return connection.scalar(select(func.max(events.c.number))) or 0


def _row(crossed: _CrossedThreshold, number: int) -> dict[str, object]:
    record = crossed.record
    crossing = crossed.crossing
    return {
        "number": number,
        "account_id": record.account_id,
        "subject": crossing.subject.upper(),
        "budget_id": crossing.budget_id,
        "budget_number": crossed.budget_number,
        "threshold_id": crossing.threshold_id,
        "period": crossing.window,
        "level_nanos": crossing.level,
        "value_nanos": crossing.value,
        "occurred_at_ms": record.effect.at_ms,
        "entry_id": record.entry_id,
    }
