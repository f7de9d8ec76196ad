"""Watches the clock of Redis, by which holds end and grants begin and expire.

A clock that is set forward by a day ends every hold and many a grant, which cannot be undone when
the clock is set back. The reaper therefore waits until a step has lasted.
"""

import time
from collections.abc import Callable

import structlog

from gate.metrics import UpkeepMetrics

_STEP_S = 60.0
_LASTING_S = 60.0

log = structlog.get_logger()


class StoreClock:
    """Compares the clock of Redis with the gate's own."""

    def __init__(
        self,
        metrics: UpkeepMetrics,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._monotonic = monotonic
        self._trusted_s = 0.0  # the offset that is taken for right
        self._stepped_to_s: float | None = None
        self._stepped_at_s = 0.0

    def is_steady(self, now_ms: int) -> bool:
        """Says whether what the clock tells now, `now_ms`, may end holds.

        Not after a step of more than a minute, until the clock has gone on from there for a minute.
        """
        offset_s = now_ms / 1000 - self._clock()
        self._metrics.store_clock_offset.set(offset_s)
        if abs(offset_s - self._trusted_s) <= _STEP_S:
            self._come_back(offset_s)
            return True
        if self._stepped_to_s is None or abs(offset_s - self._stepped_to_s) > _STEP_S:
            self._note_step(offset_s)
        if self._monotonic() - self._stepped_at_s < _LASTING_S:
            return False
        log.warning("store_clock_taken_for_right", offset_s=round(offset_s))
        self._trusted_s = offset_s
        self._stepped_to_s = None
        return True

    def _come_back(self, offset_s: float) -> None:
        if self._stepped_to_s is not None:
            log.warning("store_clock_came_back", offset_s=round(offset_s))
            self._stepped_to_s = None

    def _note_step(self, offset_s: float) -> None:
        self._stepped_to_s = offset_s
        self._stepped_at_s = self._monotonic()
        log.error(
            "store_clock_stepped",
            offset_s=round(offset_s),
            action=f"nothing is reaped until the clock has gone on for {_LASTING_S:.0f} s",
        )
