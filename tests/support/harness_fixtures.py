"""A harness and a flusher of its books, for each test its own."""

from collections.abc import Iterator

import pytest
import redis

from meter.database.engine import Ledger
from meter.flusher import Flusher
from support.ledger_state import make_flusher
from support.store_harness import StoreHarness, store_harness

pytest_plugins = ("support.ledgers",)


@pytest.fixture
def harness(redis_db: redis.Redis, ledger: Ledger) -> Iterator[StoreHarness]:
    """With all shards open."""
    with store_harness(redis_db, ledger) as harness:
        yield harness


@pytest.fixture
def flusher(harness: StoreHarness) -> Flusher:
    """Of the harness's journals and ledger."""
    return make_flusher(harness)
