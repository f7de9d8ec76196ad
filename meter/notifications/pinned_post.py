"""Posts to an address that was checked, and to no other.

The address is resolved once; the connection goes to what was checked, so that a name which
resolves otherwise a moment later leads nowhere else. Redirects are not followed, and no proxy of
the environment is used.
"""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import SplitResult

from meter.notifications.public_addresses import AddressRefused, AddressRules

TIMEOUT_S = 15.0  # in all, names aside
_MAX_ANSWER_BYTES = 64 * 1024
_KEPT_CHARACTERS = 1024


class Answer(NamedTuple):
    """Tells what came of a request; `status` 0 means that there was no answer."""

    status: int
    text: str  # the beginning of the answer, or why there was none
    retry_after: str = ""
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class PinnedPost:
    """Posts under the rules of addresses; `trust` says which certificates are trusted."""

    rules: AddressRules
    trust: ssl.SSLContext
    timeout_s: float = TIMEOUT_S

    def send(self, url: SplitResult, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Posts the body, and returns the answer whatever the answer is; never raises."""
        try:
            addresses = self._addresses(url)
        except AddressRefused as error:
            return Answer(0, str(error))
        deadline = _Deadline(self.timeout_s)
        connection = self._connection(url, addresses, deadline)
        try:
            return _exchange(connection, deadline, url, body, headers)
        except (OSError, http.client.HTTPException) as error:
            if deadline.has_passed or isinstance(error, TimeoutError):
                return Answer(0, f"no answer within {self.timeout_s:g} s", timed_out=True)
            return Answer(0, _told(error))
        finally:
            connection.close()
            deadline.close()

    def _addresses(self, url: SplitResult) -> list[str]:
        assert url.hostname is not None
        port = port_of(url)
        addresses = self.rules.addresses_of(url.hostname, port)
        if url.scheme == "http" and not all(map(self.rules.lists, addresses)):
            raise AddressRefused(f"{url.hostname} is not listed for http: use https")
        return addresses

    def _connection(
        self,
        url: SplitResult,
        addresses: list[str],
        deadline: "_Deadline",
    ) -> http.client.HTTPConnection:
        assert url.hostname is not None
        trust = None
        if url.scheme == "https":
            trust = self.trust
        return _PinnedConnection(url.hostname, port_of(url), addresses, trust, deadline)


def port_of(url: SplitResult) -> int:
    """Returns the port that the URL names, or its scheme's. Raises ValueError for no port."""
    if url.port is not None:
        return url.port
    if url.scheme == "https":
        return http.client.HTTPS_PORT
    return http.client.HTTP_PORT


class _Deadline:
    """Ends a connection when the time is over, whatever the connection is waiting for."""

    def __init__(self, timeout_s: float) -> None:
        self.has_passed = False
        self._ends_at = time.monotonic() + timeout_s
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(timeout_s, self._pass)
        self._timer.daemon = True
        self._timer.start()

    @property
    def left_s(self) -> float:
        """Returns the rest of the time. Raises TimeoutError if nothing is left."""
        left_s = self._ends_at - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s

    def watch(self, connected: socket.socket) -> None:
        """Adds a socket: a duplicate of it, because TLS takes the socket itself over."""
        self._sockets.append(connected.dup())
        if self.has_passed:
            raise TimeoutError

    def close(self) -> None:
        self._timer.cancel()
        for each in self._sockets:
            each.close()

    def _pass(self) -> None:
        self.has_passed = True
        for each in self._sockets:
            with suppress(OSError):  # the connection has ended already
                each.shutdown(socket.SHUT_RDWR)


class _PinnedConnection(http.client.HTTPConnection):
    """Connects to one of the addresses, in place of resolving the name."""

    def __init__(
        self,
        host: str,
        port: int,
        addresses: list[str],
        trust: ssl.SSLContext | None,
        deadline: _Deadline,
    ) -> None:
        super().__init__(host, port)
        self._addresses = addresses
        self._trust = trust
        self._deadline = deadline

    def connect(self) -> None:
        """Connects, and verifies the certificate for the name of the URL."""
        connected = self._connected()
        self._deadline.watch(connected)
        if self._trust is not None:
            connected = self._trust.wrap_socket(connected, server_hostname=self.host)
        self.sock = connected

    def _connected(self) -> socket.socket:
        *others, last = self._addresses
        for address in others:
            try:
                return self._connected_to(address)
            except OSError:
                continue  # the next address of the name may answer
        return self._connected_to(last)

    def _connected_to(self, address: str) -> socket.socket:
        return socket.create_connection((address, self.port), self._deadline.left_s)


def _exchange(
    connection: http.client.HTTPConnection,
    deadline: _Deadline,
    url: SplitResult,
    body: bytes,
    headers: Mapping[str, str],
) -> Answer:
    connection.request("POST", _target(url), body, dict(headers))
    response = connection.getresponse()
    if deadline.has_passed:  # what was cut off looks like the end of the headers
        raise TimeoutError
    text = _beginning(response)
    return Answer(response.status, text, response.getheader("Retry-After", ""))


def _beginning(response: http.client.HTTPResponse) -> str:
    """Returns the beginning of the answer's text, of which nothing depends."""
    try:
        content = response.read(_MAX_ANSWER_BYTES)
    except (OSError, http.client.HTTPException):
        return ""  # the status has come, and counts
    return _printable(content.decode(errors="replace"))[:_KEPT_CHARACTERS]


def _target(url: SplitResult) -> str:
    target = url.path or "/"
    if url.query:
        target = f"{target}?{url.query}"
    return target


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable() or character == "\n")


def _told(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    return str(error)[:_KEPT_CHARACTERS] or type(error).__name__
