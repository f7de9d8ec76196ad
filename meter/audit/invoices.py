"""The rules of an account's invoices."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from meter.database.schema import invoice_lines, invoices
from meter.invoices.calculation import Period, UnbalancedError
from meter.invoices.queries import compute_invoice
from meter.v1 import ledger_pb2 as pb

_LINE = tuple(column.name for column in invoice_lines.c if not column.primary_key)


def check_invoices(connection: Connection, account_id: str) -> Iterator[list[str]]:
    """Yields, for each of the account's invoices, the list of what does not hold."""
    rows = connection.execute(_select_invoices(account_id)).all()
    overlaps = _overlaps(rows)
    for row in rows:
        yield [*_check_invoice(connection, row), *overlaps.get(row.invoice_number, [])]


def _select_invoices(account_id: str) -> Select[Any]:
    """Selects the account's invoices, in the order of their periods."""
    of_account = select(invoices).where(invoices.c.account_id == account_id)
    return of_account.order_by(invoices.c.period_start_ms, invoices.c.invoice_number)


def _overlaps(rows: Sequence[Row[Any]]) -> dict[str, list[str]]:
    """Returns, by invoice number, the times that the invoice before has already."""
    found = {}
    for before, row in pairwise(rows):
        if row.period_start_ms < before.period_end_ms:
            number = row.invoice_number
            found[number] = [f"{number}: has a time that {before.invoice_number} has"]
    return found


def _check_invoice(connection: Connection, row: Row[Any]) -> Iterator[str]:
    yield from _check_document(connection, row)
    yield from _check_recomputed(connection, row)


def _check_document(connection: Connection, row: Row[Any]) -> Iterator[str]:
    """Compares the columns and lines of an invoice with its document, and adds the lines up."""
    invoice = pb.Invoice.FromString(row.body)
    yield from _check_columns(row, invoice)
    yield from _check_lines(connection, row, invoice)
    yield from _check_owed(row, invoice)
    yield from _check_paid(row, invoice)


def _check_columns(row: Row[Any], invoice: pb.Invoice) -> Iterator[str]:
    columns = (
        row.invoice_number,
        row.account_id,
        row.period_start_ms,
        row.period_end_ms,
        "FINAL",
        row.total_nanos,
    )
    document = _document_columns(invoice)
    if columns != document:
        yield f"{row.invoice_number}: is recorded as {columns}, its document says {document}"


def _document_columns(invoice: pb.Invoice) -> tuple[Any, ...]:
    return (
        invoice.invoice_number,
        invoice.account_id,
        invoice.period_start.ToMilliseconds(),
        invoice.period_end.ToMilliseconds(),
        pb.InvoiceStatus.Name(invoice.status),
        invoice.total_nanos,
    )


def _check_lines(
    connection: Connection,
    row: Row[Any],
    invoice: pb.Invoice,
) -> Iterator[str]:
    lines = _stored_lines(connection, row)
    if lines != _document_lines(invoice):
        yield f"{row.invoice_number}: the lines recorded are not those of its document"
    yield from _check_total(row, lines)


def _check_total(row: Row[Any], lines: list[tuple[Any, ...]]) -> Iterator[str]:
    total = sum(amount_nanos for *_, amount_nanos in lines)
    if total != row.total_nanos:
        yield (
            f"{row.invoice_number}: its lines add up to {total} nanos,"
            f" its total is {row.total_nanos}"
        )


def _check_owed(row: Row[Any], invoice: pb.Invoice) -> Iterator[str]:
    owed = invoice.overage_due_nanos + invoice.overage_carried_nanos
    if invoice.credits_applied_nanos + owed != invoice.total_nanos:
        yield (
            f"{row.invoice_number}: credits applied and overage are not its total"
            f" of {invoice.total_nanos} nanos"
        )


def _check_paid(row: Row[Any], invoice: pb.Invoice) -> Iterator[str]:
    paid = invoice.overage_used_nanos
    for payment in invoice.payments:
        paid += payment.amount_nanos
    if paid != invoice.total_nanos:
        yield (
            f"{row.invoice_number}: payments and overage used add up to {paid} nanos,"
            f" its total is {invoice.total_nanos}"
        )


def _stored_lines(connection: Connection, row: Row[Any]) -> list[tuple[Any, ...]]:
    columns = [invoice_lines.c[name] for name in _LINE]
    of_invoice = select(*columns).where(invoice_lines.c.invoice_number == row.invoice_number)
    query = of_invoice.order_by(invoice_lines.c.line)
    return [tuple(line) for line in connection.execute(query)]


def _document_lines(invoice: pb.Invoice) -> list[tuple[Any, ...]]:
    return [_line_values(line) for line in invoice.lines]


def _line_values(line: pb.InvoiceLine) -> tuple[Any, ...]:
    return tuple(getattr(line, name) for name in _LINE)


def _check_recomputed(connection: Connection, row: Row[Any]) -> Iterator[str]:
    """Computes the invoice again from the entries: the result must be the same."""
    try:
        recomputed = _recomputed(connection, row)
    except (UnbalancedError, ValueError) as error:
        yield f"{row.invoice_number}: cannot be computed again: {error}"
        return
    stored = pb.Invoice.FromString(row.body)
    if recomputed != stored:
        numbers = _different_numbers(stored, recomputed) or "its lines"
        yield f"{row.invoice_number}: computed again from its entries it differs: {numbers}"


def _recomputed(connection: Connection, row: Row[Any]) -> pb.Invoice:
    period = Period(row.period_start_ms, row.period_end_ms)
    return compute_invoice(
        connection,
        row.account_id,
        period,
        final=True,
        number=row.invoice_number,
    )


def _different_numbers(stored: pb.Invoice, recomputed: pb.Invoice) -> str:
    different = []
    for field in stored.DESCRIPTOR.fields:
        before = getattr(stored, field.name)
        after = getattr(recomputed, field.name)
        if before != after and field.name != "lines":
            different.append(f"{field.name} {before} (now {after})")
    return ", ".join(different)
