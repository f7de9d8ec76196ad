"""The flush lag: how long the oldest entry that is not in the ledger yet has been waiting."""

import time
from collections.abc import Sequence
from threading import Event

from prometheus_client import Gauge

from meter.journals import JournalStatus

_LONG_ROUND_S = 1.0


class FlushLag:
    """Tells the lag round by round, and goes on telling while a round is stuck.

    The flusher's thread calls all methods but `keep`, which runs in a thread of its own.
    """

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        # each journal's oldest entry, and when the entry was first seen
        self._heads: dict[int, tuple[bytes, float]] = {}
        self._round_began_s: float | None = None

    def begin_round(self) -> None:
        self._round_began_s = time.time()

    def note(self, statuses: Sequence[JournalStatus]) -> None:
        """Notes since when each journal's oldest entry has been waiting."""
        for journal in statuses:
            if journal.head is None:
                self._heads.pop(journal.shard, None)
            elif self._heads.get(journal.shard, (b"", 0.0))[0] != journal.head:
                self._heads[journal.shard] = (journal.head, time.time())

    def posted(self, oldest_ms: int) -> None:
        """Tells the age of the oldest entry that the ledger has just taken."""
        self._gauge.set(age_s(oldest_ms))

    def end_round(self, before_s: float) -> None:
        """Tells of entries that have been waiting since before a time; 0 if no journal has any."""
        self.fail_round(before_s)
        if not self._heads:
            self._gauge.set(0)

    def fail_round(self, before_s: float) -> None:
        """Tells of entries that have been waiting since before a time."""
        self._round_began_s = None
        self._tell_waiting(before_s)

    def keep(self, stop: Event) -> None:
        """Tells the lag of a round that takes long, until told to stop."""
        while not stop.wait(_LONG_ROUND_S):
            began_s = self._round_began_s
            if began_s is None or time.time() - began_s < _LONG_ROUND_S:
                continue
            if self._heads:
                self._tell_waiting(time.time())
            else:
                self._gauge.set(time.time() - began_s)  # what waits meanwhile is not known

    def _tell_waiting(self, before_s: float) -> None:
        seen = [since_s for _, since_s in list(self._heads.values()) if since_s < before_s]
        if seen:
            self._gauge.set(time.time() - min(seen))


def age_s(since_ms: int) -> float:
    """Returns the seconds since a time of the real clock; 0 if the time is yet to come."""
    return max(0.0, time.time() - since_ms / 1000)
