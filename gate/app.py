"""Builds the processes of the product: the composition root, which alone knows both halves.

- the gate decides: gate.v1.Gate and meter.v1.Accounts, restoring and reaping;
- the flusher carries the journal into the ledger;
- billing reads the ledger and takes money: meter.v1.Ledger, meter.v1.Payments. Billing decides
  nothing and may die at any time.
"""

import asyncio
import gc
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
    suppress,
)

import structlog
import uvloop
from prometheus_client import CollectorRegistry
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeout

from gate.access.exposure import require_closed_door
from gate.account_currencies import AccountCurrencies
from gate.accounts_parts import accounts_service
from gate.adapters.envoy_services import envoy_services
from gate.billing_payments import open_payments
from gate.denial_events import DenialEvents
from gate.health_watch import HealthWatch
from gate.ledger_tasks import naming_redis
from gate.metrics import GateMetrics
from gate.price_watch import PriceWatch
from gate.pricing import Pricer
from gate.process.background_tasks import run_in_background
from gate.process.exit_with_parent import exit_with_parent as exit_when_parent_does
from gate.process.logging import configure_logging
from gate.process.metrics_files import written_metrics
from gate.process.metrics_server import metrics_server
from gate.process.standard_streams import announce
from gate.server.serving import Serving
from gate.service import GateService
from gate.serving_parts import open_serving
from gate.settings import Settings
from gate.store.lost_holds import LostHolds
from gate.store.reaper import Reaper
from gate.store.redis_server import require_fit
from gate.store_parts import StoreParts, open_store_parts
from gate.v1 import gate_pb2
from meter.database.engine import PATIENCE_S, Ledger
from meter.database.migrate import open_ledger
from meter.flush_requests import FlushRequests
from meter.flusher import Flusher
from meter.journals import Journals, journal_client
from meter.ledger.positions import Positions
from meter.metrics import FlusherMetrics
from meter.prices import PriceFile
from meter.prices.recorded import Prices
from meter.service import LedgerService
from meter.v1 import accounts_pb2, ledger_pb2, notifications_pb2, payments_pb2

# On the same cores calls to the gate go first, since somebody waits for each of them. Then comes
# the flusher, for whose work billing waits; a page of the ledger can wait longest.
_FLUSHER_NICENESS = 5
_BILLING_NICENESS = 10
# A caller waits for the gate's statements: the six threads that run them are soon free again.
_GATE_PATIENCE_S = 10.0
_GC_THRESHOLDS = (50_000, 20, 50)  # as often as usual, collections take a tenth of the time

# A store that is away is waited for.
_AWAY = (BusyLoadingError, RedisConnectionError, RedisTimeout)

log = structlog.get_logger()


def run_gate(settings: Settings, *, exit_with_parent: bool, worker: int | None) -> None:
    """Serves the gate until SIGTERM or SIGINT, then drains.

    Prints a line with `ready` once the gate serves. A `worker` shares its address with others.
    """
    process = "gate"
    if worker is not None:
        process = f"gate-{worker}"
    configure_logging(settings, process)
    if exit_with_parent:
        exit_when_parent_does()
    require_closed_door(settings, "listen")
    require_closed_door(settings, "http_listen")
    opening = _gate(settings, shares_port=worker is not None)
    uvloop.run(_serve("gate", settings, opening))


def run_billing(settings: Settings, *, exit_with_parent: bool) -> None:
    """Serves billing until SIGTERM or SIGINT, then drains.

    Prints a line with `ready` once billing serves.
    """
    configure_logging(settings, "billing")
    if exit_with_parent:
        exit_when_parent_does()
    os.nice(_BILLING_NICENESS)
    require_closed_door(settings, "billing_listen")
    require_closed_door(settings, "billing_http_listen")
    opening = _billing(settings)
    uvloop.run(_serve("billing", settings, opening))


def run_flusher(settings: Settings, *, exit_with_parent: bool) -> None:
    """Flushes until SIGTERM or SIGINT, then flushes what is left.

    Prints a line with `ready` once the flusher flushes.
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
        redis = journal_client(settings.shared_redis_url())
        flusher = Flusher(
            Journals(redis, settings.shards),
            FlushRequests(redis),
            ledger,
            settings.flush_interval_ms,
            FlusherMetrics(registry),
            settings.store_name(),
        )
        with suppress(*_AWAY), naming_redis(settings, AuthenticationError):
            require_fit({name: str(value) for name, value in redis.info().items()})
            flusher.require_own_store()
        _collect_rarely()
        announce("creditgate flusher ready")
        flusher.run(stop)
        with naming_redis(settings, RedisError):
            flusher.drain(settings.drain_timeout_ms / 1000)


async def _serve(
    process: str,
    settings: Settings,
    opening: AbstractAsyncContextManager[Serving],
) -> None:
    """Serves until a signal comes, then drains."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with opening as serving:
        _collect_rarely()
        announce(f"creditgate {process} ready: {serving.describe()}")
        await stop.wait()
        log.info("draining", timeout_ms=settings.drain_timeout_ms)
        await serving.drain(settings.drain_timeout_ms / 1000)


