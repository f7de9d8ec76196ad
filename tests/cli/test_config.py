"""`creditgate config` and `--version`, and what wrong settings and price files end with."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from pydantic import SecretStr

from gate.process.running_notes import noted, with_running_store
from gate.settings import SettingsError, load_settings
from support.processes import run
from support.stack import Stack, free_port
from support.terminal import ONE_TRANSPORT, Creditgate

pytest_plugins = ("support.command_line",)
pytestmark = ONE_TRANSPORT

CREDITGATE = Path(sys.executable).parent / "creditgate"


def test_the_version_is_that_of_the_package(creditgate: Creditgate) -> None:
    assert creditgate("--version").out == f"creditgate {version('creditgate')}\n"


def test_the_settings_are_shown_with_secrets_masked(
    creditgate: Creditgate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDITGATE_DATA_DIR", str(tmp_path))  # where nothing runs
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


def test_what_is_in_force_in_running_processes_is_shown_with_their_own_options(
    creditgate: Creditgate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDITGATE_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("CREDITGATE_VOUCHER_KEY")
    key = SecretStr("of `creditgate up` alone, nobody else's")
    embedded = load_settings(redis_url="unix:///s", listen="127.0.0.1:7", voucher_key=key)
    with noted("up", embedded):
        done = creditgate("config")
        assert with_running_store(load_settings(redis_url="embedded")).redis_url == "unix:///s"
    assert f"`creditgate up` (process {os.getpid()})" in " ".join(done.out.split())
    _, in_force = done.out.split("In force in")
    assert "alone" not in in_force
    rows = [line.split() for line in in_force.splitlines() if "CREDITGATE_" in line]
    assert {name: value for name, value, *_ in rows} == {
        "CREDITGATE_LISTEN": "127.0.0.1:7",
        "CREDITGATE_REDIS_URL": "unix:///s",
        "CREDITGATE_VOUCHER_KEY": "***",
    }

    left = tmp_path / "running" / "serve-1.json"
    left.write_text("of a process that was killed")
    assert "In force in" not in creditgate("config").out
    with pytest.raises(SettingsError, match=f"no `creditgate up` runs on {tmp_path}"):
        with_running_store(load_settings(redis_url="embedded"))


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
    done = run(["serve", "--listen", f"127.0.0.1:{free_port()}"], environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"creditgate: {prices}: models: ")
    assert done.stderr.count("\n") == 1


def test_the_voucher_key_that_up_has_made_is_told_and_not_shown(
    creditgate: Creditgate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CREDITGATE_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("CREDITGATE_VOUCHER_KEY", raising=False)
    (tmp_path / "voucher.key").write_text("sesame" * 8)
    done = creditgate("config")
    [row] = [line for line in done.lines if line.startswith("CREDITGATE_VOUCHER_KEY")]
    assert f"*** (for `up`, from {tmp_path}/voucher.key)" in row
    assert "sesame" not in done.out


def test_a_redis_that_cannot_be_used_is_named_with_its_setting(stack: Stack) -> None:
    away = f"redis://:sesame@127.0.0.1:{free_port()}/0"
    wrong_password = (
        f"{stack.environment()['CREDITGATE_REDIS_URL']}?username=nobody&password=sesame"
    )
    for command, url in (("serve", away), ("flush", wrong_password), ("adopt", away)):
        done = _run(stack, url, command)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        shown = url.replace("sesame", "***")
        assert f"no Redis can be used at {shown} (CREDITGATE_REDIS_URL): " in done.stderr


def test_a_flusher_whose_redis_is_away_ends_with_a_line_when_told_to(stack: Stack) -> None:
    environment = _environment(stack, f"redis://127.0.0.1:{free_port()}/0")
    with subprocess.Popen(
        [CREDITGATE, "flush"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as flusher:
        assert flusher.stdout is not None
        assert flusher.stdout.readline() == "creditgate flusher ready\n"
        flusher.terminate()
        _, err = flusher.communicate(timeout=30)
    assert flusher.returncode == 1
    assert "Traceback" not in err
    assert "no Redis can be used at redis://127.0.0.1" in err.splitlines()[-1]


def _run(stack: Stack, url: str, *words: str) -> subprocess.CompletedProcess[str]:
    return run(words, _environment(stack, url))


def _environment(stack: Stack, url: str) -> dict[str, str]:
    target = f"127.0.0.1:{free_port()}"
    return stack.environment(target) | {
        "CREDITGATE_REDIS_URL": url,
        "CREDITGATE_LOG_LEVEL": "error",
        "CREDITGATE_METRICS_LISTEN": "",
    }
