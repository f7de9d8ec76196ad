"""Builds what billing sends: imported by billing alone, since no gate sends anything."""

import asyncio
from contextlib import AsyncExitStack

import structlog
from prometheus_client import CollectorRegistry

from gate.settings import Settings
from meter.database.engine import Ledger
from meter.notifications.deliveries import Deliveries
from meter.notifications.delivery_log import DeliveryLog
from meter.notifications.endpoints import Endpoints
from meter.notifications.metrics import NotificationMetrics
from meter.notifications.public_addresses import AddressRules
from meter.notifications.service import NotificationsService
from meter.notifications.signatures import EndpointSecrets
from meter.notifications.webhook_sender import WebhookSender, new_post
from meter.notifications.worker import NotificationWorker
from meter.times import now_ms

log = structlog.get_logger()


def open_notifications(
    settings: Settings,
    ledger: Ledger,
    registry: CollectorRegistry,
    opened: AsyncExitStack,
) -> NotificationsService:
    """Begins to send webhooks, and returns the service; both end with `opened`."""
    sender = _sender(settings, ledger, registry)
    if sender is None:
        log.info("webhooks_disabled", fix="set CREDITGATE_WEBHOOK_KEY")
    else:
        worker = NotificationWorker(ledger, sender, now_ms, settings.delivery_log_days)
        worker.start()
        opened.push_async_callback(asyncio.to_thread, worker.stop)
    return NotificationsService(Endpoints(ledger), DeliveryLog(ledger), sender, now_ms)


def _sender(
    settings: Settings,
    ledger: Ledger,
    registry: CollectorRegistry,
) -> WebhookSender | None:
    """Returns what sends; None without a key."""
    key = settings.webhook_secret()
    if not key:
        return None
    return WebhookSender(
        new_post(AddressRules(settings.webhook_allow.networks)),
        EndpointSecrets(key),
        Deliveries(ledger),
        NotificationMetrics(registry),
        now_ms,
    )
