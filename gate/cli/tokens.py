"""Commands that make, show and revoke the tokens of callers, in the file of tokens."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from gate.access.roles import Role
from gate.access.token_file import Token, TokenFile, token_of
from gate.cli.command_group import add_group
from gate.cli.connection import CallFailed, console, parse_time
from gate.cli.options import is_duration, parse_duration_ms
from gate.settings import SettingsError, env_name, load_settings
from gate.token_text import new_token

Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Who bears it: it stands in the ledger and in the log."),
]
Roles = Annotated[
    list[Role],
    typer.Option("--role", help="What it may do; repeat for more."),
]
Accounts = Annotated[
    list[str] | None,
    typer.Option(
        "--account",
        metavar="ACCOUNT",
        help="Only for this account, or with a * behind for all that begin so; repeat for more.",
    ),
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    add_group(
        app,
        "token",
        "Create, list and revoke callers' tokens.",
        {"create": create, "list": list_tokens, "revoke": revoke},
    )


def create(
    name: Name,
    roles: Roles,
    accounts: Accounts = None,
    expires: Annotated[
        str,
        typer.Option(metavar="TIME", help="When it ends: 90d, or a time (UTC). Default: never."),
    ] = "",
) -> None:
    """Make a token and print it, this once; only its SHA-256 is kept. A name may have several."""
    file = _file()
    tokens: list[Token] = []
    if file.path.exists():
        tokens = file.read()
    secret = new_token()
    tokens.append(token_of(name, secret, roles, accounts or [], _expiry(expires)))
    file.write(tokens)
    print(secret)


def list_tokens() -> None:
    """List the tokens: names, roles and accounts."""
    table = Table("name", "roles", "accounts", "expires (UTC)", "sha256", box=None)
    for token in _file().read():
        table.add_row(
            token.name,
            ", ".join(token.roles),
            ", ".join(token.accounts or ["all"]),
            _expiry_text(token),
            token.sha256[:12],
        )
    console.print(table)


def revoke(
    name: Name,
    digest: Annotated[
        str,
        typer.Option(metavar="DIGITS", help="Only the one whose SHA-256 begins so."),
    ] = "",
) -> None:
    """Take away the tokens of a name; running processes refuse them within two seconds."""
    file = _file()
    tokens = file.read()
    left = [each for each in tokens if each.name != name or not each.sha256.startswith(digest)]
    revoked = len(tokens) - len(left)
    if not revoked:
        raise CallFailed(f"no such token of {name!r}; `creditgate token list` shows all")
    file.write(left)
    console.print(f"revoked {revoked}")


def _file() -> TokenFile:
    path = load_settings(data_dir=Path("/")).tokens_file
    if path is None:
        problem = (
            f"{env_name('tokens_file')} is not set: name the file, for this command and for the"
            " processes that ask for tokens"
        )
        raise SettingsError([problem])
    return TokenFile(path)


def _expiry(text: str) -> datetime | None:
    if is_duration(text):
        return datetime.now(UTC) + timedelta(milliseconds=parse_duration_ms("--expires", text))
    stamp = parse_time("--expires", text)
    if stamp is None:
        return None
    return stamp.ToDatetime(UTC)


def _expiry_text(token: Token) -> str:
    if token.expires_at is None:
        return "never"
    text = token.expires_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    if token.is_expired:
        return f"{text}, expired"
    return text
