"""A till and a flusher of its books, for each test its own."""

import pytest
import redis
from books import make_flusher
from till import Till

from meter.flusher import Flusher
from meter.ledger.engine import Ledger

pytest_plugins = ("ledgers",)


@pytest.fixture
def till(redis_db: redis.Redis, ledger: Ledger) -> Till:
    """With all shards open."""
    return Till(redis_db, ledger).open()


@pytest.fixture
def flusher(till: Till) -> Flusher:
    """Of the till's journals and ledger."""
    return make_flusher(till)
