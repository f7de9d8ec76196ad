"""Reads from a certificate until when it holds."""

import ssl
from datetime import UTC, datetime

_SEQUENCE = 0x30
_VERSION = 0xA0
_UTC_TIME = 0x17
_FIELDS_BEFORE_VALIDITY = 3  # serial number, signature algorithm, issuer

_Element = tuple[int, bytes, bytes]  # tag, content, what follows


def not_after(pem: str) -> datetime:
    """Returns when the first certificate of a chain ends; ValueError for what is no certificate."""
    der = ssl.PEM_cert_to_DER_cert(_first(pem))
    try:
        return _not_after(der)
    except (IndexError, UnicodeDecodeError):
        raise ValueError("is no certificate in PEM") from None


def _first(pem: str) -> str:
    _, begin, rest = pem.partition(ssl.PEM_HEADER)
    body, end, _ = rest.partition(ssl.PEM_FOOTER)
    if not begin or not end:
        raise ValueError("is no certificate in PEM")
    return f"{begin}{body}{end}"


def _not_after(der: bytes) -> datetime:
    _, certificate, _ = _element(der)
    _, rest, _ = _element(certificate)
    if rest[0] == _VERSION:
        _, _, rest = _element(rest)
    for _ in range(_FIELDS_BEFORE_VALIDITY):
        _, _, rest = _element(rest)
    tag, validity, _ = _element(rest)
    if tag != _SEQUENCE:
        raise ValueError("is no certificate in PEM")
    _, _, rest = _element(validity)
    tag, text, _ = _element(rest)
    form = "%Y%m%d%H%M%SZ"
    if tag == _UTC_TIME:
        form = "%y%m%d%H%M%SZ"
    return datetime.strptime(text.decode(), form).replace(tzinfo=UTC)


def _element(der: bytes) -> _Element:
    """Returns the first element of DER: its tag and its content, and the bytes behind it."""
    tag = der[0]
    length = der[1]
    start = 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start])
    end = start + length
    return tag, der[start:end], der[end:]
