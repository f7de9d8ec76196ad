"""Defines the metrics of what billing sends."""

from prometheus_client import CollectorRegistry, Counter, Histogram

_LAG_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600, 21_600, 86_400)


class NotificationMetrics:
    """Holds the metrics of webhooks and mails, registered with `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.deliveries = Counter(
            "creditgate_deliveries_total",
            "Attempts to deliver an event to a webhook, by outcome.",
            ["outcome"],
            registry=registry,
        )
        self.delivery_lag = Histogram(
            "creditgate_delivery_lag_seconds",
            "Time from the recording of an event to its delivery.",
            buckets=_LAG_BUCKETS,
            registry=registry,
        )
        self.mails = Counter(
            "creditgate_mails_total",
            "Attempts to send a mail, by outcome.",
            ["outcome"],
            registry=registry,
        )
        for outcome in ("sent", "delayed", "undeliverable"):
            self.mails.labels(outcome)
        for outcome in ("delivered", "failed", "given_up"):
            self.deliveries.labels(outcome)
