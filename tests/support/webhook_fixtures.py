"""Fixtures of tests that send webhooks: receivers, and billing with two accounts."""

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from meter.database.engine import Ledger
from meter.networks import networks_of
from meter.notifications.deliveries import Deliveries
from meter.notifications.endpoints import Endpoints
from meter.notifications.metrics import NotificationMetrics
from meter.notifications.pinned_post import PinnedPost
from meter.notifications.public_addresses import AddressRules
from meter.notifications.signatures import EndpointSecrets
from meter.notifications.webhook_sender import WebhookSender
from support.receivers import Receiver, receiver, status
from support.recorded_accounts import open_account
from support.webhook_billing import KEY, Billing, Clock

pytest_plugins = ("support.ledgers",)


@pytest.fixture(scope="module")
def listening() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def plain() -> Iterator[Receiver]:
    """A receiver without TLS, which costs less."""
    with receiver(tls=False) as found:
        yield found


@pytest.fixture
def billing(ledger: Ledger, listening: Receiver) -> Billing:
    """With the accounts acme and beta."""
    for account_id in ("acme", "beta"):
        open_account(ledger, account_id)
    listening.requests.clear()
    listening.most_at_once = 0
    listening.reply = status(204)
    clock = Clock()
    registry = CollectorRegistry()
    sender = WebhookSender(
        PinnedPost(AddressRules(networks_of("127.0.0.0/8,::1")), listening.trust),
        EndpointSecrets(KEY),
        Deliveries(ledger),
        NotificationMetrics(registry),
        clock,
    )
    return Billing(ledger, clock, sender, Endpoints(ledger), registry)
