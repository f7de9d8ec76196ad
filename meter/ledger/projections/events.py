"""Events: thresholds that were crossed, each once, numbered in the order in which they are
committed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from meter.database.engine import upsert, write_many
from meter.database.schema import events
from meter.ledger.journal_records import JournalRecord

# PostgreSQL's advisory lock on the numbering: whoever reads on from a number misses none that
# commits later
_LOCK = 0x4556454E


@dataclass(frozen=True, slots=True)
class CrossedThreshold:
    """A threshold's record, and the number of its budget (0: it is of none)."""

    record: JournalRecord
    budget_number: int


def insert_events(connection: Connection, crossed: Sequence[CrossedThreshold]) -> None:
    """Numbers and inserts what is new; what Redis had lost and told again is known."""
    if not crossed:
        return
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    last = connection.scalar(select(func.coalesce(func.max(events.c.number), 0))) or 0
    rows = [_row(each, number) for number, each in enumerate(crossed, last + 1)]
    write_many(connection, upsert(connection, events).on_conflict_do_nothing(), rows)


def _row(crossed: CrossedThreshold, number: int) -> dict[str, object]:
    record = crossed.record
    crossing = crossed.record.effect.crossing
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
