"""The rule of aggregates: usage by hour and by day is the usage of the debits."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Select, Table, select

from meter.audit.entry import LedgerEntry
from meter.database.schema import usage_daily, usage_hourly
from meter.times import MS_PER_DAY, MS_PER_HOUR

_ROWS_AT_A_TIME = 2000
_COLUMNS = (
    "start_ms",
    "model",
    "unit",
    "dimension",
    "value",
    "quantity",
    "amount_nanos",
    "requests",
)

_Key = tuple[int, str, str, str, str]  # start, model, unit, dimension, value
_Sums = tuple[int, int, int]  # quantity, nanos, requests


class AggregateRule:
    """Adds up the usage of an account's debits."""

    def __init__(self) -> None:
        self._hours: dict[_Key, _Sums] = {}

    def apply(self, entry: LedgerEntry) -> None:
        """Adds the entry's usage lines, once for all usage and once for each dimension."""
        if not entry.is_charge:
            return
        for unit, quantity, nanos in entry.usage:
            for key in _hour_keys(entry, unit):
                _add(self._hours, key, (quantity, nanos, 1))

    def compare(self, connection: Connection, account_id: str) -> Iterator[str]:
        """Yields the rows of both tables that differ from the debits."""
        yield from _differences(
            connection,
            usage_hourly,
            account_id,
            self._hours,
        )
        yield from _differences(
            connection,
            usage_daily,
            account_id,
            _by_day(self._hours),
        )


def _hour_keys(entry: LedgerEntry, unit: str) -> Iterator[_Key]:
    """Yields the keys under which usage of the unit counts."""
    start_ms = entry.occurred_at_ms // MS_PER_HOUR * MS_PER_HOUR
    dimensions = [("", ""), *entry.dimensions.items()]
    for dimension, value in dimensions:
        yield start_ms, entry.model, unit, dimension, value


def _by_day(hours: Mapping[_Key, _Sums]) -> dict[_Key, _Sums]:
    days: dict[_Key, _Sums] = {}
    for hour_key, sums in hours.items():
        start_ms, model, unit, dimension, value = hour_key
        day_ms = start_ms // MS_PER_DAY * MS_PER_DAY
        day_key = (day_ms, model, unit, dimension, value)
        _add(days, day_key, sums)
    return days


def _differences(
    connection: Connection,
    table: Table,
    account_id: str,
    due: Mapping[_Key, _Sums],
) -> Iterator[str]:
    missing = set(due)
    for key, sums in _stored(connection, table, account_id):
        missing.discard(key)
        if due.get(key) != sums:
            yield (
                f"{table.name} {key}: (quantity, nanos, requests) are {sums},"
                f" the debits come to {due.get(key)}"
            )
    for key in sorted(missing):
        yield f"{table.name} {key}: is missing, the debits come to {due[key]}"


def _stored(
    connection: Connection,
    table: Table,
    account_id: str,
) -> Iterator[tuple[_Key, tuple[int, ...]]]:
    """Yields the account's rows, streamed."""
    wanted = _select_rows(table, account_id)
    with connection.execute(wanted, execution_options={"yield_per": _ROWS_AT_A_TIME}) as rows:
        for start_ms, model, unit, dimension, value, *sums in rows:
            yield (start_ms, model, unit, dimension, value), tuple(sums)


def _select_rows(table: Table, account_id: str) -> Select[Any]:
    columns = [table.c[name] for name in _COLUMNS]
    return select(*columns).where(table.c.account_id == account_id)


def _add(
    sums: dict[_Key, _Sums],
    key: _Key,
    more: _Sums,
) -> None:
    quantity, nanos, requests = sums.get(key, (0, 0, 0))
    more_quantity, more_nanos, more_requests = more
    sums[key] = (
        quantity + more_quantity,
        nanos + more_nanos,
        requests + more_requests,
    )
