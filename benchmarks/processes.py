"""Starts the processes that are measured: a Valkey as `creditgate up` runs it, a gate, a flusher,
billing, and servers to compare with.
"""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from gate.process.embedded_valkey import open_store
from gate.settings import PREFIX, Settings, load_settings

HERE = Path(__file__).parent
_CREDITGATE = [sys.executable, "-m", "gate.cli"]
_START_S = 60.0
_STOP_S = 60.0


class Failed(Exception):
    """A process ended, or did not do what it was to do; the message has its last words."""


class Running:
    """A process of ours."""

    def __init__(self, words: list[str], environment: Mapping[str, str], log: Path) -> None:
        self._words = words
        self._log = log
        self._output = log.with_suffix(".out")
        with self._output.open("wb") as output, log.open("ab") as errors:
            self._process = subprocess.Popen(
                words, env=dict(environment), stdout=output, stderr=errors
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def printed(self) -> str:
        """All that the process has printed so far."""
        return self._output.read_text()

    def wait_ready(self) -> None:
        """Returns when it has printed a line with `ready`."""
        self.wait_until(lambda: "ready" in self.printed)

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Returns when the condition is true; Failed if the process ends before."""
        deadline = time.monotonic() + _START_S
        while not condition():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"{' '.join(self._words)}:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.002)

    def stop(self) -> None:
        """Asks it to end, and waits until it has."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass(slots=True)
class Stack:
    """Holds a Valkey with a gate, and at times a flusher."""

    settings: Settings
    folder: Path
    valkey: Running
    gate: Running
    flusher: Running | None = None

    @property
    def address(self) -> tuple[str, int]:
        listen = self.settings.listen
        assert listen.host, "it was started on TCP"
        return listen.host, listen.port

    @property
    def watch(self) -> dict[str, int]:
        """The processes whose CPU time is told apart."""
        watched = {"service": self.gate.pid, "redis": self.valkey.pid}
        if self.flusher is not None:
            watched["flusher"] = self.flusher.pid
        return watched

    def redis(self) -> redis.Redis:
        """A client that never sends anything twice."""
        return redis.Redis.from_url(self.settings.redis_url, retry=Retry(NoBackoff(), 0))

    def start_flusher(self) -> None:
        self.flusher = creditgate(["flush"], self.settings, self.folder / "flusher.log")
        self.flusher.wait_ready()

    def stop_flusher(self) -> None:
        """When it has flushed what there is."""
        assert self.flusher is not None
        self.flusher.stop()
        self.flusher = None

    @contextmanager
    def running_billing(self) -> Iterator[Running]:
        """Has billing run meanwhile."""
        billing = creditgate(["billing"], self.settings, self.folder / "billing.log")
        try:
            billing.wait_ready()
            yield billing
        finally:
            billing.stop()


@contextmanager
def running_stack(ledger_url: str = "") -> Iterator[Stack]:
    """A stack in a folder of its own, with the product's default settings but for addresses; no
    flusher yet.
    """
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="cg-bench-")))
        settings = load_settings(
            data_dir=folder / "data",
            listen=f"127.0.0.1:{free_port()}",
            billing_listen=f"127.0.0.1:{free_port()}",
            metrics_listen="",
            ledger_url=ledger_url or f"sqlite:///{folder}/ledger.db",
            log_level="warning",
        )
        store = asyncio.run(open_store(settings))
        opened.callback(store.close)
        environment = store.child().environment or os.environ
        valkey = Running(list(store.argv), environment, folder / "valkey.log")
        opened.callback(valkey.stop)
        asyncio.run(store.wait_until_ready())
        settings = settings.model_copy(update={"redis_url": store.url})
        with closing(redis.Redis.from_url(store.url)) as client:
            client.config_set("auto-aof-rewrite-percentage", 0)  # whoever measures says when
        subprocess.run([*_CREDITGATE, "migrate"], env=environment_of(settings), check=True)
        gate = creditgate(["serve"], settings, folder / "gate.log")
        opened.callback(gate.stop)
        gate.wait_ready()
        stack = Stack(settings, folder, valkey, gate)
        opened.callback(lambda: stack.stop_flusher() if stack.flusher else None)
        yield stack


@contextmanager
def running_script(name: str, *words: str) -> Iterator[tuple[tuple[str, int], int]]:
    """One of the servers beside this file, on a port given as its first argument; its address and
    process id.
    """
    with tempfile.TemporaryDirectory(prefix="cg-bench-") as folder:
        port = free_port()
        server = Running(
            [sys.executable, str(HERE / name), str(port), *words],
            os.environ,
            Path(folder) / "server.log",
        )
        try:
            server.wait_ready()
            yield ("127.0.0.1", port), server.pid
        finally:
            server.stop()


_ports_given: set[int] = set()


def free_port() -> int:
    """Returns a loopback port that nobody listens on, and another one each time."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in _ports_given:
            _ports_given.add(port)
            return port


def environment_of(settings: Settings) -> dict[str, str]:
    """Our environment with these settings in place of its own."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(PREFIX)
    } | settings.environment()


def creditgate(words: list[str], settings: Settings, log: Path) -> Running:
    """A `creditgate` command with these settings."""
    return Running([*_CREDITGATE, *words], environment_of(settings), log)
