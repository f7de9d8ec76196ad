"""The reapers of several gates share the shards out."""

from collections.abc import Awaitable, Callable

import pytest
import redis
import uvloop

from gate.store import reaper_leases
from gate.store.connections import Connections, Endpoint
from gate.store.keys import reaper_key
from gate.store.reaper_leases import ReaperLeases
from gate.store.redis_server import prepare_server
from support.servers import ValkeyServer

SHARDS = 4
Test = Callable[[ReaperLeases, ReaperLeases], Awaitable[None]]


@pytest.fixture
def run(
    valkey: ValkeyServer, redis_db: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Test], None]:
    """Runs a test with the leases of two reapers, which ask each time."""
    assert not redis_db.keys()
    monkeypatch.setattr(reaper_leases, "_ASK_EVERY_S", 0.0)

    async def connected(test: Test) -> None:
        connections = Connections(
            Endpoint(valkey.url), count=1, timeout_s=5, prepare=prepare_server
        )
        await connections.open()
        try:
            await test(*(ReaperLeases(connections, SHARDS) for _ in range(2)))
        finally:
            await connections.close()

    return lambda test: uvloop.run(connected(test))


def test_each_shard_has_one_reaper_until_its_lease_is_over(
    run: Callable[[Test], None], redis_db: redis.Redis
) -> None:
    async def test(one: ReaperLeases, other: ReaperLeases) -> None:
        assert await one.kept() == {0, 1, 2, 3}
        assert await other.kept() == set()
        assert 4000 < redis_db.pttl(reaper_key(0)) <= 5000
        redis_db.pexpire(reaper_key(0), 100)
        assert await one.kept() == {0, 1, 2, 3}
        assert redis_db.pttl(reaper_key(0)) > 4000, "renewed"
        redis_db.delete(reaper_key(0), reaper_key(1))
        assert await other.kept() == {0, 1}
        assert await one.kept() == {2, 3}

    run(test)


def test_if_no_lease_can_be_had_every_reaper_looks_at_every_shard(
    run: Callable[[Test], None], redis_db: redis.Redis
) -> None:
    async def test(one: ReaperLeases, other: ReaperLeases) -> None:
        redis_db.config_set("maxmemory", 1)
        try:
            assert await one.kept() == {0, 1, 2, 3}
            assert await other.kept() == {0, 1, 2, 3}
        finally:
            redis_db.config_set("maxmemory", 0)

    run(test)
