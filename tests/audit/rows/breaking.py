"""Ways to break books on purpose.

All are about the account "acme", but where a row's key says otherwise.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, NamedTuple

from sqlalchemy import Connection, RowMapping, Table, delete, insert, select, update

from meter.audit import Invariant
from meter.database import schema
from meter.v1 import ledger_pb2 as pb
from support.histories import Scribe

T = schema.metadata.tables

Break = Callable[[Scribe], None]


class Row(NamedTuple):
    """What breaks a rule, and a part of what is then said of it."""

    invariant: Invariant
    says: str
    corrupt: Break


class Copy:
    """Books as they are now, to be put back once they have been broken."""

    def __init__(self, scribe: Scribe) -> None:
        self.scribe = scribe
        self._gates = deepcopy(scribe.accounts)
        self._ends = list(scribe.ends)
        with scribe.ledger.read() as connection:
            self._rows = {table: _rows(connection, table) for table in T.values()}

    def put_back(self) -> None:
        self.scribe.accounts = deepcopy(self._gates)
        self.scribe.ends = list(self._ends)
        with self.scribe.ledger.write() as connection:
            for table, rows in self._rows.items():
                if _rows(connection, table) != rows:
                    connection.execute(delete(table))
                    for each in rows:
                        connection.execute(insert(table).values(dict(each)))


def entry(kind: str, place: int = 0, **changes: object) -> Break:
    """Changes columns of acme's entry of that kind at that place."""

    def corrupt(scribe: Scribe) -> None:
        with scribe.ledger.write() as connection:
            _change(connection, _found(connection, kind, place), **changes)

    return corrupt


def effect(kind: str, place: int, was: str, now: str) -> Break:
    """Rewrites a part of an entry's effect line."""

    def corrupt(scribe: Scribe) -> None:
        with scribe.ledger.write() as connection:
            found = _found(connection, kind, place)
            assert was in found["effect"], found["effect"]
            _change(connection, found, effect=found["effect"].replace(was, now, 1))

    return corrupt


def gone(kind: str, place: int = 0) -> Break:
    """Takes an entry away."""

    def corrupt(scribe: Scribe) -> None:
        table = schema.entries
        with scribe.ledger.write() as connection:
            found = _found(connection, kind, place)
            connection.execute(
                delete(table).where(table.c.shard == found["shard"], table.c.seq == found["seq"])
            )

    return corrupt


def row(name: str, changes: dict[str, object] | None, **key: object) -> Break:
    """Changes the one row of the table that has the key, or removes it."""

    def corrupt(scribe: Scribe) -> None:
        table = T[name]
        where = [table.c[column] == value for column, value in key.items()]
        statement = delete(table) if changes is None else update(table).values(**changes)
        with scribe.ledger.write() as connection:
            assert connection.execute(statement.where(*where)).rowcount == 1

    return corrupt


def event(type_: str, place: int, was: str, now: str) -> Break:
    """Rewrites a part of the data of one of acme's events of the type."""

    def corrupt(scribe: Scribe) -> None:
        table = schema.events
        of_type = (table.c.account_id == "acme") & (table.c.type == type_)
        with scribe.ledger.write() as connection:
            found = connection.execute(select(table).where(of_type).order_by(table.c.number))
            row = found.all()[place]
            assert was in row.data, row.data
            data = row.data.replace(was, now, 1)
            connection.execute(update(table).where(table.c.number == row.number).values(data=data))

    return corrupt


def new(name: str, **values: object) -> Break:
    """Adds a row that nothing accounts for."""

    def corrupt(scribe: Scribe) -> None:
        with scribe.ledger.write() as connection:
            connection.execute(insert(T[name]).values(**values))

    return corrupt


def document(number: str, **changes: Any) -> Break:
    """Rewrites an invoice's document."""

    def corrupt(scribe: Scribe) -> None:
        table = schema.invoices
        with scribe.ledger.write() as connection:
            found = connection.execute(select(table).where(table.c.invoice_number == number)).one()
            invoice = pb.Invoice.FromString(found.body)
            for name, value in changes.items():
                setattr(invoice, name, value)
            body = invoice.SerializeToString(deterministic=True)
            connection.execute(
                update(table).where(table.c.invoice_number == number).values(body=body)
            )

    return corrupt


def no_invoice(number: str) -> Break:
    """Takes an invoice away."""

    def corrupt(scribe: Scribe) -> None:
        with scribe.ledger.write() as connection:
            for table in (schema.invoices, schema.invoice_lines):
                connection.execute(delete(table).where(table.c.invoice_number == number))

    return corrupt


def _rows(connection: Connection, table: Table) -> list[RowMapping]:
    return list(connection.execute(select(table).order_by(*table.primary_key.columns)).mappings())


def _found(connection: Connection, kind: str, place: int) -> RowMapping:
    table = schema.entries
    own = (
        select(table)
        .where(table.c.account_id == "acme", table.c.kind == kind)
        .order_by(table.c.seq)
    )
    return connection.execute(own).mappings().all()[place]


def _change(connection: Connection, found: RowMapping, **changes: object) -> None:
    table = schema.entries
    key = (table.c.shard == found["shard"]) & (table.c.seq == found["seq"])
    assert connection.execute(update(table).where(key).values(**changes)).rowcount == 1
