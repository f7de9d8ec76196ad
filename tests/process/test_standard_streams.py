"""No process ends because a line of its log cannot be written."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from support.servers import wait_until
from support.stack import Client, Stack, running_stack

_SERVING = 1
_SERVE = ("bash", sys.executable, "-m", "gate.cli", "serve")
FULL = Path("/dev/full")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack(gates=1) as stack:
        yield stack


@pytest.fixture
def unread() -> Iterator[int]:
    """Opens a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize(
    "streams", ["2>&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full", ">&{unread} 2>&{unread}"]
)
def test_a_gate_serves_though_its_log_can_be_written_nowhere(
    stack: Stack, unread: int, streams: str
) -> None:
    if "/dev/full" in streams and not FULL.exists():
        pytest.skip("there is no /dev/full")
    with tempfile.TemporaryDirectory(prefix="cg-") as folder:
        target = f"unix:{folder}/gate"
        gate = subprocess.Popen(
            ["bash", "-c", f'exec "$@" {streams.format(unread=unread)}', *_SERVE],
            env=stack.environment(target) | {"CREDITGATE_LOG_LEVEL": "debug"},
            pass_fds=[unread],
        )
        with closing(Client(target)) as client:
            wait_until(lambda: _serves(client, gate), 60)
            with stack.valkey.client() as redis:  # the gate logs that its connections are lost
                redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            wait_until(lambda: _serves(client, gate), 60)
        gate.terminate()
        assert gate.wait(60) == 0


def _serves(client: Client, gate: "subprocess.Popen[bytes]") -> bool:
    assert gate.poll() is None
    try:
        return client.health("gate.v1.Gate") == _SERVING
    except grpc.RpcError:
        return False


def test_no_file_gets_the_number_of_a_closed_stream() -> None:
    program = (
        "from gate.process.standard_streams import secure_standard_streams as secure;"
        "secure(); print(open('/dev/null').fileno() > 2)"
    )
    line = 'exec "$0" -c "$1" <&- 2>&-'
    printed = subprocess.check_output(["sh", "-c", line, sys.executable, program], text=True)
    assert printed == "True\n"


def test_a_command_whose_output_cannot_be_written_fails() -> None:
    if not FULL.exists():
        pytest.skip("there is no /dev/full")
    with FULL.open("w") as full:
        command = [sys.executable, "-m", "gate.cli", "config"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode != 0
    assert "No space left on device" in done.stderr
