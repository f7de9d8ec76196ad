"""MetricsBuffer: metrics on the way of every call, counted in plain numbers and handed on to
prometheus when it looks, or now and then.

A counter of prometheus takes a lock, and in a child of `up` writes to a shared file; a histogram
does so twice. For a call that takes some tens of microseconds, that is too much.
"""

import asyncio
import threading
from bisect import bisect_left
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.registry import Collector

_FLUSH_S = 0.1  # for readers in another process


class BufferedCounter:
    """Events, or amounts, of one counter's child. Only `total` is for whoever counts."""

    __slots__ = ("_counter", "_flushed", "total")

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self.total = self._flushed = 0.0

    def flush(self) -> None:
        total = self.total
        if total != self._flushed:
            self._counter.inc(total - self._flushed)
            self._flushed = total


class BufferedGauge:
    """What a gauge shows."""

    __slots__ = ("_gauge", "value")

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self.value = 0

    def flush(self) -> None:
        self._gauge.set(self.value)


class BufferedHistogram:
    """Observations of one histogram's child, whose upper bounds are `bounds`."""

    __slots__ = ("_bounds", "_counts", "_flushed", "_histogram", "_seconds")

    def __init__(self, histogram: Histogram, bounds: tuple[float, ...]) -> None:
        self._histogram = histogram
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._seconds = 0.0
        self._flushed = [0] * len(self._counts), 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._seconds += seconds

    def flush(self) -> None:
        counts_before, seconds_before = self._flushed
        if self._counts == counts_before:  # nothing new, as with most of them at most times
            return
        counts = self._counts.copy()
        seconds = self._seconds
        # prometheus_client has no way to add many observations at once; a test holds this to what
        # its own `observe` does.
        for bucket, count, before in zip(
            self._histogram._buckets, counts, counts_before, strict=True
        ):
            if count != before:
                bucket.inc(count - before)
        self._histogram._sum.inc(seconds - seconds_before)
        self._flushed = counts, seconds


class MetricsBuffer(Collector):
    """All of a process.

    Registered before the metrics it hands on to, so that a look at the registry finds them up to
    date.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._buffer: list[BufferedCounter | BufferedGauge | BufferedHistogram] = []
        self._handing_on = threading.Lock()  # whoever looks does so in a thread of their own
        registry.register(self)

    def counter(self, counter: Counter) -> BufferedCounter:
        buffered = BufferedCounter(counter)
        self._buffer.append(buffered)
        return buffered

    def gauge(self, gauge: Gauge) -> BufferedGauge:
        buffered = BufferedGauge(gauge)
        self._buffer.append(buffered)
        return buffered

    def histogram(self, histogram: Histogram, bounds: tuple[float, ...]) -> BufferedHistogram:
        buffered = BufferedHistogram(histogram, bounds)
        self._buffer.append(buffered)
        return buffered

    def collect(self) -> Iterable[Metric]:
        self.flush()
        return ()

    def describe(self) -> Iterable[Metric]:
        return ()

    def flush(self) -> None:
        """Makes the metrics say what was tallied."""
        with self._handing_on:
            for buffered in self._buffer:
                buffered.flush()

    async def keep(self) -> None:
        """Runs for good: hands on now and then."""
        while True:
            await asyncio.sleep(_FLUSH_S)
            self.flush()
