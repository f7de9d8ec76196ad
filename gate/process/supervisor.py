"""Keeps the children of one small process running, and ends them in order.

Nothing of grpc is started in this process: a process must not fork once grpc has been started.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby

import structlog

from gate.process.child import Child, ChildEnd, ChildSpec
from gate.process.standard_streams import announce

_STILL_WAITING_S = 10.0

_log = structlog.get_logger(__name__)


class Supervisor:
    """Keeps children running, and ends them stage by stage, in reverse order."""

    def __init__(
        self,
        children: Sequence[ChildSpec],
        announcement: str,
        on_end: Callable[[ChildEnd], None] | None = None,
    ) -> None:
        """Prints `announcement` once all children are ready; `on_end` hears of each end."""
        self._children = {spec.name: Child(spec, on_end) for spec in children}
        self._announcement = announcement
        self._stop = asyncio.Event()
        self._killed = False

    async def run(self) -> int:
        """Runs the children until a signal comes.

        Returns 0 if all ended in order, 1 if a second signal cut the end short. StartupError if
        a child cannot be started.
        """
        running = {
            name: asyncio.create_task(child.run(self._children))
            for name, child in self._children.items()
        }
        announcing = asyncio.create_task(self._announce())
        with self._signals():
            try:
                await self._until_stopped(list(running.values()))
            finally:
                announcing.cancel()
                await self._end_stages(running)
        for task in running.values():
            task.result()
        return int(self._killed)

    async def _end_stages(self, running: Mapping[str, asyncio.Task[None]]) -> None:
        for stage in self._stages_in_reverse():
            ending = []
            for child in stage:
                child.stop()
                ending.append(running[child.spec.name])
            await asyncio.wait(ending)

    def _stages_in_reverse(self) -> list[list[Child]]:
        children = reversed(self._children.values())
        stages = groupby(children, key=_stage_of)
        return [list(stage) for _, stage in stages]

    async def _until_stopped(self, running: Sequence[asyncio.Task[None]]) -> None:
        stopped = asyncio.create_task(self._stop.wait())
        pending: set[asyncio.Task[object]] = {stopped, *running}
        while not stopped.done():
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            if any(task.exception() for task in done):
                stopped.cancel()
                return

    async def _announce(self) -> None:
        while waiting := self._not_ready():
            try:
                async with asyncio.timeout(_STILL_WAITING_S):
                    await waiting[0].ready.wait()
            except TimeoutError:
                _warn_of_waiting(waiting)
        announce(self._announcement)

    def _not_ready(self) -> list[Child]:
        return [child for child in self._children.values() if not child.ready.is_set()]

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        wanted = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # ignored: started with nohup
            wanted.append(signal.SIGHUP)
        for number in wanted:
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            yield
        finally:
            for number in wanted:
                loop.remove_signal_handler(number)

    def _on_signal(self, number: signal.Signals) -> None:
        if not self._stop.is_set():
            _log.info("stopping_children", signal=number.name)
            self._stop.set()
            return
        _log.info("killing_children", signal=number.name)
        self._kill()

    def _kill(self) -> None:
        self._killed = True
        for child in self._children.values():
            child.kill()


def _stage_of(child: Child) -> str:
    return child.spec.stage or child.spec.name


def _warn_of_waiting(children: Sequence[Child]) -> None:
    names = [child.spec.name for child in children]
    _log.warning("still_waiting_for_children", children=names)
