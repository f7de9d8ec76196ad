"""The metrics of all children are added up, and no file of metrics harms a child or a reader."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from gate.process.child import ChildEnd
from gate.process.child_metrics import ChildMetrics
from gate.process.metrics_files import ValuesFile
from support.servers import wait_until

_COUNT = """
import sys
from prometheus_client import Counter, Gauge, Histogram
from gate.process.metrics_files import written_metrics

with written_metrics():
    calls = Counter("calls", "Calls.", ["method"])
    Gauge("open_calls", "Open calls.", multiprocess_mode="livesum").set(1)
    Gauge("lag", "Lag.", multiprocess_mode="mostrecent").set(7)
    Histogram("seconds", "Time.", buckets=[1]).observe(0.5)
    for line in sys.stdin:
        for number in range(int(line)):
            calls.labels(f"{'method' * 20} {number}").inc(2)
        print("counted", flush=True)
"""

# Metrics are lost while the disk is full, and written again afterwards.
_FILL_THE_DISK = """
import os
import time
from pathlib import Path
from prometheus_client import Counter
from gate.process.metrics_files import read_values, written_metrics

directory = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])

def written():
    found = [read_values(path) for path in directory.glob("counter_*.db")]
    return sum(each.value for values in found for each in values.values())

def wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)

with written_metrics():
    calls = Counter("calls", "Calls.", ["method"])
    calls.labels("first").inc()
    wait_until(lambda: written() == 1)
    with open(directory / "filler", "wb", buffering=0) as filler:
        while os.statvfs(directory).f_bfree:
            filler.write(bytes(4096))
    for number in range(500):
        calls.labels(str(number)).inc()
        time.sleep(0.001)
    assert written() == 1
    (directory / "filler").unlink()
    wait_until(lambda: written() == 501)
"""


@contextmanager
def _child(metrics: ChildMetrics) -> Iterator["subprocess.Popen[str]"]:
    """Runs a child that counts twice by as many labels as it is told."""
    child = subprocess.Popen(
        [sys.executable, "-c", _COUNT],
        env={**os.environ, **metrics.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def _tell(child: "subprocess.Popen[str]", labels: int) -> None:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(f"{labels}\n")
    child.stdin.flush()
    assert child.stdout.readline() == "counted\n"


def _exposed(metrics: ChildMetrics) -> list[str]:
    return generate_latest(metrics.registry).decode().splitlines()


def _calls(metrics: ChildMetrics) -> float:
    samples = [line for line in _exposed(metrics) if line.startswith("calls_total")]
    return sum(float(line.rpartition(" ")[2]) for line in samples)


def test_metrics_add_up_those_of_all_children_the_dead_ones_included(tmp_path: Path) -> None:
    metrics = ChildMetrics(tmp_path / "metrics")
    with _child(metrics) as one, _child(metrics) as other:
        for child in (one, other):
            _tell(child, 1)
            child.communicate()
            assert child.returncode == 0
        for _ in range(2):  # the second time, with one child dead
            exposed = _exposed(metrics)
            assert _calls(metrics) == 4
            assert "seconds_count 2.0" in exposed
            assert 'seconds_bucket{le="1.0"} 2.0' in exposed
            assert "lag 7.0" in exposed
            metrics.count_end(ChildEnd("gate", one.pid, died=True))
    assert "open_calls 1.0" in exposed
    assert 'creditgate_child_restarts_total{child="gate"} 1.0' in exposed
    assert not list((tmp_path / "metrics").glob(f"*_{one.pid}.db"))


def test_a_gauge_of_the_most_recent_value_goes_on_after_a_death(tmp_path: Path) -> None:
    metrics = ChildMetrics(tmp_path / "metrics")
    key = '["lag", "lag", {}, "Lag."]'
    for process, value, set_s in ((1, 5.0, 100.0), (2, 3.0, 200.0)):
        file = ValuesFile(str(tmp_path / f"metrics/gauge_mostrecent_{process}.db"))
        file.write_value(key, value, set_s)
        file.save()
    metrics.count_end(ChildEnd("flusher", 2, died=True))
    assert "lag 3.0" in _exposed(metrics)
    metrics.count_end(ChildEnd("flusher", 1, died=True))
    assert "lag 3.0" in _exposed(metrics)


def test_a_child_outlives_the_cutting_of_its_files(tmp_path: Path) -> None:
    metrics = ChildMetrics(tmp_path / "metrics")
    with _child(metrics) as child:
        _tell(child, 2)
        wait_until(lambda: _calls(metrics) == 4)
        for path in (tmp_path / "metrics").iterdir():
            os.truncate(path, 0)
        _tell(child, 3)
        wait_until(lambda: _calls(metrics) == 10)
        assert child.poll() is None


def test_a_process_outlives_a_full_disk_and_its_metrics_come_back(tmp_path: Path) -> None:
    mounted = f'mount -t tmpfs -o size=256k tmpfs {tmp_path} && exec "$@"'
    inside = ["unshare", "-rm", "sh", "-c", mounted, "sh"]
    if shutil.which("unshare") is None or subprocess.call([*inside, "true"]):
        pytest.skip("no filesystem can be mounted here")
    done = subprocess.run(
        [*inside, sys.executable, "-c", _FILL_THE_DISK],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_a_torn_file_hides_no_others_and_is_logged_once(tmp_path: Path) -> None:
    metrics = ChildMetrics(tmp_path / "metrics")
    whole = ValuesFile(str(tmp_path / "metrics/counter_1.db"))
    whole.write_value('["calls", "calls_total", {}, "Calls."]', 5.0, 0.0)
    whole.save()
    content = (tmp_path / "metrics/counter_1.db").read_bytes()
    for number, torn in enumerate(_torn_forms(content), start=2):
        (tmp_path / f"metrics/counter_{number}.db").write_bytes(torn)
    with capture_logs() as logs:
        for _ in range(2):
            assert _calls(metrics) == 5
    assert len(logs) == len(_torn_forms(content))
    assert {each["event"] for each in logs} == {"metrics_file_unreadable"}
    metrics.count_end(ChildEnd("gate", 2, died=True))
    assert not (tmp_path / "metrics/counter_2.db").exists()
    assert _calls(metrics) == 5


def _torn_forms(content: bytes) -> list[bytes]:
    return [
        b"",
        content[:6],
        content[:20],
        content[:-1],
        content[:12].ljust(len(content), b"x"),
        content[:8] + b"\xff" * (len(content) - 8),  # a length below zero
    ]


def test_a_file_of_zeros_is_a_file_without_metrics(tmp_path: Path) -> None:
    metrics = ChildMetrics(tmp_path / "metrics")
    (tmp_path / "metrics/counter_1.db").write_bytes(bytes(65536))
    with capture_logs() as logs:
        assert _calls(metrics) == 0
    assert not logs
