"""A real mail server on loopback, which answers as a test says."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from support.stack import free_port

USER = "creditgate"
PASSWORD = "p@ss:word/1"
ACCEPTED = "250 OK"


@dataclass
class MailServer:
    """Keeps what came; `replies` are given one by one, then all is accepted."""

    port: int
    trust: ssl.SSLContext
    received: list[EmailMessage] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)

    async def handle_RCPT(  # noqa: N802  as the server calls it
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address in self.refused:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return ACCEPTED

    async def handle_DATA(  # noqa: N802  as the server calls it
        self, _server: Any, _session: Any, envelope: Any
    ) -> str:
        reply = self.replies.pop(0) if self.replies else ACCEPTED
        if reply == ACCEPTED:
            message = BytesParser(policy=default).parsebytes(envelope.content)
            assert isinstance(message, EmailMessage)
            self.received.append(message)
        return reply

    def authenticate(
        self, _server: Any, _session: Any, _envelope: Any, _how: str, data: Any
    ) -> Any:
        is_right = data == LoginPassword(USER.encode(), PASSWORD.encode())
        return AuthResult(success=is_right, handled=False)


@contextmanager
def mail_server(*, starttls: bool = False) -> Iterator[MailServer]:
    """Runs a mail server; with `starttls` it takes nothing without TLS and a login."""
    authority = trustme.CA()
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    server = MailServer(free_port(), trust)
    options: dict[str, Any] = {}
    if starttls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        options = {
            "tls_context": context,
            "require_starttls": True,
            "authenticator": server.authenticate,
            "auth_required": True,
        }
    controller = Controller(server, "127.0.0.1", server.port, **options)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()
