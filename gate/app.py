"""The composition root: builds the gate's process and the flusher's. It alone knows both halves."""

import asyncio
import gc
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AsyncExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
    nullcontext,
    suppress,
)

import structlog
import uvloop
from prometheus_client import CollectorRegistry

from gate.admin import AccountsService
from gate.admin.accounts import AccountMethods
from gate.admin.budgets import BudgetMethods
from gate.admin.grants import GrantMethods
from gate.admin.top_ups import TopUpMethods
from gate.admin.vouchers import VoucherMethods
from gate.metrics import GateMetrics
from gate.price_watch import PriceWatch
from gate.pricing import Pricer
from gate.process.exit_with_parent import exit_with_parent as exit_when_parent_does
from gate.process.logging import configure_logging
from gate.process.metrics_server import metrics_server
from gate.server import Server, new_server
from gate.server.edge import Edge
from gate.service import GateService
from gate.settings import Settings
from gate.store.account_scripts import AccountScripts
from gate.store.calls import Store
from gate.store.connections import Connections, Endpoint
from gate.store.expiry import Expiry
from gate.store.inspection import Inspection
from gate.store.keys import shard_of
from gate.store.reaper import Reaper
from gate.store.redis_server import prepare_server
from gate.store.restore import Restorer
from gate.store.script_runner import ScriptRunner
from gate.store.shards import Shards
from gate.v1 import gate_pb2
from meter.admin.budgets import Budgets
from meter.admin.recorder import Operations
from meter.admin.top_ups import TopUps
from meter.admin.vouchers import Vouchers
from meter.database.migrate import migrate, open_ledger
from meter.errors import ServiceError
from meter.flusher import Flusher, journal_client
from meter.ledger.positions import Positions
from meter.metrics import FlusherMetrics
from meter.prices import PriceFile
from meter.prices.recorded import Prices
from meter.service import LedgerService
from meter.v1 import accounts_pb2, ledger_pb2

_FLUSHER_NICENESS = 5  # on the same cores calls go first: somebody waits for each of them
_GC_THRESHOLDS = (50_000, 20, 50)  # as often as usual, collections take a tenth of the time

log = structlog.get_logger()


def run_gate(settings: Settings, *, exit_with_parent: bool, worker: int | None) -> None:
    """Serves until SIGTERM or SIGINT, then drains.

    Prints a line with `ready` once it serves. A `worker` shares its address with others.
    """
    configure_logging(settings, "gate" if worker is None else f"gate-{worker}")
    if exit_with_parent:
        exit_when_parent_does()
    uvloop.run(_serve(settings, shares_port=worker is not None))


def run_flusher(settings: Settings, *, exit_with_parent: bool) -> None:
    """Flushes until SIGTERM or SIGINT, then what is left.

    Prints a line with `ready` once it flushes.
    """
    configure_logging(settings, "flusher")
    if exit_with_parent:
        exit_when_parent_does()
    os.nice(_FLUSHER_NICENESS)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with _metrics(settings) as registry, closing(open_ledger(settings.ledger_url)) as ledger:
        Positions(ledger).ensure(settings.shards)
        journals = journal_client(settings.shared_redis_url())
        flusher = Flusher(
            journals, ledger, settings.shards, settings.flush_interval_ms, FlusherMetrics(registry)
        )
        _collect_rarely()
        print("creditgate flusher ready", flush=True)
        flusher.run(stop)
        flusher.drain(settings.drain_timeout_ms / 1000)


def migrate_ledger(settings: Settings) -> None:
    """Brings the ledger to this version's schema."""
    configure_logging(settings, "migrate")
    migrate(settings.ledger_url)


