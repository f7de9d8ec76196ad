"""The flusher where Redis has lost something: what is left is posted, what was lost is known, and
the books stay right.
"""

import random
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from gate.store.keys import journal_key
from meter.database import schema
from meter.flusher import Flusher
from meter.journal.effect_codec import decode_effect
from meter.journal.entry import Position
from meter.journal.operations import GrantCredits, Threshold
from meter.ledger.positions import Positions
from support.ledger_state import (
    account,
    assert_books_add_up,
    assert_redis_agrees,
    entries,
    events,
    findings,
    grants,
    make_flusher,
    rows,
    value,
)
from support.sample_history import HOUR, NOON, live_through
from support.store_harness import CREDIT, StoreHarness

pytest_plugins = ("support.harness_fixtures",)


def test_a_gap_is_recorded_the_shard_fenced_and_the_rest_flushed(harness: StoreHarness) -> None:
    registry = CollectorRegistry()
    flusher = make_flusher(harness, registry=registry)
    harness.create("acme", 25 * CREDIT)
    assert flusher.drain(10)
    for _ in range(5):
        harness.debit("acme", CREDIT)
    shard = harness.shard("acme")
    harness.redis.xdel(journal_key(shard), "1-4", "1-5")
    with capture_logs() as logs:
        assert flusher.drain(10)
    assert [entry["seq"] for entry in entries(harness)] == [1, 2, 3, 6, 7]
    gap = {"shard": shard, "epoch": 1, "first_seq": 4, "last_seq": 5}
    assert [
        dict(row) | {"found_at_ms": 0} for row in rows(harness.ledger, schema.journal_gaps)
    ] == [gap | {"found_at_ms": 0}]
    assert value(registry, "creditgate_journal_gaps_total") == 1
    assert value(registry, "creditgate_flusher_drift_total") == 2
    assert [log["event"] for log in logs if log["log_level"] == "error"] == [
        "journal_gap",
        "account_drift",
        "account_drift",
    ]
    assert harness.is_fenced("acme")
    assert Positions(harness.ledger).all()[shard] == Position(2, 0)
    assert (
        account(harness, "acme")["remaining_nanos"] == 22 * CREDIT
    )  # what was lost before the ledger had it was not charged
    assert_books_add_up(harness, lost=True)


