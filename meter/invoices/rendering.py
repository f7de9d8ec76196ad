"""Renders invoices for people: as a table for the terminal, as CSV for a spreadsheet.

Amounts are exact decimals of credits.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from meter.journal.grant_types import GRANT_TYPES
from meter.money import format_credits, grouped_credits
from meter.v1 import ledger_pb2 as pb

CSV_COLUMNS = (
    "invoice_number",
    "account_id",
    "status",
    "currency",
    "period_start",
    "period_end",
    # "line"; "payment", from credits of the type in `unit`; or the name of a sum
    "row",
    "model",
    "unit",
    "price_version",
    "quantity",
    "unit_price",  # credits per million units
    "amount",
    "amount_nanos",
)

_SUMS = (
    "total",
    "credits_applied",
    "overage_used",
    "overage_carried",
    "overage_due",
    "debt_paid",
    "opening_balance",
    "credits_granted",
    "credits_expired",
    "closing_balance",
)
_WIDTH = 80


class _CsvWriter:
    """Writes rows under a header; each row begins with the invoice's own columns."""

    def __init__(self, invoice: pb.Invoice) -> None:
        self._text = io.StringIO()
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._writer.writerow(CSV_COLUMNS)
        self._heading = _heading_columns(invoice)

    def add(
        self,
        row: str,
        nanos: int,
        *,
        model: str = "",
        unit: str = "",
        price_version: str = "",
        quantity: int | None = None,
        unit_price: str = "",
    ) -> None:
        """Writes one row; None as a quantity leaves the column empty."""
        self._writer.writerow(
            (
                *self._heading,
                row,
                model,
                unit,
                price_version,
                quantity,
                unit_price,
                format_credits(nanos),
                nanos,
            )
        )

    def text(self) -> str:
        return self._text.getvalue()


def to_csv(invoice: pb.Invoice) -> str:
    """Returns a row for each line, each payment and each sum, under a header.

    Every row names its invoice.
    """
    writer = _CsvWriter(invoice)
    for line in invoice.lines:
        _write_line(writer, line)
    for payment in invoice.payments:
        writer.add("payment", payment.amount_nanos, unit=payment.type)
    for name in _SUMS:
        writer.add(name, getattr(invoice, f"{name}_nanos"))
    return writer.text()


def _heading_columns(invoice: pb.Invoice) -> tuple[str, ...]:
    return (
        invoice.invoice_number,
        invoice.account_id,
        pb.InvoiceStatus.Name(invoice.status),
        invoice.currency,
        invoice.period_start.ToJsonString(),
        invoice.period_end.ToJsonString(),
    )


def _write_line(writer: _CsvWriter, line: pb.InvoiceLine) -> None:
    writer.add(
        "line",
        line.amount_nanos,
        model=line.model,
        unit=line.unit,
        price_version=line.price_version,
        quantity=line.quantity,
        unit_price=line.unit_price,
    )


def to_table(invoice: pb.Invoice) -> RenderableType:
    """Returns the invoice as a page of 80 columns."""
    return Group(_heading(invoice), "", _lines(invoice), "", _sums(invoice))


def _heading(invoice: pb.Invoice) -> Table:
    heading = Table.grid(padding=(0, 2))
    heading.add_column(style="dim")
    heading.add_column(overflow="fold")
    heading.add_row("Invoice", Text(invoice.invoice_number or "no number yet", "bold"))
    heading.add_row("Account", Text(invoice.account_id))
    heading.add_row("Period", _period(invoice.period_start, invoice.period_end))
    heading.add_row("Currency", Text(invoice.currency))
    heading.add_row("Status", _status(invoice))
    return heading


def _status(invoice: pb.Invoice) -> Text:
    style = "yellow"
    if invoice.status == pb.FINAL:
        style = "green"
    return Text(pb.InvoiceStatus.Name(invoice.status), style)


def _lines(invoice: pb.Invoice) -> Table:
    amount_width = _amount_width(invoice)
    table = _lines_table(amount_width)
    for model, lines in groupby(invoice.lines, key=lambda line: line.model):
        table.add_row(Text(model or "plain amounts", "bold"))
        _add_lines(table, lines, amount_width)
    if not invoice.lines:
        table.add_row(Text("nothing was used", "dim"))
    return table


def _lines_table(amount_width: int) -> Table:
    table = Table(
        width=_WIDTH,
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        header_style="bold",
        padding=(0, 1),
    )
    table.add_column("Usage", ratio=1, overflow="fold")
    table.add_column("Quantity", justify="right", no_wrap=True)
    table.add_column("Per million", justify="right", no_wrap=True)
    table.add_column("Amount".rjust(amount_width), no_wrap=True)
    return table


