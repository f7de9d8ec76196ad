"""The file of tokens: who each bearer is, and of each token only its SHA-256."""

import stat
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from gate.access.roles import Role
from gate.token_text import digest_of
from meter.watched_file import WatchedFile, install

_PRIVATE_MODE = 0o600
_MOST_TOKENS = 10_000

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.@-]{1,64}$")]
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Accounts = Annotated[str, Field(pattern=r"^[^\s*]{0,128}\*?$", min_length=1)]


class TokenFileError(ValueError):
    """Tells what is wrong with the file of tokens, and where."""


class Token(BaseModel):
    """Holds an entry of the file.

    `accounts` are ids, or beginnings of ids with a `*` behind; without any the token is for all
    accounts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: _Name
    sha256: _Digest
    roles: Annotated[tuple[Role, ...], Field(min_length=1)]
    accounts: tuple[_Accounts, ...] | None = None
    expires_at: AwareDatetime | None = None

    @model_validator(mode="after")
    def _has_its_accounts(self) -> "Token":
        if self.accounts == ():
            raise ValueError("accounts: name at least one, or leave the key out for all accounts")
        if Role.CUSTOMER in self.roles and self.accounts is None:
            raise ValueError("accounts: a token with the role customer names its accounts")
        return self

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at.timestamp() <= time.time()


class _Tokens(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tokens: Annotated[list[Token], Field(max_length=_MOST_TOKENS)]


class TokenFile:
    """Reads and writes the file at `path`, and notices changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._watched = WatchedFile(path)

    @property
    def is_private(self) -> bool:
        """Tells whether nobody but the file's owner may read or write the file."""
        return not stat.S_IMODE(self.path.stat().st_mode) & 0o077

    def has_changed(self) -> bool:
        """Returns whether the file differs from the file that was read, and is whole."""
        return self._watched.has_changed()

    def read(self) -> list[Token]:
        """Returns the tokens of the file as the file is now, or raises TokenFileError."""
        self._watched.mark_read()
        try:
            text = self.path.read_bytes()
        except OSError as error:
            raise TokenFileError(
                f"{self.path}: {error.strerror}; `creditgate token create` makes the file"
            ) from None
        return self._parse(text)

    def write(self, tokens: list[Token]) -> None:
        """Makes these the tokens of the file, in one step. A new file is its owner's alone."""
        entries = [_entry(token) for token in tokens]
        text = yaml.safe_dump({"tokens": entries}, sort_keys=False)
        install(text.encode(), self.path, _PRIVATE_MODE)

    def _parse(self, text: bytes) -> list[Token]:
        try:
            content = yaml.safe_load(text)
            tokens = _Tokens.model_validate(content).tokens
        except yaml.YAMLError as error:
            raise TokenFileError(f"{self.path}: is no YAML: {error}") from None
        except ValidationError as invalid:
            raise TokenFileError(f"{self.path}: {_told(invalid)}") from None
        self._refuse_repeated(tokens)
        return tokens

    def _refuse_repeated(self, tokens: list[Token]) -> None:
        seen = set()
        for index, token in enumerate(tokens):
            if token.sha256 in seen:
                raise TokenFileError(
                    f"{self.path}: tokens[{index}].sha256: is there twice; keep one"
                )
            seen.add(token.sha256)


def token_of(
    name: str,
    secret: str,
    roles: list[Role],
    accounts: list[str],
    expires_at: datetime | None,
) -> Token:
    """Returns the entry for a secret; TokenFileError for a name or account of another form."""
    try:
        return Token(
            name=name,
            sha256=digest_of(secret.encode()).hex(),
            roles=tuple(roles),
            accounts=tuple(accounts) or None,
            expires_at=expires_at,
        )
    except ValidationError as invalid:
        raise TokenFileError(_told(invalid)) from None


def _entry(token: Token) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": token.name,
        "sha256": token.sha256,
        "roles": [str(role) for role in token.roles],
    }
    if token.accounts is not None:
        entry["accounts"] = list(token.accounts)
    if token.expires_at is not None:
        entry["expires_at"] = token.expires_at.astimezone(UTC)
    return entry


def _told(invalid: ValidationError) -> str:
    """Returns where the first mistake stands, and what it is; no value, which may be secret."""
    error = invalid.errors(include_input=False, include_url=False)[0]
    where = ""
    for part in error["loc"]:
        if isinstance(part, int):
            where += f"[{part}]"
        else:
            where += f".{part}"
    problem = error["msg"].removeprefix("Value error, ")
    return ": ".join(filter(None, (where.lstrip("."), problem)))
