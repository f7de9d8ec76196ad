"""Metrics are served on one address, of TCP or of a unix socket."""

import socket
import tempfile
import urllib.request
from pathlib import Path

import pytest

from gate.address import parse_address
from gate.process.child import StartupError
from gate.process.child_metrics import ChildMetrics
from gate.process.metrics_server import metrics_server


def test_metrics_are_served_on_a_unix_socket_too_which_a_dead_process_may_have_left_behind(
    tmp_path: Path,
) -> None:
    with tempfile.TemporaryDirectory(prefix="cg-") as folder:  # a socket's path must be short
        address = parse_address(f"unix:{folder}/metrics")
        with socket.socket(socket.AF_UNIX) as left_behind:
            left_behind.bind(address.path)
        registry = ChildMetrics(tmp_path / "metrics").registry
        with metrics_server(address, registry):
            with socket.socket(socket.AF_UNIX) as scraper:
                scraper.connect(address.path)
                scraper.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                reply = b"".join(iter(lambda: scraper.recv(65536), b""))
            assert b"200 OK" in reply
            assert b"creditgate_child_restarts_total" in reply
            with pytest.raises(StartupError, match="another process serves there"):
                metrics_server(address, registry).__enter__()
        assert not Path(address.path).exists()


def test_metrics_are_served_and_a_taken_address_is_an_error(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = parse_address(f"127.0.0.1:{free.getsockname()[1]}")
    registry = ChildMetrics(tmp_path / "metrics").registry
    with metrics_server(address, registry):
        with urllib.request.urlopen(address.http_url("/metrics")) as response:
            assert b"creditgate_child_restarts_total" in response.read()
        with pytest.raises(StartupError, match=f"cannot serve metrics on {address}"):
            metrics_server(address, registry).__enter__()