@asynccontextmanager
async def _gate(settings: Settings, *, shares_port: bool) -> AsyncIterator[Serving]:
    """Opens the gate, listening, and closes all parts in reverse order."""
    async with AsyncExitStack() as opened:
        metrics = GateMetrics(opened.enter_context(_metrics(settings)))
        ledger = await _open_ledger(settings, opened, _GATE_PATIENCE_S)
        parts = await open_store_parts(
            settings,
            ledger,
            metrics,
            opened,
            begins_epochs=True,
        )
        reaper = _new_reaper(settings, parts, metrics)
        price_file = PriceFile(settings.price_path)
        pricer = Pricer(
            await asyncio.to_thread(price_file.read),
            Prices(ledger),
            AccountCurrencies(parts.store.get_balance),
            parts.barrier.wait,
            metrics.decisions,
        )
        denial_events = DenialEvents(ledger, metrics)
        opened.push_async_callback(denial_events.record_rest)
        accounts = accounts_service(
            settings,
            ledger,
            parts,
            reaper,
            pricer,
        )
        gate = GateService(
            parts.store,
            LostHolds(parts.store, parts.shards, ledger),
            pricer,
            metrics,
            denial_events,
        )
        services = {
            gate_pb2.DESCRIPTOR.services_by_name["Gate"]: gate,
            accounts_pb2.DESCRIPTOR.services_by_name["Accounts"]: accounts,
            **envoy_services(settings, gate, pricer, metrics),
        }
        serving = await open_serving(
            settings,
            settings.listen,
            settings.http_listen,
            services,
            metrics,
            opened,
            shares_port=shares_port,
        )
        run_in_background(
            opened,
            parts.shards.keep(),
            parts.shards.watch(),
            parts.restorer.sweep(),
            reaper.keep(),
            HealthWatch(parts.connections, parts.shards, serving.set_serving).keep(),
            PriceWatch(price_file, pricer, metrics).keep(),
            pricer.keep(),
            denial_events.keep(),
            metrics.buffer.keep(),
        )
        yield serving


@asynccontextmanager
async def _billing(settings: Settings) -> AsyncIterator[Serving]:
    """Opens billing, listening, and closes all parts in reverse order.

    Billing begins no epochs: with a wrong address of the store or of the ledger, it could fence off
    gates that are right.
    """
    async with AsyncExitStack() as opened:
        registry = opened.enter_context(_metrics(settings))
        metrics = GateMetrics(registry)
        ledger = await _open_ledger(settings, opened, PATIENCE_S)
        parts = await open_store_parts(
            settings,
            ledger,
            metrics,
            opened,
            begins_epochs=False,
        )
        service = LedgerService(
            ledger,
            parts.barrier.wait,
            parts.inspection.now_ms,
            parts.inspection,
        )
        # Not at the top: what sends has no place in the gate's process, which builds itself here.
        from gate.notification_parts import open_notifications

        services = {
            ledger_pb2.DESCRIPTOR.services_by_name["Ledger"]: service,
            payments_pb2.DESCRIPTOR.services_by_name["Payments"]: open_payments(
                settings, ledger, parts, opened, registry
            ),
            notifications_pb2.DESCRIPTOR.services_by_name["Notifications"]: open_notifications(
                settings, ledger, registry, opened
            ),
        }
        serving = await open_serving(
            settings,
            settings.billing_listen,
            settings.billing_http_listen,
            services,
            metrics,
            opened,
            shares_port=False,
        )
        run_in_background(
            opened,
            parts.shards.keep(),
            parts.shards.watch(),
            HealthWatch(parts.connections, parts.shards, serving.set_serving).keep(),
            metrics.buffer.keep(),
        )
        yield serving


async def _open_ledger(
    settings: Settings,
    opened: AsyncExitStack,
    patience_s: float,
) -> Ledger:
    """Opens the ledger; LedgerError if the ledger was begun with another number of shards."""
    ledger = await asyncio.to_thread(open_ledger, settings.ledger_url, patience_s)
    opened.callback(ledger.close)
    await asyncio.to_thread(Positions(ledger).ensure, settings.shards)
    return ledger


def _new_reaper(
    settings: Settings,
    parts: StoreParts,
    metrics: GateMetrics,
) -> Reaper:
    return Reaper(
        parts.connections,
        parts.expiry,
        parts.inspection,
        settings.shards,
        settings.reap_interval_ms,
        metrics,
    )


def _collect_rarely() -> None:
    """Makes garbage collections rare.

    All objects built until now live as long as the process, and the objects of calls and rows are
    freed by reference counts.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


@contextmanager
def _metrics(settings: Settings) -> Iterator[CollectorRegistry]:
    """Opens this process's metrics: served here, or written where the parent collects them."""
    registry = CollectorRegistry()
    with ExitStack() as opened:
        opened.enter_context(written_metrics())
        if settings.metrics_listen is not None:
            opened.enter_context(metrics_server(settings.metrics_listen, registry))
        yield registry
