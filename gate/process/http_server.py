"""Serves a WSGI application over HTTP, from threads."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import WSGIApplication

from gate.address import Address, clear_socket
from gate.process.child import StartupError

_TIMEOUT_S = 20.0  # a client that sends nothing keeps no thread longer


@contextmanager
def http_server(
    address: Address,
    application: WSGIApplication,
    what: str,
) -> Iterator[None]:
    """Serves the application meanwhile; StartupError if the address cannot be had.

    `what` is what the error says cannot be served.
    """
    try:
        server, thread = _start(address, application)
    except OSError as error:
        raise StartupError(f"cannot serve {what} on {address}: {error}") from None
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
    application: WSGIApplication,
) -> tuple[WSGIServer, threading.Thread]:
    server: WSGIServer
    if address.path:
        clear_socket(address)
        # typeshed knows servers on host and port only
        server = _UnixServer(address.path, _QuietHandler)  # type: ignore[arg-type]
    else:
        server = _server_class(address)((address.host, address.port), _QuietHandler)
    server.set_app(application)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    return server, thread


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
    timeout = _TIMEOUT_S

    def log_message(self, *_: object) -> None:
        """Logs nothing: a request is no event."""
