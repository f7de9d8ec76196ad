"""Where a server listens: host and port, or a unix socket."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

_UNIX = "unix:"
_UNIX_PATH_MAX_BYTES = 103  # sun_path on macOS, less its terminating zero; Linux has 4 more


@dataclass(frozen=True, slots=True)
class Address:
    """`host` and `port`, or else `path`: the absolute path of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def grpc_target(self) -> str:
        """The form that both a gRPC server's port and a client's channel take."""
        return f"{_UNIX}{self.path}" if self.path else f"{self._url_host}:{self.port}"

    def http_url(self, path: str) -> str:
        """The address as a plain URL for people to open; of a unix socket, the socket."""
        return self.grpc_target if self.path else f"http://{self._url_host}:{self.port}{path}"

    @property
    def _url_host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    def __str__(self) -> str:
        return self.grpc_target

    def refused(self, error: Exception) -> str:
        """Why nobody can listen here, for people: what servers raise names the address again and
        again.
        """
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        return f"cannot listen on {self}: {why}"


def parse_address(text: str) -> Address:
    """`host:port` (IPv6 in brackets) or `unix:/path`; ValueError says what to write instead."""
    return _unix(text) if text.startswith(_UNIX) else _host_and_port(text)


def clear_socket(address: Address) -> None:
    """Removes a unix socket that a killed process has left behind; OSError if somebody serves there.

    TCP needs none of it.
    """
    if not address.path:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(address.path) == 0:
            raise OSError("another process serves there")
    if Path(address.path).is_socket():
        Path(address.path).unlink(missing_ok=True)


def _host_and_port(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if (
        not colon
        or not host
        or (":" in host and not bracketed)
        or host != host.strip()
        or host == "[]"
    ):
        raise ValueError(
            "write host:port, such as 127.0.0.1:50051, 0.0.0.0:50051 for every interface, or [::1]:50051"
        )
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise ValueError(f"the port is a number from 1 to 65535, not {port!r}")
    return Address(host=host[1:-1] if bracketed else host, port=int(port))


def _unix(text: str) -> Address:
    path = text.removeprefix(_UNIX).removeprefix(
        "//"
    )  # unix:///path, as in URLs, is the same as unix:/path
    if not path.startswith("/"):
        raise ValueError("the path of a unix socket is absolute: unix:/run/creditgate.sock")
    if len(os.fsencode(path)) > _UNIX_PATH_MAX_BYTES:
        raise ValueError(
            f"the path of a unix socket has at most {_UNIX_PATH_MAX_BYTES} bytes; choose a shorter one"
        )
    return Address(path=path)
