"""Runs real servers for the tests: a Valkey on a unix socket, ended by the test's process."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from gate.process.embedded_valkey import find_server

_OPTIONS = {
    "port": "0",
    "save": "",
    "appendonly": "no",
    "maxmemory-policy": "noeviction",
    "loglevel": "warning",
    "logfile": "valkey.log",
}


def wait_until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Returns once `condition` is true; AssertionError after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s in vain"
        time.sleep(0.005)


class ValkeyServer:
    """Runs a Valkey; `start` after `kill` brings the server back on the same socket.

    The server's options say what the server has kept.
    """

    def __init__(self, directory: Path, **options: str) -> None:
        self._directory = directory
        self._options = _OPTIONS | {
            name.replace("_", "-"): value for name, value in options.items()
        }
        self.socket = directory / "s"
        self.url = f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = {"dir": str(self._directory), "unixsocket": str(self.socket), **self._options}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen([find_server(), *words], stdout=subprocess.DEVNULL)
        wait_until(self._answers)

    @property
    def pid(self) -> int:
        assert self._process is not None, "start() comes first"
        return self._process.pid

    def kill(self) -> None:
        """Ends it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self) -> redis.Redis:
        """Returns a client that never sends anything twice."""
        return redis.Redis(unix_socket_path=str(self.socket), retry=Retry(NoBackoff(), 0))

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "Valkey has ended"
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False


@contextmanager
def valkey_server(**options: str) -> Iterator[ValkeyServer]:
    """Runs a server for a test that kills or misconfigures the server."""
    # Not pytest's tmp_path: the path of a socket must be short.
    directory = Path(tempfile.mkdtemp(prefix="cg-"))
    server = ValkeyServer(directory, **options)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(directory)
