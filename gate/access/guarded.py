"""Builds the guard of a process from the settings."""

import asyncio
from contextlib import AsyncExitStack

import structlog

from gate.access.callers import Callers
from gate.access.guard import Guard
from gate.access.token_file import TokenFile
from gate.access.token_watch import TokenWatch
from gate.metrics import AccessMetrics
from gate.process.background_tasks import run_in_background
from gate.settings import Settings

log = structlog.get_logger()


async def open_guard(
    settings: Settings,
    metrics: AccessMetrics,
    opened: AsyncExitStack,
) -> Guard | None:
    """Returns the guard, whose tokens follow their file; None where callers need no token.

    Raises TokenFileError for a file that is wrong or missing.
    """
    if settings.tokens_file is None:
        return None
    file = TokenFile(settings.tokens_file)
    callers = Callers(await asyncio.to_thread(file.read))
    if not file.is_private:
        log.warning("token_file_is_not_private", path=str(file.path), fix="chmod 600")
    run_in_background(opened, TokenWatch(file, callers, metrics).keep())
    return Guard(callers, metrics)
