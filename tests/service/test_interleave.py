"""Coroutines side by side within one task."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from gate.interleave import in_order


class Bell:
    """Waits, and what was heard of it."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.rung: dict[str, asyncio.Future[str]] = {}

    async def wait(self, *names: str) -> str:
        """For one after the other."""
        for name in names:
            self.heard.append(name)
            self.rung[name] = asyncio.get_running_loop().create_future()
            try:
                last = await self.rung[name]
            except asyncio.CancelledError:
                self.heard.append(f"{name} cancelled")
                raise
            except GeneratorExit:
                self.heard.append(f"{name} closed")
                raise
        return last


async def tasks(bell: Bell, *waits: tuple[str, ...]) -> "asyncio.Task[list[str]]":
    task = asyncio.create_task(in_order(bell.wait(*names) for names in waits))
    await asyncio.sleep(0)
    return task


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 10))


def test_each_is_begun_in_order_and_results_are_in_order_whatever_ends_first() -> None:
    async def test() -> None:
        bell = Bell()
        task = await tasks(bell, ("a",), ("b",), ("c",))
        assert bell.heard == ["a", "b", "c"]
        for name in "cab":
            bell.rung[name].set_result(name.upper())
        assert await task == ["A", "B", "C"]

    run(test())


def test_all_that_may_go_on_do_so_before_anything_else_is_waited_for() -> None:
    async def test() -> None:
        bell = Bell()
        task = await tasks(bell, ("a", "aa"), ("b", "bb"))
        bell.rung["a"].set_result("")
        bell.rung["b"].set_result("")
        await asyncio.sleep(0.01)
        assert bell.heard == ["a", "b", "aa", "bb"]
        bell.rung["bb"].set_result("B")
        bell.rung["aa"].set_result("A")
        assert await task == ["A", "B"]

    run(test())


def test_what_waits_for_nothing_needs_no_turn_and_a_pause_is_no_end() -> None:
    async def at_once(result: int) -> int:
        return result

    async def paused(result: int) -> int:
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        return result

    async def test() -> None:
        assert await in_order([]) == []
        assert await in_order([at_once(1), paused(2), at_once(3), paused(4)]) == [1, 2, 3, 4]

    run(test())


def test_a_failure_is_told_to_its_own_coroutine() -> None:
    async def told(future: "asyncio.Future[str]") -> str:
        try:
            return await future
        except ValueError as error:
            return f"failed: {error}"

    async def test() -> None:
        futures = [asyncio.get_running_loop().create_future() for _ in range(3)]
        asyncio.get_running_loop().call_later(0.01, futures[0].set_exception, ValueError("x"))
        asyncio.get_running_loop().call_later(0.02, futures[2].set_exception, ValueError("z"))
        asyncio.get_running_loop().call_later(0.03, futures[1].set_result, "y")
        assert await in_order(map(told, futures)) == ["failed: x", "y", "failed: z"]

    run(test())


def test_if_one_raises_the_others_are_closed() -> None:
    async def test() -> None:
        bell = Bell()
        task = await tasks(bell, ("a",), ("b",), ("c",))
        bell.rung["b"].set_exception(ValueError("b"))
        bell.rung["a"].set_result("")
        with pytest.raises(ValueError, match="b"):
            await task
        assert bell.heard == ["a", "b", "c", "c closed"]

    run(test())


def test_cancelling_ends_them_all() -> None:
    async def test() -> None:
        bell = Bell()
        task = await tasks(bell, ("a",), ("b",))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert bell.heard == ["a", "b", "a closed", "b closed"]

    run(test())
