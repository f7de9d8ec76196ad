"""The command to make an invoice, or to print an invoice again."""

from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from gate.cli.connection import (
    TIMEOUT_S,
    AsJson,
    CallFailed,
    console,
    ledger_service,
    parse_time,
    print_json,
)
from gate.cli.ledger import Since, Until
from meter.invoices.rendering import to_csv, to_table
from meter.v1.ledger_pb2 import CreateInvoiceRequest, GetInvoiceRequest, Invoice

# Start and end; None leaves the choice to the service.
Period = tuple[Timestamp | None, Timestamp | None]


class InvoiceFormat(StrEnum):
    """Names the ways to print an invoice."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(invoice)


def invoice(
    account_id: Annotated[
        str,
        typer.Argument(
            metavar="ACCOUNT",
            help="Account id.",
        ),
    ] = "",
    month: Annotated[
        str, typer.Option(metavar="YYYY-MM", help="Calendar month (UTC); default: this one.")
    ] = "",
    since: Since = "",
    until: Until = "",
    number: Annotated[str, typer.Option(help="Print this invoice again instead.")] = "",
    output: Annotated[
        InvoiceFormat, typer.Option("--format", help="How to print it.")
    ] = InvoiceFormat.TABLE,
    as_json: AsJson = False,
) -> None:
    """Make an account's invoice for a period, and print it. Made again, it is the same."""
    if bool(account_id) == bool(number):
        raise typer.BadParameter("give either an account or --number")
    if number:
        made = _get_invoice(number)
    else:
        start, end = _parse_period(month, since, until)
        made = _create_invoice(account_id, start, end)
    if as_json or output is InvoiceFormat.JSON:
        print_json(made)
    elif output is InvoiceFormat.CSV:
        print(to_csv(made), end="")
    else:
        console.print(to_table(made))


def _parse_period(month: str, since: str, until: str) -> Period:
    if month:
        return _parse_month(month)
    return parse_time("--since", since), parse_time("--until", until)


def _parse_month(text: str) -> Period:
    try:
        first = date.fromisoformat(f"{text}-01")
        following = (first + timedelta(days=32)).replace(day=1)
    except (ValueError, OverflowError):
        raise CallFailed(f"{text!r} is no month; write it as 2026-11") from None
    return parse_time("--month", first.isoformat()), parse_time("--month", following.isoformat())


def _get_invoice(number: str) -> Invoice:
    request = GetInvoiceRequest(invoice_number=number)
    with ledger_service() as ledger:
        found: Invoice = ledger.GetInvoice(request, timeout=TIMEOUT_S)
    return found


def _create_invoice(
    account_id: str,
    start: Timestamp | None,
    end: Timestamp | None,
) -> Invoice:
    request = CreateInvoiceRequest(
        account_id=account_id,
        period_start=start,
        period_end=end,
    )
    with ledger_service() as ledger:
        made: Invoice = ledger.CreateInvoice(request, timeout=TIMEOUT_S)
    return made
