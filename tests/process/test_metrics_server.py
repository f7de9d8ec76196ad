"""Metrics are served on one address, of TCP or of a unix socket."""

import socket
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from gate.address import Address, parse_address
from gate.process.child import StartupError
from gate.process.child_metrics import ChildMetrics
from gate.process.metrics_server import metrics_server


def free_listen(host: str) -> Address:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as free:
        free.bind((host, 0))
        return Address(host=host, port=free.getsockname()[1])


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
    address = free_listen("127.0.0.1")
    registry = ChildMetrics(tmp_path / "metrics").registry
    with metrics_server(address, registry):
        with urllib.request.urlopen(address.http_url("/metrics")) as response:
            assert b"creditgate_child_restarts_total" in response.read()
        with pytest.raises(StartupError, match=f"cannot serve metrics on {address}"):
            metrics_server(address, registry).__enter__()


@pytest.mark.parametrize("path", ["/", "/health", "/metrics/", "/metricsx", "/favicon.ico"])
def test_any_other_path_is_not_found(tmp_path: Path, path: str) -> None:
    address = free_listen("127.0.0.1")
    with metrics_server(address, ChildMetrics(tmp_path / "metrics").registry):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(address.http_url(path))
        caught.value.close()
    assert caught.value.code == 404


def test_metrics_are_served_over_ipv6_and_whatever_the_question(tmp_path: Path) -> None:
    address = free_listen("::1")
    with (
        metrics_server(address, ChildMetrics(tmp_path / "metrics").registry),
        urllib.request.urlopen(address.http_url("/metrics?name[]=x")) as response,
    ):
        assert response.status == 200
