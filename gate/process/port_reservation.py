"""Reserves a TCP address for the workers of one supervisor, and for nobody else."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from gate.address import Address
from gate.process.child import StartupError
from gate.settings import env_name


@contextmanager
def reserve_port(address: Address, setting: str) -> Iterator[None]:
    """Reserves the address for the workers of this supervisor, since workers ask to share.

    Raises StartupError, with the name of `setting`, if somebody else has the address. The reserved
    sockets are bound and never listen, so that every connection goes to a worker.
    """
    with ExitStack() as opened:
        try:
            found = socket.getaddrinfo(
                address.host,
                address.port,
                type=socket.SOCK_STREAM,
            )
            for family, _, _, _, name in found:
                opened.enter_context(_reserved(socket.AddressFamily(family), name))
        except OSError as error:
            message = f"{address.refused(error)}; choose another {env_name(setting)}"
            raise StartupError(message) from None
        yield


def _reserved(
    family: socket.AddressFamily,
    name: tuple[object, ...],
) -> socket.socket:
    try:
        held = _bind(family, name, reuse=False)
    except OSError:
        # Connections of an earlier run may linger in TIME_WAIT: none of them is a server, and a
        # socket that may reuse the address is refused by servers alone. This way comes second,
        # since until a worker listens, another supervisor could do the same.
        held = _bind(family, name, reuse=True)
    # After the bind, so that the bind has shared with nobody.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return held


def _bind(
    family: socket.AddressFamily,
    name: tuple[object, ...],
    *,
    reuse: bool,
) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuse))
        bound.bind(name)
    except OSError:
        bound.close()
        raise
    return bound
