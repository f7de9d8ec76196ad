"""`make demo`: the main job, end to end, on a data directory of its own. Ends by itself; the exit status is 0 if all went well."""

import csv
import os
import random
import shlex
import socket
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

CREDITGATE = str(Path(sys.executable).parent / "creditgate")
ROWS = 400


def main() -> int:
    """Starts Creditgate, spends an account into its overage and its daily limit, shows the books, and stops."""
    with tempfile.TemporaryDirectory(prefix="creditgate-demo-") as folder:
        trace = Path(folder) / "trace.csv"
        write_trace(trace)
        environment = os.environ | {
            "CREDITGATE_DATA_DIR": f"{folder}/data",
            "CREDITGATE_LISTEN": f"127.0.0.1:{free_port()}",
            "CREDITGATE_METRICS_LISTEN": f"127.0.0.1:{free_port()}",
            "CREDITGATE_LOG_LEVEL": "warning",
        }
        print("$ creditgate up &")
        service = subprocess.Popen([CREDITGATE, "up"], env=environment, stdout=subprocess.PIPE, text=True)
        try:
            wait_until_ready(service)
            tour(environment, trace)
        finally:
            service.terminate()
            stopped = service.wait(60)
        print(f"$ kill %1   # drained and stopped, exit status {stopped}")
        return stopped


def tour(environment: dict[str, str], trace: Path) -> None:
    """The commands that a new user would type."""

    def run(comment: str, *words: str) -> None:
        print(f"\n# {comment}\n$ {shlex.join(['creditgate', *words]).replace(str(trace), 'trace.csv')}", flush=True)
        subprocess.run([CREDITGATE, *words], env=environment, check=True)

    run("An account that may go 5 credits below zero, and use 28 a day.",
        "account", "create", "acme", "--currency", "USD", "--overage", "5", "--daily-limit", "28")  # fmt: skip
    run("Credits to spend.", "grant", "acme", "25", "--description", "first top-up")
    run(f"A gateway at work: {ROWS} requests, each authorized on an estimate and debited as used. The credits run out, the overage"
        " protection carries on, then the daily limit ends it.",
        "replay", str(trace), "--account", "acme", "--model", "gpt-4o")  # fmt: skip
    run("What is left.", "balance", "acme")
    run("The newest lines of the balance history.", "entries", "acme", "--limit", "6")
    run("Usage by day.", "usage", "acme")
    run("The invoice. Its lines add up to the nano.", "invoice", "acme")
    run("The books, recomputed and compared with the gate.", "check")


def write_trace(path: Path) -> None:
    """A made-up trace of a coding assistant: long contexts, short answers."""
    dice = random.Random(2023)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["TIMESTAMP", "ContextTokens", "GeneratedTokens"])
        for _ in range(ROWS):
            moment += timedelta(seconds=dice.expovariate(2))
            stamp = f"{moment:%Y-%m-%d %H:%M:%S.%f}0"
            rows.writerow([stamp, dice.randint(5_000, 60_000), dice.randint(50, 900)])


def wait_until_ready(service: subprocess.Popen[str]) -> None:
    """Returns when the service says so; raises if it ends instead."""
    assert service.stdout is not None
    for line in service.stdout:
        print(line, end="", flush=True)
        if "ready" in line:
            return
    raise SystemExit(f"creditgate up ended with {service.wait()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
