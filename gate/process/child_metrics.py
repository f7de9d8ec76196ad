"""Adds up the metrics of all children of a supervisor, the dead ones included."""

import json
import shutil
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from gate.process.child import ChildEnd
from gate.process.metrics_files import MetricValue, TornFile, read_values

_GAUGE = "gauge"
_LIVE = "gauge_live"  # the value of a gauge of such a kind ends with its process

log = structlog.get_logger()


class ChildMetrics(Collector):
    """Adds up the children's metrics, and counts restarts.

    Children write metrics into files under `directory`, a file for each kind of metric. What a dead
    child has counted is kept in memory, and its files are removed.
    """

    def __init__(self, directory: Path) -> None:
        """Empties the directory, so that counters start at zero with the supervisor."""
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        self._directory = directory
        self._of_dead: dict[str, dict[str, MetricValue]] = {}
        self._restarts: Counter[str] = Counter()
        self._torn: set[Path] = set()
        self._reading = threading.Lock()  # a scrape has a thread of its own
        self.registry = CollectorRegistry()
        self.registry.register(self)

    @property
    def environment(self) -> dict[str, str]:
        """Returns the environment in which a child writes metrics into the directory."""
        return {"PROMETHEUS_MULTIPROC_DIR": str(self._directory)}

    def count_end(self, end: ChildEnd) -> None:
        """Forgets the gauges of a process that is gone; the counters stay."""
        with self._reading:
            for path in self._files(f"*_{end.pid}.db"):
                self._keep(path)
                path.unlink(missing_ok=True)
                self._torn.discard(path)
            if end.died:
                self._restarts[end.name] += 1

    def collect(self) -> Iterable[Metric]:
        metrics: dict[str, Metric] = {}
        with self._reading:
            for kind, of_kind in self._of_dead.items():
                _add(metrics, kind, "dead", of_kind)
            for path in self._files("*.db"):
                kind, process = _parts(path)
                _add(metrics, kind, process, self._read(path))
            restarts = self._count_restarts()
        added_up = MultiProcessCollector._accumulate_metrics
        yield from added_up(metrics, accumulate=True)  # type: ignore[no-untyped-call]
        yield restarts

    def describe(self) -> Iterable[Metric]:
        """Returns what is the supervisor's own; what the children count is theirs to describe."""
        return [self._count_restarts()]

    def _files(self, pattern: str) -> list[Path]:
        return sorted(self._directory.glob(pattern))

    def _read(self, path: Path) -> Mapping[str, MetricValue]:
        """Returns the values of a file; none of a file that cannot be read, which is logged."""
        try:
            return read_values(path)
        except TornFile as error:
            if path not in self._torn:
                log.warning(
                    "metrics_file_unreadable",
                    file=str(path),
                    error=str(error),
                )
            self._torn.add(path)
            return {}

    def _keep(self, path: Path) -> None:
        """Keeps the values of a dead process, but for the gauges that ended with the process."""
        kind, _ = _parts(path)
        if kind.startswith(_LIVE):
            return
        kept = self._of_dead.setdefault(kind, {})
        for key, found in self._read(path).items():
            kept[key] = _together(kind, found, kept.get(key))

    def _count_restarts(self) -> Metric:
        restarts = CounterMetricFamily(
            "creditgate_child_restarts",
            "Children that died, by name.",
            labels=["child"],
        )
        for child, count in self._restarts.items():
            restarts.add_metric([child], count)
        return restarts


def _parts(path: Path) -> tuple[str, str]:
    """Returns the kind of the metrics in a file, and the process."""
    kind, _, process = path.stem.rpartition("_")
    return kind, process


def _together(
    kind: str,
    found: MetricValue,
    kept: MetricValue | None,
) -> MetricValue:
    """Returns the sum of two values; of a gauge's, the newer one."""
    if kept is None:
        return found
    if kind.startswith(_GAUGE):
        return max(found, kept, key=lambda each: each.set_s)
    return MetricValue(found.value + kept.value, 0.0)


def _add(
    metrics: dict[str, Metric],
    kind: str,
    process: str,
    found: Mapping[str, MetricValue],
) -> None:
    """Adds the values of a process to the metrics."""
    type_name, _, mode = kind.partition("_")
    for key, (value, set_s) in found.items():
        metric_name, name, labels, help_text = json.loads(key)
        metric = metrics.setdefault(metric_name, Metric(metric_name, help_text, type_name))
        # As `_accumulate_metrics` of prometheus_client takes them.
        sample_labels = sorted(labels.items())
        if type_name == _GAUGE:
            metric._multiprocess_mode = mode  # type: ignore[attr-defined]
            sample_labels.append(("pid", process))
        metric.add_sample(name, tuple(sample_labels), value, set_s)  # type: ignore[arg-type]
