"""What can go wrong, one method for each: a fault comes, lasts a moment, and goes."""

import os
import random
import resource
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
import redis
from sqlalchemy.engine import make_url

from gate.store.keys import expiries_key
from support.servers import wait_until
from support.stack import Process, Stack
from support.tcp_proxy import TcpProxy

_SHORT_S = (0.05, 0.5)
_LONG_S = (0.2, 2.0)
_NOBODY = "nobody a-hold-that-never-was"


class Faults:
    """Damages one stack. `redis_proxy` and `ledger_proxy` are what its processes go through."""

    def __init__(
        self,
        stack: Stack,
        random_values: random.Random,
        redis_proxy: TcpProxy | None = None,
        ledger_proxy: TcpProxy | None = None,
    ) -> None:
        self._stack = stack
        self._random = random_values
        self._redis_proxy = redis_proxy
        self._ledger_proxy = ledger_proxy

    # Ends and stops of processes

    def kill_gate(self) -> None:
        _kill_and_start(self._some(self._stack.gates))

    def kill_flusher(self) -> None:
        _kill_and_start(self._some(self._stack.flushers))

    def kill_billing(self) -> None:
        _kill_and_start(self._some(self._stack.billings))

    def kill_valkey(self) -> None:
        self._stack.valkey.kill()
        self._stack.valkey.start()

    def stop_gate(self) -> None:
        self._stop(self._random.choice(self._stack.gates).pid)

    def stop_flusher(self) -> None:
        self._stop(self._random.choice(self._stack.flushers).pid)

    def stop_valkey(self) -> None:
        self._stop(self._stack.valkey.pid)

    # The store

    def kill_valkey_in_rewrite(self) -> None:
        self._ask("BGREWRITEAOF")
        self.kill_valkey()

    def fill_disk_of_valkey(self) -> None:
        """No file of Valkey may grow: it ends rather than acknowledge what it cannot keep."""
        pid = self._stack.valkey.pid
        folder = self._stack.valkey.socket.parent
        largest = max(path.stat().st_size for path in folder.rglob("*.aof"))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
        self._pause(_LONG_S)
        self.kill_valkey()

    def flush_functions(self) -> None:
        for _ in range(10):
            self._ask("FUNCTION", "FLUSH")
            self._pause(_SHORT_S)

    def end_connections_of_valkey(self) -> None:
        self._ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def pause_valkey(self) -> None:
        self._ask("CLIENT", "PAUSE", str(self._random.randint(200, 2000)))

    def run_valkey_out_of_memory(self) -> None:
        self._ask("CONFIG", "SET", "maxmemory", "1")
        self._pause(_LONG_S)
        self._ask("CONFIG", "SET", "maxmemory", "0")

    def leave_a_bad_record(self) -> None:
        """A hold that has long expired, of an account that there is not, before all others."""
        key = expiries_key(0)
        self._ask("ZADD", key, "1", _NOBODY)
        self._pause(_LONG_S)
        self._ask("ZREM", key, _NOBODY)

    # The network

    def forget_connections_of_valkey(self) -> None:
        """What is open now says nothing more, and never ends."""
        self._through_redis().freeze()

    def cut_connections_of_valkey(self) -> None:
        for _ in range(10):
            self._through_redis().cut()
            self._pause(_SHORT_S)

    def slow_valkey_down(self) -> None:
        proxy = self._through_redis()
        proxy.delay_s = self._random.uniform(0.02, 0.3)
        self._pause(_LONG_S)
        proxy.delay_s = 0.0

    # The ledger: SQLite

    def lock_sqlite(self) -> None:
        with closing(sqlite3.connect(self._ledger_file, timeout=30)) as stranger:
            stranger.execute("BEGIN IMMEDIATE")
            self._pause(_LONG_S)
            stranger.rollback()

    def fill_disk_of_sqlite(self) -> None:
        """No file of the processes may grow beyond what the ledger has."""
        processes = (*self._stack.gates, *self._stack.flushers, *self._stack.billings)
        largest = max(path.stat().st_size for path in self._ledger_file.parent.glob("ledger.db*"))
        for process in processes:
            _limit(process.pid, largest)
        self._pause(_LONG_S)
        for process in processes:
            _limit(process.pid, resource.RLIM_INFINITY)

    # The ledger: PostgreSQL

    def end_sessions_of_postgresql(self) -> None:
        with self._postgresql() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    def kill_a_backend_of_postgresql(self) -> None:
        """All sessions end, and the server recovers as after a crash."""
        with suppress(psycopg.Error), self._postgresql() as connection:
            connection.execute("SET statement_timeout = '5s'")
            os.kill(connection.info.backend_pid, signal.SIGKILL)
            connection.execute("SELECT 1")
        wait_until(self._postgresql_answers, 60)

    def lose_answers_of_commits(self) -> None:
        assert self._ledger_proxy is not None
        for _ in range(5):
            self._ledger_proxy.lose_answer_to(b"COMMIT")
            self._pause(_SHORT_S)

    def _some(self, processes: list[Process]) -> Sequence[Process]:
        """One of them, or now and then all."""
        if self._random.random() < 0.2:
            return processes
        return [self._random.choice(processes)]

    def _stop(self, pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        self._pause(_LONG_S)
        os.kill(pid, signal.SIGCONT)

    def _pause(self, bounds_s: tuple[float, float]) -> None:
        time.sleep(self._random.uniform(*bounds_s))

    def _ask(self, *words: str) -> None:
        """Asks Valkey itself, not through a proxy."""
        with self._stack.valkey.client() as client, suppress(redis.ConnectionError):
            client.execute_command(*words)

    def _through_redis(self) -> TcpProxy:
        assert self._redis_proxy is not None
        return self._redis_proxy

    @property
    def _ledger_file(self) -> Path:
        return Path(self._stack.ledger_url.removeprefix("sqlite:///"))

    @contextmanager
    def _postgresql(self) -> Iterator[psycopg.Connection]:
        url = make_url(self._stack.ledger_url).set(drivername="postgresql")
        text = url.render_as_string(hide_password=False)
        with psycopg.connect(text, autocommit=True) as connection:
            yield connection

    def _postgresql_answers(self) -> bool:
        with suppress(psycopg.Error), self._postgresql() as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
        return False


Fault = Callable[[Faults], None]

OF_ANY_LEDGER: tuple[Fault, ...] = (
    Faults.kill_gate,
    Faults.kill_flusher,
    Faults.kill_billing,
    Faults.kill_valkey,
    Faults.stop_gate,
    Faults.stop_flusher,
    Faults.stop_valkey,
    Faults.kill_valkey_in_rewrite,
    Faults.fill_disk_of_valkey,
    Faults.flush_functions,
    Faults.end_connections_of_valkey,
    Faults.pause_valkey,
    Faults.run_valkey_out_of_memory,
    Faults.leave_a_bad_record,
    Faults.forget_connections_of_valkey,
    Faults.cut_connections_of_valkey,
    Faults.slow_valkey_down,
)
OF_SQLITE: tuple[Fault, ...] = (Faults.lock_sqlite, Faults.fill_disk_of_sqlite)
OF_POSTGRESQL: tuple[Fault, ...] = (
    Faults.end_sessions_of_postgresql,
    Faults.kill_a_backend_of_postgresql,
    Faults.lose_answers_of_commits,
)


def _kill_and_start(processes: Sequence[Process]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.start()


def _limit(pid: int, size: int) -> None:
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
