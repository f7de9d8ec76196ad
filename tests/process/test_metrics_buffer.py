"""MetricsBuffer hand on to prometheus what prometheus itself would have counted."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from gate.metrics import SECONDS
from gate.metrics_buffer import MetricsBuffer

SEEN = [0.0, 0.0001, 0.00010001, 0.0042, 2.5, 2.6, 100.0, 0.0042]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_times_are_the_histogram_that_observing_one_by_one_makes(
    registry: CollectorRegistry,
) -> None:
    buffer = MetricsBuffer(registry)
    tallied = Histogram("seconds", "As tallied.", buckets=SECONDS, registry=registry)
    times = buffer.histogram(tallied, SECONDS)
    other = CollectorRegistry()
    observed = Histogram("seconds", "As tallied.", buckets=SECONDS, registry=other)
    for seconds in SEEN:
        times.observe(seconds)
        observed.observe(seconds)

    def shown(of: CollectorRegistry) -> list[str]:
        return [
            line for line in generate_latest(of).decode().splitlines() if "_created" not in line
        ]

    assert shown(registry) == shown(other)
    times.observe(SEEN[3])
    observed.observe(SEEN[3])
    assert shown(registry) == shown(other), "only what is new is added when it is looked at again"


def test_counts_and_levels_are_up_to_date_whenever_somebody_looks(
    registry: CollectorRegistry,
) -> None:
    buffer = MetricsBuffer(registry)
    count = buffer.counter(Counter("calls", "Calls.", registry=registry))
    level = buffer.gauge(Gauge("in_flight", "Calls being served.", registry=registry))
    for expected in (1.0, 3.5):
        count.total = expected
        level.value = int(expected)
        shown = generate_latest(registry).decode()
        assert f"calls_total {expected}\n" in shown
        assert f"in_flight {float(int(expected))}\n" in shown
