"""Creates, numbers, stores and lists invoices; every revision of an invoice is kept.

An invoice is computed in a snapshot, without a lock. A short locked transaction then stores the
invoice, unless another call has stored a newer revision meanwhile.
"""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

from sqlalchemy import Connection, ScalarSelect, Select, func, insert, select, tuple_

from meter.database.engine import Ledger
from meter.database.errors import AccountNotFound
from meter.database.schema import accounts, invoice_lines, invoices
from meter.errors import InvalidField, NotFound
from meter.ids import check_id
from meter.invoices.calculation import Period, supersedes
from meter.invoices.queries import compute_invoice
from meter.pagination import AccountsPage
from meter.times import MS_PER_DAY, exact_ms
from meter.v1 import ledger_pb2 as pb

INVOICE_PLACE = (str,)  # the types of an invoice's place in a list

_NUMBER_PREFIX = "INV-"
_NUMBER_DIGITS = 6  # at least; the numbers grow longer after INV-999999
_NUMBERING_LOCK = 0x494E5649  # "INVI": PostgreSQL's advisory lock on the numbering
_LINE_COLUMNS = ("model", "unit", "price_version", "quantity", "amount_nanos")


@dataclass(frozen=True, slots=True)
class CreateInvoiceQuery:
    """Says which invoice CreateInvoice computes.

    Without a period, the calendar month (UTC) of the account's clock is meant.
    """

    account_id: str
    period: Period | None

    @classmethod
    def of(cls, request: pb.CreateInvoiceRequest) -> "CreateInvoiceQuery":
        """Reads the request; raises InvalidField for a field that cannot be used."""
        check_id("account_id", request.account_id)
        return cls(request.account_id, _read_period(request))


@dataclass(frozen=True, slots=True)
class StoredInvoice:
    """Holds the latest stored revision of an invoice; `body` is the serialized message."""

    number: str
    revision: int
    body: bytes

    @property
    def invoice(self) -> pb.Invoice:
        """Returns the message that `body` holds."""
        return pb.Invoice.FromString(self.body)


def create_invoice(
    ledger: Ledger,
    query: CreateInvoiceQuery,
    now_ms: int,
) -> pb.Invoice:
    """Returns the invoice of a period, computed anew unless a final revision is stored.

    The caller makes sure that the ledger holds everything that happened before `now_ms`. The
    invoice is final once the period has ended by the account's clock: `now_ms`, or the account's
    test clock. Raises NotFound for an unknown account.
    """
    with ledger.read() as connection:
        account_ms = _account_time(connection, query.account_id, now_ms)
        period = query.period or month_of(account_ms)
        latest = _latest(connection, query.account_id, period)
        if latest is not None and latest.invoice.status == pb.FINAL:
            return latest.invoice
        computed = compute_invoice(
            connection,
            query.account_id,
            period,
            final=account_ms >= period.end_ms,
            number=_number_of(latest),
        )
    if latest is not None and latest.body == _serialize(computed):
        return computed
    return _store(ledger, computed, period)


def get_invoice(connection: Connection, number: str) -> pb.Invoice:
    """Returns the latest revision of an invoice; raises NotFound for an unknown number."""
    body = connection.scalar(_select_newest(number))
    if body is None:
        message = f"invoice_number: no invoice {number}"
        raise NotFound("INVOICE_NOT_FOUND", message, "invoice_number")
    return pb.Invoice.FromString(body)


def list_invoices(connection: Connection, query: AccountsPage) -> pb.ListInvoicesResponse:
    """Returns one page of invoices by number, each in the latest revision."""
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


def _number_of(latest: StoredInvoice | None) -> str:
    if latest is None:
        return ""
    return latest.number


def _select_newest(number: str) -> Select[bytes]:
    revisions = select(invoices.c.body).where(invoices.c.invoice_number == number)
    return revisions.order_by(invoices.c.revision.desc()).limit(1)


def _select_invoices(query: AccountsPage) -> Select[Any]:
    # A longer number is a higher number.
    place = tuple_(func.length(invoices.c.invoice_number), invoices.c.invoice_number)
    statement = _select_latest(query.account_id)
    if query.page.after:
        last_number = str(query.page.after[0])
        statement = statement.where(place > tuple_(len(last_number), last_number))
    return statement.order_by(*place)