async def _serve(settings: Settings, *, shares_port: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with _gate(settings, shares_port=shares_port) as server:
        _collect_rarely()
        print(
            f"creditgate gate ready: grpc {settings.listen}, transport {server.transport}",
            flush=True,
        )
        await stop.wait()
        log.info("draining", timeout_ms=settings.drain_timeout_ms)
        await server.drain(settings.drain_timeout_ms / 1000)


@asynccontextmanager
async def _gate(settings: Settings, *, shares_port: bool) -> AsyncIterator[Server]:
    """The gate, listening; what it opened is closed in the reverse order."""
    async with AsyncExitStack() as opened:
        metrics = GateMetrics(opened.enter_context(_metrics(settings)))
        ledger = await asyncio.to_thread(open_ledger, settings.ledger_url)
        opened.callback(ledger.close)
        positions = Positions(ledger)
        operations = Operations(ledger)
        await asyncio.to_thread(positions.ensure, settings.shards)

        connections = Connections(
            Endpoint(settings.shared_redis_url()),
            count=settings.redis_connections,
            timeout_s=settings.redis_timeout_ms / 1000,
            prepare=prepare_server,
        )
        runner = ScriptRunner(connections, metrics)
        shards = Shards(settings.shards, connections, runner, positions, metrics)
        await connections.open()
        opened.push_async_callback(connections.close)
        await shards.verify_all()

        restorer = Restorer(
            connections, runner, shards, operations, metrics, settings.replay_window_ms
        )
        scripts = AccountScripts(runner, shards, restorer)
        store = Store(scripts, settings.replay_window_ms)
        expiry = Expiry(scripts)
        inspection = Inspection(connections, runner, shards)
        reaper = Reaper(
            connections,
            expiry,
            inspection,
            settings.shards,
            settings.reap_interval_ms,
            metrics,
        )
        price_file = PriceFile(settings.price_path)
        pricer = Pricer(await asyncio.to_thread(price_file.read), Prices(ledger))
        watch = PriceWatch(price_file, pricer, metrics)

        async def wait_until_flushed(account_id: str | None) -> None:
            if account_id is not None:
                # A look has grants begin and expire whose time has come. Whether the store can be
                # had, the next lines tell.
                with suppress(ServiceError):
                    await store.get_balance(account_id)
            wanted = (
                range(settings.shards)
                if account_id is None
                else [shard_of(account_id, settings.shards)]
            )
            await asyncio.gather(*(shards.flushed(shard) for shard in wanted))

        accounts = AccountsService(
            AccountMethods(operations, restorer, reaper, expiry, settings.shards),
            GrantMethods(operations, restorer, wait_until_flushed, pricer.canonical),
            TopUpMethods(
                operations,
                TopUps(ledger, settings.top_up_expiry_days),
                restorer,
                settings.top_up_bounds,
            ),
            VoucherMethods(Vouchers(ledger), restorer, settings.voucher_secret(), pricer.canonical),
            BudgetMethods(Budgets(ledger), restorer, wait_until_flushed, pricer.canonical),
        )
        services = {
            gate_pb2.DESCRIPTOR.services_by_name["Gate"]: GateService(store, pricer, metrics),
            accounts_pb2.DESCRIPTOR.services_by_name["Accounts"]: accounts,
            ledger_pb2.DESCRIPTOR.services_by_name["Ledger"]: LedgerService(
                ledger, wait_until_flushed, inspection.now_ms, inspection
            ),
        }
        edge = Edge(metrics, settings.max_in_flight)
        server = new_server(settings.transport, services, edge, shares_port=shares_port)
        await server.start(settings.listen)
        upkeep = (
            shards.keep(),
            restorer.sweep(),
            reaper.keep(),
            watch.keep(),
            metrics.buffer.keep(),
        )
        background = [asyncio.create_task(keep) for keep in upkeep]
        for task in background:
            task.add_done_callback(_end_if_failed)
        opened.push_async_callback(_end, background)
        yield server


def _collect_rarely() -> None:
    """What was built until now lives as long as the process, and what calls and rows leave behind is
    freed by its reference count.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def _end_if_failed(task: asyncio.Task[None]) -> None:
    """A gate that no longer reaps or restores must not go on as if it did: it drains and ends, and is
    started anew.
    """
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
    with (
        nullcontext()
        if settings.metrics_listen is None
        else metrics_server(settings.metrics_listen, registry)
    ):
        yield registry