def _add_lines(
    table: Table,
    lines: Iterable[pb.InvoiceLine],
    amount_width: int,
) -> None:
    for line in lines:
        unit = line.unit.replace("_", " ")
        table.add_row(
            Text(f"  {unit}"),
            f"{line.quantity:,}",
            line.unit_price or "-",
            _aligned(line.amount_nanos, amount_width),
        )


def _sums(invoice: pb.Invoice) -> Table:
    amount_width = _amount_width(invoice)
    table = _sums_table(amount_width)
    for row in _sum_rows(invoice):
        amount = ""
        if row.nanos is not None:
            amount = _aligned(row.nanos, amount_width)
        table.add_row(Text(row.label, row.style), Text(amount, row.style))
    return table


def _sums_table(amount_width: int) -> Table:
    table = Table(
        width=_WIDTH,
        box=None,
        pad_edge=False,
        show_header=False,
        padding=(0, 1),
    )
    table.add_column(justify="right", ratio=1)
    table.add_column(min_width=amount_width, no_wrap=True)
    return table


class _SumRow(NamedTuple):
    label: str
    nanos: int | None
    style: str


def _sum_rows(invoice: pb.Invoice) -> Iterator[_SumRow]:
    """Yields the rows under the lines; sums of zero are left out unless every invoice has them."""
    yield _total_row(invoice)
    yield from _payment_rows(invoice)
    yield from _settled_overage_rows(invoice)
    yield _SumRow(
        f"Overage due, {invoice.currency}",
        invoice.overage_due_nanos,
        "bold",
    )
    yield _SumRow("", None, "")
    yield from _balance_rows(invoice)


def _total_row(invoice: pb.Invoice) -> _SumRow:
    debits = "debits"
    if invoice.entry_count == 1:
        debits = "debit"
    return _SumRow(
        f"Total of {invoice.entry_count:,} {debits}",
        invoice.total_nanos,
        "bold",
    )


def _payment_rows(invoice: pb.Invoice) -> Iterator[_SumRow]:
    for payment in invoice.payments:
        source = GRANT_TYPES[payment.type].name_on_invoice
        yield _SumRow(f"Paid from {source}", -payment.amount_nanos, "")


def _settled_overage_rows(invoice: pb.Invoice) -> Iterator[_SumRow]:
    """Yields the overage that is not due: paid back meanwhile, or left to the next purchase."""
    carried_nanos = invoice.overage_carried_nanos
    repaid_nanos = invoice.overage_used_nanos - invoice.overage_due_nanos - carried_nanos
    if repaid_nanos:
        yield _SumRow("Overage, paid since", -repaid_nanos, "")
    if carried_nanos:
        yield _SumRow("Overage, left to the next purchase", -carried_nanos, "")


def _balance_rows(invoice: pb.Invoice) -> Iterator[_SumRow]:
    yield _SumRow("Opening balance", invoice.opening_balance_nanos, "dim")
    yield _SumRow("Credits granted", invoice.credits_granted_nanos, "dim")
    if invoice.credits_expired_nanos:
        yield _SumRow(
            "Credits expired or voided",
            -invoice.credits_expired_nanos,
            "dim",
        )
    yield _SumRow("Closing balance", invoice.closing_balance_nanos, "dim")


def _aligned(nanos: int, width: int) -> str:
    """Returns the amount with its decimal point at the same place in every row of a column."""
    return _with_nine_places(nanos).rjust(width)


def _amount_width(invoice: pb.Invoice) -> int:
    amounts = [row.nanos for row in _sum_rows(invoice) if row.nanos is not None]
    return max(len(_with_nine_places(nanos)) for nanos in amounts)


def _with_nine_places(nanos: int) -> str:
    whole, _, fraction = grouped_credits(nanos).partition(".")
    return f"{whole}.{fraction:<9}"


def _period(start: Timestamp, end: Timestamp) -> str:
    """Returns whole UTC days as dates, the last day included; any other period as two times."""
    if not (_is_midnight(start) and _is_midnight(end)):
        return f"{start.ToJsonString()} until before {end.ToJsonString()}"
    return _days(start, end)


def _days(start: Timestamp, end: Timestamp) -> str:
    """Returns the first and the last day of a period of whole days; a single day as one date."""
    first_day = datetime.fromtimestamp(start.seconds, UTC)
    last_day = datetime.fromtimestamp(end.seconds, UTC) - timedelta(days=1)
    if first_day == last_day:
        return f"{first_day:%Y-%m-%d}"
    return f"{first_day:%Y-%m-%d} to {last_day:%Y-%m-%d} (UTC)"


def _is_midnight(time: Timestamp) -> bool:
    return time.nanos == 0 and time.seconds % 86_400 == 0
