"""Serves the metrics of a registry over HTTP at /metrics."""

import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app

from gate.address import Address, clear_socket
from gate.process.child import StartupError


@contextmanager
def metrics_server(
    address: Address,
    registry: CollectorRegistry,
) -> Iterator[None]:
    """Serves the registry from a thread meanwhile; StartupError if the address cannot be had."""
    try:
        server, thread = _start(address, registry)
    except OSError as error:
        raise StartupError(f"cannot serve metrics on {address}: {error}") from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        if address.path:
            Path(address.path).unlink(missing_ok=True)


def _start(
    address: Address,
    registry: CollectorRegistry,
) -> tuple[WSGIServer, threading.Thread]:
    server: WSGIServer
    if address.path:
        clear_socket(address)
        # typeshed knows servers on host and port only
        server = _UnixServer(address.path, _QuietHandler)  # type: ignore[arg-type]
    else:
        server = _server_class(address)((address.host, address.port), _QuietHandler)
    server.set_app(_only_metrics(make_wsgi_app(registry)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    return server, thread


def _only_metrics(metrics: WSGIApplication) -> WSGIApplication:
    """Returns an application that has one page, and tells of any other that it is not found."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            return metrics(environ, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"not found; metrics are at /metrics\n"]

    return answer


def _server_class(address: Address) -> type["_TcpServer"]:
    family, *_ = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
    if family == socket.AF_INET6:
        return _Ipv6Server
    return _TcpServer


class _TcpServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's own looks for the host's name
        self.server_name = "localhost"
        self.server_port = 0
        self.setup_environ()


class _Ipv6Server(_TcpServer):
    address_family = socket.AF_INET6


class _UnixServer(_TcpServer):
    address_family = socket.AF_UNIX

    def get_request(self) -> tuple[Any, Any]:
        request, _ = super().get_request()
        return request, ("unix", 0)


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Logs nothing: a scrape is no event."""
