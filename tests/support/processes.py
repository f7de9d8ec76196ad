"""Starts `creditgate WORDS` as a process of its own.

Where it can, it forks a launcher that has imported the product already: the same code runs in the
same way, a second of imports sooner. macOS's libraries do not bear a fork without an exec, and
another PYTHONPATH may find another product; there the command is started anew.
"""

import atexit
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Protocol

from support import launched_command

COMMAND = [sys.executable, "-m", "gate.cli"]
_PYTHONPATH = os.environ.get("PYTHONPATH")
_LAUNCHER = Path(__file__).with_name("launcher.py")


class Running(Protocol):
    """Is what a test may do with a process: a part of subprocess.Popen."""

    pid: int

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def kill(self) -> None: ...


class _Launched:
    """Is a process that the launcher has forked; ends are told over the connection."""

    def __init__(self, connection: socket.socket, words: Sequence[str]) -> None:
        self._connection = connection
        self._answers = connection.makefile("rb")
        self._words = words
        self._status: int | None = None
        self.pid = int(self._answers.readline())

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        if self._status is None:
            self._status = self._read_status(timeout)
            self._answers.close()
            self._connection.close()
        return self._status

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _read_status(self, timeout: float | None) -> int:
        self._connection.settimeout(timeout)
        try:
            return int(self._connection.recv(16))
        except (TimeoutError, BlockingIOError):
            raise subprocess.TimeoutExpired(list(self._words), timeout or 0) from None


def start(
    words: Sequence[str],
    environment: Mapping[str, str],
    stdout: IO[bytes],
    stderr: IO[bytes],
) -> Running:
    """Starts `creditgate WORDS` in this process's folder, with nothing to read."""
    if sys.platform == "darwin" or environment.get("PYTHONPATH") != _PYTHONPATH:
        return subprocess.Popen(
            [*COMMAND, *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
    with Path(os.devnull).open("rb") as nothing:
        streams = [nothing.fileno(), stdout.fileno(), stderr.fileno()]
        connection = launched_command.request(_launcher(), words, environment, streams)
    return _Launched(connection, words)


def run(
    words: Sequence[str], environment: Mapping[str, str], timeout_s: float = 60
) -> subprocess.CompletedProcess[str]:
    """Runs `creditgate WORDS` to its end, and returns what it printed."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = start(words, environment, stdout, stderr)
        try:
            status = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess(list(words), status, _text(stdout), _text(stderr))


def install_command(folder: Path) -> None:
    """Puts a `creditgate` into the folder, for shells whose PATH begins with the folder."""
    command = [*COMMAND]
    if sys.platform != "darwin":
        command = [sys.executable, "-I", "-S", launched_command.__file__, _launcher()]
    script = folder / "creditgate"
    script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    script.chmod(0o755)


def _text(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read().decode()


@cache
def _launcher() -> str:
    """Starts this test process's launcher, which ends with it, and returns the launcher's socket."""
    folder = tempfile.mkdtemp(prefix="creditgate-")
    path = Path(folder) / "launcher"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(128)
        process = subprocess.Popen(
            [sys.executable, "-P", str(_LAUNCHER), str(listener.fileno())],
            stdin=subprocess.PIPE,  # its end tells the launcher that this process has ended
            pass_fds=[listener.fileno()],
        )
    atexit.register(_end, process, path)
    return str(path)


def _end(process: "subprocess.Popen[bytes]", path: Path) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.wait()
    path.unlink()
    path.parent.rmdir()
