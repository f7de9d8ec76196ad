"""`creditgate up` refuses what would fail later, and says which setting to change."""

import socket
from pathlib import Path

import pytest

from gate.process.data_dir import DataDirLock
from gate.process.up import up
from gate.settings import load_settings


def test_a_second_up_on_the_same_data_directory_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lock = DataDirLock(tmp_path / "up.lock")
    assert lock.acquire()
    lock.note("4711")
    assert up(load_settings(data_dir=tmp_path, metrics_listen="")) == 1
    lock.close()
    output = capfd.readouterr()
    assert f"`creditgate up` already runs on {tmp_path} (process 4711)" in output.err
    assert "CREDITGATE_DATA_DIR" in output.err
    assert output.out == ""


def test_an_address_that_somebody_else_has_is_told_before_anything_starts(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        assert up(load_settings(data_dir=tmp_path, metrics_listen="", listen=listen)) == 1
    error = capfd.readouterr().err
    assert (
        f"cannot listen on {listen}: Address already in use; choose another CREDITGATE_LISTEN"
        in error
    )
    assert "child" not in error


def test_billings_address_is_told_with_its_setting(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in (free, other)]
        free.close()
        settings = load_settings(
            data_dir=tmp_path,
            metrics_listen="",
            listen=addresses[0],
            billing_listen=addresses[1],
        )
        assert up(settings) == 1
    error = capfd.readouterr().err
    assert f"cannot listen on {addresses[1]}: Address already in use" in error
    assert "choose another CREDITGATE_BILLING_LISTEN" in error


def test_up_waits_for_the_children_of_an_earlier_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lock = DataDirLock(tmp_path / "children.lock")
    assert lock.acquire()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gate.process.up.GRACE_S", 0.1)
        assert up(load_settings(data_dir=tmp_path, metrics_listen="", drain_timeout_ms=0)) == 1
    lock.close()
    assert "of an earlier run" in capfd.readouterr().err
