"""Joins all subcommands into the command, and prints errors as a line for people."""

import sys
from importlib.metadata import version as distribution_version
from typing import Annotated

import typer

from gate.access.token_file import TokenFileError
from gate.cli import (
    accounts,
    balance,
    budgets,
    check,
    estimate,
    events,
    files,
    gateway,
    grants,
    health,
    holds,
    invoices,
    ledger,
    mails,
    payments,
    prices,
    recharges,
    reconcile,
    replay,
    serve,
    tokens,
    top_ups,
    vouchers,
    webhooks,
)
from gate.cli.connection import CallFailed
from gate.process.child import StartupError
from gate.process.standard_streams import secure_standard_streams
from gate.settings import SettingsError
from gate.store.errors import CommandFailed, NoRedis, UnfitRedis
from meter.database.errors import LedgerError
from meter.errors import ServiceError
from meter.prices import PriceFileError

app = typer.Typer(
    name="creditgate",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
serve.register(app)
accounts.register(app)
balance.register(app)
grants.register(app)
holds.register(app)
top_ups.register(app)
payments.register(app)
recharges.register(app)
vouchers.register(app)
budgets.register(app)
estimate.register(app)
gateway.register(app)
ledger.register(app)
events.register(app)
webhooks.register(app)
mails.register(app)
invoices.register(app)
check.register(app)
reconcile.register(app)
prices.register(app)
replay.register(app)
tokens.register(app)
files.register(app)
health.register(app)

_FOR_THE_USER = (
    CallFailed,
    CommandFailed,
    LedgerError,
    NoRedis,
    OSError,
    PriceFileError,
    ServiceError,
    SettingsError,
    StartupError,
    TokenFileError,
    UnfitRedis,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"creditgate {distribution_version('creditgate')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version.",
            callback=_print_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Metering and credit gate for AI gateways."""


def main() -> None:
    """Runs the command; an error that the user can mend is a line on stderr and exit status 1."""
    secure_standard_streams()
    try:
        app()
    except _FOR_THE_USER as error:
        print(f"creditgate: {error}", file=sys.stderr)
        sys.exit(1)
