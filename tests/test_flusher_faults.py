"""The flusher among crashes, losses and other flushers: each entry in the books once, or known to be lost."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from threading import Event

import psycopg
import pytest
import redis
from books import (
    PRICED,
    account,
    assert_books_add_up,
    assert_redis_agrees,
    entries,
    journal_length,
    make_flusher,
    running,
    usage,
    value,
)
from prometheus_client import CollectorRegistry
from redis.backoff import NoBackoff
from redis.retry import Retry
from servers import valkey_server, wait_until
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs
from till import CREDIT, Till

from gate.keys import journal_key
from meter import flusher as flusher_module
from meter.flusher import Flusher
from meter.journal import Position
from meter.ledger import schema
from meter.ledger.engine import Ledger
from meter.ledger.errors import LedgerUnavailable
from meter.ledger.migrate import open_ledger
from meter.ledger.positions import Positions
from meter.metrics import FlusherMetrics

pytest_plugins = ("tills",)


def test_what_is_committed_and_not_trimmed_is_not_posted_again(till: Till, flusher: Flusher) -> None:
    till.redis.execute_command("ACL", "SETUSER", "no-trim", "on", ">pw", "~*", "+@all", "-xtrim")
    socket = till.redis.connection_pool.connection_kwargs["path"]
    till.create("acme", 25 * CREDIT)
    till.debit("acme", CREDIT)
    cannot_trim = redis.Redis(unix_socket_path=socket, username="no-trim", password="pw", retry=Retry(NoBackoff(), 0))
    with cannot_trim as journals, pytest.raises(redis.exceptions.NoPermissionError):
        make_flusher(till, journals).flush_once()
    assert len(entries(till)) == 3
    assert journal_length(till) > 0
    till.debit("acme", CREDIT)
    assert flusher.drain(10)
    assert [entry["seq"] for entry in entries(till)] == [1, 2, 3, 4]
    assert usage(till)["", "amount", "", ""] == (2, 2 * CREDIT, 2)
    assert_books_add_up(till)


@contextmanager
def commits_that_are_lost_on_the_way_back(ledger: Ledger) -> Iterator[None]:
    """The database commits; the connection breaks before it says so."""
    dialect = ledger.engine.dialect
    commit = dialect.do_commit

    def commit_and_lose(connection: object) -> None:
        commit(connection)  # type: ignore[arg-type]
        raise OperationalError("COMMIT", None, Exception("connection lost"))

    dialect.do_commit = commit_and_lose  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        dialect.do_commit = commit  # type: ignore[method-assign]


def test_a_commit_whose_outcome_is_unknown_is_looked_up_not_sent_again(till: Till, flusher: Flusher) -> None:
    till.create("acme", 25 * CREDIT)
    till.debit("acme", CREDIT)
    with commits_that_are_lost_on_the_way_back(till.ledger), pytest.raises(LedgerUnavailable):
        flusher._post([flusher._take([till.shard("acme")])[0]])
    assert journal_length(till) > 0  # nothing is trimmed on a guess
    assert flusher.drain(10)
    assert len(entries(till)) == 3
    assert_books_add_up(till)


def test_any_number_of_flushers_post_each_entry_once(till: Till) -> None:
    names = [till.account_in(shard) for shard in range(till.shards)]
    for name in names:
        till.create(name, 1000 * CREDIT)
    registries = [CollectorRegistry() for _ in range(3)]
    with running(*(make_flusher(till, registry=registry) for registry in registries)):
        for number in range(400):
            till.debit(names[number % len(names)], CREDIT, request_id=f"d{number}")
        wait_until(lambda: journal_length(till) == 0)
    debits = [entry for entry in entries(till) if entry["kind"] == "DEBIT"]
    assert len(debits) == 400
    assert sum(value(registry, "creditgate_flushed_rows_total", kind="DEBIT") for registry in registries) == 400
    assert sum(value(registry, "creditgate_ledger_failures_total") for registry in registries) == 0
    assert usage(till)["", "amount", "", ""][0] == 100  # one account of four
    assert_books_add_up(till)


def test_flushers_that_are_killed_at_any_moment_lose_and_double_nothing(till: Till, ledger_url: str) -> None:
    socket = till.redis.connection_pool.connection_kwargs["path"]
    names = [till.account_in(shard) for shard in range(till.shards)]
    for name in names:
        till.create(name, 1000 * CREDIT)
    spawn = get_context("spawn")
    made = 0
    for life_s in (0.0, 0.01, 0.03, 0.1, 0.3):
        victim = spawn.Process(target=flush_for_good, args=(ledger_url, socket, till.shards))
        victim.start()
        before = journal_length(till)
        wait_until(lambda before=before: journal_length(till) != before)  # type: ignore[misc]
        deadline = time.monotonic() + life_s
        while time.monotonic() < deadline or made % 20:
            till.debit(names[made % len(names)], CREDIT, request_id=f"d{made}")
            made += 1
        victim.kill()
        victim.join()
        till.debit(names[0], CREDIT, request_id=f"d{made}")
        made += 1
    assert make_flusher(till).drain(30)
    assert sum(entry["kind"] == "DEBIT" for entry in entries(till)) == made
    assert_books_add_up(till)
    for name in names:
        assert_redis_agrees(till, name)


def flush_for_good(url: str, socket: str, shards: int) -> None:
    with redis.Redis(unix_socket_path=socket, retry=Retry(NoBackoff(), 0)) as journals:
        Flusher(journals, open_ledger(url), shards, 1, FlusherMetrics(CollectorRegistry())).run(Event())


def test_the_journal_is_trimmed_up_to_the_position_and_no_further(
    till: Till, flusher: Flusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flusher_module, "BATCH_ENTRIES", 3)
    till.create("acme", 25 * CREDIT)
    for _ in range(5):
        till.debit("acme", CREDIT)
    shard = till.shard("acme")
    left = []
    while flusher.flush_once():
        position = Positions(till.ledger).of(shard)
        first = till.redis.xrange(journal_key(shard), count=1)
        left.append(till.redis.xlen(journal_key(shard)))
        assert not first or Position.from_id(first[0][0].decode()) == Position(position.epoch, position.seq + 1)
    assert left == [5, 2, 0]


def test_an_entry_that_cannot_be_read_stops_its_shard_and_no_other(till: Till) -> None:
    registry = CollectorRegistry()
    flusher = make_flusher(till, registry=registry)
    shard = till.shard("acme")
    till.create("acme", 25 * CREDIT)
    till.redis.xadd(journal_key(shard), {"e": "Z 1 2 3", "m": "debit", "q": "", "p": ""}, id="1-*")
    till.debit("acme", CREDIT)
    till.create(till.account_in((shard + 1) % till.shards))
    with capture_logs() as logs:
        assert not flusher.drain(10)
        assert flusher.flush_once() == 0
    assert [log["reason"] for log in logs if log["event"] == "shard_not_flushed"] == ["unreadable"]
    assert value(registry, "creditgate_flusher_shards_stopped", reason="unreadable") == 1
    assert len(entries(till, "acme")) == 2
    assert len(entries(till)) == 3
    assert till.redis.xlen(journal_key(shard)) == 2  # nothing is trimmed unposted
    waited = value(registry, "creditgate_flush_lag_seconds")
    flusher.flush_once()
    assert 0 < waited < value(registry, "creditgate_flush_lag_seconds")


@pytest.mark.parametrize("field", ["e", "m", "q", "p"])
def test_no_field_of_an_entry_may_be_missing_or_strange(till: Till, flusher: Flusher, field: str) -> None:
    till.create("acme", 25 * CREDIT)
    till.debit("acme", CREDIT, pricing=PRICED)
    shard = till.shard("acme")
    (*_, (entry_id, fields)) = till.redis.xrange(journal_key(shard))
    till.redis.xdel(journal_key(shard), entry_id)
    strange = {b"e": b"D 1", b"m": b"steal", b"q": b"\xff", b"p": b"[1]"}
    for damaged in (
        fields | {field.encode(): strange[field.encode()]},
        {k: v for k, v in fields.items() if k != field.encode()},
    ):
        till.redis.xadd(journal_key(shard), damaged, id="1-*")
    assert not flusher.drain(10)
    assert len(entries(till)) == 2


def test_an_account_that_the_ledger_does_not_know_stops_its_shard_and_no_other(till: Till) -> None:
    registry = CollectorRegistry()
    flusher = make_flusher(till, registry=registry)
    till.create("acme", 25 * CREDIT)
    other = till.account_in((till.shard("acme") + 1) % till.shards)
    till.create(other)
    with till.ledger.write() as connection:
        connection.execute(schema.accounts.delete().where(schema.accounts.c.account_id == "acme"))
    assert flusher.flush_once() == 1
    assert not flusher.drain(10)
    assert value(registry, "creditgate_flusher_shards_stopped", reason="rejected") == 1
    assert {entry["account_id"] for entry in entries(till)} == {other}


def test_it_waits_for_a_redis_that_is_away_and_goes_on(ledger: Ledger) -> None:
    registry = CollectorRegistry()
    with valkey_server(appendonly="yes", appendfsync="always") as server, server.client() as client:
        till = Till(client, ledger).open()
        till.create("acme", 25 * CREDIT)
        with running(make_flusher(till, registry=registry)):
            wait_until(lambda: account(till, "acme")["applied_op"] == 2)
            server.kill()
            wait_until(lambda: value(registry, "creditgate_ledger_failures_total") > 0)
            server.start()
            till.debit("acme", CREDIT)
            wait_until(lambda: account(till, "acme")["remaining_nanos"] == 24 * CREDIT)
        assert_books_add_up(till)


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_it_waits_for_a_ledger_that_is_away_and_goes_on(till: Till, ledger_url: str, postgres: str) -> None:
    registry = CollectorRegistry()
    database = make_url(ledger_url).database
    till.create("acme", 100 * CREDIT)
    with (
        running(make_flusher(till, registry=registry)),
        psycopg.connect(postgres % "postgres", autocommit=True) as admin,
    ):
        for number in range(30):
            till.debit("acme", CREDIT, request_id=f"d{number}")
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (database,))
        wait_until(lambda: journal_length(till) == 0)
    assert_books_add_up(till)
    assert len(entries(till)) == 32
