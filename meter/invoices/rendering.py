"""Invoices for people: a table for the terminal, CSV for a spreadsheet.

Amounts are exact decimals of credits.
"""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby

from google.protobuf.timestamp_pb2 import Timestamp
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from meter.money import format_credits
from meter.v1 import ledger_pb2 as pb

CSV_COLUMNS = (
    "invoice_number",
    "account_id",
    "status",
    "currency",
    "period_start",
    "period_end",
    "row",  # line; payment, of credits of the type in `unit`; or the name of a sum
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
_CREDITS = {
    "TOP_UP": "top-ups",
    "VOUCHER": "vouchers",
    "PROMOTION": "promotions",
    "REFUND": "refunds",
    "ADJUSTMENT": "adjustments",
}
_WIDTH = 80


def to_csv(invoice: pb.Invoice) -> str:
    """A row for each line, each payment and each sum, under a header; every row names its
    invoice.
    """
    heading = (
        invoice.invoice_number,
        invoice.account_id,
        pb.InvoiceStatus.Name(invoice.status),
        invoice.currency,
        invoice.period_start.ToJsonString(),
        invoice.period_end.ToJsonString(),
    )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for line in invoice.lines:
        used = (line.model, line.unit, line.price_version, line.quantity, line.unit_price)
        writer.writerow(
            (*heading, "line", *used, format_credits(line.amount_nanos), line.amount_nanos)
        )
    for payment in invoice.payments:
        amount = format_credits(payment.amount_nanos), payment.amount_nanos
        writer.writerow((*heading, "payment", "", payment.type, "", "", "", *amount))
    for name in _SUMS:
        nanos = getattr(invoice, f"{name}_nanos")
        writer.writerow((*heading, name, "", "", "", "", "", format_credits(nanos), nanos))
    return text.getvalue()


def to_table(invoice: pb.Invoice) -> RenderableType:
    """The invoice as a page of 80 columns."""
    return Group(_heading(invoice), "", _lines(invoice), "", _sums(invoice))


def _heading(invoice: pb.Invoice) -> Table:
    status = pb.InvoiceStatus.Name(invoice.status)
    heading = Table.grid(padding=(0, 2))
    heading.add_column(style="dim")
    heading.add_column(overflow="fold")
    heading.add_row("Invoice", Text(invoice.invoice_number, "bold"))
    heading.add_row("Account", Text(invoice.account_id))
    heading.add_row("Period", _period(invoice.period_start, invoice.period_end))
    heading.add_row("Currency", Text(invoice.currency))
    heading.add_row("Status", Text(status, "green" if invoice.status == pb.FINAL else "yellow"))
    return heading


def _lines(invoice: pb.Invoice) -> Table:
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
    table.add_column(f"{'Amount':>{_amount_width(invoice)}}", no_wrap=True)
    for model, lines in groupby(invoice.lines, key=lambda line: line.model):
        table.add_row(Text(model or "plain amounts", "bold"))
        for line in lines:
            unit = Text(f"  {line.unit.replace('_', ' ')}")
            table.add_row(
                unit,
                f"{line.quantity:,}",
                line.unit_price or "-",
                _aligned(invoice, line.amount_nanos),
            )
    if not invoice.lines:
        table.add_row(Text("nothing was used", "dim"))
    return table


def _sums(invoice: pb.Invoice) -> Table:
    table = Table(width=_WIDTH, box=None, pad_edge=False, show_header=False, padding=(0, 1))
    table.add_column(justify="right", ratio=1)
    table.add_column(min_width=_amount_width(invoice), no_wrap=True)
    for label, nanos, style in _labelled_sums(invoice):
        table.add_row(
            Text(label, style), Text("" if nanos is None else _aligned(invoice, nanos), style)
        )
    return table


def _labelled_sums(invoice: pb.Invoice) -> Iterator[tuple[str, int | None, str]]:
    """Label, nanos and style; what is zero is left out unless every invoice tells of it."""
    debits = "debit" if invoice.entry_count == 1 else "debits"
    yield f"Total of {invoice.entry_count:,} {debits}", invoice.total_nanos, "bold"
    for payment in invoice.payments:
        yield f"Paid from {_CREDITS[payment.type]}", -payment.amount_nanos, ""
    repaid = invoice.overage_used_nanos - invoice.overage_due_nanos - invoice.overage_carried_nanos
    if repaid:
        yield "Overage, paid since", -repaid, ""
    if invoice.overage_carried_nanos:
        yield "Overage, left to the next purchase", -invoice.overage_carried_nanos, ""
    yield f"Overage due, {invoice.currency}", invoice.overage_due_nanos, "bold"
    yield "", None, ""
    yield "Opening balance", invoice.opening_balance_nanos, "dim"
    yield "Credits granted", invoice.credits_granted_nanos, "dim"
    if invoice.credits_expired_nanos:
        yield "Credits expired or voided", -invoice.credits_expired_nanos, "dim"
    yield "Closing balance", invoice.closing_balance_nanos, "dim"


def _aligned(invoice: pb.Invoice, nanos: int) -> str:
    """With the decimal point at the same place in every amount of the invoice."""
    return _with_nanos(nanos).rjust(_amount_width(invoice))


def _amount_width(invoice: pb.Invoice) -> int:
    sums = (nanos for _, nanos, _ in _labelled_sums(invoice) if nanos is not None)
    return max(len(_with_nanos(nanos)) for nanos in sums)


def _with_nanos(nanos: int) -> str:
    whole, _, fraction = format_credits(nanos).partition(".")
    return f"{whole}.{fraction:<9}"


def _period(start: Timestamp, end: Timestamp) -> str:
    first, after = (datetime.fromtimestamp(time.seconds, UTC) for time in (start, end))
    if _is_midnight(start) and _is_midnight(end):
        last = after - timedelta(days=1)
        return (
            f"{first:%Y-%m-%d}" if last == first else f"{first:%Y-%m-%d} to {last:%Y-%m-%d} (UTC)"
        )
    return f"{start.ToJsonString()} until before {end.ToJsonString()}"


def _is_midnight(time: Timestamp) -> bool:
    return time.nanos == 0 and time.seconds % 86_400 == 0
