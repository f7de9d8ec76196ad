"""The flusher among crashes, losses and other flushers: each entry in the books once, or known to
be lost.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from threading import Event

import psycopg
import pytest
import redis
from prometheus_client import CollectorRegistry
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from gate.store.keys import journal_key
from meter import flusher as flusher_module
from meter.database import schema
from meter.database.engine import Ledger
from meter.database.errors import LedgerUnavailable
from meter.database.migrate import open_ledger
from meter.flush_requests import FlushRequests
from meter.flusher import Flusher
from meter.journal.entry import Position
from meter.journals import Journals
from meter.ledger.positions import Positions
from meter.metrics import FlusherMetrics
from support.gate_store import STORE_NAME
from support.ledger_state import (
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
from support.servers import valkey_server, wait_until
from support.store_harness import CREDIT, StoreHarness, store_harness

pytest_plugins = ("support.harness_fixtures",)


def test_what_is_committed_and_not_trimmed_is_not_posted_again(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.redis.execute_command("ACL", "SETUSER", "no-trim", "on", ">pw", "~*", "+@all", "-xtrim")
    socket = harness.redis.connection_pool.connection_kwargs["path"]
    harness.create("acme", 25 * CREDIT)
    harness.debit("acme", CREDIT)
    cannot_trim = redis.Redis(
        unix_socket_path=socket, username="no-trim", password="pw", retry=Retry(NoBackoff(), 0)
    )
    with (
        cannot_trim as journals,
        pytest.raises(redis.exceptions.ResponseError, match="no permissions to run the 'xtrim'"),
    ):
        make_flusher(harness, journals).flush_once()
    assert len(entries(harness)) == 3
    assert journal_length(harness) > 0
    harness.debit("acme", CREDIT)
    assert flusher.drain(10)
    assert [entry["seq"] for entry in entries(harness)] == [1, 2, 3, 4]
    assert usage(harness)["", "amount", "", ""] == (2, 2 * CREDIT, 2)
    assert_books_add_up(harness)


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


def test_a_commit_whose_outcome_is_unknown_is_looked_up_not_sent_again(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", 25 * CREDIT)
    harness.debit("acme", CREDIT)
    with commits_that_are_lost_on_the_way_back(harness.ledger), pytest.raises(LedgerUnavailable):
        flusher._post([flusher._take([harness.shard("acme")])[0]])
    assert journal_length(harness) > 0  # nothing is trimmed on a guess
    assert flusher.drain(10)
    assert len(entries(harness)) == 3
    assert_books_add_up(harness)


def test_any_number_of_flushers_post_each_entry_once(harness: StoreHarness) -> None:
    names = [harness.account_in(shard) for shard in range(harness.shards)]
    for name in names:
        harness.create(name, 1000 * CREDIT)
    registries = [CollectorRegistry() for _ in range(3)]
    with running(*(make_flusher(harness, registry=registry) for registry in registries)):
        for number in range(400):
            harness.debit(names[number % len(names)], CREDIT, request_id=f"d{number}")
        wait_until(lambda: journal_length(harness) == 0)
    debits = [entry for entry in entries(harness) if entry["kind"] == "DEBIT"]
    assert len(debits) == 400
    assert (
        sum(
            value(registry, "creditgate_flushed_rows_total", kind="DEBIT")
            for registry in registries
        )
        == 400
    )
    assert sum(value(registry, "creditgate_ledger_failures_total") for registry in registries) == 0
    assert usage(harness)["", "amount", "", ""][0] == 100  # one account of four
    assert_books_add_up(harness)


@pytest.mark.sqlite_first
def test_flushers_that_are_killed_at_any_moment_lose_and_double_nothing(
    harness: StoreHarness, ledger_url: str
) -> None:
    socket = harness.redis.connection_pool.connection_kwargs["path"]
    names = [harness.account_in(shard) for shard in range(harness.shards)]
    for name in names:
        harness.create(name, 1000 * CREDIT)
    spawn = get_context("spawn")
    made = 0
    for life_s in (0.0, 0.01, 0.03, 0.1, 0.3):
        victim = spawn.Process(target=flush_for_good, args=(ledger_url, socket, harness.shards))
        victim.start()
        before = journal_length(harness)
        wait_until(lambda before=before: journal_length(harness) != before)  # type: ignore[misc]
        deadline = time.monotonic() + life_s
        while time.monotonic() < deadline or made % 20:
            harness.debit(names[made % len(names)], CREDIT, request_id=f"d{made}")
            made += 1
        victim.kill()
        victim.join()
        harness.debit(names[0], CREDIT, request_id=f"d{made}")
        made += 1
    assert make_flusher(harness).drain(30)
    assert sum(entry["kind"] == "DEBIT" for entry in entries(harness)) == made
    assert_books_add_up(harness)
    for name in names:
        assert_redis_agrees(harness, name)


def flush_for_good(url: str, socket: str, shards: int) -> None:
    with redis.Redis(unix_socket_path=socket, retry=Retry(NoBackoff(), 0)) as journals:
        metrics = FlusherMetrics(CollectorRegistry())
        requests = FlushRequests(journals)
        flusher = Flusher(
            Journals(journals, shards), requests, open_ledger(url), 1, metrics, STORE_NAME
        )
        flusher.run(Event())


def test_the_journal_is_trimmed_up_to_the_position_and_no_further(
    harness: StoreHarness, flusher: Flusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flusher_module, "BATCH_ENTRIES", 3)
    harness.create("acme", 25 * CREDIT)
    for _ in range(5):
        harness.debit("acme", CREDIT)
    shard = harness.shard("acme")
    left = []
    while flusher.flush_once():
        position = Positions(harness.ledger).all()[shard]
        first = harness.redis.xrange(journal_key(shard), count=1)
        left.append(harness.redis.xlen(journal_key(shard)))
        assert not first or Position.from_id(first[0][0].decode()) == Position(
            position.epoch, position.seq + 1
        )
    assert left == [5, 2, 0]


def test_an_entry_that_cannot_be_read_stops_its_shard_and_no_other(harness: StoreHarness) -> None:
    registry = CollectorRegistry()
    flusher = make_flusher(harness, registry=registry)
    shard = harness.shard("acme")
    harness.create("acme", 25 * CREDIT)
    harness.redis.xadd(
        journal_key(shard), {"e": "Z 1 2 3", "m": "debit", "q": "", "p": ""}, id="1-*"
    )
    harness.debit("acme", CREDIT)
    harness.create(harness.account_in((shard + 1) % harness.shards))
    with capture_logs() as logs:
        assert not flusher.drain(10)
        assert flusher.flush_once() == 0
    assert [log["reason"] for log in logs if log["event"] == "shard_not_flushed"] == ["unreadable"]
    assert value(registry, "creditgate_flusher_shards_stopped", reason="unreadable") == 1
    assert len(entries(harness, "acme")) == 2
    assert len(entries(harness)) == 3
    assert harness.redis.xlen(journal_key(shard)) == 2  # nothing is trimmed unposted
    waited = value(registry, "creditgate_flush_lag_seconds")
    flusher.flush_once()
    assert 0 < waited < value(registry, "creditgate_flush_lag_seconds")


@pytest.mark.parametrize("field", ["e", "m", "q", "p"])
def test_no_field_of_an_entry_may_be_missing_or_strange(
    harness: StoreHarness, flusher: Flusher, field: str
) -> None:
    harness.create("acme", 25 * CREDIT)
    harness.debit("acme", CREDIT, pricing=PRICED)
    shard = harness.shard("acme")
    (*_, (entry_id, fields)) = harness.redis.xrange(journal_key(shard))
    harness.redis.xdel(journal_key(shard), entry_id)
    strange = {b"e": b"D 1", b"m": b"steal", b"q": b"\xff", b"p": b"[1]"}
    for damaged in (
        fields | {field.encode(): strange[field.encode()]},
        {k: v for k, v in fields.items() if k != field.encode()},
    ):
        harness.redis.xadd(journal_key(shard), damaged, id="1-*")
    assert not flusher.drain(10)
    assert len(entries(harness)) == 2


def test_an_account_that_the_ledger_does_not_know_stops_its_shard_and_no_other(
    harness: StoreHarness,
) -> None:
    registry = CollectorRegistry()
    flusher = make_flusher(harness, registry=registry)
    harness.create("acme", 25 * CREDIT)
    other = harness.account_in((harness.shard("acme") + 1) % harness.shards)
    harness.create(other)
    with harness.ledger.write() as connection:
        connection.execute(schema.accounts.delete().where(schema.accounts.c.account_id == "acme"))
    assert flusher.flush_once() == 1
    assert not flusher.drain(10)
    assert value(registry, "creditgate_flusher_shards_stopped", reason="rejected") == 1
    assert {entry["account_id"] for entry in entries(harness)} == {other}


def test_it_waits_for_a_redis_that_is_away_and_goes_on(ledger: Ledger) -> None:
    registry = CollectorRegistry()
    with (
        valkey_server(appendonly="yes", appendfsync="always") as server,
        server.client() as client,
        store_harness(client, ledger) as harness,
    ):
        harness.create("acme", 25 * CREDIT)
        with running(make_flusher(harness, registry=registry)):
            wait_until(lambda: account(harness, "acme")["applied_op"] == 2)
            server.kill()
            wait_until(lambda: value(registry, "creditgate_ledger_failures_total") > 0)
            server.start()
            harness.open_again()
            harness.debit("acme", CREDIT)
            wait_until(lambda: account(harness, "acme")["remaining_nanos"] == 24 * CREDIT)
        assert_books_add_up(harness)


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_it_waits_for_a_ledger_that_is_away_and_goes_on(
    harness: StoreHarness, ledger_url: str, postgres: str
) -> None:
    registry = CollectorRegistry()
    database = make_url(ledger_url).database
    harness.create("acme", 100 * CREDIT)
    with (
        running(make_flusher(harness, registry=registry)),
        psycopg.connect(postgres % "postgres", autocommit=True) as admin,
    ):
        for number in range(30):
            harness.debit("acme", CREDIT, request_id=f"d{number}")
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                (database,),
            )
        wait_until(lambda: journal_length(harness) == 0)
    assert_books_add_up(harness)
    assert len(entries(harness)) == 32
