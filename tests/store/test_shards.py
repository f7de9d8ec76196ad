"""Gates that begin at the same time agree on the store and on the epoch."""

import asyncio
from contextlib import suppress

import redis
from structlog.testing import capture_logs

from gate.store.connections import Endpoint
from gate.store.shards import ShardClosed
from meter.database.engine import Ledger
from meter.ledger.positions import Positions
from support.gate_store import GateStore

pytest_plugins = ("support.harness_fixtures",)

GATES = 6
SHARDS = 8


async def open_at_once(socket: str, ledger: Ledger) -> list[GateStore]:
    stores = [GateStore(Endpoint(f"unix://{socket}"), ledger, SHARDS) for _ in range(GATES)]
    await asyncio.gather(*[store.open() for store in stores])
    await asyncio.gather(*[store.open_again() for store in stores])
    return stores


async def epochs_of(stores: list[GateStore]) -> set[int]:
    async with asyncio.timeout(10):
        while True:
            for store in stores:
                await store.shards.verify_all()
            with suppress(ShardClosed):
                return {store.shards.epoch(shard) for store in stores for shard in range(SHARDS)}
            await asyncio.sleep(0.01)


async def live(client: redis.Redis, socket: str, ledger: Ledger) -> list[set[int]]:
    stores = await open_at_once(socket, ledger)
    try:
        begun = await epochs_of(stores)
        client.flushall()
        for store in stores:
            for shard in range(SHARDS):
                store.shards.close(shard)
        await asyncio.gather(*[store.shards.verify_all() for store in stores])
        return [begun, await epochs_of(stores)]
    finally:
        for store in stores:
            await store.close()


def test_gates_that_begin_at_once_agree_and_refuse_nobody(
    redis_db: redis.Redis, ledger: Ledger
) -> None:
    socket = redis_db.connection_pool.connection_kwargs["path"]
    with capture_logs() as logs:
        assert asyncio.run(live(redis_db, socket, ledger)) == [{1}, {1}]
    assert not [log for log in logs if log["event"] == "shard_closed"]
    assert len({known.store for known in Positions(ledger).shards().values()}) == 1
