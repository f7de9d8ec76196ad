"""`creditgate config` and `--version`, and what wrong settings and price files end with."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from support.stack import Stack, free_port
from support.terminal import ONE_TRANSPORT, Creditgate

pytest_plugins = ("support.command_line",)
pytestmark = ONE_TRANSPORT


def test_the_version_is_that_of_the_package(creditgate: Creditgate) -> None:
    assert creditgate("--version").out == f"creditgate {version('creditgate')}\n"


def test_the_settings_are_shown_with_secrets_masked(
    creditgate: Creditgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDITGATE_REDIS_URL", "redis://gate:sesame@redis.example:6379/1")
    monkeypatch.setenv(
        "CREDITGATE_LEDGER_URL", "postgresql://gate:sesame@db.example/creditgate?sslpassword=sesame"
    )
    done = creditgate("config")
    assert done.status == 0
    assert "sesame" not in done.out
    assert "redis://gate:***@redis.example:6379/1" in done.words
    names = [row[0] for row in done.rows]
    assert "CREDITGATE_LISTEN" in names
    assert all(name.startswith("CREDITGATE_") for name in names), "a line for each"


def test_wrong_settings_are_told_by_name(
    creditgate: Creditgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDITGATE_SHARDS", "0")
    monkeypatch.setenv("CREDITGATE_LISTEN", "nowhere")
    for command in ("config", "serve", "flush", "billing", "migrate"):
        done = creditgate(command)
        assert done.status == 1
        assert "CREDITGATE_SHARDS" in done.err
        assert "CREDITGATE_LISTEN" in done.err


def test_a_wrong_price_file_ends_the_gate_before_it_serves(stack: Stack, tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("models: {}")
    environment = stack.environment() | {
        "CREDITGATE_PRICES_FILE": str(prices),
        "CREDITGATE_LOG_LEVEL": "error",
    }
    creditgate = Path(sys.executable).parent / "creditgate"
    done = subprocess.run(
        [creditgate, "serve", "--listen", f"127.0.0.1:{free_port()}"],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"creditgate: {prices}: models: ")
    assert done.stderr.count("\n") == 1
