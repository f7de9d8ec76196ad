"""How much of what callers were told of is nowhere any more."""

import pytest
from prometheus_client import CollectorRegistry

from gate.metrics import GateMetrics
from gate.store.acknowledged import Acknowledged
from meter.journal.entry import Position
from meter.ledger.shard_state import LedgerShard, StoredShard, StoreName

STORE = StoreName("store", "redis:6379/0")


@pytest.mark.parametrize(
    ("told", "journal", "ledger", "lost"),
    [
        pytest.param(None, "1-5", "1-3", 0, id="nobody was told of anything"),
        pytest.param("1-5", "1-5", "1-3", 0, id="all is in the journal"),
        pytest.param("1-5", "1-3", "1-5", 0, id="all is in the ledger"),
        pytest.param("1-5", "1-3", "1-2", 2, id="the journal has more than the ledger"),
        pytest.param("1-5", "1-2", "1-4", 1, id="the ledger has more than the journal"),
        pytest.param("1-5", None, "1-4", 1, id="the store was emptied"),
        pytest.param("2-7", "1-9", "1-9", 7, id="an epoch was lost with all that was in it"),
        pytest.param("1-5", "2-0", "1-4", 0, id="another epoch has begun"),
    ],
)
def test_what_neither_store_nor_ledger_has_is_lost(
    told: str | None, journal: str | None, ledger: str, lost: int
) -> None:
    registry = CollectorRegistry()
    acknowledged = Acknowledged(1, GateMetrics(registry).upkeep)
    acknowledged.ids[0] = told.encode() if told else None
    known = LedgerShard("ledger", Position.from_id(ledger), STORE)
    found = StoredShard(None, Position.from_id(journal) if journal else None)
    for _ in range(2):  # a look that could not begin the epoch forgets nothing
        assert acknowledged.lost(0, known, found) == lost
    assert registry.get_sample_value("creditgate_acknowledged_lost_total") == 0
    acknowledged.count_lost(0, lost)
    assert registry.get_sample_value("creditgate_acknowledged_lost_total") == lost
