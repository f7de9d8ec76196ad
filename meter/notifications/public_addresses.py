"""Says which addresses may be sent to: public ones, and those that the operator lists.

`ipaddress.is_global` alone is not enough: it takes many addresses for public that lead to this
machine, such as ::127.0.0.1 and 64:ff9b::7f00:1, and differs between versions of Python.
"""

import socket
from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)

from meter.networks import IpNetwork

IpAddress = IPv4Address | IPv6Address

_PUBLIC_V6 = IPv6Network("2000::/3")
# Networks within the public ones whose addresses lead elsewhere, or nowhere.
_NOT_PUBLIC = (
    IPv4Network("192.0.0.0/24"),  # protocols
    IPv4Network("192.88.99.0/24"),  # relays to 6to4
    IPv6Network("2001::/23"),  # protocols, such as Teredo
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("2002::/16"),  # 6to4: an IPv4 address within
    IPv6Network("3fff::/20"),  # documentation
)


class AddressRefused(Exception):
    """The host cannot be sent to; the text says why, without a private address of ours."""


class AddressRules:
    """Decides about addresses; `listed` are allowed whatever they are."""

    def __init__(self, listed: Iterable[IpNetwork] = ()) -> None:
        self._listed = tuple(listed)

    def addresses_of(self, host: str, port: int) -> list[str]:
        """Returns all addresses of the host, any of which may be sent to.

        Raises AddressRefused if any of them may not, or the host has none.
        """
        addresses = _resolved(host, port)
        for address in addresses:
            if not self.allows(address):
                raise AddressRefused(f"{host} has an address that is not public")
        return addresses

    def allows(self, address: str) -> bool:
        """Says whether the address is public or listed."""
        plain = _plain(address)
        return self._lists(plain) or is_public(plain)

    def lists(self, address: str) -> bool:
        """Says whether the operator lists the address."""
        return self._lists(_plain(address))

    def _lists(self, address: IpAddress) -> bool:
        return any(address in network for network in self._listed)


def is_public(address: IpAddress) -> bool:
    """Says whether the address is one of a machine somewhere in the Internet."""
    if any(address in network for network in _NOT_PUBLIC):
        return False
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast
    return address in _PUBLIC_V6


def _plain(address: str) -> IpAddress:
    """Returns the address, an IPv4 address if it is one within IPv6."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed


def _resolved(host: str, port: int) -> list[str]:
    """Returns all addresses of a name, or of an address in whatever form."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise AddressRefused(f"{host} cannot be resolved") from None
    return list(dict.fromkeys(str(each[4][0]) for each in found))
