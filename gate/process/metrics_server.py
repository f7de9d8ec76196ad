"""Serves the metrics of a registry over HTTP at /metrics."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app, start_http_server

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
    if not address.path:
        return start_http_server(address.port, address.host, registry)
    clear_socket(address)
    # typeshed knows servers on host and port only
    server = _UnixServer(address.path, _QuietHandler)  # type: ignore[arg-type]
    server.set_app(make_wsgi_app(registry))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    return server, thread


class _UnixServer(ThreadingMixIn, WSGIServer):
    address_family = socket.AF_UNIX
    daemon_threads = True

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's own looks for the host's name
        self.server_name = "localhost"
        self.server_port = 0
        self.setup_environ()

    def get_request(self) -> tuple[Any, Any]:
        request, _ = super().get_request()
        return request, ("unix", 0)


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Logs nothing: a scrape is no event."""
