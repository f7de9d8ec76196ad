"""Counts in plain numbers on the way of every call, and flushes the numbers to prometheus later.

A counter of prometheus takes a lock, and in a child of `up` writes to a shared file; a histogram
does so twice. A call takes some tens of microseconds, too few for such work.
"""

import asyncio
import threading
from bisect import bisect_left
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.registry import Collector

_FLUSH_S = 0.1  # for readers in another process


class BufferedCounter:
    """Buffers a counter's child. Callers add to `total`."""

    __slots__ = ("_counter", "_flushed", "total")

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self.total = 0.0
        self._flushed = 0.0

    def flush(self) -> None:
        total = self.total
        if total != self._flushed:
            self._counter.inc(total - self._flushed)
            self._flushed = total


class BufferedGauge:
    """Buffers a gauge. Callers set `value`."""

    __slots__ = ("_gauge", "value")

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self.value = 0

    def flush(self) -> None:
        self._gauge.set(self.value)


class BufferedHistogram:
    """Buffers the observations of a histogram's child with the upper bounds `bounds`."""

    __slots__ = (
        "_bounds",
        "_counts",
        "_flushed_counts",
        "_flushed_seconds",
        "_histogram",
        "_seconds",
    )

    def __init__(self, histogram: Histogram, bounds: tuple[float, ...]) -> None:
        self._histogram = histogram
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._seconds = 0.0
        self._flushed_counts = self._counts.copy()
        self._flushed_seconds = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._seconds += seconds

    def flush(self) -> None:
        if self._counts == self._flushed_counts:  # as with most histograms at most times
            return
        counts = self._counts.copy()
        seconds = self._seconds
        # prometheus_client cannot add many observations at once; a test compares this way with
        # the library's own `observe`.
        buckets = self._histogram._buckets
        for bucket, count, flushed in zip(
            buckets,
            counts,
            self._flushed_counts,
            strict=True,
        ):
            if count != flushed:
                bucket.inc(count - flushed)
        self._histogram._sum.inc(seconds - self._flushed_seconds)
        self._flushed_counts = counts
        self._flushed_seconds = seconds


class MetricsBuffer(Collector):
    """Holds all buffered metrics of a process.

    The buffer is registered before the metrics, so that whoever reads the registry gets them up to
    date.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._buffer: list[BufferedCounter | BufferedGauge | BufferedHistogram] = []
        self._flushing = threading.Lock()  # a scrape has a thread of its own
        registry.register(self)

    def counter(self, counter: Counter) -> BufferedCounter:
        buffered = BufferedCounter(counter)
        self._buffer.append(buffered)
        return buffered

    def gauge(self, gauge: Gauge) -> BufferedGauge:
        buffered = BufferedGauge(gauge)
        self._buffer.append(buffered)
        return buffered

    def histogram(
        self,
        histogram: Histogram,
        bounds: tuple[float, ...],
    ) -> BufferedHistogram:
        buffered = BufferedHistogram(histogram, bounds)
        self._buffer.append(buffered)
        return buffered

    def collect(self) -> Iterable[Metric]:
        self.flush()
        return ()

    def describe(self) -> Iterable[Metric]:
        return ()

    def flush(self) -> None:
        """Brings the metrics up to date."""
        with self._flushing:
            for buffered in self._buffer:
                buffered.flush()

    async def keep(self) -> None:
        """Runs for good: flushes ten times a second."""
        while True:
            await asyncio.sleep(_FLUSH_S)
            self.flush()
