"""Coroutines side by side within one task: what `asyncio.gather` does, without a task for each."""

import types
from collections.abc import Coroutine, Generator, Iterable
from contextlib import suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")


async def in_order(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Their results.

    Each is begun, up to what it first waits for, before the next one is. If one raises, the others
    are closed.
    """
    begun: list[_Steps[T]] = []
    try:
        begun.extend(map(_Steps, coroutines))
        left = [each for each in begun if not each.has_ended]
        while left:
            await _done(left[0].awaited)
            for each in left:
                if each.may_go_on():
                    each.go_on()
            left = [each for each in left if not each.has_ended]
    except BaseException:
        for each in begun:
            each.coroutine.close()
        raise
    return [each.result for each in begun]


class _Steps(Generic[T]):
    """A coroutine, and what it waits for: a future, or None for the next turn of the event loop."""

    __slots__ = ("awaited", "coroutine", "has_ended", "result")

    result: T

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self.coroutine = coroutine
        self.has_ended = False
        self.go_on()

    def may_go_on(self) -> bool:
        return self.awaited is None or self.awaited.done()

    def go_on(self) -> None:
        self.awaited: Any = None
        try:
            self.awaited = self.coroutine.send(None)
        except StopIteration as end:
            self.has_ended = True
            self.result = end.value


@types.coroutine
def _done(future: Any) -> Generator[Any, None, None]:
    """Waits for it in the name of the coroutine that awaits it, which is told of its failure when it
    goes on.
    """
    if future is None or not future.done():
        with suppress(Exception):
            yield future
