"""Defines the metrics of payments, which billing shows."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from meter.payments.payment_rows import CANCELLED, PAID, PURCHASE, RECHARGE
from meter.payments.provider import FailureClass
from meter.payments.recharge_rows import (
    ARMED,
    CAPPED,
    CHARGING,
    CONFIRMING,
    OFF,
    SUSPENDED,
    WAITING,
)

_STATES = (OFF, ARMED, CHARGING, WAITING, CONFIRMING, CAPPED, SUSPENDED)


class PaymentMetrics:
    """Holds the metrics; of several billings the newest value of each gauge counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.payments = Counter(
            "creditgate_payments_total",
            "Payments that ended: PAID or CANCELLED",
            ["purpose", "outcome"],
            registry=registry,
        )
        self.failures = Counter(
            "creditgate_payment_failures_total",
            "Attempts that failed, by what follows: HARD, AUTH, SOFT, OURS, AMOUNT",
            ["failure_class"],
            registry=registry,
        )
        self.provider_failures = Counter(
            "creditgate_provider_failures_total",
            "Calls to the payment provider that were not answered",
            registry=registry,
        )
        self.hints_pending = Gauge(
            "creditgate_hints_pending",
            "Events of the payment provider that are not looked at yet",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._recharges = Gauge(
            "creditgate_recharges",
            "Rules of auto-recharge, by state",
            ["state"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._create_labels()

    def show_recharges(self, rules: Mapping[str, int]) -> None:
        """Shows how many rules are in each state; a state that is not given has none."""
        for state in _STATES:
            self._recharges.labels(state).set(rules.get(state, 0))

    def _create_labels(self) -> None:
        """Makes every label visible from the start, with the value 0."""
        for purpose in (PURCHASE, RECHARGE):
            for outcome in (PAID, CANCELLED):
                self.payments.labels(purpose, outcome)
        for failure_class in FailureClass:
            self.failures.labels(failure_class)
        self.show_recharges({})
