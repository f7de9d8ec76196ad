"""Backups of a ledger, each of which is a ledger of its own."""

import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path

import psycopg

from meter.database.engine import Ledger
from meter.database.migrate import open_ledger

_numbers = count(1)


def backup_of(ledger: Ledger, folder: Path) -> Ledger:
    """A copy of the ledger as it is now."""
    if ledger.engine.dialect.name == "sqlite":
        return _sqlite_backup(ledger, folder / f"backup-{next(_numbers)}.db")
    return _postgresql_backup(ledger, f"backup_{next(_numbers)}")


def _sqlite_backup(ledger: Ledger, target: Path) -> Ledger:
    assert ledger.url.database is not None
    with (
        closing(sqlite3.connect(ledger.url.database)) as source,
        closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)
    return open_ledger(f"sqlite:///{target}")


def _postgresql_backup(ledger: Ledger, name: str) -> Ledger:
    ledger.close()  # a template must have no connections
    server = ledger.url.set(drivername="postgresql", database="postgres")
    text = server.render_as_string(hide_password=False)
    with psycopg.connect(text, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {ledger.url.database}".encode())
    return open_ledger(ledger.url.set(database=name).render_as_string(hide_password=False))
