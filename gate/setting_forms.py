"""Reads each setting from an operator's text; ValueError tells how to write the setting.

A value that is no text has been read before, and is left alone.
"""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pydantic import SecretStr, ValidationInfo

from gate.address import Address, parse_address
from gate.redis_url import check_redis_url
from gate.token_text import check_token
from meter.admin.top_up_bounds import TopUpBounds
from meter.admin.voucher_codes import MIN_KEY_CHARACTERS
from meter.emails import is_email
from meter.networks import IpNetwork, networks_of
from meter.smtp_server import SmtpServer

EMBEDDED = "embedded"
_MOST_NAME_CHARACTERS = 200


def read_listen(value: str | Address) -> Address:
    if isinstance(value, Address):
        return value
    return parse_address(value)


def check_billing_listen(address: Address, others: ValidationInfo) -> Address:
    if address == others.data.get("listen"):
        raise ValueError("the gate listens there; choose another address")
    return address


def check_workers(count: int, others: ValidationInfo) -> int:
    listen = others.data.get("listen")
    if count > 1 and listen is not None and listen.path:
        raise ValueError(
            "a unix socket is served by one process; listen on host:port, or run one worker"
        )
    return count


def read_optional_listen(value: str | Address | None) -> Address | None:
    if not value:
        return None
    return read_listen(value)


def read_directory(value: str | Path) -> Path:
    if not str(value):
        raise ValueError("a directory is needed")
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError:
        raise ValueError("there is no home directory here; give an absolute path") from None


def read_existing_file(value: str | Path | None) -> Path | None:
    if not value:
        return None
    path = read_directory(value)
    if not path.is_file():
        raise ValueError("there is no such file")
    return path


def read_existing_directory(value: str | Path | None) -> Path | None:
    if not value:
        return None
    path = read_directory(value)
    if not path.is_dir():
        raise ValueError("there is no such directory")
    return path


def read_optional_path(value: str | Path | None) -> Path | None:
    if not value:
        return None
    path = read_directory(value)
    if path.is_dir():
        raise ValueError("is a directory; name a file")
    return path


def read_redis_url(value: str) -> str:
    if value != EMBEDDED:
        check_redis_url(value)
    return value


def read_redis_name(value: str | None) -> str | None:
    if not value:
        return None
    if len(value) > _MOST_NAME_CHARACTERS or not value.isprintable():
        raise ValueError(f"write at most {_MOST_NAME_CHARACTERS} printable characters")
    return value


def sqlite_url(path: Path) -> str:
    """Returns the URL of a path, in which any character of the path is a character of the path."""
    return f"sqlite:///{quote(str(path))}"


def read_ledger_url(value: str) -> str:
    if value.startswith("sqlite://") and "?" in value:
        raise ValueError("a SQLite ledger has no options; write a ? of its path as %3F")
    if _is_ledger_url(value):
        return value
    raise ValueError("write sqlite:////ABSOLUTE/PATH or postgresql://USER:PASSWORD@HOST/DATABASE")


def _is_ledger_url(text: str) -> bool:
    scheme, _, rest = text.partition("://")
    if scheme == "sqlite":
        # SQLite in memory is no ledger: gate and flusher are two processes, and such a database
        # ends with either.
        return len(rest) > 1 and rest != "/:memory:"
    return scheme == "postgresql" and rest != ""


def read_top_up_bounds(value: str | TopUpBounds) -> TopUpBounds:
    if isinstance(value, TopUpBounds):
        return value
    return TopUpBounds(value)


def read_secret_key(value: str | SecretStr | None) -> SecretStr | None:
    if not value:
        return None
    if isinstance(value, str):
        value = SecretStr(value)
    if len(value.get_secret_value()) < MIN_KEY_CHARACTERS:
        raise ValueError(
            f"at least {MIN_KEY_CHARACTERS} characters that nobody can guess:"
            " `openssl rand -hex 32` makes some"
        )
    return value


@dataclass(frozen=True, slots=True)
class NetworkList:
    """Holds networks of addresses; as text a list with commas."""

    networks: tuple[IpNetwork, ...] = ()

    def __str__(self) -> str:
        return ",".join(map(str, self.networks))


def read_networks(value: str | NetworkList) -> NetworkList:
    if isinstance(value, NetworkList):
        return value
    try:
        return NetworkList(networks_of(value))
    except ValueError as error:
        raise ValueError(f"{error}; write networks such as 10.2.0.0/16,127.0.0.1/32") from None


def read_smtp_url(value: str) -> str:
    if value:
        SmtpServer.of(value)
    return value


def read_mail_address(value: str) -> str:
    if value and not is_email(value):
        raise ValueError("write NAME@HOST in ASCII, without spaces")
    return value


def check_mail_from(address: str, others: ValidationInfo) -> str:
    if others.data.get("smtp_url") and not address:
        raise ValueError("a mail server needs an address that mails come from")
    return address


def read_token(value: str | SecretStr | None) -> SecretStr | None:
    if not value:
        return None
    if isinstance(value, str):
        value = SecretStr(value)
    check_token(value.get_secret_value())
    return value
