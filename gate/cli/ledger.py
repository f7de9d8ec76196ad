"""Commands to read the ledger: entries, usage."""

from collections import Counter
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.table import Table

from gate.cli.connection import (
    TIMEOUT_S,
    AsJson,
    ledger_service,
    money,
    parse_time,
    when,
)
from gate.cli.options import AccountId, Limit, PageToken, typed
from gate.cli.output import add_number_columns, print_page
from meter.v1.ledger_pb2 import (
    DAY,
    DEBIT,
    DEBT_PAID,
    GRANT,
    GRANT_EXHAUSTED,
    GRANT_EXPIRED,
    GRANT_STARTED,
    GRANT_VOIDED,
    HOUR,
    Entry,
    EntryKind,
    ListEntriesRequest,
    ListEntriesResponse,
    QueryUsageRequest,
    QueryUsageResponse,
    UsageBucket,
)

Since = Annotated[
    str,
    typer.Option(
        metavar="TIME", help="From this UTC time on, such as 2026-11-01 or 2026-11-01T12:00."
    ),
]
Until = Annotated[
    str,
    typer.Option(
        metavar="TIME",
        help="Before this UTC time.",
    ),
]
Model = Annotated[str, typer.Option(help="Only this model.")]


_OF_GRANTS = (
    GRANT,
    GRANT_STARTED,
    GRANT_EXPIRED,
    GRANT_EXHAUSTED,
    GRANT_VOIDED,
    DEBT_PAID,
)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(entries)
    app.command()(usage)


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
        kinds=map(_parse_kind, kind or ()),
        page_size=limit,
        page_token=page_token,
    )
    with ledger_service() as ledger:
        page = ledger.ListEntries(request, timeout=TIMEOUT_S)
    print_page(page, as_json, _entries_table)


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
    print_page(page, as_json, lambda page: _usage_table(page, by, dimension))


def _parse_kind(name: str) -> EntryKind:
    try:
        return EntryKind.Value(name.upper())  # type: ignore[return-value]  # its stub says int
    except ValueError:
        raise typer.BadParameter(f"--kind is one of {_kind_names()}") from None


def _kind_names() -> str:
    names = EntryKind.keys()[1:]
    return ", ".join(names).lower()


def _entries_table(page: ListEntriesResponse) -> Table:
    table = Table("when (UTC)", "kind", "what", box=None)
    table.columns[0].no_wrap = True
    add_number_columns(table, "credits", "balance")
    for entry in page.entries:
        table.add_row(
            when(entry.occurred_at),
            EntryKind.Name(entry.kind).lower(),
            "; ".join(_entry_details(entry)),
            money(entry.amount_nanos),
            money(entry.balance_nanos),
        )
    return table


def _entry_details(entry: Entry) -> Iterator[str]:
    """Yields the parts of the entry's description: model, usage, text, sources, flags."""
    if entry.model:
        yield entry.model
    used = [
        f"{line.quantity:,} {_short_unit(line.unit)}"
        for line in entry.usage
        if line.unit != "amount"
    ]
    if used:
        yield ", ".join(used)
    if entry.description:
        yield entry.description
    if entry.hold_id:
        yield f"hold {entry.hold_id}: {_signed(entry.held_nanos)}"
    if entry.kind == DEBIT and entry.burned:
        yield f"from {_burned_text(entry)}"
    elif entry.kind in _OF_GRANTS:
        yield from _grants_text(entry)
    if entry.late:
        yield "late"
    if entry.incurred:
        yield "incurred"
    if entry.grace_nanos:
        yield f"grace {money(entry.grace_nanos)}"
    if entry.shortfall_nanos:
        yield f"shortfall {money(entry.shortfall_nanos)}"


def _signed(nanos: int) -> str:
    if nanos > 0:
        return f"+{money(nanos)}"
    return money(nanos)


def _grants_text(entry: Entry) -> Iterator[str]:
    """Yields the grants that an entry is about, and what was paid with them, if anything."""
    for burn in entry.burned:
        name = f"{typed(burn.type)} {burn.grant_id}".strip()
        if entry.kind == DEBT_PAID:
            name = f"{money(burn.amount_nanos)} of overage paid from {name}"
        yield name


def _burned_text(entry: Entry) -> str:
    """Returns the credits burned by an entry, added up by type of grant."""
    parts = []
    for grant_type, nanos in _burned_by_type(entry).items():
        parts.append(f"{money(nanos)} {typed(grant_type)}")
    return ", ".join(parts)


def _burned_by_type(entry: Entry) -> Counter[str]:
    amounts: Counter[str] = Counter()
    for burn in entry.burned:
        amounts[burn.type] += burn.amount_nanos
    return amounts


def _usage_table(page: QueryUsageResponse, by: str, dimension: str) -> Table:
    table = Table("from (UTC)", "model", "unit", box=None)
    table.columns[0].no_wrap = True
    if dimension:
        table.add_column(dimension)
    add_number_columns(table, "quantity", "requests", "credits")
    for bucket in page.buckets:
        cells = [_start_text(bucket, by), bucket.model or "-", _short_unit(bucket.unit)]
        if dimension:
            cells.append(bucket.dimension_value)
        table.add_row(
            *cells,
            f"{bucket.quantity:,}",
            f"{bucket.requests:,}",
            money(bucket.amount_nanos),
        )
    return table


def _start_text(bucket: UsageBucket, by: str) -> str:
    start = when(bucket.start_time)
    if by == "day":
        return start.removesuffix(" 00:00:00")
    return start


def _short_unit(unit: str) -> str:
    return unit.removesuffix("_tokens").replace("_", " ")
