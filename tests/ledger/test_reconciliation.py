"""An older ledger is brought up to what the store has, whenever its backup was made."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import select

from gate.store.keys import account_key
from gate.store.stored_accounts import read_accounts
from meter.audit.runner import check_books
from meter.database import schema
from meter.database.engine import Ledger
from meter.flusher import Flusher
from meter.journal.operations import GrantCredits
from meter.journals import Journals
from meter.ledger.positions import Positions
from meter.ledger.projections.snapshot import AccountSnapshot, load_snapshot
from meter.ledger.reconciliation.difference import (
    FoundAccount,
    Irreconcilable,
    is_same,
    ordered,
)
from meter.ledger.reconciliation.shards import ShardReconciliation, differences, older_shards
from support.gate_store import STORE_NAME
from support.ledger_backups import backup_of
from support.ledger_state import assert_redis_agrees, make_flusher
from support.ledger_state import findings as all_findings
from support.sample_history import DAY, HOUR, NOON, live_through
from support.store_harness import CREDIT, StoreHarness, store_harness

pytest_plugins = ("support.harness_fixtures",)


class NoStore:
    """Knows no account, as a Redis that was emptied."""

    async def inspect_account(self, *_: object) -> None:
        return None


async def _flushed(account_id: str | None) -> None:
    pass


def findings(ledger: Ledger) -> list[str]:
    checked = asyncio.run(check_books(ledger, NoStore(), _flushed, None))
    return [f"{each.invariant}: {each.detail}" for each in checked.findings]


def reconcile(harness: StoreHarness, ledger: Ledger) -> list[int]:
    """What `creditgate reconcile --apply` does; the shards."""
    journals = Journals(harness.redis, harness.shards)
    statuses = older_shards(Positions(ledger), journals.statuses(), STORE_NAME)
    for status in statuses:
        shard = ShardReconciliation(ledger, journals, status, STORE_NAME)
        shard.fence()
        shard.take_over(read_accounts(harness.redis, status.shard), NOON)
        shard.empty_journal()
        shard.finish()
    return [status.shard for status in statuses]


def stored(harness: StoreHarness, account_id: str) -> AccountSnapshot:
    found = read_accounts(harness.redis, harness.shard(account_id))
    return next(each.snapshot for each in found if each.account_id == account_id)


def known(ledger: Ledger, account_id: str) -> AccountSnapshot:
    snapshot = load_snapshot(ledger, account_id)
    assert snapshot is not None
    return snapshot


@pytest.fixture
def backup(ledger: Ledger, tmp_path: Path) -> Iterator[Callable[[], Ledger]]:
    made: list[Ledger] = []

    def make() -> Ledger:
        made.append(backup_of(ledger, tmp_path))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_a_backup_of_any_moment_comes_to_what_the_store_has(
    harness: StoreHarness, flusher: Flusher, backup: Callable[[], Ledger], is_long: bool
) -> None:
    backups: list[Ledger] = [backup()]
    steps = count()

    def step() -> None:
        if is_long or next(steps) % 5 == 0:
            assert flusher.drain(10)
            backups.append(backup())

    live_through(harness, "acme", step)
    assert flusher.drain(10)
    for older in backups:
        assert reconcile(harness, older) == [harness.shard("acme")]
        assert ordered(known(older, "acme")) == ordered(stored(harness, "acme"))
        assert findings(older) == []
        assert reconcile(harness, older) == []


def test_what_was_pending_and_what_was_not_flushed_is_taken_over_and_told_by_sums(
    harness: StoreHarness, flusher: Flusher, backup: Callable[[], Ledger]
) -> None:
    harness.create("acme", 100 * CREDIT, clock=NOON)
    harness.debit("acme", 5 * CREDIT)
    held = harness.authorize("acme", 3 * CREDIT)
    assert flusher.drain(10)
    gift = GrantCredits("gift", "PROMOTION", 7 * CREDIT, 10, None, None, "a gift")
    pending = harness.operations.grant_credits("acme", gift, request_id="gift")
    older = backup()
    harness.apply(pending)
    harness.debit("acme", 2 * CREDIT, hold_id=held)
    harness.grant("acme", 10 * CREDIT)
    harness.authorize("acme", 4 * CREDIT)
    harness.create("newcomer", CREDIT, overage=CREDIT)
    harness.debit("newcomer", 2 * CREDIT)
    assert flusher.drain(10)
    harness.debit("acme", 20 * CREDIT)  # which no ledger has

    lacking = {}
    for shard in range(harness.shards):
        for each in differences(older, read_accounts(harness.redis, shard)):
            lacking[each.account_id] = each
    acme, newcomer = lacking["acme"], lacking["newcomer"]
    assert (acme.granted, acme.used, acme.held) == (17 * CREDIT, 22 * CREDIT, CREDIT)
    assert (newcomer.remaining_before, newcomer.remaining_after) == (0, -CREDIT)
    assert known(older, "acme").state.used == 5 * CREDIT, "so far nothing was written"

    reconcile(harness, older)
    for account_id in ("acme", "newcomer"):
        assert ordered(known(older, account_id)) == ordered(stored(harness, account_id))
    assert findings(older) == []
    assert told(older, "acme")[-4:] == [
        ("GRANT", 7 * CREDIT, "a gift"),
        ("GRANT", 10 * CREDIT, "the ledger had lost it, and Redis had it"),
        ("DEBIT", -22 * CREDIT, "usage that the ledger had lost"),
        ("RECONCILED", 0, "taken over as Redis had it"),
    ]
    journals = Journals(harness.redis, harness.shards)
    assert [status.length for status in journals.statuses()] == [0] * harness.shards


def test_a_reconciliation_that_was_cut_off_anywhere_is_done_again(
    harness: StoreHarness, flusher: Flusher, backup: Callable[[], Ledger]
) -> None:
    names = [harness.account_in(0, f"acme-{number}") for number in range(3)]
    for name in names:
        harness.create(name, 100 * CREDIT, clock=NOON)
    assert flusher.drain(10)
    older = backup()
    for name in names:
        harness.debit(name, 5 * CREDIT)
    assert flusher.drain(10)

    def begun() -> tuple[ShardReconciliation, list[FoundAccount]]:
        journals = Journals(harness.redis, harness.shards)
        (status,) = older_shards(Positions(older), journals.statuses(), STORE_NAME)
        shard = ShardReconciliation(older, journals, status, STORE_NAME)
        shard.fence()
        return shard, list(read_accounts(harness.redis, 0))

    begun()  # cut off behind the fence
    assert harness.is_fenced(names[0])
    shard, accounts = begun()
    shard.take_over(accounts[:2], NOON)  # cut off behind some accounts
    shard, accounts = begun()
    shard.take_over(accounts, NOON)
    shard.empty_journal()  # cut off before the ledger moves
    assert reconcile(harness, older) == [0]
    for name in names:
        assert [kind for kind, _, _ in told(older, name)][2:] == ["DEBIT", "RECONCILED"]
        assert known(older, name).state.remaining == 95 * CREDIT
    assert findings(older) == []


def test_every_counter_of_budgets_is_taken_over_and_put_back(
    harness: StoreHarness, flusher: Flusher, backup: Callable[[], Ledger]
) -> None:
    ada, bob = {"user": "ada", "service": "chat"}, {"user": "bob: 1*"}
    harness.create("acme", 99 * CREDIT, clock=NOON)
    harness.set_budget("acme", "each", 9 * CREDIT, "user=*", window="day", most=4 * CREDIT)  # 3
    harness.set_budget("acme", "hour", 9 * CREDIT, "service=chat", window="hour")  # 4
    harness.set_budget("acme", "idle", 2 * CREDIT, "team=*", window="hour")  # 5
    harness.debit("acme", CREDIT, dimensions={"team": "red"})
    early = harness.authorize("acme", 3 * CREDIT, dimensions=ada, ttl_ms=3 * HOUR)
    ended = harness.authorize("acme", CREDIT, dimensions=ada, ttl_ms=3 * HOUR)
    assert flusher.drain(10)
    older = backup()
    harness.release("acme", ended)
    late = harness.authorize("acme", 2 * CREDIT, dimensions=ada, ttl_ms=3 * HOUR)
    harness.advance("acme", NOON + HOUR)
    harness.set_budget("acme", "lost", 9 * CREDIT, "user=*", window="hour")  # 7
    harness.set_budget("acme", "idle", 3 * CREDIT, "team=*", window="hour")  # begins a window
    harness.debit("acme", 4 * CREDIT, dimensions=ada)
    harness.debit("acme", 5 * CREDIT, dimensions=bob)
    assert flusher.drain(10)
    assert reconcile(harness, older) == [harness.shard("acme")]
    assert is_same(known(older, "acme"), stored(harness, "acme"))
    assert counters(older) == {
        (3, DAY * 24, ":ada"): (4, 5),
        (3, DAY * 24, ":bob%3A%201%2A"): (5, 0),
        (4, DAY * 24 + 12, ""): (0, 5),  # what the holds keep in the hour before
        (4, DAY * 24 + 13, ""): (4, 0),
        (5, DAY * 24 + 12, ":red"): (1, 0),
        (7, DAY * 24 + 13, ":ada"): (4, 0),
        (7, DAY * 24 + 13, ":bob%3A%201%2A"): (5, 0),
    }
    assert findings(older) == []

    harness.redis.flushall()
    with store_harness(harness.redis, older) as after:
        after.restore("acme")
        assert is_same(known(older, "acme"), stored(after, "acme"))
        after.debit("acme", 3 * CREDIT, hold_id=early, dimensions=ada)
        after.debit("acme", CREDIT, hold_id=late, dimensions=ada)
        after.debit("acme", CREDIT, dimensions=bob)
        assert make_flusher(after).drain(10)
        assert counters(older)[4, DAY * 24 + 12, ""] == (4, 0)
        assert counters(older)[7, DAY * 24 + 13, ":bob%3A%201%2A"] == (6, 0)
        assert all_findings(after) == []
        assert_redis_agrees(after, "acme")


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_the_refund_of_a_repeat_is_taken_over_with_what_counts_no_longer(
    harness: StoreHarness, flusher: Flusher, backup: Callable[[], Ledger]
) -> None:
    harness.create("acme", 99 * CREDIT, clock=NOON)
    harness.set_budget("acme", "each", 9 * CREDIT, "user=*", window="hour")
    for _ in range(2):
        harness.debit("acme", 3 * CREDIT, "twice", dimensions={"user": "ada"})
        harness.forget("acme", "twice")
    assert flusher.drain(10)
    older = backup()
    harness.apply_pending("acme")
    assert flusher.drain(10)
    reconcile(harness, older)
    assert is_same(known(older, "acme"), stored(harness, "acme"))
    assert counters(older) == {(3, DAY * 24 + 12, ":ada"): (3, 0)}
    assert findings(older) == []


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_an_account_to_which_no_history_leads_is_named_and_left_as_it_was(
    harness: StoreHarness, flusher: Flusher, backup: Callable[[], Ledger]
) -> None:
    harness.create("acme", 100 * CREDIT, clock=NOON)
    assert flusher.drain(10)
    older = backup()
    harness.debit("acme", CREDIT)
    assert flusher.drain(10)
    key = account_key(harness.shard("acme"), "acme")
    harness.redis.hincrby(key, "gl", 2 * CREDIT)
    with pytest.raises(Irreconcilable, match="account acme: grant 2 has 1000000000 nanos too many"):
        reconcile(harness, older)
    assert known(older, "acme").state.remaining == 100 * CREDIT
    assert findings(older) == []


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_an_account_of_which_the_store_is_the_older_one_stays(
    harness: StoreHarness, flusher: Flusher, backup: Callable[[], Ledger]
) -> None:
    harness.create("acme", 100 * CREDIT, clock=NOON)
    other = harness.account_in(harness.shard("acme"), "other")
    harness.create(other, CREDIT, clock=NOON)
    fields = harness.redis.hgetall(account_key(harness.shard("acme"), "acme"))
    harness.debit("acme", CREDIT)
    assert flusher.drain(10)
    older = backup()
    harness.debit(other, CREDIT)
    assert flusher.drain(10)
    harness.redis.hset(account_key(harness.shard("acme"), "acme"), mapping=fields)
    (stays, _) = differences(older, read_accounts(harness.redis, harness.shard("acme")))
    assert (stays.account_id, stays.goes_back) == ("acme", True)
    reconcile(harness, older)
    assert known(older, "acme").state.remaining == 99 * CREDIT
    assert known(older, other).state.remaining == 0


def counters(ledger: Ledger) -> dict[tuple[int, int, str], tuple[int, int]]:
    """Used and held credits by the budget's number, the first hour and the value."""
    table = schema.budget_windows.c
    sums = (table.used_nanos, table.held_nanos)
    query = select(table.number, table.start_hour, table.value, *sums)
    with ledger.read() as connection:
        return {
            (number, start_hour, value): (used // CREDIT, held // CREDIT)
            for number, start_hour, value, used, held in connection.execute(query)
        }


def told(ledger: Ledger, account_id: str) -> list[tuple[str, int, str]]:
    """The account's entries in order: kind, nanos, description."""
    entry = schema.entries.c
    query = select(entry.kind, entry.amount_nanos, entry.description)
    of_account = query.where(entry.account_id == account_id).order_by(entry.epoch, entry.seq)
    with ledger.read() as connection:
        return [tuple(row) for row in connection.execute(of_account)]
