"""The composition root: builds the gate's process and the flusher's. It alone knows both halves."""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, nullcontext

import structlog
import uvloop
from prometheus_client import CollectorRegistry

from gate.accounts import AccountsService
from gate.exposition import metrics_server
from gate.keys import shard_of
from gate.logs import configure_logging
from gate.metrics import GateMetrics
from gate.parent import exit_with_parent as exit_when_parent_does
from gate.pricing import Pricer
from gate.reaper import Reaper
from gate.restore import Restorer
from gate.runner import Runner, prepare
from gate.service import GateService
from gate.settings import Settings
from gate.shards import Shards
from gate.store import Store
from gate.transports.edge import Edge
from gate.transports.grpcio import GrpcioServer
from gate.v1 import gate_pb2
from gate.wire import Connection, Wire
from meter.flusher import Flusher, journal_client
from meter.ledger.migrate import migrate, open_ledger
from meter.ledger.operations import Operations
from meter.ledger.positions import Positions
from meter.ledger.prices import Prices
from meter.metrics import FlusherMetrics
from meter.prices import PriceTable
from meter.service import LedgerService
from meter.v1 import accounts_pb2, ledger_pb2

log = structlog.get_logger()


def run_gate(settings: Settings, *, exit_with_parent: bool) -> None:
    """Serves until SIGTERM or SIGINT, then drains. Prints a line with `ready` once it serves."""
    configure_logging(settings, "gate")
    if exit_with_parent:
        exit_when_parent_does()
    uvloop.run(_serve(settings))


def run_flusher(settings: Settings, *, exit_with_parent: bool) -> None:
    """Flushes until SIGTERM or SIGINT, then what is left. Prints a line with `ready` once it flushes."""
    configure_logging(settings, "flusher")
    if exit_with_parent:
        exit_when_parent_does()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with _metrics(settings) as registry, closing(open_ledger(settings.ledger_url)) as ledger:
        Positions(ledger).ensure(settings.shards)
        journals = journal_client(settings.shared_redis_url())
        flusher = Flusher(journals, ledger, settings.shards, settings.flush_interval_ms, FlusherMetrics(registry))
        print("creditgate flusher ready", flush=True)
        flusher.run(stop)
        flusher.drain(settings.drain_timeout_ms / 1000)


def migrate_ledger(settings: Settings) -> None:
    """Brings the ledger to this version's schema."""
    configure_logging(settings, "migrate")
    migrate(settings.ledger_url)


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with _gate(settings) as server:
        print(f"creditgate gate ready: grpc {settings.listen}", flush=True)
        await stop.wait()
        log.info("draining", timeout_ms=settings.drain_timeout_ms)
        await server.drain(settings.drain_timeout_ms / 1000)


@asynccontextmanager
async def _gate(settings: Settings) -> AsyncIterator[GrpcioServer]:
    """The gate, listening; what it opened is closed in the reverse order."""
    async with AsyncExitStack() as opened:
        metrics = GateMetrics(opened.enter_context(_metrics(settings)))
        ledger = await asyncio.to_thread(open_ledger, settings.ledger_url)
        opened.callback(ledger.close)
        positions, operations = Positions(ledger), Operations(ledger)
        await asyncio.to_thread(positions.ensure, settings.shards)

        runner = Runner(metrics)
        shards = Shards(settings.shards, runner, positions, metrics)

        async def greet(connection: Connection) -> None:
            await prepare(connection, shards.server_is)

        wire = Wire(
            settings.shared_redis_url(),
            connections=settings.redis_connections,
            timeout_s=settings.redis_timeout_ms / 1000,
            on_open=greet,
        )
        runner.attach(wire)
        await wire.open()
        opened.push_async_callback(wire.close)
        await shards.verify_all()

        restorer = Restorer(runner, shards, operations, metrics, settings.replay_window_ms)
        store = Store(runner, shards, restorer, settings.replay_window_ms)
        reaper = Reaper(store, runner, settings.shards, settings.reap_interval_ms, metrics)
        pricer = Pricer(await asyncio.to_thread(PriceTable.load, settings.prices_file), Prices(ledger))

        async def fresh(account_id: str | None) -> None:
            wanted = range(settings.shards) if account_id is None else [shard_of(account_id, settings.shards)]
            await asyncio.gather(*(shards.flushed(shard) for shard in wanted))

        services = {
            gate_pb2.DESCRIPTOR.services_by_name["Gate"]: GateService(store, pricer, metrics),
            accounts_pb2.DESCRIPTOR.services_by_name["Accounts"]: AccountsService(
                operations, restorer, reaper, settings.shards
            ),
            ledger_pb2.DESCRIPTOR.services_by_name["Ledger"]: LedgerService(ledger, fresh, store.now_ms, store),
        }
        server = GrpcioServer(services, Edge(metrics, settings.max_in_flight))
        await server.start(settings.listen)
        background = [asyncio.create_task(keep) for keep in (shards.keep(), restorer.sweep(), reaper.keep())]
        for task in background:
            task.add_done_callback(_end_if_failed)
        opened.push_async_callback(_end, background)
        yield server


def _end_if_failed(task: asyncio.Task[None]) -> None:
    """A gate that no longer reaps or restores must not go on as if it did: it drains and ends, and is started anew."""
    if not task.cancelled() and (error := task.exception()):
        log.error("background_task_failed", exc_info=error)
        signal.raise_signal(signal.SIGTERM)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def _metrics(settings: Settings) -> Iterator[CollectorRegistry]:
    """This process's metrics: served by itself, or written where its parent collects them."""
    registry = CollectorRegistry()
    with nullcontext() if settings.metrics_listen is None else metrics_server(settings.metrics_listen, registry):
        yield registry
