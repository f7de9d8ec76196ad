"""`creditgate up` refuses what would fail later, and says which setting to change."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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


def test_a_data_directory_that_cannot_be_made_is_told_with_its_setting(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for data_dir in (tmp_path / "file", tmp_path / "file/data"):
        assert up(load_settings(data_dir=data_dir, metrics_listen="")) == 1
        error = capfd.readouterr().err
        assert f"cannot use the data directory {data_dir}: " in error
        assert "choose another CREDITGATE_DATA_DIR" in error


def test_a_data_directory_of_another_user_is_told_with_both_users(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has directories of another user")
    for folder in (tmp_path, *tmp_path.parents):
        if "pytest-of-" in str(folder):
            folder.chmod(0o755)
    settings = load_settings(data_dir=tmp_path, metrics_listen="")
    with _as_user(65534):
        assert up(settings) == 1
    error = capfd.readouterr().err
    assert f"cannot use the data directory {tmp_path}: Permission denied" in error
    assert "it belongs to user 0, and this is user 65534" in error


@contextmanager
def _as_user(user: int) -> Iterator[None]:
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_full_disk_is_told_before_anything_starts(tmp_path: Path) -> None:
    mounted = f'mount -t tmpfs -o size=64k tmpfs {tmp_path} && exec "$@"'
    inside = ["unshare", "-rm", "sh", "-c", mounted, "sh"]
    if shutil.which("unshare") is None or subprocess.call([*inside, "true"]):
        pytest.skip("no filesystem can be mounted here")
    command = [*inside, sys.executable, "-m", "gate.cli", "up", "--data-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f"cannot use the data directory {tmp_path}: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
