"""Builds what billing sends: imported by billing alone, since no gate sends anything."""

import asyncio
import ssl
from contextlib import AsyncExitStack

import structlog
from prometheus_client import CollectorRegistry

from gate.settings import Settings
from meter.database.engine import Ledger
from meter.notifications.deliveries import Deliveries
from meter.notifications.delivery_log import DeliveryLog
from meter.notifications.endpoints import Endpoints
from meter.notifications.mail_sender import MailSender
from meter.notifications.mail_templates import MailTemplates
from meter.notifications.mails import MailRules, Mails
from meter.notifications.metrics import NotificationMetrics
from meter.notifications.public_addresses import AddressRules
from meter.notifications.service import NotificationsService
from meter.notifications.signatures import EndpointSecrets
from meter.notifications.smtp import SmtpClient
from meter.notifications.webhook_sender import WebhookSender, new_post
from meter.notifications.worker import NotificationWorker
from meter.smtp_server import SmtpServer
from meter.times import now_ms

log = structlog.get_logger()


def open_notifications(
    settings: Settings,
    ledger: Ledger,
    registry: CollectorRegistry,
    opened: AsyncExitStack,
) -> NotificationsService:
    """Begins to send webhooks and mails, and returns the service; all end with `opened`."""
    metrics = NotificationMetrics(registry)
    rules = MailRules(bool(settings.smtp_url), settings.operator_email)
    mails = Mails(ledger, rules)
    sender = _sender(settings, ledger, metrics)
    mail_sender = _mail_sender(settings, mails, metrics)
    worker = NotificationWorker(
        ledger,
        sender,
        mail_sender,
        rules,
        now_ms,
        settings.delivery_log_days,
    )
    log.info("notifications", webhooks=sender is not None, mails=mail_sender is not None)
    worker.start()
    opened.push_async_callback(asyncio.to_thread, worker.stop)
    return NotificationsService(Endpoints(ledger), DeliveryLog(ledger), sender, mails, now_ms)


def _sender(
    settings: Settings,
    ledger: Ledger,
    metrics: NotificationMetrics,
) -> WebhookSender | None:
    """Returns what sends; None without a key."""
    key = settings.webhook_secret()
    if not key:
        return None
    return WebhookSender(
        new_post(AddressRules(settings.webhook_allow.networks)),
        EndpointSecrets(key),
        Deliveries(ledger),
        metrics,
        now_ms,
    )


def _mail_sender(
    settings: Settings,
    mails: Mails,
    metrics: NotificationMetrics,
) -> MailSender | None:
    """Returns what sends mails; None without a mail server."""
    if not settings.smtp_url:
        return None
    return MailSender(
        SmtpClient(SmtpServer.of(settings.smtp_url), ssl.create_default_context()),
        MailTemplates(settings.templates_dir),
        mails,
        metrics,
        settings.mail_from,
        now_ms,
    )
