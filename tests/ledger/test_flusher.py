"""The flusher: from what the scripts journaled to the books."""

import json

import pytest
from prometheus_client import CollectorRegistry

from gate.store.keys import journal_key
from meter.database import schema
from meter.flusher import Flusher
from meter.journal.entry import Position, Pricing
from meter.journal.kinds import Kind
from meter.journal.operations import Threshold
from meter.journals import Journals
from meter.ledger.positions import Positions
from meter.money import INT64_MAX
from meter.times import MS_PER_DAY
from meter.v1.ledger_pb2 import EntryKind
from support.ledger_state import (
    PRICED,
    PRICED_NANOS,
    account,
    assert_books_add_up,
    assert_redis_agrees,
    entries,
    make_flusher,
    rows,
    usage,
    value,
)
from support.store_harness import CREDIT, StoreHarness

pytest_plugins = ("support.harness_fixtures",)

DAY = 20_000
NOON = DAY * MS_PER_DAY + MS_PER_DAY // 2


def test_every_kind_of_effect_becomes_a_line_of_the_history(
    harness: StoreHarness, flusher: Flusher
) -> None:
    low = Threshold("low", "low_balance", 5 * CREDIT)
    harness.create(
        "acme", 25 * CREDIT, overage=CREDIT, limit=20 * CREDIT, clock=NOON, thresholds=(low,)
    )
    settled, given_back, expired = (
        harness.authorize("acme", CREDIT, ttl_ms=1000) for _ in range(3)
    )
    harness.extend("acme", settled, CREDIT, ttl_ms=10_000)
    assert flusher.flush_once() == 6  # what follows ends holds of an earlier transaction
    harness.debit("acme", 3 * CREDIT, hold_id=settled)
    harness.release("acme", given_back)
    harness.advance("acme", NOON + 1000)
    harness.expire("acme", expired)
    harness.debit("acme", 2 * CREDIT, hold_id=expired, description="a late one")
    harness.debit("acme", 40 * CREDIT, incurred=True)
    harness.update("acme", status="suspended", daily_limit_nanos=None)
    refund = harness.grant("acme", 22 * CREDIT, type="REFUND")
    harness.grant("acme", 3 * CREDIT, effective_at_ms=NOON + 2000, expires_at_ms=NOON + 3000)
    harness.advance("acme", NOON + 2000)
    assert harness.process_due_grants("acme") == 1
    harness.void("acme", refund)
    harness.advance("acme", NOON + 3000)
    assert harness.process_due_grants("acme") == 1
    assert flusher.drain(10)
    history = [
        (entry["kind"], entry["amount_nanos"] // CREDIT, entry["held_nanos"] // CREDIT)
        for entry in entries(harness)
    ]
    assert history == [
        ("CREATE", 0, 0), ("GRANT", 25, 0), ("AUTHORIZE", 0, 1), ("AUTHORIZE", 0, 1), ("AUTHORIZE", 0, 1), ("EXTEND", 0, 1),
        ("DEBIT", -3, -2), ("RELEASE", 0, -1), ("CLOCK", 0, 0), ("EXPIRE", 0, -1), ("DEBIT", -2, 0), ("DEBIT", -40, 0),
        ("THRESHOLD", 0, 0), ("GRANT_EXHAUSTED", 0, 0), ("UPDATE", 0, 0), ("GRANT", 22, 0), ("DEBT_PAID", 0, 0), ("GRANT", 0, 0),
        ("CLOCK", 0, 0), ("GRANT_STARTED", 3, 0), ("GRANT_VOIDED", -2, 0), ("CLOCK", 0, 0), ("GRANT_EXPIRED", -3, 0),
    ]  # fmt: skip
    assert {kind for kind, _, _ in history} == {kind.name for kind in Kind if kind.is_journaled}
    late, incurred = entries(harness)[10:12]
    told = (late["late"], late["description"], late["hold_id"], late["usage_day"])
    assert told == (True, "a late one", expired, DAY)
    assert (incurred["incurred"], incurred["shortfall_nanos"]) == (True, 40 * CREDIT - 21 * CREDIT)
    assert_books_add_up(harness)
    assert_redis_agrees(harness, "acme")


def test_the_kinds_of_entries_are_those_of_the_service() -> None:
    assert {kind.name for kind in Kind if kind.is_journaled} == set(EntryKind.keys()) - {
        "ENTRY_KIND_UNSPECIFIED",
        "RECONCILED",
    }
    assert {kind for kind in Kind if not kind.is_journaled} == {Kind.BALANCE, Kind.RECONCILED}


def test_a_history_of_two_days_and_both_clocks_leaves_the_sums_that_redis_has(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create(
        "test", 100 * CREDIT, limit=50 * CREDIT, clock=20_512 * MS_PER_DAY - 1
    )  # the last millisecond of a month
    harness.create("real", 100 * CREDIT, limit=50 * CREDIT)
    for account_id in ("test", "real"):
        hold = harness.authorize(account_id, CREDIT)
        harness.authorize(account_id, 2 * CREDIT)
        harness.debit(account_id, 3 * CREDIT)
        if account_id == "test":
            harness.advance("test", 20_512 * MS_PER_DAY)
        harness.debit(account_id, 4 * CREDIT, hold_id=hold)
        harness.debit(account_id, 5 * CREDIT)
        harness.update(account_id, daily_limit_nanos=60 * CREDIT, overage_protection_nanos=CREDIT)
    assert flusher.drain(10)
    assert_books_add_up(harness)
    assert_redis_agrees(harness, "test")
    assert_redis_agrees(harness, "real")


def test_usage_is_added_up_by_unit_and_by_each_dimension(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", 100 * CREDIT)
    for user in ("ada", "bob", "ada"):
        harness.debit(
            "acme", PRICED_NANOS, pricing=PRICED, dimensions={"user": user, "project": "x"}
        )
        assert flusher.drain(10)  # in transactions of their own
    harness.debit("acme", 7)
    harness.authorize("acme", CREDIT)
    assert flusher.drain(10)
    model = PRICED.model
    expected = {
        (model, "input_tokens", "", ""): (3600, 9_000_000, 3),
        (model, "output_tokens", "", ""): (1500, 15_000_000, 3),
        (model, "input_tokens", "user", "ada"): (2400, 6_000_000, 2),
        (model, "output_tokens", "user", "ada"): (1000, 10_000_000, 2),
        (model, "input_tokens", "user", "bob"): (1200, 3_000_000, 1),
        (model, "output_tokens", "user", "bob"): (500, 5_000_000, 1),
        (model, "input_tokens", "project", "x"): (3600, 9_000_000, 3),
        (model, "output_tokens", "project", "x"): (1500, 15_000_000, 3),
        ("", "amount", "", ""): (1, 7, 1),
    }
    assert usage(harness, schema.usage_hourly) == expected
    assert usage(harness, schema.usage_daily) == expected
    assert json.loads(entries(harness)[2]["usage_lines"]) == [list(line) for line in PRICED.lines]


def test_amounts_at_the_edge_of_int64_are_exact(harness: StoreHarness, flusher: Flusher) -> None:
    harness.create("acme", INT64_MAX)
    assert harness.debit("acme", INT64_MAX - 2**53 - 1)
    assert harness.debit("acme", 2**53)
    assert harness.debit("acme", 1)
    assert flusher.drain(10)
    assert [entry["balance_nanos"] for entry in entries(harness)] == [
        0,
        INT64_MAX,
        2**53 + 1,
        1,
        0,
        0,
    ]
    assert usage(harness)["", "amount", "", ""] == (3, INT64_MAX, 3)
    assert_redis_agrees(harness, "acme")


def test_a_new_epoch_moves_the_position_after_all_that_was_before_it(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", 25 * CREDIT)
    shard = harness.shard("acme")
    owner = Positions(harness.ledger).shards()[shard].owner
    Journals(harness.redis, harness.shards).fence(
        shard, 5, Position(1, 2), owner
    )  # and killed before its commit
    assert flusher.drain(10)
    assert len(entries(harness)) == 2
    assert Positions(harness.ledger).all()[shard] == Position(5, 0)
    began = [
        (row["epoch"], row["reason"])
        for row in rows(harness.ledger, schema.epochs)
        if row["shard"] == shard
    ]
    assert began == [
        (1, "first start"),
        (5, "gap in the journal: entries were lost before the ledger had them"),
    ]
    harness.hear_of_epoch("acme")
    harness.create(harness.account_in(shard, "other"))
    assert flusher.drain(10)
    assert Positions(harness.ledger).all()[shard] == Position(5, 1)


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_a_debit_repeated_after_its_replay_window_is_given_back(
    harness: StoreHarness, in_one_batch: bool
) -> None:
    registry = CollectorRegistry()
    flusher = make_flusher(harness, registry=registry)
    harness.create("acme", 25 * CREDIT)
    harness.debit("acme", PRICED_NANOS, "r-1", pricing=PRICED)
    if not in_one_batch:
        assert flusher.drain(10)
    harness.forget("acme", "r-1")
    harness.debit("acme", PRICED_NANOS, "r-1", pricing=PRICED)
    harness.debit("acme", PRICED_NANOS, "r-2", pricing=PRICED)
    assert flusher.drain(10)
    first, second, third = entries(harness)[2:]
    entry_id = f"{harness.shard('acme')}-1-{first['seq']}"
    assert [(entry["request_id"], entry["duplicate_of"]) for entry in (first, second, third)] == [
        ("r-1", None), (None, entry_id), ("r-2", None),
    ]  # fmt: skip
    assert usage(harness)[PRICED.model, "input_tokens", "", ""] == (2400, 6_000_000, 2)
    assert value(registry, "creditgate_duplicates_total") == 1
    (refund,) = harness.operations.pending()
    assert (refund.change.type, refund.change.amount_nanos) == ("REFUND", PRICED_NANOS)  # type: ignore[union-attr]
    assert refund.change.refund_of == f"{harness.shard('acme')}-1-{second['seq']}"  # type: ignore[union-attr]
    assert harness.apply(refund) == b"ok"
    assert flusher.drain(10)
    assert harness.operations.pending() == []
    assert account(harness, "acme")["remaining_nanos"] == 25 * CREDIT - 2 * PRICED_NANOS
    assert_books_add_up(harness)
    assert_redis_agrees(harness, "acme")


def test_what_charged_nothing_needs_no_refund_when_repeated(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", 25 * CREDIT)
    for request_id, call in (("r-1", harness.authorize), ("r-2", harness.debit)):
        for _ in range(2):
            call("acme", 0 if call == harness.debit else CREDIT, request_id)
            harness.forget("acme", request_id)
    assert flusher.drain(10)
    assert [entry["duplicate_of"] is not None for entry in entries(harness)[2:]] == [
        False,
        True,
        False,
        True,
    ]
    assert harness.operations.pending() == []
    assert (
        account(harness, "acme")["held_nanos"] == 2 * CREDIT
    )  # both holds are there, and end by themselves
    assert_books_add_up(harness)


def test_a_grant_stands_though_a_call_in_flight_had_its_request_id(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", 25 * CREDIT)
    harness.debit("acme", CREDIT, "same")
    harness.grant("acme", 2 * CREDIT, "same")  # the debit is not in the ledger yet
    assert flusher.drain(10)
    assert [(entry["request_id"], entry["duplicate_of"]) for entry in entries(harness)[2:]] == [
        ("same", None),
        (None, None),
    ]
    assert account(harness, "acme")["remaining_nanos"] == 26 * CREDIT
    assert_books_add_up(harness)


def test_open_holds_and_lag_are_measured(harness: StoreHarness) -> None:
    registry = CollectorRegistry()
    harness.create("acme", 25 * CREDIT)
    harness.create("test", 25 * CREDIT, clock=1000)
    harness.authorize("acme", CREDIT)
    harness.authorize("test", CREDIT)
    flusher = make_flusher(harness, registry=registry)
    harness.redis.xlen(journal_key(0))
    assert flusher.flush_once() > 0
    assert value(registry, "creditgate_ledger_holds_open") == 2
    assert (
        value(registry, "creditgate_ledger_holds_oldest_seconds") < 60
    )  # the test clock's is not of our time
    assert 0 < value(registry, "creditgate_flush_lag_seconds") < 60
    flusher.flush_once()
    assert value(registry, "creditgate_flush_lag_seconds") == 0
    assert value(registry, "creditgate_flush_batch_rows_sum") == 6


def test_no_metric_has_an_id_as_its_label(harness: StoreHarness) -> None:
    registry = CollectorRegistry()
    harness.create("acme", 25 * CREDIT)
    assert make_flusher(harness, registry=registry).drain(10)
    labels = {
        name for metric in registry.collect() for sample in metric.samples for name in sample.labels
    }
    assert labels == {"shard", "reason", "kind", "le"}


def test_texts_of_callers_stand_in_the_entry_as_they_were_sent(
    harness: StoreHarness, flusher: Flusher
) -> None:
    texts = {"user": 'a "quoted" \\ name', "team": "ä\n\t€", "b": "", "a": "z"}
    unit = 'a "unit"'
    harness.create("acme", 25 * CREDIT)
    harness.debit(
        "acme", 5, dimensions=texts, pricing=Pricing("m", "v", ((unit, 2, 2), ("ö", 3, 3)))
    )
    assert flusher.flush_once()
    debit = entries(harness)[-1]
    assert json.loads(debit["dimensions"]) == texts
    assert list(json.loads(debit["dimensions"])) == sorted(texts)
    assert json.loads(debit["usage_lines"]) == [[unit, 2, 2], ["ö", 3, 3]]


def test_a_price_that_an_entry_brings_along_is_recorded_once(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", 25 * CREDIT)
    brings = PRICED._replace(price='{"a": "price"}')
    for pricing in (PRICED, brings, PRICED._replace(price='{"another": "form"}')):
        harness.debit("acme", PRICED_NANOS, pricing=pricing)
        assert flusher.flush_once()
    (recorded,) = rows(harness.ledger, schema.price_versions)
    assert (recorded["version"], recorded["model"]) == (PRICED.version, PRICED.model)
    assert recorded["body"] == brings.price
