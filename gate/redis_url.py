"""Reads the URL of a store: what is not honoured is refused, for the gate and the flusher alike."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

_REDIS_PORT = 6379


def check_redis_url(text: str) -> None:
    """Raises ValueError, which names the part at fault, for a URL that is no store's."""
    parts = urlsplit(text)
    if not _has_known_form(parts):
        raise ValueError("write embedded, redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH")
    if parts.fragment or text.endswith("#"):
        raise ValueError("write a # in a password or a path as %23")
    if parts.scheme != "unix":
        _check_address(parts)
    _check_options(parts)


def address_of(redis_url: str) -> str:
    """Returns where a store is, without who signs in there."""
    parts = urlsplit(redis_url)
    if parts.scheme == "unix":
        database = dict(parse_qsl(parts.query)).get("db", "0")
        if database == "0":
            return parts.path
        return f"{parts.path}/{database}"
    database = parts.path.strip("/") or "0"
    return f"{parts.hostname or 'localhost'}:{parts.port or _REDIS_PORT}/{database}"


def _has_known_form(parts: SplitResult) -> bool:
    if parts.scheme == "unix":
        return parts.path.startswith("/")
    return parts.scheme in {"redis", "rediss"} and bool(parts.netloc or parts.path)


def _check_address(parts: SplitResult) -> None:
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("the port is a number from 1 to 65535") from None
    database = parts.path.removeprefix("/")
    if database and not _is_number(database):
        raise ValueError(f"the database is a number, as in redis://HOST:PORT/0, not {database}")


def _check_options(parts: SplitResult) -> None:
    options = parse_qsl(parts.query, keep_blank_values=True)
    names = [name for name, _ in options]
    for name, value in options:
        check = _OPTIONS[parts.scheme].get(name)
        if check is None:
            known = ", ".join(_OPTIONS[parts.scheme])
            raise ValueError(
                f"the option {name} is not supported; {parts.scheme}:// has the options {known}"
            )
        if names.count(name) > 1:
            raise ValueError(f"the option {name} is given more than once")
        if not value:
            raise ValueError(f"the option {name} is empty")
        if problem := check(value):
            raise ValueError(f"the option {name} {problem}")
    if "ssl_certfile" not in names and {"ssl_keyfile", "ssl_password"} & set(names):
        raise ValueError("a key without a certificate: the option ssl_certfile is missing")


def _text(_value: str) -> str:
    return ""


def _number(value: str) -> str:
    if _is_number(value):
        return ""
    return "is a number of a database"


def _file(value: str) -> str:
    if Path(value).is_file():
        return ""
    return f"names no file: {value}"


def _directory(value: str) -> str:
    if Path(value).is_dir():
        return ""
    return f"names no directory: {value}"


def _verification(value: str) -> str:
    if value in {"required", "optional", "none"}:
        return ""
    return "is required, optional or none"


def _yes_or_no(value: str) -> str:
    if value in {"true", "True", "false", "False"}:
        return ""
    return "is true or false"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


_Check = Callable[[str], str]  # returns what is wrong with a value; nothing of a good one

_SIGN_IN: dict[str, _Check] = {"username": _text, "password": _text}
_TLS: dict[str, _Check] = {
    "ssl_ca_certs": _file,
    "ssl_ca_path": _directory,
    "ssl_certfile": _file,
    "ssl_keyfile": _file,
    "ssl_password": _text,
    "ssl_cert_reqs": _verification,
    "ssl_check_hostname": _yes_or_no,
}
# A database of a TCP address is its path, and no option.
_OPTIONS: dict[str, dict[str, _Check]] = {
    "redis": _SIGN_IN,
    "rediss": _SIGN_IN | _TLS,
    "unix": {"db": _number} | _SIGN_IN,
}
