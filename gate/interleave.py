"""Runs coroutines side by side within one task: like `asyncio.gather`, without a task for each."""

import types
from collections.abc import Coroutine, Generator, Iterable
from contextlib import suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")


async def in_order(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Runs the coroutines side by side and returns the results in the given order.

    Each coroutine is begun, up to its first wait, before the next coroutine is begun. If any
    coroutine raises, the others are closed and the exception is raised here.
    """
    begun: list[_Steps[T]] = []
    try:
        begun.extend(map(_Steps, coroutines))
        waiting = [steps for steps in begun if not steps.has_ended]
        while waiting:
            await _until_done(waiting[0].awaited)
            for steps in waiting:
                if steps.can_advance():
                    steps.advance()
            waiting = [steps for steps in waiting if not steps.has_ended]
    except BaseException:
        for steps in begun:
            steps.coroutine.close()
        raise
    return [steps.result for steps in begun]


class _Steps(Generic[T]):
    """Advances a coroutine from wait to wait, the first step at once.

    `awaited` is the future that the coroutine waits for; None if the coroutine waits for the next
    turn of the event loop.
    """

    __slots__ = ("awaited", "coroutine", "has_ended", "result")

    result: T

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self.coroutine = coroutine
        self.has_ended = False
        self.advance()

    def can_advance(self) -> bool:
        return self.awaited is None or self.awaited.done()

    def advance(self) -> None:
        self.awaited: Any = None
        try:
            self.awaited = self.coroutine.send(None)
        except StopIteration as end:
            self.has_ended = True
            self.result = end.value


@types.coroutine
def _until_done(future: Any) -> Generator[Any, None, None]:
    """Waits until the future is done, whatever its outcome.

    The coroutine that awaits the future gets the outcome when the coroutine advances.
    """
    if future is None or not future.done():
        with suppress(Exception):
            yield future
