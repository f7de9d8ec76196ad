"""Closes connections beneath a server, which offers no way to close one."""

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gate.address import Address

_DESCRIPTORS = Path("/dev/fd")


@contextmanager
def borrowed_sockets() -> Iterator[list[socket.socket]]:
    """Lends every socket of the process; all stay open, and their owners'."""
    borrowed = []
    try:
        for entry in _DESCRIPTORS.iterdir():
            with suppress(OSError):  # no socket, or closed meanwhile
                # No copy: to close the copy of a database's file would release the file's locks.
                borrowed.append(socket.socket(fileno=int(entry.name)))
        yield borrowed
    finally:
        for each in borrowed:
            each.detach()


def close_connections(sockets: Iterable[socket.socket], address: Address) -> int:
    """Closes those of the sockets that are connections to the address; returns how many."""
    connections = [each for each in sockets if _is_connected(each) and _is_at(each, address)]
    _shut_down(connections)
    return len(connections)


def sever(address: Address) -> None:
    """Ends listening at the address, and closes all connections to it: clients have UNAVAILABLE."""
    with borrowed_sockets() as sockets:
        _shut_down(each for each in sockets if _listens(each) and _is_at(each, address))
        close_connections(sockets, address)


def _shut_down(sockets: Iterable[socket.socket]) -> None:
    for each in sockets:
        with suppress(OSError):  # it has ended meanwhile
            each.shutdown(socket.SHUT_RDWR)


def _is_connected(borrowed: socket.socket) -> bool:
    try:
        borrowed.getpeername()
    except OSError:
        return False
    return True


def _listens(borrowed: socket.socket) -> bool:
    try:
        return bool(borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False


def _is_at(borrowed: socket.socket, address: Address) -> bool:
    try:
        name = borrowed.getsockname()
    except OSError:
        return False
    if address.path:
        return bool(name == address.path)
    return isinstance(name, tuple) and name[1] == address.port
