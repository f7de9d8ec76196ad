"""Checks e-mail addresses that clients name."""

from collections.abc import Collection

from meter.errors import InvalidField

MAX_ADDRESSES = 10
_MAX_BYTES = 254


def check_emails(field: str, addresses: Collection[str]) -> None:
    """Raises InvalidField unless there are at most 10 addresses, all different and in form."""
    if len(addresses) > MAX_ADDRESSES:
        raise InvalidField(field, f"at most {MAX_ADDRESSES}; there are {len(addresses)}")
    if len(set(addresses)) < len(addresses):
        raise InvalidField(field, "has an address twice")
    for address in addresses:
        check_email(field, address)


def check_email(field: str, address: str) -> None:
    """Raises InvalidField unless the text is NAME@HOST, printable ASCII of at most 254 bytes."""
    if not is_email(address):
        message = f"{address[:64]!r} is no address: write NAME@HOST in ASCII, without spaces"
        raise InvalidField(field, message)


def is_email(address: str) -> bool:
    name, _, host = address.partition("@")
    if not name or not host or "@" in host or len(address) > _MAX_BYTES:
        return False
    if not address.isascii() or not address.isprintable():
        return False
    return not any(character in ' ,;:<>()[]"\\' for character in address)
