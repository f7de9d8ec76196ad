"""A log-linear histogram of nanoseconds: a fixed number of integers however long the run, and no
value off by more than 1 %.
"""

from collections.abc import Iterable
from typing import Self

_SUB_BITS = 7  # 128 buckets for each power of two
_BUCKETS = 42 << _SUB_BITS  # up to 2^48 ns, three days
_LEAST_ABOVE = 10
PERCENTILES = (50.0, 90.0, 99.0, 99.9, 99.99)


class Histogram:
    """Counts of durations, in nanoseconds."""

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS

    def record(self, nanos: int) -> None:
        shift = max(0, nanos.bit_length() - _SUB_BITS - 1)
        self._counts[(shift << _SUB_BITS) + (nanos >> shift)] += 1

    @property
    def count(self) -> int:
        return sum(self._counts)

    def percentile(self, percent: float) -> int:
        """The least duration that `percent` of the recorded ones do not exceed (upper edge of its
        bucket); 0 if there are none.
        """
        wanted = max(1.0, self.count * percent / 100)
        seen = 0
        for index, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return _upper_edge(index)
        return 0

    def percentiles_us(self) -> dict[str, float]:
        """The usual percentiles, in microseconds; without those that too few durations exceed to be
        more than noise.
        """
        median, *rare = PERCENTILES
        known = [
            median,
            *(percent for percent in rare if self.count * (100 - percent) / 100 >= _LEAST_ABOVE),
        ]
        return {f"p{percent:g}_us": self.percentile(percent) / 1000 for percent in known}

    def to_sparse(self) -> list[tuple[int, int]]:
        """The buckets that are not empty, to be sent elsewhere."""
        return [(index, count) for index, count in enumerate(self._counts) if count]

    @classmethod
    def merged(cls, parts: Iterable[Iterable[tuple[int, int]]]) -> Self:
        """The sum of histograms sent by `to_sparse`."""
        whole = cls()
        for part in parts:
            for index, count in part:
                whole._counts[index] += count
        return whole


def _upper_edge(index: int) -> int:
    shift = max(0, (index >> _SUB_BITS) - 1)
    return (((index - (shift << _SUB_BITS)) + 1) << shift) - 1
