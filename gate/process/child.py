"""Runs a process that the supervisor keeps alive."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

_STARTUP_ATTEMPTS = 5
_STEADY_S = 10.0  # after running this long, a child that dies is restarted as if for the first time
_BACK_OFF_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)  # the last one repeats
_LAST_OUTPUT_S = 1.0
_LINE_LIMIT_BYTES = 2**20

_log = structlog.get_logger(__name__)


class StartupError(Exception):
    """Tells people why `creditgate up` cannot get going."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """Says how to run a child, and when the child counts as ready.

    A child is ready when `probe` returns or, without a probe, when the child prints a line with
    `ready`. With `once` the child has to exit with 0, and is ready then. A child starts when the
    children named in `after` are ready. Neighbours of the same `stage` are told to end at the same
    time. `last_words` may tell more about a child's death.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] | None = None  # None: ours
    after: tuple[str, ...] = ()
    stage: str = ""  # of its own
    once: bool = False
    probe: Callable[[], Awaitable[None]] | None = None
    last_words: Callable[[], str] = str
    inherited_fds: tuple[int, ...] = ()
    grace_s: float = 30.0


@dataclass(frozen=True, slots=True)
class ChildEnd:
    """Tells how a process of a child ended; `died` if nobody had asked the process to end."""

    name: str
    pid: int
    died: bool


@dataclass(slots=True)
class _Orders:
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    kill: asyncio.Event = field(default_factory=asyncio.Event)


class Child:
    """Runs a child: starts the process, restarts a dead process, ends the process when told so."""

    def __init__(
        self,
        spec: ChildSpec,
        on_end: Callable[[ChildEnd], None] | None,
    ) -> None:
        self.spec = spec
        self.ready = asyncio.Event()
        self._on_end = on_end
        self._orders = _Orders()
        self._deaths = 0

    def stop(self) -> None:
        """Ends the process by SIGTERM, then by SIGKILL when the time of grace is over.

        `run` returns when the process is gone.
        """
        self._orders.stop.set()

    def kill(self) -> None:
        """Ends the process at once."""
        self._orders.kill.set()
        self._orders.stop.set()

    async def run(self, others: Mapping[str, "Child"]) -> None:
        """Keeps the child running until `stop`.

        Raises StartupError if the process dies five times (`once`: one time) before the child was
        ever ready.
        """
        for name in self.spec.after:
            await self._unless(self._orders.stop, others[name].ready.wait())
        back_off = 0
        while not self._orders.stop.is_set():
            started = asyncio.get_running_loop().time()
            ended = await self._run_process()
            if self._orders.stop.is_set() or (self.spec.once and self.ready.is_set()):
                return
            self._judge_death(ended)
            if asyncio.get_running_loop().time() - started > _STEADY_S:
                back_off = 0
            await self._unless(self._orders.stop, asyncio.sleep(_BACK_OFF_S[back_off]))
            back_off = min(back_off + 1, len(_BACK_OFF_S) - 1)

    def _judge_death(self, ended: str) -> None:
        self._deaths += 1
        spec = self.spec
        gives_up = spec.once or self._deaths == _STARTUP_ATTEMPTS
        if gives_up and not self.ready.is_set():
            raise StartupError(self._startup_failure(ended))
        _log.error(
            "child_died",
            child=spec.name,
            ended=ended,
            restarts=self._deaths,
        )

    def _startup_failure(self, ended: str) -> str:
        spec = self.spec
        times = f" {self._deaths} times"
        if spec.once:
            times = ""
        message = f"{spec.name} ended{times} before it was ready: {ended}. Its messages are above."
        if last_words := spec.last_words():
            message += f"\n{last_words}"
        return message

    async def _run_process(self) -> str:
        try:
            process = await self._spawn()
        except OSError as error:
            return str(error)
        output = asyncio.create_task(self._read_output(process))
        probing = asyncio.create_task(self._probe(process))
        await self._unless(self._orders.stop, process.wait())
        if process.returncode is None:
            await self._end(process)
        probing.cancel()
        # A descendant that outlives the child may keep its output open: don't wait for that.
        await asyncio.wait({output, probing}, timeout=_LAST_OUTPUT_S)
        output.cancel()
        return self._ended(process)

    async def _spawn(self) -> Process:
        process = await asyncio.create_subprocess_exec(
            *self.spec.argv,
            env=self.spec.environment,
            stdin=PIPE,  # never written to: the child learns from its end that we are gone
            stdout=PIPE,
            limit=_LINE_LIMIT_BYTES,
            pass_fds=self.spec.inherited_fds,
            # Ctrl-C in a terminal is for us alone, so that children end in order
            start_new_session=True,
        )
        _log.debug(
            "child_started",
            child=self.spec.name,
            pid=process.pid,
        )
        return process

    async def _read_output(self, process: Process) -> None:
        assert process.stdout is not None
        awaited = self.spec.probe is None and not self.spec.once
        async for line in process.stdout:
            if awaited and b"ready" in line:
                awaited = False
                self._is_ready(process)
            else:
                sys.stderr.write(line.decode(errors="replace"))

    async def _probe(self, process: Process) -> None:
        if self.spec.probe is None:
            return
        try:
            await self.spec.probe()
        except StartupError as failure:
            _log.error(
                "child_not_ready",
                child=self.spec.name,
                why=str(failure),
            )
            process.kill()
        else:
            self._is_ready(process)

    def _is_ready(self, process: Process) -> None:
        self.ready.set()
        _log.info(
            "child_ready",
            child=self.spec.name,
            pid=process.pid,
            restarts=self._deaths,
        )

    async def _end(self, process: Process) -> None:
        with suppress(ProcessLookupError):
            process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.spec.grace_s):
                    await self._unless(self._orders.kill, process.wait())
        if process.returncode is None:
            await self._kill_late(process)

    async def _kill_late(self, process: Process) -> None:
        _log.warning(
            "child_killed",
            child=self.spec.name,
            pid=process.pid,
            grace_s=self.spec.grace_s,
        )
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    def _ended(self, process: Process) -> str:
        status = process.returncode
        assert status is not None
        if self.spec.once and status == 0:
            self._is_ready(process)
        is_done = self.spec.once and status == 0
        died = not (self._orders.stop.is_set() or is_done)
        if self._on_end:
            self._on_end(ChildEnd(self.spec.name, process.pid, died))
        if status < 0:
            return f"killed by {signal.Signals(-status).name}"
        return f"exit status {status}"

    @staticmethod
    async def _unless(
        order: asyncio.Event,
        waiting: Coroutine[object, object, object],
    ) -> None:
        """Waits, but no longer than until the order is given."""
        awaited = asyncio.ensure_future(waiting)
        ordered = asyncio.ensure_future(order.wait())
        tasks = {awaited, ordered}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
