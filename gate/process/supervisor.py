"""Runs the store, the flusher, the gate and billing as children of one small process.

`creditgate up` runs them all; `creditgate serve --workers` runs several gates on one address.
Nothing of grpc is started in this process: a process must not fork once grpc has been started.
"""

import asyncio
import os
import signal
import sys
import sysconfig
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
from pydantic import SecretStr

from gate.address import Address
from gate.process.child import Child, ChildEnd, ChildSpec, StartupError
from gate.process.data_dir import DataDirLock, kept_secret, make_private_dir
from gate.process.embedded_valkey import open_store
from gate.process.metrics_server import ChildMetrics, metrics_server
from gate.process.port_reservation import reserve_port
from gate.settings import EMBEDDED, PREFIX, Settings, env_name

_STILL_WAITING_S = 10.0
_POLL_S = 0.05
_SERVING = "serving"  # gates and billing end at the same time; the flusher outlives both
_GRACE_S = 5.0  # on top of the drain timeout, which a child keeps by itself

_log = structlog.get_logger(__name__)


def up(settings: Settings) -> int:
    """Runs everything until SIGTERM or SIGINT, and returns the exit status.

    The caller has configured logging.
    """
    return _run(_up(settings))


def serve(settings: Settings) -> int:
    """Runs the gate alone, as the workers that the settings ask for; returns the exit status."""
    return _run(_serve(settings))


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
        print(self._announcement, flush=True)

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


def _run(running: Coroutine[object, object, int]) -> int:
    try:
        return asyncio.run(running)
    except StartupError as failure:
        print(f"creditgate: {failure}", file=sys.stderr)
        return 1


async def _up(settings: Settings) -> int:
    with ExitStack() as opened:
        make_private_dir(settings.data_dir)
        _claim(settings.data_dir, opened)
        settings = _with_voucher_key(settings)
        children_lock = await _outlive_earlier_children(settings, opened)
        _reserve_gate_port(settings, opened)
        _check_port(settings.billing_listen, "billing_listen")
        metrics = _serve_children_metrics(settings, settings.data_dir, opened)
        specs: list[ChildSpec] = []
        if settings.redis_url == EMBEDDED:
            store = await open_store(settings)
            opened.callback(store.close)
            settings = settings.model_copy(update={"redis_url": store.url})
            specs.append(store.child())
        environment = _environment(settings, metrics)
        store_names = [spec.name for spec in specs]
        specs += _own_children(settings, environment, store_names, children_lock.fd)
        return await _supervise(specs, _announcement(settings), metrics)


async def _serve(settings: Settings) -> int:
    settings.shared_redis_url()
    with ExitStack() as opened:
        folder = Path(opened.enter_context(TemporaryDirectory(prefix="creditgate-")))
        _reserve_gate_port(settings, opened)
        metrics = _serve_children_metrics(settings, folder, opened)
        specs = _gates(settings, _environment(settings, metrics))
        announcement = f"creditgate gate ready: grpc {settings.listen}, workers {settings.workers}"
        return await _supervise(specs, announcement, metrics)


async def _supervise(
    specs: Sequence[ChildSpec],
    announcement: str,
    metrics: ChildMetrics | None,
) -> int:
    on_end = None
    if metrics is not None:
        on_end = metrics.count_end
    return await Supervisor(specs, announcement, on_end).run()


def _claim(data_dir: Path, opened: ExitStack) -> None:
    lock = DataDirLock(data_dir / "up.lock")
    opened.callback(lock.close)
    if not lock.acquire():
        raise _already_runs(data_dir, lock.read_note())
    lock.note(str(os.getpid()))


def _already_runs(data_dir: Path, process: str) -> StartupError:
    return StartupError(
        f"`creditgate up` already runs on {data_dir} (process {process}):"
        f" stop it first, or choose another {env_name('data_dir')}"
    )


def _with_voucher_key(settings: Settings) -> Settings:
    """Returns the settings with the data directory's own voucher key, if no key is set.

    The key must outlive the codes that were made with the key, so the data directory keeps it.
    """
    if settings.voucher_key is not None:
        return settings
    key = SecretStr(kept_secret(settings.data_dir / "voucher.key"))
    return settings.model_copy(update={"voucher_key": key})


async def _outlive_earlier_children(
    settings: Settings,
    opened: ExitStack,
) -> DataDirLock:
    """Returns the lock that our own children hold, once no child of an earlier run holds the lock.

    A child of an earlier run whose supervisor was killed is still draining. StartupError if such a
    child outlasts the drain timeout.
    """
    lock = DataDirLock(settings.data_dir / "children.lock")
    opened.callback(lock.close)
    if not lock.acquire():
        patience_s = settings.drain_timeout_ms / 1000 + _GRACE_S
        await _wait_for_lock(lock, settings.data_dir, patience_s)
    return lock