def test_a_grant_whose_entry_is_lost_is_granted_again(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", 25 * CREDIT)
    assert flusher.drain(10)
    harness.grant("acme", 7 * CREDIT, type="PROMOTION")
    harness.debit(
        "acme", 5 * CREDIT
    )  # of the grant whose entry is lost: in the books, of one that is there
    harness.grant("acme", 2 * CREDIT)
    harness.redis.xdel(journal_key(harness.shard("acme")), "1-3")
    assert flusher.drain(10)
    assert account(harness, "acme")["remaining_nanos"] == 22 * CREDIT
    assert grants(harness, "acme") == {2: ("LIVE", 20, 0, 5, 0, 0), 4: ("LIVE", 2, 0, 0, 0, 0)}
    (again,) = harness.operations.pending("acme")
    assert isinstance(again.change, GrantCredits)
    assert (again.seq, again.request_id, again.change.amount_nanos) == (5, "again 3", 7 * CREDIT)
    hear_of_the_loss(harness, flusher, "acme")
    assert account(harness, "acme")["remaining_nanos"] == 29 * CREDIT
    assert grants(harness, "acme")[5] == ("LIVE", 7, 0, 0, 0, 0)


def test_a_scheduled_grant_whose_entry_is_lost_counts_once_though_it_began(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", clock=NOON)
    assert flusher.drain(10)
    harness.grant("acme", 8 * CREDIT, effective_at_ms=NOON + 1000)
    harness.advance("acme", NOON + 1000)
    harness.process_due_grants("acme")
    harness.debit("acme", 3 * CREDIT)
    harness.redis.xdel(journal_key(harness.shard("acme")), "1-2")
    assert flusher.drain(10)
    assert [entry["amount_nanos"] // CREDIT for entry in entries(harness)] == [0, 0, 0, -3]
    hear_of_the_loss(harness, flusher, "acme")
    assert account(harness, "acme")["remaining_nanos"] == 5 * CREDIT
    assert grants(harness, "acme") == {4: ("LIVE", 8, 0, 0, 0, 0)}


def test_a_grant_whose_start_is_lost_is_whole_when_it_begins_again(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", clock=NOON)
    harness.grant("acme", 8 * CREDIT, effective_at_ms=NOON + 1000)
    harness.advance("acme", NOON + 1000)
    harness.process_due_grants("acme")
    harness.debit("acme", 3 * CREDIT)
    harness.redis.xdel(journal_key(harness.shard("acme")), "1-4")
    assert flusher.drain(10)
    assert grants(harness, "acme") == {2: ("SCHEDULED", 8, 0, 0, 0, 0)}
    hear_of_the_loss(harness, flusher, "acme")
    assert account(harness, "acme")["remaining_nanos"] == 5 * CREDIT
    assert grants(harness, "acme") == {2: ("LIVE", 8, 0, 0, 0, 0)}


def test_usage_is_not_counted_against_a_grant_that_had_expired_though_that_entry_is_lost(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", 4 * CREDIT, clock=NOON)
    harness.grant("acme", 3 * CREDIT, type="PROMOTION", expires_at_ms=NOON + 1000)
    assert flusher.drain(10)
    harness.grant("acme", 5 * CREDIT, priority=1)
    harness.advance("acme", NOON + 1000)
    harness.process_due_grants("acme")
    harness.debit("acme", 2 * CREDIT)  # of the grant whose entry is lost, too
    harness.redis.xdel(journal_key(harness.shard("acme")), "1-4", "1-6")
    assert flusher.drain(10)
    assert grants(harness, "acme") == {2: ("LIVE", 2, 0, 2, 0, 0), 3: ("LIVE", 3, 0, 0, 0, 0)}
    hear_of_the_loss(harness, flusher, "acme")
    assert grants(harness, "acme") == {
        2: ("LIVE", 2, 0, 2, 0, 0),
        3: ("EXPIRED", 0, 0, 0, 3, 0),
        6: ("LIVE", 5, 0, 0, 0, 0),
    }


def test_a_grant_is_used_up_only_if_the_books_say_so(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", 5 * CREDIT, clock=NOON)
    hold_id = harness.authorize("acme", 5 * CREDIT)
    assert flusher.drain(10)
    harness.debit("acme", 5 * CREDIT, hold_id=hold_id)  # lost, and with it that the grant was spent
    harness.redis.xdel(journal_key(harness.shard("acme")), "1-4")
    assert flusher.drain(10)
    assert entries(harness)[-1]["kind"] == "GRANT_EXHAUSTED"
    assert grants(harness, "acme") == {2: ("LIVE", 0, 5, 0, 0, 0)}
    hear_of_the_loss(harness, flusher, "acme")
    harness.release("acme", hold_id)
    assert flusher.drain(10)
    assert grants(harness, "acme") == {2: ("LIVE", 5, 0, 0, 0, 0)}


def test_a_journal_that_is_behind_the_ledger_is_left_alone_until_a_new_epoch(
    harness: StoreHarness,
) -> None:
    registry = CollectorRegistry()
    flusher = make_flusher(harness, registry=registry)
    shard = harness.shard("acme")
    other = (harness.shard("acme") + 1) % harness.shards
    harness.create("acme", 25 * CREDIT)
    assert flusher.drain(10)
    harness.redis.delete(journal_key(shard))
    with capture_logs() as logs:
        assert not flusher.drain(10)
        harness.create(harness.account_in(other))
        assert flusher.flush_once() == 1  # other shards are not concerned
    assert [log["event"] for log in logs].count("shard_not_flushed") == 1
    assert value(registry, "creditgate_flusher_shards_stopped", reason="lost") == 1
    position = Positions(harness.ledger).begin_epoch(
        shard, Positions(harness.ledger).all()[shard], "lost"
    )
    harness.open_epoch(shard, position.epoch)
    assert flusher.drain(10)
    assert value(registry, "creditgate_flusher_shards_stopped", reason="lost") == 0


def test_entries_that_redis_wrote_anew_after_losing_the_first_are_told_from_those(
    harness: StoreHarness,
) -> None:
    registry = CollectorRegistry()
    flusher = make_flusher(harness, registry=registry)
    harness.create("acme", 25 * CREDIT)
    assert flusher.drain(10)
    backup = {key: harness.redis.dump(key) for key in harness.redis.scan_iter()}
    for amount in (1, 2):
        harness.debit("acme", amount * CREDIT)
    assert flusher.drain(10)
    harness.redis.flushall()
    for key, dump in backup.items():
        harness.redis.restore(key, 0, dump)
    for amount in (3, 4, 5):  # the gate has not noticed; the third goes past the ledger's position
        harness.debit("acme", amount * CREDIT)
    shard = harness.shard("acme")
    assert flusher.drain(10)
    assert [entry["amount_nanos"] // CREDIT for entry in entries(harness)] == [0, 25, -1, -2, -5]
    lost = [
        (row["epoch"], row["first_seq"], row["last_seq"])
        for row in rows(harness.ledger, schema.journal_gaps)
    ]
    assert lost == [(1, 3, 3), (1, 4, 4)]
    assert Positions(harness.ledger).all()[shard] == Position(
        2, 0
    )  # fenced: the gate must load accounts anew
    assert account(harness, "acme")["remaining_nanos"] == 17 * CREDIT
    assert value(registry, "creditgate_journal_gaps_total") == 2
    assert_books_add_up(harness, lost=True)


def test_a_hold_that_redis_lost_is_not_taken_for_another_of_the_same_size(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", 25 * CREDIT)
    assert flusher.drain(10)
    backup = {key: harness.redis.dump(key) for key in harness.redis.scan_iter()}
    lost = harness.authorize("acme", 5 * CREDIT)
    assert flusher.drain(10)
    harness.redis.flushall()
    for key, dump in backup.items():
        harness.redis.restore(key, 0, dump)
    other = harness.authorize(
        "acme", 5 * CREDIT
    )  # has the place in the journal that the first had, and leaves the same sums
    harness.debit("acme", 2 * CREDIT, hold_id=other)
    assert flusher.drain(10)
    (hold,) = rows(harness.ledger, schema.open_holds)
    assert (hold["hold_id"], hold["amount_nanos"]) == (lost, 5 * CREDIT)
    assert grants(harness, "acme") == {2: ("LIVE", 18, 5, 2, 0, 0)}
    hear_of_the_loss(harness, flusher, "acme")
    harness.release("acme", lost)
    assert flusher.drain(10)
    assert grants(harness, "acme") == {2: ("LIVE", 23, 0, 2, 0, 0)}


def test_a_threshold_that_redis_crossed_again_after_losing_the_first_is_told_once(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create(
        "acme", 25 * CREDIT, clock=NOON, thresholds=(Threshold("busy", "daily_use", 5 * CREDIT),)
    )
    assert flusher.drain(10)
    backup = {key: harness.redis.dump(key) for key in harness.redis.scan_iter()}
    harness.debit("acme", 6 * CREDIT)
    assert flusher.drain(10)
    harness.redis.flushall()
    for key, dump in backup.items():
        harness.redis.restore(key, 0, dump)
    for amount in (
        1,
        1,
        4,
    ):  # the first two have the places of what was lost; the third crosses once more
        harness.debit("acme", amount * CREDIT)
    assert flusher.drain(10)
    assert [entry["kind"] for entry in entries(harness)][2:] == [
        "DEBIT",
        "THRESHOLD",
        "DEBIT",
        "THRESHOLD",
    ]
    assert events(harness) == [("DAILY_USE", "", "busy", 5, 6)]
    assert_books_add_up(harness, lost=True)


def test_an_operation_that_redis_lost_and_took_again_counts_once(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme")
    assert flusher.drain(10)
    backup = {key: harness.redis.dump(key) for key in harness.redis.scan_iter()}
    grant = harness.grant("acme", 5 * CREDIT)
    assert flusher.drain(10)
    harness.redis.flushall()
    for key, dump in backup.items():
        harness.redis.restore(key, 0, dump)
    harness.debit("acme", 0)  # has the place in the journal that the grant had
    assert harness.apply(grant) == b"ok"
    assert flusher.drain(10)
    assert [entry["kind"] for entry in entries(harness)] == ["CREATE", "GRANT", "GRANT"]
    assert sum(entry["amount_nanos"] for entry in entries(harness)) == 5 * CREDIT
    assert account(harness, "acme")["remaining_nanos"] == 5 * CREDIT
    assert [row["amount_nanos"] for row in rows(harness.ledger, schema.grants)] == [5 * CREDIT]


def test_entries_of_an_epoch_that_was_given_up_are_recorded_as_lost(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", 25 * CREDIT)
    assert flusher.drain(10)
    shard = harness.shard("acme")
    harness.debit("acme", CREDIT)
    position = Positions(harness.ledger).begin_epoch(
        shard, Position(1, 2), "rebuilt while the journal went on"
    )
    harness.open_epoch(shard, position.epoch)
    assert flusher.drain(10)
    assert [row["first_seq"] for row in rows(harness.ledger, schema.journal_gaps)] == [3]
    assert account(harness, "acme")["remaining_nanos"] == 25 * CREDIT
    assert_books_add_up(harness, lost=True)


@pytest.mark.sqlite_first
def test_whichever_entry_is_lost_the_rest_is_counted_on_top_of_what_the_books_have(
    harness: StoreHarness, flusher: Flusher, is_long: bool
) -> None:
    live_through(harness, "example", lambda: None)
    last = (
        harness.redis.xlen(journal_key(harness.shard("example"))) - 1
    )  # what nothing follows is not known to be lost
    assert flusher.drain(10)
    for place in range(0, last, 1 if is_long else 3):
        lose_and_go_on(
            harness,
            flusher,
            harness.account_in(0, f"without-{place}"),
            lambda each, place=place: each == place,
        )


@pytest.mark.sqlite_first
def test_whichever_entries_are_lost_the_rest_is_counted_on_top_of_what_the_books_have(
    harness: StoreHarness, flusher: Flusher, is_long: bool
) -> None:
    for number in range(200 if is_long else 10):
        random_values = random.Random(number)
        first = random_values.randrange(40)
        length = random_values.randint(2, 10)
        rate = random_values.choice((0.5, 1))
        some = {place for place in range(first, first + length) if random_values.random() < rate}
        lose_and_go_on(
            harness, flusher, harness.account_in(0, f"without-some-{number}"), some.__contains__
        )


def lose_and_go_on(
    harness: StoreHarness, flusher: Flusher, name: str, is_lost: Callable[[int], bool]
) -> None:
    """An eventful history without some of its entries; and what comes after it, once the gate has
    heard of the loss.
    """
    journal = journal_key(harness.shard(name))
    live_through(harness, name, lambda: None)
    *found, _ = (entry_id for entry_id, _ in harness.redis.xrange(journal))
    lost = [entry_id for place, entry_id in enumerate(found) if is_lost(place)]
    harness.redis.xdel(journal, *lost, "0-1")
    assert flusher.drain(10)
    assert_books_add_up(harness, name, lost=True)
    hear_of_the_loss(harness, flusher, name)
    for hold in rows(harness.ledger, schema.open_holds):
        if hold["account_id"] == name:
            harness.debit(name, CREDIT, hold_id=hold["hold_id"])
    assert harness.debit(
        name, 30 * CREDIT, incurred=True, dimensions={"user": "eve", "service": "chat"}
    )
    harness.advance(name, NOON + 72 * HOUR)
    assert flusher.drain(10)
    assert_books_add_up(harness, name, lost=True)
    assert_redis_agrees(harness, name)
    assert not [found for found in findings(harness, name) if found.startswith("redis")]
    debits = [entry for entry in entries(harness, name) if entry["kind"] == "DEBIT"]
    assert [-entry["amount_nanos"] for entry in debits] == [
        decode_effect(entry["effect"]).amount for entry in debits
    ]


def hear_of_the_loss(harness: StoreHarness, flusher: Flusher, name: str) -> None:
    """What the gate does as soon as it knows of the epoch that the flusher has begun."""
    harness.hear_of_epoch(name)
    harness.load(name)
    harness.apply_pending(name)
    harness.process_due_grants(name)
    assert flusher.drain(10)
    assert_books_add_up(harness, name, lost=True)
    assert_redis_agrees(harness, name)
