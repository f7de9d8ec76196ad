"""The gate without its server: its service over its store, on a real ledger."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fakeredis
import redis
import uvloop
from prometheus_client import CollectorRegistry

from gate.account_currencies import AccountCurrencies
from gate.denial_events import DenialEvents
from gate.metrics import GateMetrics
from gate.pricing import Pricer
from gate.service import GateService
from gate.store.connections import Connection, Endpoint
from gate.store.flush_barrier import FlushBarrier
from gate.store.keys import shard_of
from gate.store.redis_server import prepare_server
from meter.audit import RedisSnapshot
from meter.database.engine import Ledger
from meter.journal.entry import JournalEntry, Position, decode, journal_key
from meter.journal.operations import Change, Operation
from meter.prices import PriceTable
from meter.prices.recorded import Prices
from support.engine_endpoint import EngineEndpoint, prepare_engine
from support.gate_store import GateStore

SHARDS = 2

PRICES_YAML = """
models:
  plain:
    - per_million: {input_tokens: 3, cached_input_tokens: 0.3, output_tokens: 15}
  crumbs:
    - per_million: {input_tokens: 0.0003, cached_input_tokens: 0.00015, output_tokens: 0.0007}
"""


class InProcessGate:
    """Calls wait for their end here, so that a test reads as a sequence."""

    def __init__(
        self,
        client: redis.Redis,
        loop: asyncio.Runner,
        store: GateStore,
        ledger: Ledger,
        prices: Path,
    ) -> None:
        self._client = client
        self._loop = loop
        self.store = store
        currencies = AccountCurrencies(store.calls.get_balance)
        barrier = FlushBarrier(store.calls, store.shards)
        metrics = GateMetrics(CollectorRegistry())
        pricer = Pricer(
            PriceTable.load(prices),
            Prices(ledger),
            currencies,
            barrier.wait,
            metrics.decisions,
        )
        self.denial_events = DenialEvents(ledger, metrics)
        self.service = GateService(
            store.calls, store.lost_holds, pricer, metrics, self.denial_events
        )
        self._operations: dict[str, int] = {}

    def run(self, sequence: Any) -> Any:
        return self._loop.run(sequence)

    async def apply(self, account_id: str, change: Change, again: bool = False) -> int:
        """Applies the account's next operation, or its last one again; its number."""
        number = self._operations.get(account_id, 0) + (0 if again else 1)
        self._operations[account_id] = number
        effect = await self.store.restorer.apply(
            Operation(account_id, number, f"op-{number}", change)
        )
        assert (effect is None) == again
        return number

    def seen(self, account_id: str) -> RedisSnapshot:
        """The account as the store has it."""
        shard = shard_of(account_id, SHARDS)
        snapshot = self.run(self.store.inspection.inspect_account(shard, account_id))
        assert snapshot is not None
        return snapshot

    def journal_end(self, shard: int) -> Position:
        [(entry_id, _)] = self._client.xrevrange(journal_key(shard), count=1)
        return Position.from_id(entry_id.decode())

    def journal_after(self, shard: int, position: Position) -> list[JournalEntry]:
        entries = self._client.xrange(journal_key(shard), f"({position}")
        return [decode(entry_id, fields) for entry_id, fields in entries]


@contextmanager
def real_gate(
    client: redis.Redis, url: str, ledger: Ledger, prices: Path
) -> Iterator[InProcessGate]:
    """Over a real Valkey."""
    with _open_gate(client, Endpoint(url), prepare_server, ledger, prices) as gate:
        yield gate


@contextmanager
def engine_gate(
    client: fakeredis.FakeRedis, ledger: Ledger, prices: Path
) -> Iterator[InProcessGate]:
    """Over fakeredis."""
    with fakeredis.FakeRedis(connection_pool=client.connection_pool) as plain:
        plain.response_callbacks.clear()  # replies as they are
        endpoint = EngineEndpoint(plain)
        with _open_gate(client, endpoint, prepare_engine, ledger, prices) as gate:
            yield gate


@contextmanager
def _open_gate(
    client: redis.Redis,
    endpoint: Endpoint,
    prepare: Callable[[Connection], Awaitable[str]],
    ledger: Ledger,
    prices: Path,
) -> Iterator[InProcessGate]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:

        async def open_store() -> GateStore:
            store = GateStore(endpoint, ledger, SHARDS, prepare)
            await store.open()
            return store

        store = loop.run(open_store())
        try:
            yield InProcessGate(client, loop, store, ledger, prices)
        finally:
            loop.run(store.close())
