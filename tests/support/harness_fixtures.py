"""A harness and a flusher of its books, for each test its own."""

import pytest
import redis

from meter.database.engine import Ledger
from meter.flusher import Flusher
from support.ledger_state import make_flusher
from support.store_harness import StoreHarness

pytest_plugins = ("support.ledgers",)


@pytest.fixture
def harness(redis_db: redis.Redis, ledger: Ledger) -> StoreHarness:
    """With all shards open."""
    return StoreHarness(redis_db, ledger).open()


@pytest.fixture
def flusher(harness: StoreHarness) -> Flusher:
    """Of the harness's journals and ledger."""
    return make_flusher(harness)
