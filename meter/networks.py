"""Reads lists of networks of addresses."""

from ipaddress import IPv4Network, IPv6Network, ip_network

IpNetwork = IPv4Network | IPv6Network


def networks_of(text: str) -> tuple[IpNetwork, ...]:
    """Returns the networks of a list such as `127.0.0.1/32,10.2.0.0/16`; raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
