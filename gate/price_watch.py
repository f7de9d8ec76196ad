"""The watch over the price file: a gate takes up its changes by itself, and goes on with the old
prices if they are wrong.
"""

import asyncio

import structlog

from gate.metrics import GateMetrics
from gate.pricing import Pricer
from meter.prices import PriceFile, PriceFileError

_INTERVAL_S = (
    1.0  # a file is taken up at the second look that finds it unchanged; looking costs one stat
)

log = structlog.get_logger()


class PriceWatch:
    """Looks at the file now and then, never on a call's path."""

    def __init__(self, file: PriceFile, pricer: Pricer, metrics: GateMetrics) -> None:
        self._file = file
        self._pricer = pricer
        self._metrics = metrics

    async def keep(self) -> None:
        """Runs for good."""
        while True:
            await asyncio.sleep(_INTERVAL_S)
            if await asyncio.to_thread(self._file.has_changed):
                await self._take_up()

    async def _take_up(self) -> None:
        try:
            table = await asyncio.to_thread(self._file.read)
        except PriceFileError as error:
            self._metrics.price_file_reads.labels("failed").inc()
            log.error("price_file_refused", error=str(error), in_force="the prices as they were")
        else:
            self._pricer.use(table)
            self._metrics.price_file_reads.labels("ok").inc()
            log.info("price_file_in_force", path=str(self._file.path))
