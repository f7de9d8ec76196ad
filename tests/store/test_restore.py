"""Accounts in Redis are brought up to what the ledger says."""

import pytest

from gate.store.keys import account_key
from meter.errors import NotFound
from meter.flusher import Flusher
from meter.journal.operations import GrantCredits, Operation
from meter.ledger.positions import Positions
from support.ledger_state import findings
from support.store_harness import CREDIT, StoreHarness

pytest_plugins = ("support.harness_fixtures",)

GRANT = GrantCredits("late", "TOP_UP", 5 * CREDIT, 50, None, None, "its gate was killed")


def test_an_operation_needs_no_flusher_while_redis_has_the_account(harness: StoreHarness) -> None:
    harness.create("acme", 10 * CREDIT)
    harness.debit("acme", CREDIT)  # nothing of this is flushed
    harness.operations.grant_credits("acme", GRANT, request_id="late")
    harness.restore("acme")
    assert harness.inspect_account("acme").state.remaining == 14 * CREDIT


def test_a_missing_account_is_loaded_with_the_operations_that_were_not_flushed(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", 10 * CREDIT)
    harness.debit("acme", CREDIT)
    assert flusher.drain(10)
    harness.operations.grant_credits("acme", GRANT, request_id="late")
    harness.redis.delete(account_key(harness.shard("acme"), "acme"))
    harness.restore("acme")
    assert harness.inspect_account("acme").state.remaining == 14 * CREDIT


def test_an_account_of_an_older_epoch_is_loaded_anew(
    harness: StoreHarness, flusher: Flusher
) -> None:
    harness.create("acme", 10 * CREDIT)
    assert flusher.drain(10)
    shard = harness.shard("acme")
    position = Positions(harness.ledger).all()[shard]
    position = Positions(harness.ledger).begin_epoch(shard, position, "a test")
    harness.open_epoch(shard, position.epoch)
    harness.hear_of_epoch("acme")
    assert harness.inspect_account("acme") is None
    harness.restore("acme")
    assert harness.inspect_account("acme").state.remaining == 10 * CREDIT


def test_an_account_that_the_ledger_does_not_know_is_not_made_up(harness: StoreHarness) -> None:
    with pytest.raises(NotFound):
        harness.restore("acme")


def test_an_account_that_redis_loses_in_the_midst_of_it_is_not_created_without_its_credits(
    harness: StoreHarness, flusher: Flusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.create("acme", 10 * CREDIT)  # not flushed: the ledger names both operations as pending
    key = account_key(harness.shard("acme"), "acme")
    look_up = harness.operations.pending

    def lose_and_look_up(*arguments: str) -> list[Operation]:
        harness.redis.delete(key)
        return look_up(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(harness.operations, "pending", lose_and_look_up)
        harness.restore("acme")
    assert harness.inspect_account("acme") is None
    assert flusher.drain(10)
    harness.restore("acme")
    harness.debit("acme", CREDIT)
    assert harness.inspect_account("acme").state.remaining == 9 * CREDIT
    assert flusher.drain(10)
    assert not findings(harness)
