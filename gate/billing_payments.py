"""Builds what takes money, for billing: the provider, and the threads that take payments on."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from threading import Event, Thread
from typing import cast

import structlog
from prometheus_client import CollectorRegistry

from gate.billing_provider import hook_server, new_provider, poll_ms_of
from gate.settings import Settings
from gate.store.errors import CommandFailed
from gate.store_parts import StoreParts
from meter.admin.top_ups import TopUps
from meter.database.engine import Ledger
from meter.errors import ServiceError
from meter.journal.operations import Operation
from meter.payments.hints import HintReader
from meter.payments.methods import Methods
from meter.payments.metrics import PaymentMetrics
from meter.payments.outcomes import Outcomes
from meter.payments.payer import Payer
from meter.payments.provider import TellingProvider
from meter.payments.purchases import Purchases
from meter.payments.recharge_service import RechargeMethods
from meter.payments.recharges import Recharges
from meter.payments.reversals import Reversals
from meter.payments.service import PaymentsService
from meter.payments.settlement import Settlement
from meter.payments.worker import PaymentWorker
from meter.times import now_ms

_APPLY_S = 5.0

log = structlog.get_logger()


def open_payments(
    settings: Settings,
    ledger: Ledger,
    parts: StoreParts,
    opened: AsyncExitStack,
    registry: CollectorRegistry,
) -> PaymentsService:
    """Returns meter.v1.Payments, with a worker that ends when `opened` closes.

    Raises SettingsError for a provider that is not set up.
    """
    provider = new_provider(settings, ledger)
    metrics = PaymentMetrics(registry)
    top_ups = TopUps(
        ledger,
        settings.top_up_expiry_days,
        reference_per_account=settings.payment_reference_per_account,
    )
    settlement = Settlement(top_ups, settings.recharge_retries.pauses_ms)
    apply = _apply_soon(parts)
    payer = Payer(ledger, provider, settlement, now_ms, apply, metrics)
    purchases = Purchases(ledger, provider, top_ups, settings.top_up_bounds, now_ms)
    methods = Methods(ledger, provider, now_ms)
    outcomes = Outcomes(ledger, provider, payer, now_ms)
    recharges = Recharges(
        ledger,
        purchases,
        payer,
        settings.top_up_bounds,
        settings.recharges_per_hour,
        now_ms,
        metrics,
    )
    reversals = Reversals(
        ledger,
        provider,
        now_ms,
        apply,
        suspends=settings.on_dispute == "suspend",
    )
    chores = [recharges.work, reversals.work]
    if settings.payments == "stripe":
        hints = HintReader(
            ledger,
            cast("TellingProvider", provider),
            payer,
            methods,
            reversals,
            now_ms,
            poll_ms_of(settings),
            metrics,
        )
        chores.append(hints.work)
        opened.enter_context(hook_server(settings, hints))
    _run(PaymentWorker(ledger, provider, payer, now_ms, chores), opened)
    return PaymentsService(
        ledger,
        provider,
        methods,
        purchases,
        payer,
        outcomes,
        RechargeMethods(ledger, provider, recharges, settings.top_up_bounds),
        reversals,
        parts.barrier.wait,
        now_ms,
    )


def _run(worker: PaymentWorker, opened: AsyncExitStack) -> None:
    stop = Event()
    thread = Thread(target=worker.run, args=(stop,), name="payment-worker")
    thread.start()

    async def end() -> None:
        stop.set()
        await asyncio.to_thread(thread.join)

    opened.push_async_callback(end)


def _apply_soon(parts: StoreParts) -> Callable[[Operation], None]:
    """Returns what lets recorded credits act at once, for calls from threads.

    Where that fails, a gate applies the operation within about a second of being there.
    """
    loop = asyncio.get_running_loop()

    def apply(operation: Operation) -> None:
        applying = asyncio.run_coroutine_threadsafe(parts.restorer.apply(operation), loop)
        try:
            applying.result(_APPLY_S)
        except (ServiceError, CommandFailed, TimeoutError) as error:
            log.info("credits_act_later", account_operation=operation.seq, error=str(error))

    return apply
