"""A webhook receiver over real TLS, or without, that answers as a test says."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import trustme

Reply = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Request:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Keeps what came; `reply` may be replaced at any time."""

    port: int
    scheme: str
    trust: ssl.SSLContext
    reply: Reply
    requests: list[Request] = field(default_factory=list)
    most_at_once: int = 0

    def url(self, host: str = "localhost", path: str = "/hook") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"


def status(code: int, text: str = "", **headers: str) -> Reply:
    """Returns a reply of this status."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text.encode())

    return reply


def dripping(handler: BaseHTTPRequestHandler) -> None:
    """Sends a header line by line for as long as anybody listens."""
    handler.send_response(200)
    try:
        while True:
            handler.send_header("X-Slow", "x")
            handler.flush_headers()
            time.sleep(0.02)
    except OSError:
        handler.close_connection = True


def endless(handler: BaseHTTPRequestHandler) -> None:
    """Answers 200 with a body that does not end."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"x" * 8192)
    except OSError:
        handler.close_connection = True


@contextmanager
def receiver(host: str = "localhost", *, tls: bool = True) -> Iterator[Receiver]:
    """Runs a receiver on loopback, whose certificate is for the host."""
    authority = trustme.CA()
    client_trust = ssl.create_default_context()
    authority.configure_trust(client_trust)
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.daemon_threads = True
    scheme = "http"
    if tls:
        scheme = "https"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(host).configure_cert(context)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    found = Receiver(server.server_address[1], scheme, client_trust, status(204))
    server.RequestHandlerClass = _handler(found)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(found: Receiver) -> type[BaseHTTPRequestHandler]:
    lock = threading.Lock()
    at_once = 0

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            nonlocal at_once
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with lock:
                at_once += 1
                found.most_at_once = max(found.most_at_once, at_once)
                found.requests.append(Request(self.path, headers, body))
            found.reply(self)
            with lock:
                at_once -= 1

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    return Handler
