"""Creates, numbers, stores and lists invoices.

A draft is computed on every request, and neither numbered nor stored. A final invoice is computed
in a snapshot, without a lock, and stored by a short locked transaction, unless another call has
stored an invoice of these days meanwhile. No two stored invoices of an account have a day in
common: usage is billed once.
"""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

from sqlalchemy import Connection, Select, func, insert, select, tuple_

from meter.database.engine import Ledger
from meter.database.errors import AccountNotFound
from meter.database.schema import accounts, entries, invoice_lines, invoices
from meter.errors import FailedPrecondition, InvalidField, NotFound
from meter.ids import check_id
from meter.invoices.calculation import Period
from meter.invoices.queries import compute_invoice
from meter.pagination import AccountsPage
from meter.times import LAST_MS, MS_PER_DAY, exact_ms, timestamp
from meter.v1 import ledger_pb2 as pb

INVOICE_PLACE = (str,)  # the types of an invoice's place in a list

_NUMBER_PREFIX = "INV-"
_NUMBER_DIGITS = 6  # at least; the numbers grow longer after INV-999999
_NUMBERING_LOCK = 0x494E5649  # "INVI": PostgreSQL's advisory lock on the numbering
_LINE_COLUMNS = ("model", "unit", "price_version", "quantity", "amount_nanos")


@dataclass(frozen=True, slots=True)
class CreateInvoiceQuery:
    """Says which invoice CreateInvoice computes.

    Without a period, the calendar month (UTC) of the account's clock is meant. A preview is a draft
    even if the period has ended.
    """

    account_id: str
    period: Period | None
    preview: bool = False

    @classmethod
    def of(cls, request: pb.CreateInvoiceRequest) -> "CreateInvoiceQuery":
        """Reads the request; raises InvalidField for a field that cannot be used."""
        check_id("account_id", request.account_id)
        return cls(request.account_id, _read_period(request), request.preview)


def create_invoice(
    ledger: Ledger,
    query: CreateInvoiceQuery,
    now_ms: int,
) -> pb.Invoice:
    """Returns the invoice of a period, computed anew unless the final one is stored.

    The caller makes sure that the ledger holds everything that happened before `now_ms`. The
    invoice is final once the period has ended by the account's clock: `now_ms`, or the account's
    test clock. Raises NotFound for an unknown account, and FailedPrecondition for a period that has
    not begun, that ended before the account's first entry, or of which another invoice has a part.
    """
    with ledger.read() as connection:
        account_ms = _account_time(connection, query.account_id, now_ms)
        period = query.period or month_of(account_ms)
        stored = _stored(connection, query.account_id, period)
        if stored is not None:
            return stored
        final = account_ms >= period.end_ms and not query.preview
        _check_period(connection, query.account_id, period, account_ms)
        if final:
            _refuse_billed(connection, query.account_id, period)
        computed = compute_invoice(connection, query.account_id, period, final=final, number="")
    if final:
        return _store(ledger, computed, period)
    return computed


def get_invoice(connection: Connection, number: str) -> pb.Invoice:
    """Returns a stored invoice; raises NotFound for an unknown number."""
    query = select(invoices.c.body).where(invoices.c.invoice_number == number)
    body = connection.scalar(query)
    if body is None:
        message = f"invoice_number: no invoice {number}"
        raise NotFound("INVOICE_NOT_FOUND", message, "invoice_number")
    return pb.Invoice.FromString(body)


def list_invoices(connection: Connection, query: AccountsPage) -> pb.ListInvoicesResponse:
    """Returns one page of the stored invoices, by number."""
    statement = _select_invoices(query).limit(query.page.limit)
    found = connection.execute(statement).all()
    invoices, token = query.page.fill(
        found,
        (pb.Invoice.FromString(row.body) for row in found),
        lambda row: (row.invoice_number,),
    )
    return pb.ListInvoicesResponse(invoices=invoices, next_page_token=token)


