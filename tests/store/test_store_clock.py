"""A step of the store's clock ends no holds until it has lasted."""

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from gate.metrics import GateMetrics
from gate.store.store_clock import StoreClock

DAY_S = 86_400.0


class Clocks:
    """The gate's clock and the store's, which a test sets."""

    def __init__(self) -> None:
        self.gate_s = 1_800_000_000.0
        self.offset_s = 0.0
        self.registry = CollectorRegistry()
        self._watch = StoreClock(
            GateMetrics(self.registry).upkeep, lambda: self.gate_s, lambda: self.gate_s
        )

    def is_steady_after(self, seconds: float) -> bool:
        self.gate_s += seconds
        return self._watch.is_steady(round((self.gate_s + self.offset_s) * 1000))


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def test_clocks_that_differ_a_little_are_steady(clocks: Clocks) -> None:
    for offset_s in (0.0, 59.0, -59.0, 30.0):
        clocks.offset_s = offset_s
        assert clocks.is_steady_after(0.5)
    assert clocks.registry.get_sample_value("creditgate_store_clock_offset_seconds") == 30


@pytest.mark.parametrize("step_s", [DAY_S, -DAY_S, 61.0])
def test_a_step_that_is_taken_back_never_counts(clocks: Clocks, step_s: float) -> None:
    with capture_logs() as logs:
        clocks.offset_s = step_s
        assert not clocks.is_steady_after(0.5)
        assert not clocks.is_steady_after(50)
        clocks.offset_s = 0
        assert clocks.is_steady_after(0.5)
    told = [entry["event"] for entry in logs]
    assert told == ["store_clock_stepped", "store_clock_came_back"]


def test_a_step_that_lasts_a_minute_is_taken_for_right(clocks: Clocks) -> None:
    clocks.offset_s = DAY_S
    assert not clocks.is_steady_after(0.5)
    assert not clocks.is_steady_after(59)
    assert clocks.is_steady_after(2)
    assert clocks.is_steady_after(0.5)
    clocks.offset_s = 0
    assert not clocks.is_steady_after(0.5), "back is a step as well"


def test_a_clock_that_goes_on_stepping_is_never_taken_for_right(clocks: Clocks) -> None:
    for days in range(1, 6):
        clocks.offset_s = days * DAY_S
        assert not clocks.is_steady_after(50)


def test_a_gate_that_starts_beside_a_wrong_clock_waits_as_well(clocks: Clocks) -> None:
    clocks.offset_s = DAY_S
    assert not clocks.is_steady_after(0)
