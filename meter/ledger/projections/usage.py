"""Usage by hour and by day: added up for a batch in memory, then added to the books in one statement
each.
"""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, Table

from meter.database.engine import upsert, write_many
from meter.database.schema import usage_daily, usage_hourly
from meter.journal.effect import Kind
from meter.ledger.journal_records import JournalRecord
from meter.times import MS_PER_DAY, MS_PER_HOUR

PLAIN_AMOUNT = "amount"  # the unit of debits that were not priced by usage

Key = tuple[str, int, str, str, str, str]  # account, start, model, unit, dimension, value
Sums = dict[Key, list[int]]  # quantity, nanos, requests

_KEY = ("account_id", "start_ms", "model", "unit", "dimension", "value")
_SUMS = ("quantity", "amount_nanos", "requests")


def usage_lines(record: JournalRecord) -> tuple[tuple[str, int, int], ...]:
    """How a debit came to its amount: (unit, quantity, nanos); nothing for any other kind."""
    if record.effect.kind is not Kind.DEBIT:
        return ()
    return record.pricing.lines if record.pricing else ((PLAIN_AMOUNT, 1, record.effect.amount),)


def add_usage(connection: Connection, records: Iterable[JournalRecord]) -> None:
    """Adds what the debits among the records used, by the time at which it was charged."""
    hours: Sums = {}
    for record in records:
        if record.effect.kind is Kind.DEBIT:
            _add_line(hours, record)
    if hours:
        _store(connection, usage_hourly, hours)
        _store(connection, usage_daily, _by_day(hours))


def _add_line(hours: Sums, record: JournalRecord) -> None:
    start_ms = record.effect.at_ms // MS_PER_HOUR * MS_PER_HOUR
    model = record.pricing.model if record.pricing else ""
    dimensions = [("", ""), *_items(record.dimensions)]
    for unit, quantity, nanos in usage_lines(record):
        for dimension, value in dimensions:
            _add(
                hours,
                (record.account_id, start_ms, model, unit, dimension, value),
                quantity,
                nanos,
                1,
            )


def _items(dimensions: Mapping[str, str] | None) -> Iterable[tuple[str, str]]:
    return dimensions.items() if dimensions else ()


def _add(sums: Sums, key: Key, quantity: int, nanos: int, requests: int) -> None:
    present = sums.get(key)
    if present is None:
        sums[key] = [quantity, nanos, requests]
    else:
        present[0] += quantity
        present[1] += nanos
        present[2] += requests


def _by_day(hours: Sums) -> Sums:
    days: Sums = {}
    for (account_id, start_ms, *rest), sums in hours.items():
        _add(days, (account_id, start_ms // MS_PER_DAY * MS_PER_DAY, *rest), *sums)  # type: ignore[arg-type]
    return days


def _store(connection: Connection, table: Table, sums: Sums) -> None:
    insert = upsert(connection, table)
    added = {name: table.c[name] + insert.excluded[name] for name in _SUMS}
    statement = insert.on_conflict_do_update(index_elements=list(_KEY), set_=added)
    # Sorted: transactions that touch the same rows lock them in the same order.
    rows = [dict(zip(_KEY + _SUMS, (*key, *sums[key]), strict=True)) for key in sorted(sums)]
    write_many(connection, statement, rows)