def month_of(ms: int) -> Period:
    """Returns the calendar month (UTC) that contains a time."""
    moment = datetime.fromtimestamp(ms // 1000, UTC)
    first = datetime(moment.year, moment.month, 1, tzinfo=UTC)
    _, days = monthrange(first.year, first.month)
    start_ms = int(first.timestamp()) * 1000
    return Period(start_ms, start_ms + days * MS_PER_DAY)


def _select_invoices(query: AccountsPage) -> Select[Any]:
    # A longer number is a higher number.
    place = tuple_(func.length(invoices.c.invoice_number), invoices.c.invoice_number)
    statement = select(invoices.c.invoice_number, invoices.c.body)
    if query.account_id:
        statement = statement.where(invoices.c.account_id == query.account_id)
    if query.page.after:
        last_number = str(query.page.after[0])
        statement = statement.where(place > tuple_(len(last_number), last_number))
    return statement.order_by(*place)


def _read_period(request: pb.CreateInvoiceRequest) -> Period | None:
    if not _has_period(request):
        return None
    period = Period(
        start_ms=exact_ms("period_start", request.period_start),
        end_ms=exact_ms("period_end", request.period_end),
    )
    if period.start_ms >= period.end_ms:
        raise InvalidField("period_end", "must be after period_start")
    return period


def _has_period(request: pb.CreateInvoiceRequest) -> bool:
    """Returns whether the request names a period; raises InvalidField for half a period."""
    has_start = request.HasField("period_start")
    has_end = request.HasField("period_end")
    if has_start and not has_end:
        raise _missing("period_end", "period_start")
    if has_end and not has_start:
        raise _missing("period_start", "period_end")
    return has_start


def _missing(field: str, given: str) -> InvalidField:
    return InvalidField(
        field,
        f"is required with {given}; leave out both for the month that runs now",
    )


def _account_time(
    connection: Connection,
    account_id: str,
    now_ms: int,
) -> int:
    """Returns the time that the account lives by, in ms; raises AccountNotFound.

    A test clock counts as applied by the gate: a later time may be recorded already, but is not in
    effect yet.
    """
    query = select(accounts.c.applied_clock_ms).where(accounts.c.account_id == account_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise AccountNotFound(account_id)
    if row.applied_clock_ms is None:
        return now_ms
    return int(row.applied_clock_ms)


def _check_period(
    connection: Connection,
    account_id: str,
    period: Period,
    account_ms: int,
) -> None:
    """Refuses a period of which nothing can be told: yet to come, or before the account."""
    if period.end_ms > LAST_MS:
        raise InvalidField("period_end", "must not be after the year 9999")
    if period.start_ms > account_ms:
        raise FailedPrecondition(
            "PERIOD_NOT_BEGUN",
            f"period_start: the period begins on {_time(period.start_ms)},"
            f" and it is {_time(account_ms)} by the account's clock; ask for an earlier period",
            "period_start",
        )
    first_ms = _first_entry_ms(connection, account_id)
    if first_ms is not None and period.end_ms <= first_ms:
        raise FailedPrecondition(
            "PERIOD_BEFORE_ACCOUNT",
            f"period_end: the period ended on {_time(period.end_ms)}, before the account's"
            f" first entry on {_time(first_ms)}; ask for a later period",
            "period_end",
        )


def _first_entry_ms(connection: Connection, account_id: str) -> int | None:
    """Returns the time of the account's first entry; None if nothing was flushed yet."""
    of_account = select(entries.c.occurred_at_ms).where(entries.c.account_id == account_id)
    query = of_account.order_by(entries.c.epoch, entries.c.seq).limit(1)
    return connection.scalar(query)


def _refuse_billed(
    connection: Connection,
    account_id: str,
    period: Period,
) -> None:
    """Raises FailedPrecondition if an invoice has a part of the period already."""
    query = _select_overlapping(account_id, period)
    row = connection.execute(query.limit(1)).one_or_none()
    if row is None:
        return
    raise FailedPrecondition(
        "PERIOD_INVOICED",
        f"period_start: {row.invoice_number} has the time from {_time(row.period_start_ms)}"
        f" until before {_time(row.period_end_ms)} already, and usage is billed once;"
        " ask for a period without that time, or for a preview",
        "period_start",
    )


def _select_overlapping(account_id: str, period: Period) -> Select[Any]:
    statement = select(
        invoices.c.invoice_number,
        invoices.c.period_start_ms,
        invoices.c.period_end_ms,
    ).where(
        invoices.c.account_id == account_id,
        invoices.c.period_start_ms < period.end_ms,
        invoices.c.period_end_ms > period.start_ms,
    )
    return statement.order_by(invoices.c.period_start_ms)


def _time(ms: int) -> str:
    return timestamp(ms).ToJsonString()


def _stored(
    connection: Connection,
    account_id: str,
    period: Period,
) -> pb.Invoice | None:
    query = select(invoices.c.body).where(
        invoices.c.account_id == account_id,
        invoices.c.period_start_ms == period.start_ms,
        invoices.c.period_end_ms == period.end_ms,
    )
    body = connection.scalar(query)
    if body is None:
        return None
    return pb.Invoice.FromString(body)


def _store(
    ledger: Ledger,
    computed: pb.Invoice,
    period: Period,
) -> pb.Invoice:
    """Stores a final invoice under the next number.

    Returns what another call has stored of the period meanwhile; raises FailedPrecondition if that
    is an invoice of a part of the period.
    """
    with ledger.write() as connection:
        _lock_numbering(connection)
        stored = _stored(connection, computed.account_id, period)
        if stored is not None:
            return stored
        _refuse_billed(connection, computed.account_id, period)
        computed.invoice_number = _next_number(connection)
        _insert(connection, computed, period)
    return computed


def _lock_numbering(connection: Connection) -> None:
    """Lets one transaction at a time number invoices; SQLite's writers wait by themselves."""
    if connection.dialect.name == "postgresql":
        lock = func.pg_advisory_xact_lock(_NUMBERING_LOCK)
        connection.execute(select(lock))


def _next_number(connection: Connection) -> str:
    """Returns the number after the highest one; INV-999999 is followed by INV-1000000."""
    last = 0
    for digits in count(_NUMBER_DIGITS):
        last = _highest_with(digits, connection) or last
        largest_with_digits = 10**digits - 1
        if last != largest_with_digits:
            break
    return f"{_NUMBER_PREFIX}{last + 1:0{_NUMBER_DIGITS}}"


def _highest_with(digits: int, connection: Connection) -> int | None:
    """Returns the highest number with so many digits; None if no invoice has one."""
    number = invoices.c.invoice_number
    length = len(_NUMBER_PREFIX) + digits
    query = select(func.max(number)).where(func.length(number) == length)
    highest = connection.scalar(query)
    if highest is None:
        return None
    return int(highest.removeprefix(_NUMBER_PREFIX))


def _insert(
    connection: Connection,
    invoice: pb.Invoice,
    period: Period,
) -> None:
    columns = _invoice_columns(invoice, period)
    connection.execute(insert(invoices).values(columns))
    lines = list(_lines_columns(invoice))
    if lines:
        connection.execute(insert(invoice_lines), lines)


def _invoice_columns(invoice: pb.Invoice, period: Period) -> dict[str, Any]:
    return {
        "invoice_number": invoice.invoice_number,
        "account_id": invoice.account_id,
        "period_start_ms": period.start_ms,
        "period_end_ms": period.end_ms,
        "total_nanos": invoice.total_nanos,
        "body": invoice.SerializeToString(deterministic=True),
    }


def _lines_columns(invoice: pb.Invoice) -> Iterator[dict[str, Any]]:
    for place, line in enumerate(invoice.lines, 1):
        columns = {name: getattr(line, name) for name in _LINE_COLUMNS}
        yield columns | {"invoice_number": invoice.invoice_number, "line": place}
