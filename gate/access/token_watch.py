"""Watches the file of tokens: a running process takes up changes, and revocations with them."""

import asyncio

import structlog

from gate.access.callers import Callers
from gate.access.token_file import TokenFile, TokenFileError
from gate.metrics import AccessMetrics

# A look costs one stat. A changed file is taken up at the second look that finds the same file.
_INTERVAL_S = 0.5

log = structlog.get_logger()


class TokenWatch:
    """Looks at the file in the background, never on the path of a call."""

    def __init__(self, file: TokenFile, callers: Callers, metrics: AccessMetrics) -> None:
        self._file = file
        self._callers = callers
        self._metrics = metrics

    async def keep(self) -> None:
        """Puts changed tokens in force, until the task is cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL_S)
            if await asyncio.to_thread(self._file.has_changed):
                await self._read_tokens()

    async def _read_tokens(self) -> None:
        try:
            tokens = await asyncio.to_thread(self._file.read)
        except TokenFileError as error:
            self._metrics.token_file_reads.labels("failed").inc()
            log.error("token_file_refused", error=str(error), in_force="the tokens as they were")
        else:
            self._callers.use(tokens)
            self._metrics.token_file_reads.labels("ok").inc()
            log.info("token_file_in_force", path=str(self._file.path), tokens=len(tokens))
