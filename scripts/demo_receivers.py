"""What the demo's webhooks and mails are sent to: a receiver and a mail server on this machine."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.smtp import SMTP

_TOLD = 3  # two thresholds, and credits that ran out
_PATIENCE_S = 15.0
_POLL_S = 0.05


@dataclass
class Received:
    """Keeps what came, in words."""

    webhook_port: int = 0
    mail_port: int = 0
    webhooks: list[str] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)

    def show(self) -> None:
        """Prints what came; raises if nothing does."""
        _wait_until(lambda: min(len(self.webhooks), len(self.mails)) >= _TOLD)
        print("\n# What the webhook's receiver got:")
        print("\n".join(self.webhooks))
        print("\n# What the mail server got:")
        print("\n".join(self.mails), flush=True)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  as the server calls it
        message = BytesParser(policy=default).parsebytes(envelope.content)
        self.mails.append(f"to {message['To']}: {message['Subject']}")
        return "250 OK"


@contextmanager
def receivers() -> Iterator[Received]:
    """Runs both on free ports of this machine."""
    received = Received()
    with _webhook_receiver(received), _mail_server(received):
        yield received


@contextmanager
def _webhook_receiver(received: Received) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.webhooks.append(f"{body['type']} {json.dumps(body['data'])}")
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.webhook_port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _mail_server(received: Received) -> Iterator[None]:
    loop = asyncio.new_event_loop()
    starting = loop.create_server(lambda: SMTP(received, loop=loop), "127.0.0.1", 0)
    server = loop.run_until_complete(starting)
    received.mail_port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.close()


def _wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("no webhook or mail has come")
        time.sleep(_POLL_S)
