"""The command's root: every subcommand, and errors as one line for people."""

import sys

import typer

from gate.child import StartupError
from gate.cli import accounts, books, replay, servers
from gate.cli.calls import CallFailed
from gate.settings import SettingsError
from gate.wire import CommandFailed, UnfitRedis
from meter.errors import ServiceError
from meter.ledger.errors import LedgerError
from meter.money import AmountError
from meter.prices import PriceFileError

app = typer.Typer(
    name="creditgate",
    help="Metering and credit gate for AI gateways.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
servers.register(app)
accounts.register(app)
books.register(app)
replay.register(app)

_FOR_THE_USER = (
    AmountError,
    CallFailed,
    CommandFailed,
    LedgerError,
    OSError,
    PriceFileError,
    ServiceError,
    SettingsError,
    StartupError,
    UnfitRedis,
)


def main() -> None:
    """Runs the command; what the user can mend is one line on stderr and exit status 1."""
    try:
        app()
    except _FOR_THE_USER as error:
        print(f"creditgate: {error}", file=sys.stderr)
        sys.exit(1)
