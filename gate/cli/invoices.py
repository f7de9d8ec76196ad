"""The commands to make, print and list invoices."""

from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp
from rich.table import Table

from gate.cli.command_group import add_group
from gate.cli.connection import (
    TIMEOUT_S,
    AsJson,
    CallFailed,
    console,
    ledger_service,
    money,
    parse_time,
    print_json,
    when,
)
from gate.cli.ledger import Since, Until
from gate.cli.options import AccountId, Limit, PageToken
from gate.cli.output import add_number_columns, print_page
from meter.invoices.rendering import to_csv, to_table
from meter.v1.ledger_pb2 import (
    CreateInvoiceRequest,
    GetInvoiceRequest,
    Invoice,
    ListInvoicesRequest,
    ListInvoicesResponse,
)

# Start and end; None leaves the choice to the service.
Period = tuple[Timestamp | None, Timestamp | None]


class InvoiceFormat(StrEnum):
    """Names the ways to print an invoice."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    add_group(
        app,
        "invoice",
        "Make, preview, show and list invoices.",
        {
            "create": create,
            "preview": preview,
            "show": show,
            "list": list_invoices,
        },
    )


Month = Annotated[
    str, typer.Option(metavar="YYYY-MM", help="Calendar month (UTC); default: this one.")
]
Output = Annotated[InvoiceFormat, typer.Option("--format", help="How to print it.")]


def create(
    account_id: AccountId,
    month: Month = "",
    since: Since = "",
    until: Until = "",
    output: Output = InvoiceFormat.TABLE,
    as_json: AsJson = False,
) -> None:
    """Make an account's invoice for a period; a draft without a number until the period ended."""
    made = _create_invoice(account_id, _parse_period(month, since, until), preview=False)
    _print(made, output, as_json)


def preview(
    account_id: AccountId,
    month: Month = "",
    since: Since = "",
    until: Until = "",
    output: Output = InvoiceFormat.TABLE,
    as_json: AsJson = False,
) -> None:
    """Print what an invoice would be; nothing is kept, and no number taken."""
    made = _create_invoice(account_id, _parse_period(month, since, until), preview=True)
    _print(made, output, as_json)


def show(
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="Such as INV-000001.")],
    output: Output = InvoiceFormat.TABLE,
    as_json: AsJson = False,
) -> None:
    """Print a final invoice again."""
    request = GetInvoiceRequest(invoice_number=number)
    with ledger_service() as ledger:
        found = ledger.GetInvoice(request, timeout=TIMEOUT_S)
    _print(found, output, as_json)


def list_invoices(
    account_id: Annotated[
        str, typer.Argument(metavar="[ACCOUNT]", help="Account id; default: all accounts.")
    ] = "",
    limit: Limit = 50,
    page_token: PageToken = "",
    as_json: AsJson = False,
) -> None:
    """List final invoices, by number."""
    request = ListInvoicesRequest(
        account_id=account_id,
        page_size=limit,
        page_token=page_token,
    )
    with ledger_service() as ledger:
        page = ledger.ListInvoices(request, timeout=TIMEOUT_S)
    print_page(page, as_json, _invoices_table)


def _print(
    invoice: Invoice,
    output: InvoiceFormat,
    as_json: bool,
) -> None:
    if as_json or output is InvoiceFormat.JSON:
        print_json(invoice)
    elif output is InvoiceFormat.CSV:
        print(to_csv(invoice), end="")
    else:
        console.print(to_table(invoice))


def _invoices_table(page: ListInvoicesResponse) -> Table:
    table = Table(box=None)
    table.add_column("number", no_wrap=True)
    table.add_column("account", overflow="fold")
    table.add_column("from", no_wrap=True)
    table.add_column("until before", no_wrap=True)
    add_number_columns(table, "total", "overage due")
    for each in page.invoices:
        table.add_row(
            each.invoice_number,
            each.account_id,
            _day_or_time(each.period_start),
            _day_or_time(each.period_end),
            money(each.total_nanos, each.currency),
            money(each.overage_due_nanos),
        )
    return table


def _day_or_time(stamp: Timestamp) -> str:
    return when(stamp).removesuffix(" 00:00:00")


def _parse_period(month: str, since: str, until: str) -> Period:
    if month:
        return _parse_month(month)
    return parse_time("--since", since), parse_time("--until", until)


def _parse_month(text: str) -> Period:
    try:
        first = date.fromisoformat(f"{text}-01")
        following = (first + timedelta(days=32)).replace(day=1)
    except OverflowError:
        raise CallFailed(
            f"--month: {text} is too late; give a month no later than 9999-11"
        ) from None
    except ValueError:
        raise CallFailed(f"{text!r} is no month; write it as 2026-11") from None
    return parse_time("--month", first.isoformat()), parse_time("--month", following.isoformat())


def _create_invoice(
    account_id: str,
    period: Period,
    *,
    preview: bool,
) -> Invoice:
    start, end = period
    request = CreateInvoiceRequest(
        account_id=account_id,
        period_start=start,
        period_end=end,
        preview=preview,
    )
    with ledger_service() as ledger:
        made: Invoice = ledger.CreateInvoice(request, timeout=TIMEOUT_S)
    return made
