"""/metrics over HTTP: of one process, or of all children of the supervisor together."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from gate.address import Address
from gate.child import ChildEnd, StartupError


@contextmanager
def metrics_server(address: Address, registry: CollectorRegistry) -> Iterator[None]:
    """Serves the registry meanwhile, from a thread; StartupError if the address cannot be had."""
    try:
        server, thread = start_http_server(address.port, address.host, registry)
    except OSError as error:
        raise StartupError(f"cannot serve metrics on {address}: {error}") from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class ChildMetrics:
    """The sum of the children's metrics, which they write into files under `directory`, and a count of restarts."""

    def __init__(self, directory: Path) -> None:
        """Empties the directory: counters start at zero with the supervisor."""
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        self._directory = directory
        self.registry = CollectorRegistry()
        MultiProcessCollector(self.registry, path=str(directory))  # type: ignore[no-untyped-call]
        self._restarts = Counter(
            "creditgate_child_restarts_total", "Children that died, by name.", ["child"], registry=self.registry
        )

    @property
    def environment(self) -> dict[str, str]:
        """What makes a child write its metrics there."""
        return {"PROMETHEUS_MULTIPROC_DIR": str(self._directory)}

    def count_end(self, end: ChildEnd) -> None:
        """Forget the gauges of a process that is gone; its counters stay."""
        mark_process_dead(end.pid, str(self._directory))  # type: ignore[no-untyped-call]
        if end.died:
            self._restarts.labels(end.name).inc()
