"""Runs the upkeep of a process beside the calls."""

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import AsyncExitStack

import structlog

log = structlog.get_logger()


def run_in_background(
    opened: AsyncExitStack,
    *upkeep: Coroutine[object, object, None],
) -> None:
    """Runs coroutines that never end until the exit stack is unwound.

    If a coroutine fails, the process drains and ends, and is started anew: a gate that no longer
    reaps or restores must not go on as if it did.
    """
    tasks = [asyncio.create_task(keep) for keep in upkeep]
    for task in tasks:
        task.add_done_callback(_end_if_failed)
    opened.push_async_callback(_end, tasks)


def _end_if_failed(task: asyncio.Task[None]) -> None:
    if task.cancelled():
        return
    error = task.exception()
    if error is not None:
        log.error("background_task_failed", exc_info=error)
        signal.raise_signal(signal.SIGTERM)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
