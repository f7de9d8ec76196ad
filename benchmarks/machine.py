"""Tells the machine and the versions of a run, and how much of the machine others used."""

import os
import platform
import subprocess
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cpu import cpu_seconds
from histogram import Histogram

from gate.process.embedded_valkey import find_server

_PACKAGES = (
    "creditgate",
    "grpcio",
    "pygrpc-native",
    "protobuf",
    "uvloop",
    "hiredis",
    "redis",
    "sqlalchemy",
)
_SYNCS = 200
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def facts() -> dict[str, str]:
    """What to know of the machine, in words."""
    memory_kib = int(_after(Path("/proc/meminfo").read_text(), "MemTotal:").split()[0])
    return {
        "CPU": f"{os.cpu_count()} x {_after(Path('/proc/cpuinfo').read_text(), 'model name')}",
        "memory": f"{memory_kib / 2**20:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "store": subprocess.check_output([find_server(), "--version"], text=True).strip(),
        "packages": ", ".join(filter(None, map(_package, _PACKAGES))),
        "commit": _commit(),
        "temporary files": (
            f"{tempfile.gettempdir()}: fdatasync of 4 KiB takes {_sync_us():.0f} µs (p50)"
        ),
    }


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time that the whole machine, and this process with its children, have used so far."""

    at: float
    all_s: float
    ours_s: float

    @classmethod
    def now(cls) -> "Usage":
        user, nice, system, _idle, _iowait, irq, softirq, *_ = map(
            int, Path("/proc/stat").read_text().split()[1:11]
        )
        busy = user + nice + system + irq + softirq
        return cls(time.monotonic(), busy / _TICKS_PER_S, cpu_seconds(os.getpid()))

    def others_since(self, before: "Usage") -> float:
        """The share of the machine that everything else has used since: 0 when it was ours
        alone.
        """
        others_s = (self.all_s - before.all_s) - (self.ours_s - before.ours_s)
        return max(0.0, others_s / (self.at - before.at) / (os.cpu_count() or 1))


def _package(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    words = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=9",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "not under version control"


def _sync_us() -> float:
    latency = Histogram()
    with tempfile.TemporaryFile() as file:
        for _ in range(_SYNCS):
            file.write(bytes(4096))
            file.flush()
            began = time.perf_counter_ns()
            os.fdatasync(file.fileno())
            latency.record(time.perf_counter_ns() - began)
    return latency.percentile(50) / 1000


def _after(text: str, label: str) -> str:
    line = next((line for line in text.splitlines() if line.startswith(label)), label)
    return line[len(label) :].strip(" \t:")
