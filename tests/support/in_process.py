"""The gate without its server: its service over a store, and in memory what it asks of the
ledger.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
import uvloop
from prometheus_client import CollectorRegistry

from gate.metrics import GateMetrics
from gate.pricing import Pricer
from gate.service import GateService
from gate.store.calls import Store
from gate.store.connections import Connection, Wire
from gate.store.keys import shard_of
from gate.store.restore import Restorer
from gate.store.script_runner import Runner, prepare
from gate.store.shards import Shards
from meter.audit import RedisSnapshot
from meter.journal.entry import JournalEntry, Position, decode, journal_key
from meter.journal.operations import Change, Operation
from meter.prices import ModelPrice, PriceTable
from support.lua_table import run_function

SHARDS = 2
REPLAY_MS = 900_000

PRICES_YAML = """
models:
  plain:
    - per_million: {input_tokens: 3, cached_input_tokens: 0.3, output_tokens: 15}
  crumbs:
    - per_million: {input_tokens: 0.0003, cached_input_tokens: 0.00015, output_tokens: 0.0007}
"""


class MemoryLedger:
    """What the gate asks of the ledger, as long as the store loses nothing: positions, accounts, price
    versions.
    """

    def __init__(self) -> None:
        self.accounts: set[str] = set()
        self._prices: dict[str, ModelPrice] = {}

    def all(self) -> list[Position]:
        return [Position(1, 0)] * SHARDS

    def account(self, account_id: str) -> str | None:
        return account_id if account_id in self.accounts else None

    def record(self, price: ModelPrice) -> None:
        self._prices[price.version] = price

    def version(self, version: str) -> ModelPrice | None:
        return self._prices.get(version)


class InProcessGate:
    """Calls wait for their end here, so that a test reads as a sequence."""

    def __init__(
        self, client: redis.Redis, loop: asyncio.Runner, runner: Any, shards: Any, prices: Path
    ) -> None:
        metrics = GateMetrics(CollectorRegistry())
        self._client = client
        self._loop = loop
        self._ledger: Any = MemoryLedger()
        self._restorer = Restorer(runner, shards, self._ledger, metrics, REPLAY_MS)
        self.store = Store(runner, shards, self._restorer, REPLAY_MS)
        self.service = GateService(
            self.store, Pricer(PriceTable.load(prices), self._ledger), metrics
        )
        self._operations: dict[str, int] = {}

    def run(self, sequence: Any) -> Any:
        return self._loop.run(sequence)

    async def apply(self, account_id: str, change: Change, again: bool = False) -> int:
        """Applies the account's next operation, or its last one again; its number."""
        self._ledger.accounts.add(account_id)
        number = self._operations.get(account_id, 0) + (0 if again else 1)
        self._operations[account_id] = number
        effect = await self._restorer.apply(Operation(account_id, number, f"op-{number}", change))
        assert (effect is None) == again
        return number

    def seen(self, account_id: str) -> RedisSnapshot:
        """The account as the store has it."""
        snapshot = self.run(self.store.inspect_account(shard_of(account_id, SHARDS), account_id))
        assert snapshot is not None
        return snapshot

    def journal_end(self, shard: int) -> Position:
        [(entry_id, _)] = self._client.xrevrange(journal_key(shard), count=1)
        return Position.from_id(entry_id.decode())

    def journal_after(self, shard: int, position: Position) -> list[JournalEntry]:
        entries = self._client.xrange(journal_key(shard), f"({position}")
        return [decode(entry_id, fields) for entry_id, fields in entries]


@contextmanager
def real_gate(client: redis.Redis, url: str, prices: Path) -> Iterator[InProcessGate]:
    """Over a real Valkey, by the gate's own connections."""
    runner = Runner(GateMetrics(CollectorRegistry()))
    ledger: Any = MemoryLedger()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:

        async def open_wire() -> tuple[Wire, Shards]:
            shards = Shards(SHARDS, runner, ledger, GateMetrics(CollectorRegistry()))

            async def greet(connection: Connection) -> None:
                await prepare(connection, shards.server_is)

            wire = Wire(url, connections=2, timeout_s=10.0, on_open=greet)
            runner.attach(wire)
            await wire.open()
            await shards.verify_all()  # opens the journals,
            await shards.verify_all()  # and then the shards
            return wire, shards

        wire, shards = loop.run(open_wire())
        try:
            yield InProcessGate(client, loop, runner, shards, prices)
        finally:
            loop.run(wire.close())


class _EngineRunner:
    """Runs the scripts on a second engine, which speaks no protocol."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self.wire = self

    async def run(
        self, name: str, _shard: int, keys: list[str], *args: str | bytes | int
    ) -> list[bytes]:
        return run_function(self._client, name, keys, args)

    async def command(self, _lane: int, *command: str | bytes | int) -> Any:
        return self._client.execute_command(*command)


class _OpenShards:
    """All shards open, in their first epoch."""

    count = SHARDS

    def epoch(self, _shard: int) -> int:
        return 1

    async def flushed(self, _shard: int) -> None:
        return


@contextmanager
def engine_gate(client: redis.Redis, prices: Path) -> Iterator[InProcessGate]:
    """Over fakeredis, without connections."""
    runner = _EngineRunner(client)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        for shard in range(SHARDS):
            loop.run(
                runner.run("open_epoch", shard, [journal_key(shard)], 1, "epoch", "first start")
            )
        yield InProcessGate(client, loop, runner, _OpenShards(), prices)
