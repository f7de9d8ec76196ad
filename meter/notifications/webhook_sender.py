"""Sends one delivery: builds the request, signs the request, posts, and records the answer."""

import json
import ssl
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from meter.notifications.deliveries import DELIVERED, Claimed, Deliveries
from meter.notifications.endpoints import EndpointRow
from meter.notifications.metrics import NotificationMetrics
from meter.notifications.pinned_post import Answer, PinnedPost
from meter.notifications.public_addresses import AddressRules
from meter.notifications.signatures import EndpointSecrets
from meter.times import timestamp

TEST_TYPE = "webhook.test"
_USER_AGENT = "creditgate"


@dataclass(frozen=True, slots=True)
class WebhookSender:
    """Sends to endpoints. Nothing is sent inside a transaction of the ledger."""

    post: PinnedPost
    secrets: EndpointSecrets
    deliveries: Deliveries
    metrics: NotificationMetrics
    clock: Callable[[], int]  # the present time in ms

    def send(self, claimed: Claimed) -> None:
        """Attempts a delivery, and records what came of it."""
        event = claimed.event
        content = {
            "type": event.type,
            "timestamp": timestamp(event.occurred_at_ms).ToJsonString(),
            "data": json.loads(event.data),
            "account_id": event.account_id,
            "sequence": event.number,
        }
        answer = self._post(claimed.endpoint, event.event_id, content)
        now_ms = self.clock()
        outcome = self.deliveries.record(claimed, answer, now_ms)
        if outcome:
            self.metrics.deliveries.labels(outcome.lower()).inc()
        if outcome == DELIVERED:
            self.metrics.delivery_lag.observe((now_ms - event.recorded_at_ms) / 1000)

    def test(self, endpoint: EndpointRow) -> Answer:
        """Posts an event of the type webhook.test, which is recorded nowhere."""
        content = {
            "type": TEST_TYPE,
            "timestamp": timestamp(self.clock()).ToJsonString(),
            "data": {"endpoint_id": endpoint.endpoint_id},
            "account_id": endpoint.account_id,
            "sequence": 0,
        }
        return self._post(endpoint, f"evt_{uuid.uuid4().hex}", content)

    def _post(self, endpoint: EndpointRow, event_id: str, content: object) -> Answer:
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        now_ms = self.clock()
        headers = {
            "content-type": "application/json",
            "user-agent": _USER_AGENT,
            **self.secrets.headers(
                endpoint.endpoint_id,
                endpoint.secret_versions(now_ms),
                event_id,
                now_ms,
                body,
            ),
        }
        return self.post.send(urlsplit(endpoint.url), body, headers)


def new_post(rules: AddressRules, trust: ssl.SSLContext | None = None) -> PinnedPost:
    """Returns what posts, trusting the system's certificates unless told otherwise."""
    return PinnedPost(rules, trust or ssl.create_default_context())
