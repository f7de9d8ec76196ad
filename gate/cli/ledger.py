"""Commands that read the books: entries, usage, invoices, check."""

from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp
from rich.table import Table
from rich.text import Text

from gate.cli.connection import (
    TIMEOUT_S,
    AsJson,
    CallFailed,
    console,
    ledger_service,
    money,
    parse_time,
    print_json,
    print_next,
    when,
)
from gate.cli.options import AccountId, Limit, PageToken
from meter.invoices.rendering import to_csv, to_table
from meter.v1.ledger_pb2 import (
    DAY,
    DEBIT,
    HOUR,
    CheckBooksRequest,
    CreateInvoiceRequest,
    Entry,
    EntryKind,
    GetInvoiceRequest,
    ListEntriesRequest,
    ListEntriesResponse,
    ListEventsRequest,
    QueryUsageRequest,
)

CHECK_TIMEOUT_S = 3600.0

Since = Annotated[
    str,
    typer.Option(
        metavar="TIME", help="From this UTC time on, such as 2026-11-01 or 2026-11-01T12:00."
    ),
]
Until = Annotated[str, typer.Option(metavar="TIME", help="Before this UTC time.")]
Model = Annotated[str, typer.Option(help="Only this model.")]


class InvoiceFormat(StrEnum):
    """How an invoice is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (entries, usage, events, invoice, check):
        app.command()(command)


def entries(
    account_id: AccountId,
    since: Since = "",
    until: Until = "",
    kind: Annotated[
        list[str] | None,
        typer.Option(help="debit, grant, authorize, ...; default: those that are about credits."),
    ] = None,
    model: Model = "",
    limit: Limit = 50,
    page_token: PageToken = "",
    as_json: AsJson = False,
) -> None:
    """Show an account's balance history, newest first."""
    request = ListEntriesRequest(
        account_id=account_id,
        start_time=parse_time("--since", since),
        end_time=parse_time("--until", until),
        model=model,
        kinds=[_kind(name) for name in kind or ()],
        page_size=limit,
        page_token=page_token,
    )
    with ledger_service() as ledger:
        page = ledger.ListEntries(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(page)
    else:
        _print_entries(page)


def usage(
    account_id: AccountId,
    since: Since = "",
    until: Until = "",
    by: Annotated[str, typer.Option(help="hour or day.")] = "day",
    dimension: Annotated[str, typer.Option(help="Split by this dimension's values.")] = "",
    model: Model = "",
    limit: Limit = 50,
    page_token: PageToken = "",
    as_json: AsJson = False,
) -> None:
    """Show usage by time, model and unit."""
    if by not in ("hour", "day"):
        raise typer.BadParameter("--by is hour or day")
    request = QueryUsageRequest(
        account_id=account_id,
        start_time=parse_time("--since", since),
        end_time=parse_time("--until", until),
        granularity=HOUR if by == "hour" else DAY,
        model=model,
        dimension=dimension,
        page_size=limit,
        page_token=page_token,
    )
    with ledger_service() as ledger:
        page = ledger.QueryUsage(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(page)
        return
    table = Table("from (UTC)", "model", "unit", *([dimension] if dimension else []), box=None)
    table.columns[0].no_wrap = True
    for heading in ("quantity", "requests", "credits"):
        table.add_column(heading, justify="right", no_wrap=True)
    for bucket in page.buckets:
        split = [bucket.dimension_value] if dimension else []
        numbers = f"{bucket.quantity:,}", f"{bucket.requests:,}", money(bucket.amount_nanos)
        start = (
            when(bucket.start_time).removesuffix(" 00:00:00")
            if by == "day"
            else when(bucket.start_time)
        )
        table.add_row(start, bucket.model or "-", _short(bucket.unit), *split, *numbers)
    console.print(table)
    print_next(page.next_page_token)


def events(
    account_id: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Only this account's.")] = "",
    limit: Limit = 50,
    page_token: PageToken = "",
    as_json: AsJson = False,
) -> None:
    """Show thresholds that were crossed, oldest first."""
    request = ListEventsRequest(account_id=account_id, page_size=limit, page_token=page_token)
    with ledger_service() as ledger:
        page = ledger.ListEvents(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(page)
        return
    table = Table("when (UTC)", "account", "threshold", "of", "window", box=None)
    for heading in ("level", "reached"):
        table.add_column(heading, justify="right", no_wrap=True)
    for event in page.events:
        subject = (
            f"budget {event.budget_id}"
            if event.budget_id
            else event.subject.lower().replace("_", " ")
        )
        window = (
            "" if event.subject == "LOW_BALANCE" else event.window
        )  # what was granted up to then: for programs
        amounts = money(event.level_nanos), money(event.value_nanos)
        table.add_row(
            when(event.occurred_at), event.account_id, event.threshold_id, subject, window, *amounts
        )
    console.print(table)
    if len(page.events) == limit:  # there is always a token, for whoever asks again later
        print_next(page.next_page_token)


def invoice(
    account_id: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Account id.")] = "",
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
    with ledger_service() as ledger:
        if number:
            made = ledger.GetInvoice(GetInvoiceRequest(invoice_number=number), timeout=TIMEOUT_S)
        else:
            start, end = (
                _month(month)
                if month
                else (parse_time("--since", since), parse_time("--until", until))
            )
            request = CreateInvoiceRequest(
                account_id=account_id, period_start=start, period_end=end
            )
            made = ledger.CreateInvoice(request, timeout=TIMEOUT_S)
    if as_json or output is InvoiceFormat.JSON:
        print_json(made)
    elif output is InvoiceFormat.CSV:
        print(to_csv(made), end="")
    else:
        console.print(to_table(made))


def check(
    account_id: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Only this account.")] = "",
    as_json: AsJson = False,
) -> None:
    """Recompute the books and compare them with Redis. Exits with 1 if anything is wrong."""
    with ledger_service() as ledger:
        result = ledger.CheckBooks(
            CheckBooksRequest(account_id=account_id), timeout=CHECK_TIMEOUT_S
        )
    if as_json:
        print_json(result)
    else:
        for finding in result.findings:
            where = f" {finding.account_id} {finding.shard} {finding.detail}"
            console.print(Text.assemble((finding.invariant, "red"), where), soft_wrap=True)
        checked = ", ".join(
            f"{count:,} {one if count == 1 else many}"
            for count, one, many in (
                (result.accounts_checked, "account", "accounts"),
                (result.entries_checked, "entry", "entries"),
                (result.invoices_checked, "invoice", "invoices"),
            )
        )
        found = f"{len(result.findings)} finding{'s' * (len(result.findings) > 1)}"
        console.print(f"{checked}: {found if result.findings else 'the books are right'}")
    if result.findings:
        raise typer.Exit(1)


def _print_entries(page: ListEntriesResponse) -> None:
    table = Table("when (UTC)", "kind", "what", box=None)
    table.columns[0].no_wrap = True
    for heading in ("credits", "balance"):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in page.entries:
        kind = EntryKind.Name(entry.kind).lower()
        table.add_row(
            when(entry.occurred_at),
            kind,
            _what(entry),
            money(entry.amount_nanos),
            money(entry.balance_nanos),
        )
    console.print(table)
    print_next(page.next_page_token)


def _what(entry: Entry) -> str:
    used = ", ".join(
        f"{line.quantity:,} {_short(line.unit)}" for line in entry.usage if line.unit != "amount"
    )
    notes = (
        ["late"] * entry.late
        + ["incurred"] * entry.incurred
        + [f"grace {money(entry.grace_nanos)}"] * bool(entry.grace_nanos)
        + [f"shortfall {money(entry.shortfall_nanos)}"] * bool(entry.shortfall_nanos)
    )
    return "; ".join(filter(None, [entry.model, used, entry.description, _burned(entry), *notes]))


def _burned(entry: Entry) -> str:
    """What a debit was paid from, by kind."""
    amounts: dict[str, int] = {}
    for burn in entry.burned if entry.kind == DEBIT else ():
        amounts[burn.type] = amounts.get(burn.type, 0) + burn.amount_nanos
    parts = (f"{money(nanos)} {name.lower().replace('_', '-')}" for name, nanos in amounts.items())
    return f"from {', '.join(parts)}" if amounts else ""


def _short(unit: str) -> str:
    return unit.removesuffix("_tokens").replace("_", " ")


def _kind(name: str) -> EntryKind:
    try:
        return EntryKind.Value(name.upper())  # type: ignore[return-value]  # its stub says int
    except ValueError:
        names = ", ".join(known.lower() for known in EntryKind.keys()[1:])
        raise typer.BadParameter(f"--kind is one of {names}") from None


def _month(text: str) -> tuple[Timestamp | None, Timestamp | None]:
    try:
        first = date.fromisoformat(f"{text}-01")
        following = (first + timedelta(days=32)).replace(day=1)
    except (ValueError, OverflowError):
        raise CallFailed(f"{text!r} is no month; write it as 2026-11") from None
    return parse_time("--month", first.isoformat()), parse_time("--month", following.isoformat())
