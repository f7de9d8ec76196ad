"""What changes a journal finds out in the same step whether the shard is still the caller's."""

import pytest

from gate.store.keys import journal_key
from meter.journal.entry import Position
from meter.journal.owner import Owner, shard_key
from meter.journals import ForeignShard, Journals, LedgerOlder
from meter.ledger.positions import Positions
from support.store_harness import CREDIT, StoreHarness

pytest_plugins = ("support.harness_fixtures",)

STRANGER = Owner("another-ledger", "another-store")


def owner_of(harness: StoreHarness, shard: int) -> Owner:
    return Positions(harness.ledger).shards()[shard].owner


def test_a_stranger_neither_takes_entries_away_nor_fences(harness: StoreHarness) -> None:
    harness.create("acme", CREDIT)
    shard = harness.shard("acme")
    before = harness.redis.xrange(journal_key(shard))
    journals = Journals(harness.redis, harness.shards)
    with pytest.raises(ForeignShard):
        journals.trim({shard: Position(1, 2)}, {shard: STRANGER})
    with pytest.raises(ForeignShard):
        journals.fence(shard, 2, Position(1, 2), STRANGER)
    assert harness.redis.xrange(journal_key(shard)) == before
    assert harness.redis.hget(shard_key(shard), "flushed") == b"1-0"


def test_what_is_taken_away_is_remembered(harness: StoreHarness) -> None:
    harness.create("acme", CREDIT)
    shard = harness.shard("acme")
    journals = Journals(harness.redis, harness.shards)
    journals.trim({shard: Position(1, 1)}, {shard: owner_of(harness, shard)})
    assert [entry_id for entry_id, _ in harness.redis.xrange(journal_key(shard))] == [b"1-2"]
    assert harness.redis.hget(shard_key(shard), "flushed") == b"1-1"


def test_a_flusher_that_is_late_takes_nothing_back(harness: StoreHarness) -> None:
    harness.create("acme", CREDIT)
    shard = harness.shard("acme")
    journals = Journals(harness.redis, harness.shards)
    owners = {shard: owner_of(harness, shard)}
    for position in (Position(1, 2), Position(1, 1)):
        journals.trim({shard: position}, owners)
    assert harness.redis.hget(shard_key(shard), "flushed") == b"1-2"


def test_what_was_flushed_once_is_not_taken_for_lost(harness: StoreHarness) -> None:
    harness.create("acme", CREDIT)
    shard = harness.shard("acme")
    owner = owner_of(harness, shard)
    journals = Journals(harness.redis, harness.shards)
    journals.trim({shard: Position(1, 1)}, {shard: owner})
    with pytest.raises(LedgerOlder):
        journals.fence(shard, 2, Position(1, 0), owner)
    assert not harness.is_fenced("acme")


def test_an_epoch_is_begun_once(harness: StoreHarness) -> None:
    harness.create("acme", CREDIT)
    shard = harness.shard("acme")
    journals = Journals(harness.redis, harness.shards)
    for _ in range(2):
        journals.fence(shard, 2, Position(1, 2), owner_of(harness, shard))
    assert harness.is_fenced("acme")
    last, _ = harness.redis.xrevrange(journal_key(shard), count=1)[0]
    assert last == b"2-0"