async def _wait_for_lock(
    lock: DataDirLock,
    data_dir: Path,
    patience_s: float,
) -> None:
    _log.warning(
        "waiting_for_children_of_an_earlier_run",
        data_dir=str(data_dir),
        at_most_s=patience_s,
    )
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    while not lock.acquire():
        if loop.time() > deadline:
            raise StartupError(f"a process of an earlier run on {data_dir} does not end: kill it")
        await asyncio.sleep(_POLL_S)


def _reserve_gate_port(settings: Settings, opened: ExitStack) -> None:
    """Reserves the address that several workers share; checks the address of a single gate."""
    if settings.workers > 1:
        opened.enter_context(reserve_port(settings.listen, "listen"))
    else:
        _check_port(settings.listen, "listen")


def _check_port(address: Address, setting: str) -> None:
    """Raises StartupError if somebody else has the TCP address.

    Without this check a child would die again and again.
    """
    if not address.path:
        with reserve_port(address, setting):
            pass


def _serve_children_metrics(
    settings: Settings,
    directory: Path,
    opened: ExitStack,
) -> ChildMetrics | None:
    """Serves the metrics of all children together; returns None if no metrics are wanted."""
    if settings.metrics_listen is None:
        return None
    metrics = ChildMetrics(directory / "metrics")
    opened.enter_context(metrics_server(settings.metrics_listen, metrics.registry))
    return metrics


def _own_children(
    settings: Settings,
    environment: dict[str, str],
    store: Sequence[str],
    lock_fd: int,
) -> list[ChildSpec]:
    """Returns the children beside the store, in the order in which they start.

    The flusher ends last of those that run, since a reader of the ledger waits for the flusher.
    """
    migrate = _child("migrate", ("migrate",), settings, environment)
    flusher = _child(
        "flusher",
        ("flush", "--exit-with-parent"),
        settings,
        environment,
    )
    billing = _child(
        "billing",
        ("billing", "--exit-with-parent"),
        settings,
        environment,
    )
    gates = _gates(settings, environment)
    lasting = [flusher, replace(billing, stage=_SERVING), *gates]
    after = (*store, "migrate")
    children = [replace(migrate, once=True)]
    children += [replace(child, after=after) for child in lasting]
    return [replace(child, inherited_fds=(lock_fd,)) for child in children]


def _gates(settings: Settings, environment: dict[str, str]) -> list[ChildSpec]:
    words = ("serve", "--exit-with-parent")
    gates = []
    if settings.workers == 1:
        gates.append(_child("gate", words, settings, environment))
    else:
        for number in range(1, settings.workers + 1):
            gate = _child(
                f"gate-{number}",
                (*words, "--worker", str(number)),
                settings,
                environment,
            )
            gates.append(gate)
    return [replace(gate, stage=_SERVING) for gate in gates]


def _child(
    name: str,
    words: tuple[str, ...],
    settings: Settings,
    environment: dict[str, str],
) -> ChildSpec:
    # -P: not a package named `gate` of the working directory
    return ChildSpec(
        name=name,
        argv=(sys.executable, "-P", "-m", "gate.cli", *words),
        environment=environment,
        grace_s=settings.drain_timeout_ms / 1000 + _GRACE_S,
    )


def _environment(
    settings: Settings,
    metrics: ChildMetrics | None,
) -> dict[str, str]:
    """Returns the children's environment: our settings, but for this process's own business."""
    environment = _foreign_environment()
    childs_settings = settings.model_copy(update={"metrics_listen": None, "workers": 1})
    environment |= childs_settings.environment()
    if metrics is not None:
        environment |= metrics.environment
    environment["PYTHONPATH"] = _python_path()
    return environment


def _foreign_environment() -> dict[str, str]:
    """Returns the environment variables that are not of Creditgate."""
    dropped = (PREFIX, "PROMETHEUS_MULTIPROC_DIR")
    return {
        name: value for name, value in os.environ.items() if not name.upper().startswith(dropped)
    }


def _python_path() -> str:
    """Returns a search path on which the children find the same package as this process."""
    package_dir = str(Path(__file__).resolve().parent.parent)
    given = os.environ.get("PYTHONPATH")
    if not given:
        return package_dir
    return os.pathsep.join((package_dir, given))


def _announcement(settings: Settings) -> str:
    metrics = "none"
    if settings.metrics_listen is not None:
        metrics = settings.metrics_listen.http_url("/metrics")
    ready = (
        f"creditgate ready: grpc {settings.listen}, billing {settings.billing_listen},"
        f" metrics {metrics}, data {settings.data_dir}"
    )
    return f"{ready}\n{_in_another_terminal()}"


def _in_another_terminal() -> str:
    """Tells how the command is found in a terminal in which no environment is activated."""
    scripts = Path(sysconfig.get_path("scripts"))
    activate = scripts / "activate"
    if activate.is_file():
        return f"in another terminal: . {activate}   # then `creditgate --help`"
    return f"in another terminal: {scripts / 'creditgate'} --help"
