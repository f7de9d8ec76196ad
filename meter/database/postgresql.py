"""Connects to PostgreSQL so that no wait is without an end, and only a primary is used.

A connection can die without a word: a network that was cut, a NAT or a proxy that has forgotten the
connection, a server that was demoted. Three bounds end the wait:

- the server gives up a statement, a lock, and a transaction whose client is silent;
- the client gives up a server that is silent, and closes the connection;
- the kernel gives up a peer that acknowledges nothing (`tcp_user_timeout`, keepalives).

The server's bounds are set anew in each transaction, and no statement is prepared, so that a pooler
may give each transaction another of its connections.
"""

import time
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

from meter.database.errors import LedgerError, LedgerUnavailable

CONNECT_TIMEOUT_S = 10
_OTHERS_TIMEOUT_MS = 30_000  # a lock that others hold; a client that says nothing
_CHECK_S = 5.0
_HEAD_START = 1.1  # the server's own error comes first, which says more
_WAKE_S = 0.1
_DEFAULTS = {
    "connect_timeout": str(CONNECT_TIMEOUT_S),
    "application_name": "creditgate",
    "tcp_user_timeout": "10000",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
}

_T = TypeVar("_T")


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed when the server has not answered for `patience_s`."""

    patience_s = 60.0

    def wait(
        self,
        gen: PQGen[_T],
        interval: float = _WAKE_S,
        timeout: float | None = None,
    ) -> _T:
        patience_s = timeout or self.patience_s
        began = time.monotonic()
        try:
            return super().wait(gen, interval, patience_s)
        except psycopg.OperationalError as error:
            if time.monotonic() - began < patience_s:
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer within {patience_s:.0f} s") from error


def postgresql_engine(url: URL, patience_s: float) -> Engine:
    """Returns an engine that waits `patience_s` for a statement; the URL's options come first."""
    engine = create_engine(
        url.update_query_dict(_DEFAULTS | dict(url.query)),
        connect_args={"prepare_threshold": None},
    )

    def connect(
        _dialect: Dialect,
        _entry: ConnectionPoolEntry,
        arguments: list[Any],
        options: dict[str, Any],
    ) -> BoundedConnection:
        connection = BoundedConnection.connect(*arguments, **options)
        connection.patience_s = patience_s * _HEAD_START
        return connection

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(_bounds(patience_s))

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "checkout", _check_server)
    event.listen(engine, "begin", begin)
    return engine


def require_known_options(url: URL) -> None:
    """Raises LedgerError for an option that PostgreSQL's clients do not know."""
    try:
        make_conninfo(**{name: str(value) for name, value in url.query.items()})
    except psycopg.Error as error:
        raise LedgerError(f"the ledger's URL: {str(error).strip()}") from None


def _bounds(patience_s: float) -> str:
    statement_ms = round(patience_s * 1000)
    others_ms = min(statement_ms, _OTHERS_TIMEOUT_MS)
    return (
        f"SET LOCAL statement_timeout = {statement_ms};"
        f" SET LOCAL lock_timeout = {others_ms};"
        f" SET LOCAL idle_in_transaction_session_timeout = {others_ms}"
    )


def _check_server(
    connection: BoundedConnection,
    entry: ConnectionPoolEntry,
    _proxy: object,
) -> None:
    """Makes sure that the server answers and is a primary, before each use of a connection.

    All idle connections are opened anew if one is found dead, or at a standby: what has led to the
    one has led to the others.
    """
    is_new = "checked" not in entry.info
    entry.info["checked"] = True
    try:
        is_standby = _ask_whether_standby(connection)
    except psycopg.Error as error:
        if is_new:
            raise LedgerUnavailable(f"the ledger did not answer: {error}") from error
        raise InvalidatePoolError from error
    if is_standby:
        if is_new:
            raise LedgerUnavailable("the ledger's address leads to a read-only standby")
        raise InvalidatePoolError


def _ask_whether_standby(connection: BoundedConnection) -> bool:
    former_patience_s = connection.patience_s
    connection.patience_s = min(_CHECK_S, former_patience_s)
    connection.autocommit = True
    try:
        row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
    finally:
        connection.patience_s = former_patience_s
        if not connection.closed:
            connection.autocommit = False
    assert row is not None
    return bool(row[0])
