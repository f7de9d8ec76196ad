"""Has the ledger record that requests were denied, beside the calls: once a window."""

import asyncio
from collections import OrderedDict

import structlog

from gate.metrics import GateMetrics
from gate.store.calls import Outcome
from meter.database.engine import Ledger
from meter.database.errors import LedgerUnavailable
from meter.journal.counter_names import NO_VALUE
from meter.ledger.denials import DenialEvent, record_denials
from meter.times import HOURS_PER_DAY

# Bounds memory to about 6 MiB, and to seven times that if all are of the longest values. A denial
# that has been forgotten is recorded again, which changes nothing.
_MOST_REMEMBERED = 20_000
_MOST_WAITING = 10_000  # while the ledger is away
_BATCH = 100  # bounds how long the other writers of an SQLite ledger wait
_RETRY_S = 1.0

_Key = tuple[str, str, str, str, int]

log = structlog.get_logger()


class DenialEvents:
    """Remembers what this process has seen denied: a repeat in the same window ends here.

    Denials that were noted and not recorded yet are lost with the process; the next denial in the
    window is recorded in their place.
    """

    def __init__(self, ledger: Ledger, metrics: GateMetrics) -> None:
        self._ledger = ledger
        self._metrics = metrics
        self._remembered: OrderedDict[_Key, None] = OrderedDict()
        self._waiting: list[DenialEvent] = []
        self._noted = asyncio.Event()

    def note(self, account_id: str, outcome: Outcome) -> None:
        """Notes a denial, unless the like was noted before in the window."""
        value, window_hour = _told_once_in(outcome)
        key = (account_id, outcome.denial, outcome.budget_id, value, window_hour)
        if key in self._remembered:
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._metrics.upkeep.denial_events_dropped.inc()
            return
        self._remember(key)
        effect = outcome.effect
        self._waiting.append(DenialEvent(*key, effect.at_ms, effect.affordable))
        self._noted.set()

    async def keep(self) -> None:
        """Records what is noted, as it comes. Runs until cancelled."""
        while True:
            await self._noted.wait()
            self._noted.clear()
            while self._waiting:
                await self._try_to_record()

    async def record_rest(self) -> None:
        """Records what still waits when the process ends; tries once."""
        if self._waiting:
            log.info("denial_events_rest", count=len(self._waiting))
        try:
            while self._waiting:
                await self._record()
        except LedgerUnavailable as error:
            log.warning("denial_events_lost", count=len(self._waiting), error=str(error))

    async def _try_to_record(self) -> None:
        try:
            await self._record()
        except LedgerUnavailable as error:
            log.warning("denial_events_wait", count=len(self._waiting), error=str(error))
            await asyncio.sleep(_RETRY_S)

    async def _record(self) -> None:
        batch = self._waiting[:_BATCH]
        await asyncio.to_thread(record_denials, self._ledger, batch)
        del self._waiting[: len(batch)]

    def _remember(self, key: _Key) -> None:
        self._remembered[key] = None
        if len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.popitem(last=False)


def _told_once_in(outcome: Outcome) -> tuple[str, int]:
    """Returns the budget's value, and the first UTC hour of the window, of which a denial is told.

    Values that have nothing used or held are not told apart: anybody can make up any number of
    them.
    """
    for budget in outcome.effect.budgets:
        if budget.budget_id == outcome.budget_id:
            value = budget.value
            if budget.remaining == budget.limit:
                value = NO_VALUE
            return value, budget.start_hour
    return NO_VALUE, outcome.effect.day * HOURS_PER_DAY
