"""Opening a ledger, and its two kinds of transaction, alike on SQLite and PostgreSQL."""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Table,
    UpdateBase,
    create_engine,
    event,
    insert,
    make_url,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from meter.database.errors import LedgerError, LedgerUnavailable

BUSY_TIMEOUT_MS = 30_000
CONNECT_TIMEOUT_S = 10
_WRITES = "creditgate_writes"


class Ledger:
    """The books' database. Safe to share between threads; not across a fork."""

    def __init__(self, url: str) -> None:
        """Connects to nothing yet. LedgerError for a URL that is none of a ledger's."""
        self.url = ledger_url(url)
        self.engine = _engine(self.url)
        self._reading = self.engine.execution_options(**_READ_OPTIONS[self.engine.dialect.name])
        self._writing = self.engine.execution_options(**{_WRITES: True})

    @property
    def name(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes; committed at the end, unless the block raises. Short: on SQLite
        all other writers wait.

        LedgerUnavailable leaves it open whether the transaction was committed.
        """
        with self._translated(), self._writing.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction whose reads all see the books at one moment."""
        with self._translated(), self._reading.begin() as connection:
            yield connection

    def close(self) -> None:
        """Closes the idle connections."""
        self.engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except PoolTimeout as error:
            raise LedgerUnavailable(
                f"all connections to the ledger at {self.name} are in use"
            ) from error
        except (OperationalError, InterfaceError) as error:
            raise LedgerUnavailable(
                f"the ledger at {self.name} did not answer: {error.orig}"
            ) from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise LedgerUnavailable(
                    f"the connection to the ledger at {self.name} was lost: {error.orig}"
                ) from error
            raise


def ledger_url(text: str) -> URL:
    """The URL with the driver that we use.

    LedgerError unless `sqlite:///path` or `postgresql://...`.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The text is not repeated: what cannot be parsed cannot be stripped of its password either.
        raise LedgerError(
            "the ledger's URL cannot be read; use sqlite:///path or postgresql://user:password@host/database"
        ) from None
    if url.drivername in ("postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database and url.database != ":memory:" and not url.host:
        return url
    raise LedgerError(
        f"{url.render_as_string(hide_password=True)} is no ledger; use sqlite:///path (a file) or postgresql://user:password@host/database"
    )


def insert_or_ignore(
    connection: Connection, table: Table, rows: Iterable[Mapping[str, object]]
) -> int:
    """Inserts the rows whose keys are free; how many."""
    statement = upsert(connection, table).on_conflict_do_nothing()
    counted = {"preserve_rowcount": True}
    return sum(
        connection.execute(statement, row, execution_options=counted).rowcount for row in rows
    )


def write_many(
    connection: Connection, statement: UpdateBase, rows: Sequence[Mapping[str, object]]
) -> None:
    """Executes the statement for each of the rows, all of which have the same names; a bulk insert at
    a third of the usual cost.

    The rows go to the driver as they are: numbers, texts and booleans need no conversion.
    """
    if rows:
        compiled = statement.compile(dialect=connection.dialect, column_keys=list(rows[0]))
        connection.exec_driver_sql(str(compiled), rows)


def insert_many(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Inserts rows that have the same names, in bulk; IntegrityError if a key is taken."""
    if connection.dialect.name == "sqlite":
        write_many(connection, insert(table), rows)
    elif rows:
        _copy(connection, table, rows)


def _copy(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    names = ", ".join(rows[0])
    statement = f"COPY {table.name} ({names}) FROM STDIN"
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    try:
        with driver.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            for row in rows:
                copy.write_row(tuple(row.values()))
    except psycopg.Error as error:
        raise DBAPIError.instance(
            statement, None, error, psycopg.Error, dialect=connection.dialect
        ) from error


def upsert(connection: Connection, table: Table) -> "sqlite.Insert | postgresql.Insert":
    """An insert with the dialect's ON CONFLICT."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


_READ_OPTIONS: dict[str, dict[str, Any]] = {
    "sqlite": {},  # a deferred BEGIN: a snapshot from the first read on
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        # Named parameters, as psycopg has them too: see `write_many`.
        engine = create_engine(
            url, paramstyle="named", connect_args={"timeout": BUSY_TIMEOUT_MS / 1000}
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    # Pinged before use, so that a restart of PostgreSQL costs no call its connection.
    ours = {"connect_timeout": str(CONNECT_TIMEOUT_S), "application_name": "creditgate"}
    return create_engine(url.update_query_dict(ours | dict(url.query)), pool_pre_ping=True)


def _prepare_sqlite(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself; `_begin_sqlite` does
    _switch_to_wal(connection)
    connection.execute(
        "PRAGMA synchronous = FULL"
    )  # a commit in WAL mode is durable only with this
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(
        "PRAGMA cache_size = -65536"
    )  # 64 MiB: the indexes by request id are written all over


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """A new file's first switch needs it alone, and SQLite does not wait for that by itself; later
    ones do nothing.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.005)


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE: a transaction that reads first and writes later would fail, not wait, if another
    # wrote in between.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
