"""The rules of an account's invoices."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from meter.database.schema import invoice_lines, invoices
from meter.invoices.calculation import GROWING, Period, UnbalancedError
from meter.invoices.queries import compute_invoice
from meter.v1 import ledger_pb2 as pb

_LINE = tuple(column.name for column in invoice_lines.c if not column.primary_key)
# Fields of which at least one differs if anything came since: usage, credits, a payment of debt,
# another overage policy.
_MOVES = (*GROWING, "opening_balance_nanos", "overage_due_nanos")


def check_invoices(connection: Connection, account_id: str) -> Iterator[list[str]]:
    """Yields, for each of the account's invoices, the list of what does not hold."""
    rows = connection.execute(_select_invoices(account_id)).all()
    for _, revisions in groupby(rows, key=lambda row: row.invoice_number):
        yield list(_check_invoice(connection, list(revisions)))


def _select_invoices(account_id: str) -> Select[Any]:
    """Selects all revisions of the account's invoices, in order."""
    of_account = select(invoices).where(invoices.c.account_id == account_id)
    return of_account.order_by(invoices.c.invoice_number, invoices.c.revision)


def _check_invoice(connection: Connection, revisions: list[Row[Any]]) -> Iterator[str]:
    for row in revisions:
        yield from _check_document(connection, row)
    yield from _check_final(revisions)
    yield from _check_numbers(revisions)
    yield from _check_recomputed(connection, revisions[-1])


def _check_final(revisions: list[Row[Any]]) -> Iterator[str]:
    """Yields the final revisions that a newer revision follows."""
    for row in revisions[:-1]:
        if row.status == "FINAL":
            yield f"{_name(row)}: was final, and computed again"


def _check_numbers(revisions: list[Row[Any]]) -> Iterator[str]:
    numbers = [row.revision for row in revisions]
    if numbers != list(range(1, len(revisions) + 1)):
        yield f"{revisions[0].invoice_number}: its revisions are {numbers}"


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
        row.status,
        row.total_nanos,
    )
    document = _document_columns(invoice)
    if columns != document:
        yield f"{_name(row)}: is recorded as {columns}, its document says {document}"


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
        yield f"{_name(row)}: the lines recorded are not those of its document"
    yield from _check_total(row, lines)


def _check_total(row: Row[Any], lines: list[tuple[Any, ...]]) -> Iterator[str]:
    total = sum(amount_nanos for *_, amount_nanos in lines)
    if total != row.total_nanos:
        yield f"{_name(row)}: its lines add up to {total} nanos, its total is {row.total_nanos}"


def _check_owed(row: Row[Any], invoice: pb.Invoice) -> Iterator[str]:
    owed = invoice.overage_due_nanos + invoice.overage_carried_nanos
    if invoice.credits_applied_nanos + owed != invoice.total_nanos:
        yield (
            f"{_name(row)}: credits applied and overage are not its total"
            f" of {invoice.total_nanos} nanos"
        )


def _check_paid(row: Row[Any], invoice: pb.Invoice) -> Iterator[str]:
    paid = invoice.overage_used_nanos
    for payment in invoice.payments:
        paid += payment.amount_nanos
    if paid != invoice.total_nanos:
        yield (
            f"{_name(row)}: payments and overage used add up to {paid} nanos,"
            f" its total is {invoice.total_nanos}"
        )


def _stored_lines(connection: Connection, row: Row[Any]) -> list[tuple[Any, ...]]:
    columns = [invoice_lines.c[name] for name in _LINE]
    of_invoice = select(*columns).where(
        invoice_lines.c.invoice_number == row.invoice_number,
        invoice_lines.c.revision == row.revision,
    )
    query = of_invoice.order_by(invoice_lines.c.line)
    return [tuple(line) for line in connection.execute(query)]


def _document_lines(invoice: pb.Invoice) -> list[tuple[Any, ...]]:
    return [_line_values(line) for line in invoice.lines]


def _line_values(line: pb.InvoiceLine) -> tuple[Any, ...]:
    return tuple(getattr(line, name) for name in _LINE)


def _check_recomputed(connection: Connection, row: Row[Any]) -> Iterator[str]:
    """Computes the invoice again from the entries: the result must be the same.

    A draft may differ once anything has come since.
    """
    try:
        recomputed = _recomputed(connection, row)
    except (UnbalancedError, ValueError) as error:
        yield f"{_name(row)}: cannot be computed again: {error}"
        return
    yield from _check_same(row, recomputed)


def _check_same(row: Row[Any], recomputed: pb.Invoice) -> Iterator[str]:
    stored = pb.Invoice.FromString(row.body)
    may_differ = row.status == "DRAFT" and _has_moved(stored, recomputed)
    if recomputed != stored and not may_differ:
        numbers = _different_numbers(stored, recomputed) or "its lines"
        yield f"{_name(row)}: computed again from its entries it differs: {numbers}"


def _recomputed(connection: Connection, row: Row[Any]) -> pb.Invoice:
    period = Period(row.period_start_ms, row.period_end_ms)
    return compute_invoice(
        connection,
        row.account_id,
        period,
        final=row.status == "FINAL",
        number=row.invoice_number,
    )


def _has_moved(stored: pb.Invoice, recomputed: pb.Invoice) -> bool:
    if recomputed.entry_count < stored.entry_count:
        return False
    return any(getattr(stored, name) != getattr(recomputed, name) for name in _MOVES)


def _different_numbers(stored: pb.Invoice, recomputed: pb.Invoice) -> str:
    different = []
    for field in stored.DESCRIPTOR.fields:
        before = getattr(stored, field.name)
        after = getattr(recomputed, field.name)
        if before != after and field.name != "lines":
            different.append(f"{field.name} {before} (now {after})")
    return ", ".join(different)


def _name(row: Row[Any]) -> str:
    return f"{row.invoice_number} revision {row.revision}"
