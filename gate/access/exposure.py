"""Keeps a server without tokens from listening where strangers are."""

import socket
from ipaddress import ip_address

import structlog

from gate.address import Address
from gate.settings import Settings, SettingsError, env_name

log = structlog.get_logger()


def require_closed_door(settings: Settings, field: str) -> None:
    """Raises SettingsError if anybody who reaches the address of the setting could spend."""
    address: Address | None = getattr(settings, field)
    if address is None or is_local(address):
        return
    if settings.tokens_file is None and not settings.allow_unauthenticated:
        problem = (
            f"{env_name(field)}={str(address)!r}: would let anybody who reaches it spend and grant:"
            f" set {env_name('tokens_file')}, listen on 127.0.0.1 or unix:/path, or say"
            f" {env_name('allow_unauthenticated')}=true"
        )
        raise SettingsError([problem])
    if settings.tls_cert_file is None:
        log.warning("beyond_loopback_without_tls", listen=str(address))


def is_local(address: Address) -> bool:
    """Tells whether only processes of this machine reach the address."""
    if address.path:
        return True
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError:
        return False  # to listen there will fail, and tell why
    return all(ip_address(str(entry[4][0]).partition("%")[0]).is_loopback for entry in found)