def _select_latest(account_id: str) -> Select[Any]:
    """Selects the latest revision of each invoice, of all accounts for an empty `account_id`."""
    statement = select(invoices.c.invoice_number, invoices.c.body)
    statement = statement.where(invoices.c.revision == _latest_revision())
    if account_id:
        statement = statement.where(invoices.c.account_id == account_id)
    return statement


def _latest_revision() -> ScalarSelect[int]:
    """Selects the highest revision of the invoice in the row of the statement around."""
    other = invoices.alias()
    return (
        select(func.max(other.c.revision))
        .where(other.c.invoice_number == invoices.c.invoice_number)
        .scalar_subquery()
    )


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


def _latest(
    connection: Connection,
    account_id: str,
    period: Period,
) -> StoredInvoice | None:
    row = connection.execute(_select_revisions(account_id, period).limit(1)).one_or_none()
    if row is None:
        return None
    return StoredInvoice(row.invoice_number, row.revision, row.body)


def _select_revisions(account_id: str, period: Period) -> Select[Any]:
    """Selects what is stored of an account's invoice of a period, the newest first."""
    statement = select(invoices.c.invoice_number, invoices.c.revision, invoices.c.body)
    of_period = statement.where(
        invoices.c.account_id == account_id,
        invoices.c.period_start_ms == period.start_ms,
        invoices.c.period_end_ms == period.end_ms,
    )
    return of_period.order_by(invoices.c.revision.desc())


def _store(
    ledger: Ledger,
    computed: pb.Invoice,
    period: Period,
) -> pb.Invoice:
    """Stores a new revision; the first revision of an invoice takes the next number.

    Returns the revision that another call has stored meanwhile, if the computed invoice does not
    supersede that revision.
    """
    with ledger.write() as connection:
        _lock_numbering(connection)
        latest = _latest(connection, computed.account_id, period)
        if latest is None:
            return _store_first(connection, computed, period)
        return _store_next(connection, computed, period, latest)


def _lock_numbering(connection: Connection) -> None:
    """Lets one transaction at a time number invoices; SQLite's writers wait by themselves."""
    if connection.dialect.name == "postgresql":
        lock = func.pg_advisory_xact_lock(_NUMBERING_LOCK)
        connection.execute(select(lock))


def _store_first(
    connection: Connection,
    computed: pb.Invoice,
    period: Period,
) -> pb.Invoice:
    computed.invoice_number = _next_number(connection)
    _insert(connection, computed, period, revision=1)
    return computed


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


def _store_next(
    connection: Connection,
    computed: pb.Invoice,
    period: Period,
    latest: StoredInvoice,
) -> pb.Invoice:
    computed.invoice_number = latest.number
    if not supersedes(computed, latest.invoice):
        return latest.invoice
    _insert(connection, computed, period, revision=latest.revision + 1)
    return computed


def _insert(
    connection: Connection,
    invoice: pb.Invoice,
    period: Period,
    revision: int,
) -> None:
    key = {
        "invoice_number": invoice.invoice_number,
        "revision": revision,
    }
    statement = insert(invoices).values(key | _invoice_columns(invoice, period))
    connection.execute(statement)
    _insert_lines(connection, key, invoice)


def _insert_lines(
    connection: Connection,
    key: dict[str, Any],
    invoice: pb.Invoice,
) -> None:
    lines = [key | columns for columns in _lines_columns(invoice)]
    if lines:
        connection.execute(insert(invoice_lines), lines)


def _invoice_columns(invoice: pb.Invoice, period: Period) -> dict[str, Any]:
    return {
        "account_id": invoice.account_id,
        "period_start_ms": period.start_ms,
        "period_end_ms": period.end_ms,
        "status": pb.InvoiceStatus.Name(invoice.status),
        "total_nanos": invoice.total_nanos,
        "body": _serialize(invoice),
    }


def _lines_columns(invoice: pb.Invoice) -> Iterator[dict[str, Any]]:
    for place, line in enumerate(invoice.lines, 1):
        columns = {name: getattr(line, name) for name in _LINE_COLUMNS}
        yield columns | {"line": place}


def _serialize(invoice: pb.Invoice) -> bytes:
    return invoice.SerializeToString(deterministic=True)
