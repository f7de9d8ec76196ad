"""Addresses at which a server listens: host and port, or a unix socket."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

_UNIX = "unix:"
_UNIX_PATH_MAX_BYTES = 103  # sun_path on macOS, less its terminating zero; Linux has 4 more


@dataclass(frozen=True, slots=True)
class Address:
    """Names `host` and `port`, or else `path`: the absolute path of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def grpc_target(self) -> str:
        """Returns the form that both a gRPC server's port and a client's channel take, a URI."""
        if self.path:
            return f"{_UNIX}{quote(self.path)}"
        return f"{self._url_host}:{self.port}"

    def http_url(self, path: str) -> str:
        """Returns a plain URL for people to open; of a unix socket, the socket."""
        if self.path:
            return str(self)
        return f"http://{self._url_host}:{self.port}{path}"

    @property
    def _url_host(self) -> str:
        if ":" in self.host:
            return f"[{self.host}]"
        return self.host

    def __str__(self) -> str:
        if self.path:
            return f"{_UNIX}{self.path}"
        return self.grpc_target

    def refused(self, error: Exception) -> str:
        """Tells people why nobody can listen here, with the address named once."""
        why = str(error)
        if isinstance(error, OSError) and error.errno:
            why = os.strerror(error.errno)
        return f"cannot listen on {self}: {why}"


def parse_address(text: str) -> Address:
    """Reads `host:port` (IPv6 in brackets) or `unix:/path`; ValueError tells how to write one."""
    if text.startswith(_UNIX):
        return _unix(text)
    return _host_and_port(text)


def clear_socket(address: Address) -> None:
    """Removes a unix socket that a killed process has left behind.

    Raises OSError if somebody serves there.     A TCP address leaves nothing behind.
    """
    if not address.path:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(address.path) == 0:
            raise OSError("another process serves there")
    if Path(address.path).is_socket():
        Path(address.path).unlink(missing_ok=True)


def _host_and_port(text: str) -> Address:
    host, _, port = text.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    if is_bracketed:
        host = host[1:-1]
    is_ipv6 = ":" in host
    if not host or host != host.strip() or (is_ipv6 and not is_bracketed):
        raise ValueError(
            "write host:port, such as 127.0.0.1:50051, 0.0.0.0:50051 for every interface,"
            " or [::1]:50051"
        )
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise ValueError(f"the port is a number from 1 to 65535, not {port!r}")
    return Address(host=host, port=int(port))


def _unix(text: str) -> Address:
    # unix:///path, as in URLs, is the same as unix:/path
    path = text.removeprefix(_UNIX).removeprefix("//")
    if not path.startswith("/"):
        raise ValueError("the path of a unix socket is absolute: unix:/run/creditgate.sock")
    if len(os.fsencode(path)) > _UNIX_PATH_MAX_BYTES:
        raise ValueError(
            f"the path of a unix socket has at most {_UNIX_PATH_MAX_BYTES} bytes;"
            " choose a shorter one"
        )
    return Address(path=path)
