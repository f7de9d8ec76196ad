"""The rules of an account's invoices."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, select

from meter.database.schema import invoice_lines, invoices
from meter.invoices.calculation import GROWING, Period, UnbalancedError
from meter.invoices.queries import compute_invoice
from meter.v1 import ledger_pb2 as pb

_LINE = ("model", "unit", "price_version", "quantity", "amount_nanos")
# One of them differs if anything came since: usage, credits, a payment of debt, another overage
# policy.
_MOVES = (*GROWING, "opening_balance_nanos", "overage_due_nanos")


def check_invoices(connection: Connection, account_id: str) -> Iterator[list[str]]:
    """For each invoice, the details of what does not hold."""
    wanted = select(invoices).where(invoices.c.account_id == account_id)
    rows = connection.execute(wanted.order_by(invoices.c.invoice_number, invoices.c.revision)).all()
    for _, revisions in groupby(rows, key=lambda row: row.invoice_number):
        yield list(_check(connection, list(revisions)))


def _check(connection: Connection, revisions: list[Row[Any]]) -> Iterator[str]:
    for row in revisions:
        yield from _sum_of_lines(connection, row)
    for row in revisions[:-1]:
        if row.status == "FINAL":
            yield f"{_name(row)}: was final, and drawn again"
    if [row.revision for row in revisions] != list(range(1, len(revisions) + 1)):
        yield f"{revisions[0].invoice_number}: its revisions are {[row.revision for row in revisions]}"
    yield from _drawn_again(connection, revisions[-1])


def _sum_of_lines(connection: Connection, row: Row[Any]) -> Iterator[str]:
    """An invoice's body is what its columns say, and both are the sum of its lines."""
    invoice = pb.Invoice.FromString(row.body)
    own = (invoice_lines.c.invoice_number == row.invoice_number) & (
        invoice_lines.c.revision == row.revision
    )
    kept = connection.execute(
        select(*(invoice_lines.c[name] for name in _LINE)).where(own).order_by(invoice_lines.c.line)
    )
    lines = [tuple(entry) for entry in kept]
    columns = (
        row.invoice_number,
        row.account_id,
        row.period_start_ms,
        row.period_end_ms,
        row.status,
        row.total_nanos,
    )
    says = (
        invoice.invoice_number,
        invoice.account_id,
        invoice.period_start.ToMilliseconds(),
        invoice.period_end.ToMilliseconds(),
        pb.InvoiceStatus.Name(invoice.status),
        invoice.total_nanos,
    )
    if columns != says:
        yield f"{_name(row)}: is recorded as {columns}, its document says {says}"
    if lines != [tuple(getattr(entry, name) for name in _LINE) for entry in invoice.lines]:
        yield f"{_name(row)}: the lines recorded are not those of its document"
    if sum(entry[-1] for entry in lines) != row.total_nanos:
        yield f"{_name(row)}: its lines add up to {sum(entry[-1] for entry in lines)} nanos, its total is {row.total_nanos}"
    owed = invoice.overage_due_nanos + invoice.overage_carried_nanos
    if invoice.credits_applied_nanos + owed != invoice.total_nanos:
        yield f"{_name(row)}: credits applied and overage are not its total of {invoice.total_nanos} nanos"
    paid = sum(payment.amount_nanos for payment in invoice.payments) + invoice.overage_used_nanos
    if paid != invoice.total_nanos:
        yield f"{_name(row)}: payments and overage used add up to {paid} nanos, its total is {invoice.total_nanos}"


def _drawn_again(connection: Connection, row: Row[Any]) -> Iterator[str]:
    """Drawn again from the entries it comes out the same; a draft does so as long as nothing has come
    since.
    """
    was = pb.Invoice.FromString(row.body)
    period = Period(row.period_start_ms, row.period_end_ms)
    try:
        now = compute_invoice(
            connection,
            row.account_id,
            period,
            final=row.status == "FINAL",
            number=row.invoice_number,
        )
    except (UnbalancedError, ValueError) as error:
        yield f"{_name(row)}: cannot be drawn again: {error}"
        return
    moved = (
        any(getattr(was, name) != getattr(now, name) for name in _MOVES)
        and now.entry_count >= was.entry_count
    )
    if was != now and not (row.status == "DRAFT" and moved):
        names = [
            field.name
            for field in was.DESCRIPTOR.fields
            if getattr(was, field.name) != getattr(now, field.name)
        ]
        numbers = ", ".join(
            f"{name} {getattr(was, name)} (now {getattr(now, name)})"
            for name in names
            if name != "lines"
        )
        yield f"{_name(row)}: drawn again from its entries it differs: {numbers or 'its lines'}"


def _name(row: Row[Any]) -> str:
    return f"{row.invoice_number} revision {row.revision}"
