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
    rows,
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
from meter.ledger.operations import Operations
from meter.ledger.positions import Positions
from meter.metrics import FlusherMetrics
from meter.operations import GrantCredits

pytest_plugins = ("ledgers",)


@pytest.fixture
def till(redis_db: redis.Redis, ledger: Ledger) -> Till:
    return Till(redis_db, ledger).open()


@pytest.fixture
def flusher(till: Till) -> Flusher:
    return make_flusher(till)


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


def test_a_gap_is_recorded_the_shard_fenced_and_the_rest_flushed(till: Till) -> None:
    registry = CollectorRegistry()
    flusher = make_flusher(till, registry=registry)
    till.create("acme", 25 * CREDIT)
    assert flusher.drain(10)
    for _ in range(5):
        till.debit("acme", CREDIT)
    shard = till.shard("acme")
    till.redis.xdel(journal_key(shard), "1-4", "1-5")
    with capture_logs() as logs:
        assert flusher.drain(10)
    assert [entry["seq"] for entry in entries(till)] == [1, 2, 3, 6, 7]
    gap = {"shard": shard, "epoch": 1, "first_seq": 4, "last_seq": 5}
    assert [dict(row) | {"found_at_ms": 0} for row in rows(till.ledger, schema.journal_gaps)] == [
        gap | {"found_at_ms": 0}
    ]
    assert value(registry, "creditgate_journal_gaps_total") == 1
    assert value(registry, "creditgate_flusher_drift_total") == 2
    assert [log["event"] for log in logs if log["log_level"] == "error"] == [
        "journal_gap",
        "account_drift",
        "account_drift",
    ]
    with pytest.raises(AssertionError):
        till.authorize("acme", 1)  # stale: the shard is fenced
    assert Positions(till.ledger).of(shard) == Position(2, 0)
    assert (
        account(till, "acme")["remaining_nanos"] == 22 * CREDIT
    )  # what was lost before the ledger had it was not charged
    assert_books_add_up(till)


def test_a_grant_whose_entry_is_lost_is_granted_again(till: Till) -> None:
    flusher = make_flusher(till)
    till.create("acme", 25 * CREDIT)
    assert flusher.drain(10)
    till.grant("acme", 7 * CREDIT)
    till.grant("acme", 2 * CREDIT)
    till.redis.xdel(journal_key(till.shard("acme")), "1-3")
    assert flusher.drain(10)
    assert account(till, "acme")["remaining_nanos"] == 27 * CREDIT
    (again,) = Operations(till.ledger).pending("acme")
    assert isinstance(again.change, GrantCredits)
    assert (again.seq, again.request_id, again.change.amount_nanos) == (5, "again 3", 7 * CREDIT)


def test_a_journal_that_is_behind_the_ledger_is_left_alone_until_a_new_epoch(till: Till) -> None:
    registry = CollectorRegistry()
    flusher = make_flusher(till, registry=registry)
    shard, other = till.shard("acme"), (till.shard("acme") + 1) % till.shards
    till.create("acme", 25 * CREDIT)
    assert flusher.drain(10)
    till.redis.delete(journal_key(shard))
    with capture_logs() as logs:
        assert not flusher.drain(10)
        till.create(till.account_in(other))
        assert flusher.flush_once() == 1  # other shards are not concerned
    assert [log["event"] for log in logs].count("shard_not_flushed") == 1
    assert value(registry, "creditgate_flusher_shards_stopped", reason="lost") == 1
    position = Positions(till.ledger).begin_epoch(shard, Positions(till.ledger).of(shard), "lost")
    till.open_epoch(shard, position.epoch)
    assert flusher.drain(10)
    assert value(registry, "creditgate_flusher_shards_stopped", reason="lost") == 0


def test_entries_that_redis_wrote_anew_after_losing_the_first_are_told_from_those(till: Till) -> None:
    registry = CollectorRegistry()
    flusher = make_flusher(till, registry=registry)
    till.create("acme", 25 * CREDIT)
    assert flusher.drain(10)
    backup = {key: till.redis.dump(key) for key in till.redis.scan_iter()}
    for amount in (1, 2):
        till.debit("acme", amount * CREDIT)
    assert flusher.drain(10)
    till.redis.flushall()
    for key, dump in backup.items():
        till.redis.restore(key, 0, dump)
    for amount in (3, 4, 5):  # the gate has not noticed; the third goes past the ledger's position
        till.debit("acme", amount * CREDIT)
    shard = till.shard("acme")
    assert flusher.drain(10)
    assert [entry["amount_nanos"] // CREDIT for entry in entries(till)] == [0, 25, -1, -2, -5]
    lost = [(row["epoch"], row["first_seq"], row["last_seq"]) for row in rows(till.ledger, schema.journal_gaps)]
    assert lost == [(1, 3, 3), (1, 4, 4)]
    assert Positions(till.ledger).of(shard) == Position(2, 0)  # fenced: the gate must load accounts anew
    assert account(till, "acme")["remaining_nanos"] == 17 * CREDIT
    assert value(registry, "creditgate_journal_gaps_total") == 2
    assert_books_add_up(till)


def test_an_operation_that_redis_lost_and_took_again_counts_once(till: Till, flusher: Flusher) -> None:
    till.create("acme")
    assert flusher.drain(10)
    backup = {key: till.redis.dump(key) for key in till.redis.scan_iter()}
    grant = till.grant("acme", 5 * CREDIT)
    assert flusher.drain(10)
    till.redis.flushall()
    for key, dump in backup.items():
        till.redis.restore(key, 0, dump)
    till.debit("acme", 0)  # has the place in the journal that the grant had
    assert till.apply(grant) == b"ok"
    assert flusher.drain(10)
    assert [entry["kind"] for entry in entries(till)] == ["CREATE", "GRANT", "GRANT"]
    assert sum(entry["amount_nanos"] for entry in entries(till)) == 5 * CREDIT
    assert account(till, "acme")["remaining_nanos"] == 5 * CREDIT
    assert [row["amount_nanos"] for row in rows(till.ledger, schema.grants)] == [5 * CREDIT]


def test_entries_of_an_epoch_that_was_given_up_are_recorded_as_lost(till: Till, flusher: Flusher) -> None:
    till.create("acme", 25 * CREDIT)
    assert flusher.drain(10)
    shard = till.shard("acme")
    till.debit("acme", CREDIT)
    position = Positions(till.ledger).begin_epoch(shard, Position(1, 2), "rebuilt while the journal went on")
    till.open_epoch(shard, position.epoch)
    assert flusher.drain(10)
    assert [row["first_seq"] for row in rows(till.ledger, schema.journal_gaps)] == [3]
    assert account(till, "acme")["remaining_nanos"] == 25 * CREDIT
    assert_books_add_up(till)


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
