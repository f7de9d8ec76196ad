"""Watches the price file: a running gate takes up changes, and keeps its prices if they are bad."""

import asyncio

import structlog

from gate.metrics import GateMetrics
from gate.pricing import Pricer
from meter.prices import PriceFile, PriceFileError

# A look costs one stat. A changed file is taken up at the second look that finds the same file.
_INTERVAL_S = 1.0

log = structlog.get_logger()


class PriceWatch:
    """Looks at the price file in the background, never on the path of a call."""

    def __init__(self, file: PriceFile, pricer: Pricer, metrics: GateMetrics) -> None:
        self._file = file
        self._pricer = pricer
        self._metrics = metrics

    async def keep(self) -> None:
        """Puts changed prices in force, until the task is cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL_S)
            if await asyncio.to_thread(self._file.has_changed):
                await self._read_prices()

    async def _read_prices(self) -> None:
        try:
            table = await asyncio.to_thread(self._file.read)
        except PriceFileError as error:
            self._metrics.upkeep.price_file_reads.labels("failed").inc()
            log.error("price_file_refused", error=str(error), in_force="the prices as they were")
        else:
            self._pricer.use(table)
            self._metrics.upkeep.price_file_reads.labels("ok").inc()
            log.info("price_file_in_force", path=str(self._file.path))
