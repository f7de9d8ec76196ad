"""Checks texts that clients choose: ids of accounts and of requests, descriptions."""

from meter.errors import InvalidField

MAX_ID_BYTES = 128
MAX_DESCRIPTION_BYTES = 512


def check_id(field: str, value: str) -> None:
    """Raises InvalidField unless `value` is 1 to 128 bytes of printable UTF-8 without spaces.

    Keys and records join ids with a space.
    """
    if not value:
        raise InvalidField(field, "must not be empty")
    # An ASCII text has as many bytes as characters, and needs no encoding to be measured.
    if len(value) > MAX_ID_BYTES or (not value.isascii() and len(value.encode()) > MAX_ID_BYTES):
        raise InvalidField(field, f"at most {MAX_ID_BYTES} bytes of UTF-8")
    if " " in value or not value.isprintable():
        raise InvalidField(field, "must be printable, without spaces or control characters")


def check_description(field: str, value: str) -> None:
    """Raises InvalidField unless `value` is at most 512 bytes of printable UTF-8, or empty."""
    check_text(field, value, MAX_DESCRIPTION_BYTES)


def check_text(
    field: str,
    value: str,
    max_bytes: int,
) -> None:
    """Raises InvalidField unless `value` is at most `max_bytes` bytes of printable UTF-8."""
    if len(value.encode()) > max_bytes or not value.isprintable():
        raise InvalidField(field, f"at most {max_bytes} bytes of printable UTF-8")
