"""Reads the URL of a mail server."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Names a mail server, and how to speak to the server."""

    scheme: str  # smtp, smtp+starttls or smtps
    host: str
    port: int
    user: str = ""
    password: str = ""

    @classmethod
    def of(cls, url: str) -> Self:
        """Reads `smtp+starttls://user:password@host:587`; ValueError says how to write one."""
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/"):
            raise ValueError(
                "write smtp+starttls://USER:PASSWORD@HOST:587, smtps://HOST, or smtp://127.0.0.1:25"
            )
        if parts.scheme == "smtp" and parts.hostname not in _LOOPBACK:
            raise ValueError("smtp:// is not encrypted, and is for this machine alone")
        return cls(
            parts.scheme,
            parts.hostname,
            parts.port or _PORTS[parts.scheme],
            unquote(parts.username or ""),
            unquote(parts.password or ""),
        )
