"""What is told of shards that admit nothing."""

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from gate.metrics import GateMetrics
from gate.store import closed_shards
from gate.store.closed_shards import REASONS, ClosedShards
from meter.ledger.shard_state import ShardState


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def closed(registry: CollectorRegistry) -> ClosedShards:
    return ClosedShards(2, GateMetrics(registry).upkeep)


def seconds(registry: CollectorRegistry, reason: str) -> float:
    return registry.get_sample_value("creditgate_shard_closed_seconds", {"reason": reason}) or 0.0


def test_at_first_all_are_closed_and_none_was_looked_at(
    closed: ClosedShards, registry: CollectorRegistry
) -> None:
    assert closed.are_all
    closed.tell()
    assert [reason for reason in REASONS if seconds(registry, reason) > 0] == ["unverified"]
    assert registry.get_sample_value("creditgate_shards_closed") == 2


def test_each_reason_has_its_own_age_which_ends_with_the_closure(
    closed: ClosedShards, registry: CollectorRegistry
) -> None:
    closed.note(0, ShardState.AWAITS_FLUSHER)
    closed.open(1)
    closed.tell()
    assert [reason for reason in REASONS if seconds(registry, reason) > 0] == ["awaits_flusher"]
    assert not closed.are_all
    closed.open(0)
    closed.tell()
    assert [reason for reason in REASONS if seconds(registry, reason) > 0] == []


def test_a_shard_that_was_closed_again_is_closed_since_then(
    closed: ClosedShards, registry: CollectorRegistry
) -> None:
    closed.note(0, ShardState.LEDGER_OLDER)
    closed.close(0)
    assert closed.advice(0).startswith("ledger_older: ")
    closed.open(0)
    closed.close(0)
    assert closed.advice(0).startswith("unverified: ")


def test_a_shard_closed_for_long_is_told_once_for_each_reason_with_what_to_do(
    closed: ClosedShards, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closed_shards, "_LONG_S", 0.0)
    closed.open(1)
    with capture_logs() as logs:
        closed.tell()
        closed.tell()
        closed.note(0, ShardState.LEDGER_OLDER)
        closed.note(0, ShardState.LEDGER_OLDER)
        closed.tell()
    assert [(entry["log_level"], entry["shard"], entry["reason"]) for entry in logs] == [
        ("error", 0, "unverified"),
        ("error", 0, "ledger_older"),
    ]
    assert "put the newer ledger back" in logs[1]["advice"]
