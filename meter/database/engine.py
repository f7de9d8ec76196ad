"""Opens a ledger, and offers two kinds of transaction, alike on SQLite and PostgreSQL."""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any

import psycopg
from sqlalchemy import (
    URL,
    Connection,
    Dialect,
    Engine,
    Insert,
    Table,
    UpdateBase,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from meter.database.errors import LedgerError, LedgerUnavailable
from meter.database.postgresql import postgresql_engine, require_known_options

BUSY_TIMEOUT_S = 30.0  # how long a writer waits for the others of an SQLite ledger
PATIENCE_S = 60.0

_WRITES = "creditgate_writes"  # execution option: the transaction takes SQLite's write lock
_POLL_SECONDS = 0.005

# A read transaction sees a snapshot. SQLite's deferred BEGIN gives one from the first read on.
_READ_OPTIONS: dict[str, dict[str, Any]] = {
    "sqlite": {},
    "postgresql": {
        "isolation_level": "REPEATABLE READ",
        "postgresql_readonly": True,
    },
}

_Rows = Sequence[Mapping[str, object]]


class Ledger:
    """Opens transactions on the ledger's database.

    A ledger is safe to share between threads, not across a fork.
    """

    def __init__(self, url: str, patience_s: float = PATIENCE_S) -> None:
        """Connects to nothing yet; raises LedgerError for a URL that is no ledger's.

        No statement, and no wait for a lock, takes longer than `patience_s`.
        """
        self.url = ledger_url(url)
        self.engine = _engine(self.url, patience_s)
        read_options = _READ_OPTIONS[self.engine.dialect.name]
        self._reading = self.engine.execution_options(**read_options)
        self._writing = self.engine.execution_options(**{_WRITES: True})

    @property
    def name(self) -> str:
        """Returns the URL without its password."""
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Opens a transaction that writes, committed at the end unless the block raises.

        Keep the block short: on SQLite all other writers wait. After LedgerUnavailable, the
        transaction may or may not have been committed.
        """
        with self._translated(), self._writing.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Opens a transaction in which all reads see the ledger at the same moment."""
        with self._translated(), self._reading.begin() as connection:
            yield connection

    def close(self) -> None:
        """Closes the idle connections."""
        self.engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raises LedgerUnavailable for every error of which the database is the cause."""
        try:
            yield
        except PoolTimeout as error:
            message = f"all connections to the ledger at {self.name} are in use"
            raise LedgerUnavailable(message) from error
        except (IntegrityError, DataError):
            raise  # what was to be written is at fault, not the database
        except DBAPIError as error:
            # What has led this connection to a dead or read-only server has led the others there.
            self.engine.dispose()
            message = f"the ledger at {self.name} did not answer: {error.orig}"
            raise LedgerUnavailable(message) from error


def ledger_url(text: str) -> URL:
    """Returns the URL with the driver that the ledger uses.

    Raises LedgerError unless the URL is `sqlite:///path` or `postgresql://...`.
    """
    url = _parsed(text)
    if url.drivername in ("postgresql", "postgresql+psycopg"):
        require_known_options(url)
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and _names_a_file(url):
        return url
    shown = url.render_as_string(hide_password=True)
    raise LedgerError(
        f"{shown} is no ledger;"
        " use sqlite:///path (a file) or postgresql://user:password@host/database"
    )


def _parsed(text: str) -> URL:
    try:
        return make_url(text)
    except (ArgumentError, ValueError):
        # The text is not repeated: a text that cannot be parsed cannot be stripped of its password.
        raise LedgerError(
            "the ledger's URL cannot be read;"
            " use sqlite:///path or postgresql://user:password@host/database"
        ) from None


def _names_a_file(url: URL) -> bool:
    return bool(url.database) and url.database != ":memory:" and not url.host


def insert_or_ignore(
    connection: Connection,
    table: Table,
    rows: Iterable[Mapping[str, object]],
) -> int:
    """Inserts the rows whose keys are free, and returns how many were inserted."""
    statement = _insert_or_ignore(connection.dialect.name, table)
    counted = {"preserve_rowcount": True}
    inserted = 0
    for row in rows:
        inserted += connection.execute(statement, row, execution_options=counted).rowcount
    return inserted


def write_many(
    connection: Connection,
    statement: UpdateBase,
    rows: _Rows,
) -> None:
    """Executes the statement for each of the rows, at a third of the usual cost of a bulk insert.

    All rows must have the same names. The rows go to the driver as they are: numbers, texts and
    booleans need no conversion. A statement is compiled once, so it should be made once.
    """
    if rows:
        text = _compiled(statement, connection.dialect, tuple(rows[0]))
        connection.exec_driver_sql(text, rows)


def insert_many(
    connection: Connection,
    table: Table,
    rows: _Rows,
) -> None:
    """Inserts rows that have the same names, in bulk; raises IntegrityError if a key is taken."""
    if rows:
        values = [tuple(row.values()) for row in rows]
        insert_values(connection, table, tuple(rows[0]), values)


def insert_values(
    connection: Connection,
    table: Table,
    names: Sequence[str],
    rows: Sequence[tuple[object, ...]],
) -> None:
    """Inserts rows of the values of the named columns; raises IntegrityError if a key is taken."""
    if connection.dialect.name == "sqlite":
        places = ", ".join("?" * len(names))
        statement = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({places})"  # noqa: S608 - our own names
        connection.exec_driver_sql(statement, rows)
    else:
        _copy(connection, table, names, rows)


def upsert(dialect: str, table: Table) -> "sqlite.Insert | postgresql.Insert":
    """Returns an insert with the ON CONFLICT of the dialect of that name."""
    if dialect == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


@cache
def _insert_or_ignore(dialect: str, table: Table) -> Insert:
    return upsert(dialect, table).on_conflict_do_nothing()


@lru_cache(maxsize=256)  # more than there are; to compile costs as much as to write a hundred rows
def _compiled(statement: UpdateBase, dialect: Dialect, names: tuple[str, ...]) -> str:
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    return str(compiled)


def _copy(
    connection: Connection,
    table: Table,
    names: Sequence[str],
    rows: Sequence[tuple[object, ...]],
) -> None:
    statement = f"COPY {table.name} ({', '.join(names)}) FROM STDIN"
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    try:
        _send_rows(driver, statement, rows)
    except psycopg.Error as error:
        raise DBAPIError.instance(
            statement,
            None,
            error,
            psycopg.Error,
            dialect=connection.dialect,
        ) from error


def _send_rows(
    driver: psycopg.Connection[Any],
    statement: str,
    rows: Sequence[tuple[object, ...]],
) -> None:
    with driver.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        for row in rows:
            copy.write_row(row)


def _engine(url: URL, patience_s: float) -> Engine:
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url, patience_s)
    return postgresql_engine(url, patience_s)


def _sqlite_engine(url: URL, patience_s: float) -> Engine:
    # Named parameters, as psycopg has them too: see `write_many`.
    wait_s = min(BUSY_TIMEOUT_S, patience_s)
    engine = create_engine(
        url,
        paramstyle="named",
        connect_args={"timeout": wait_s},
    )

    def prepare(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
        _prepare_sqlite(connection, wait_s)

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, wait_s: float) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself; `_begin_sqlite` does
    _switch_to_wal(connection, wait_s)
    # A commit in WAL mode is durable only with FULL.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    # 64 MiB: the indexes by request id are written all over.
    connection.execute("PRAGMA cache_size = -65536")


def _switch_to_wal(connection: sqlite3.Connection, wait_s: float) -> None:
    """Switches to WAL, waiting up to `wait_s` for other connections.

    The first switch of a new file needs the file alone, and SQLite does not wait by itself; later
    switches do nothing.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE: a transaction that reads first and writes later would fail, not wait, if another
    # wrote in between.
    statement = "BEGIN"
    if connection.get_execution_options().get(_WRITES, False):
        statement = "BEGIN IMMEDIATE"
    connection.exec_driver_sql(statement)
