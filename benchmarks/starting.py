"""How long `creditgate up` takes from nothing to its first call."""

import tempfile
import time
from pathlib import Path

from cpu import cpu_seconds
from processes import creditgate, free_port

from gate.settings import load_settings


def start_up() -> dict[str, float]:
    """Until it says that it is ready, and the CPU time of all its processes; on an empty directory,
    and on what that has left.
    """
    with tempfile.TemporaryDirectory(prefix="cg-bench-") as folder:
        return _start(Path(folder), "first") | _start(Path(folder), "second")


def _start(folder: Path, name: str) -> dict[str, float]:
    settings = load_settings(
        data_dir=folder / "data",
        listen=f"127.0.0.1:{free_port()}",
        billing_listen=f"127.0.0.1:{free_port()}",
        metrics_listen="",
    )
    began = time.perf_counter()
    process = creditgate(["up"], settings, folder / "up.log")
    try:
        process.wait_ready()
        return {f"{name}_s": time.perf_counter() - began, f"{name}_cpu_s": cpu_seconds(process.pid)}
    finally:
        process.stop()
