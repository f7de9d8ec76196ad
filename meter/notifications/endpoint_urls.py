"""Reads the URLs that webhooks may be sent to."""

import re
from urllib.parse import SplitResult, urlsplit

from meter.errors import InvalidField
from meter.notifications.pinned_post import port_of
from meter.notifications.public_addresses import AddressRefused, AddressRules

_MAX_CHARACTERS = 2048
_HTTPS_PORT = 443
_HTTP_PORT = 80
_FIRST_FREE_PORT = 1024
# What a URL is written with; no space or control character can break a request apart.
_FORM = re.compile(r"https?://[!-~]+")


def check_url(field: str, text: str, rules: AddressRules) -> None:
    """Raises InvalidField unless the URL may be sent to, as its name resolves now."""
    url = _read(field, text)
    _check_port(field, url)
    try:
        assert url.hostname is not None
        addresses = rules.addresses_of(url.hostname, port_of(url))
        if url.scheme == "http" and not all(map(rules.lists, addresses)):
            raise AddressRefused("only https, unless CREDITGATE_WEBHOOK_ALLOW lists the address")
    except AddressRefused as error:
        raise _refused(field, str(error)) from None


def _read(field: str, text: str) -> SplitResult:
    if len(text) > _MAX_CHARACTERS:
        raise _refused(field, f"at most {_MAX_CHARACTERS} characters")
    if not _FORM.fullmatch(text):
        raise _refused(field, "must be https://HOST/PATH in ASCII; write other names as xn--")
    url = urlsplit(text)
    if not url.hostname or "@" in url.netloc or url.fragment:
        raise _refused(field, "must have a host, and neither a user nor a fragment")
    return url


def _check_port(field: str, url: SplitResult) -> None:
    try:
        port = port_of(url)
    except ValueError:
        raise _refused(field, "has a port that is no number from 1 to 65535") from None
    usual = {"https": _HTTPS_PORT, "http": _HTTP_PORT}[url.scheme]
    if port != usual and port < _FIRST_FREE_PORT:
        raise _refused(field, f"port {port} is not allowed: use {usual}, or 1024 and above")


def _refused(field: str, message: str) -> InvalidField:
    return InvalidField(field, message, "URL_NOT_ALLOWED")
