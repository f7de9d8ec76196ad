"""The projection of usage by hour and by day."""

from functools import cache

from sqlalchemy import Connection, Insert, Table

from meter.database.engine import upsert, write_many
from meter.database.schema import usage_daily, usage_hourly
from meter.journal.kinds import Kind
from meter.ledger.journal_records import JournalRecord
from meter.times import MS_PER_DAY, MS_PER_HOUR

PLAIN_AMOUNT = "amount"  # the unit of debits that were not priced by usage

Key = tuple[str, int, str, str, str, str]  # account, start, model, unit, dimension, value
Sums = dict[Key, list[int]]  # quantity, nanos, requests

_KEY = ("account_id", "start_ms", "model", "unit", "dimension", "value")
_SUMS = ("quantity", "amount_nanos", "requests")
_COLUMNS = _KEY + _SUMS


def usage_lines(record: JournalRecord) -> tuple[tuple[str, int, int], ...]:
    """Returns the (unit, quantity, nanos) lines of a debit's amount; no lines for other kinds."""
    if record.effect.kind is not Kind.DEBIT:
        return ()
    if record.pricing is None:
        return ((PLAIN_AMOUNT, 1, record.effect.amount),)
    return record.pricing.lines


class UsageProjection:
    """Adds up usage by the hour and the day in which the usage was charged.

    Duplicates are no usage, so this projection is applied once duplicates are known; the projector
    runs all others before.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._hours: Sums = {}

    def apply(self, record: JournalRecord) -> None:
        """Counts the record's usage lines, once for all usage and once for each dimension."""
        effect = record.effect
        if effect.kind is not Kind.DEBIT:
            return
        start_ms = effect.at_ms // MS_PER_HOUR * MS_PER_HOUR
        model = ""
        if record.pricing is not None:
            model = record.pricing.model
        for unit, quantity, nanos in usage_lines(record):
            key = (record.account_id, start_ms, model, unit, "", "")
            _add(self._hours, key, quantity, nanos, 1)
            if record.dimensions:
                for dimension, value in record.dimensions.items():
                    key = (record.account_id, start_ms, model, unit, dimension, value)
                    _add(self._hours, key, quantity, nanos, 1)

    def save(self) -> None:
        """Adds the sums to the ledger's, in one statement for hours and one for days."""
        if self._hours:
            _save(self._connection, usage_hourly, self._hours)
            _save(self._connection, usage_daily, _by_day(self._hours))


def _add(
    sums: Sums,
    key: Key,
    quantity: int,
    nanos: int,
    requests: int,
) -> None:
    present = sums.get(key)
    if present is None:
        sums[key] = [quantity, nanos, requests]
    else:
        present[0] += quantity
        present[1] += nanos
        present[2] += requests


def _by_day(hours: Sums) -> Sums:
    days: Sums = {}
    for hour_key, sums in hours.items():
        account_id, start_ms, model, unit, dimension, value = hour_key
        day_ms = start_ms // MS_PER_DAY * MS_PER_DAY
        day_key = (account_id, day_ms, model, unit, dimension, value)
        _add(days, day_key, *sums)
    return days


def _save(connection: Connection, table: Table, sums: Sums) -> None:
    # Sorted: transactions that touch the same rows lock the rows in the same order.
    rows = [_row(key, sums[key]) for key in sorted(sums)]
    write_many(connection, _add_to(connection.dialect.name, table), rows)


@cache
def _add_to(dialect: str, table: Table) -> Insert:
    insert = upsert(dialect, table)
    added = {name: table.c[name] + insert.excluded[name] for name in _SUMS}
    return insert.on_conflict_do_update(index_elements=list(_KEY), set_=added)


def _row(key: Key, sums: list[int]) -> dict[str, object]:
    values = (*key, *sums)
    return dict(zip(_COLUMNS, values, strict=True))
