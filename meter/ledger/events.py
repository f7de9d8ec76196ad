"""Events: thresholds that were crossed, each once, numbered in the order in which they are committed."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from meter.ledger.engine import upsert, write_many
from meter.ledger.lines import Line
from meter.ledger.schema import events

_LOCK = 0x4556454E  # PostgreSQL's advisory lock on the numbering: whoever reads on from a number misses none that commits later


@dataclass(frozen=True, slots=True)
class CrossedLine:
    """A threshold's line, and the number of its budget (0: it is of none)."""

    line: Line
    budget_number: int


def insert_events(connection: Connection, crossed: Sequence[CrossedLine]) -> None:
    """Numbers and inserts what is new; what Redis had lost and told again is known."""
    if not crossed:
        return
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    last = connection.scalar(select(func.coalesce(func.max(events.c.number), 0))) or 0
    rows = [_row(each, number) for number, each in enumerate(crossed, last + 1)]
    write_many(connection, upsert(connection, events).on_conflict_do_nothing(), rows)


def _row(crossed: CrossedLine, number: int) -> dict[str, object]:
    line, crossing = crossed.line, crossed.line.effect.crossing
    return {
        "number": number,
        "account_id": line.account_id,
        "subject": crossing.subject.upper(),
        "budget_id": crossing.budget_id,
        "budget_number": crossed.budget_number,
        "threshold_id": crossing.threshold_id,
        "period": crossing.window,
        "level_nanos": crossing.level,
        "value_nanos": crossing.value,
        "occurred_at_ms": line.effect.at_ms,
        "entry_id": line.entry_id,
    }
