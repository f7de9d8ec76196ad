"""The book of invoices: draws them from the ledger's rows, numbers them, and keeps every revision.

An invoice is drawn in a snapshot, without a lock, and kept in a short locked transaction, unless
somebody kept a newer one meanwhile.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

from sqlalchemy import Connection, func, insert, select, tuple_

from meter.database.engine import Ledger
from meter.database.errors import AccountNotFound
from meter.database.schema import accounts, invoice_lines, invoices
from meter.errors import InvalidField, NotFound
from meter.ids import check_id
from meter.invoices.calculation import Period, supersedes
from meter.invoices.queries import compute_invoice
from meter.pagination import Page, page_of
from meter.times import MS_PER_DAY, exact_ms
from meter.v1 import ledger_pb2 as pb

_PREFIX = "INV-"
_DIGITS = 6
_LOCK = 0x494E5649  # PostgreSQL's advisory lock on the numbering


@dataclass(frozen=True, slots=True)
class CreateInvoiceQuery:
    """What CreateInvoice is to draw; without a period, the calendar month (UTC) that runs by the
    account's clock.
    """

    account_id: str
    period: Period | None

    @classmethod
    def of(cls, request: pb.CreateInvoiceRequest) -> "CreateInvoiceQuery":
        check_id("account_id", request.account_id)
        given = [field for field in ("period_start", "period_end") if request.HasField(field)]
        if not given:
            return cls(request.account_id, None)
        if len(given) == 1:
            missing = "period_end" if given == ["period_start"] else "period_start"
            raise InvalidField(
                missing, f"is required with {given[0]}; leave out both for the month that runs now"
            )
        period = Period(
            exact_ms("period_start", request.period_start),
            exact_ms("period_end", request.period_end),
        )
        if period.start_ms >= period.end_ms:
            raise InvalidField("period_end", "must be after period_start")
        return cls(request.account_id, period)


@dataclass(frozen=True, slots=True)
class StoredInvoice:
    """The latest revision of an invoice."""

    number: str
    revision: int
    body: bytes

    @property
    def invoice(self) -> pb.Invoice:
        return pb.Invoice.FromString(self.body)


@dataclass(frozen=True, slots=True)
class ListInvoicesQuery:
    """What ListInvoices is to find."""

    account_id: str
    page: Page

    @classmethod
    def of(cls, request: pb.ListInvoicesRequest) -> "ListInvoicesQuery":
        if request.account_id:
            check_id("account_id", request.account_id)
        return cls(
            request.account_id, page_of(request, request.page_size, request.page_token, (str,))
        )


def create_invoice(ledger: Ledger, wanted: CreateInvoiceQuery, now_ms: int) -> pb.Invoice:
    """The invoice, drawn again unless it is final; the caller has made sure that the ledger holds what
    happened before `now_ms`.

    It is final once its period has ended by the account's clock: `now_ms`, or its test clock.
    NotFound for an unknown account.
    """
    with ledger.read() as connection:
        clock_ms = _clock(connection, wanted.account_id, now_ms)
        period = wanted.period or month_of(clock_ms)
        latest = _latest(connection, wanted.account_id, period)
        if latest and latest.invoice.status == pb.FINAL:
            return latest.invoice
        number = latest.number if latest else ""
        drawn = compute_invoice(
            connection, wanted.account_id, period, final=clock_ms >= period.end_ms, number=number
        )
    if latest and _body(drawn) == latest.body:
        return drawn
    return _keep(ledger, drawn, period)


def get_invoice(connection: Connection, number: str) -> pb.Invoice:
    """The latest revision of an invoice. NotFound for an unknown number."""
    body = connection.scalar(
        select(invoices.c.body)
        .where(invoices.c.invoice_number == number)
        .order_by(invoices.c.revision.desc())
        .limit(1)
    )
    if body is None:
        raise NotFound(
            "INVOICE_NOT_FOUND", f"invoice_number: no invoice {number}", "invoice_number"
        )
    return pb.Invoice.FromString(body)


def list_invoices(connection: Connection, listing: ListInvoicesQuery) -> pb.ListInvoicesResponse:
    """One page of the latest revisions, by number."""
    later = invoices.alias()
    newest = (
        select(func.max(later.c.revision))
        .where(later.c.invoice_number == invoices.c.invoice_number)
        .scalar_subquery()
    )
    place = tuple_(func.length(invoices.c.invoice_number), invoices.c.invoice_number)
    found = select(invoices.c.invoice_number, invoices.c.body).where(invoices.c.revision == newest)
    if listing.account_id:
        found = found.where(invoices.c.account_id == listing.account_id)
    if listing.page.after:
        last = str(listing.page.after[0])
        found = found.where(place > tuple_(len(last), last))
    rows = connection.execute(found.order_by(*place).limit(listing.page.size + 1)).all()
    token = listing.page.token((rows[-2].invoice_number,)) if len(rows) > listing.page.size else ""
    drawn = [pb.Invoice.FromString(row.body) for row in rows[: listing.page.size]]
    return pb.ListInvoicesResponse(invoices=drawn, next_page_token=token)


def month_of(ms: int) -> Period:
    """The calendar month (UTC) of a time."""
    first = datetime.fromtimestamp(ms // 1000, UTC).replace(day=1, hour=0, minute=0, second=0)
    start_ms = int(first.timestamp()) * 1000
    return Period(start_ms, start_ms + monthrange(first.year, first.month)[1] * MS_PER_DAY)


def _clock(connection: Connection, account_id: str, now_ms: int) -> int:
    """The account's time.

    A test clock's is the one that the gate goes by: a later one may be recorded, but not applied
    yet.
    """
    row = connection.execute(
        select(accounts.c.applied_clock_ms).where(accounts.c.account_id == account_id)
    ).one_or_none()
    if row is None:
        raise AccountNotFound(account_id)
    return now_ms if row.applied_clock_ms is None else row.applied_clock_ms


def _latest(connection: Connection, account_id: str, period: Period) -> StoredInvoice | None:
    found = select(invoices.c.invoice_number, invoices.c.revision, invoices.c.body).where(
        invoices.c.account_id == account_id,
        invoices.c.period_start_ms == period.start_ms,
        invoices.c.period_end_ms == period.end_ms,
    )
    row = connection.execute(found.order_by(invoices.c.revision.desc()).limit(1)).one_or_none()
    return None if row is None else StoredInvoice(row.invoice_number, row.revision, row.body)


def _keep(ledger: Ledger, drawn: pb.Invoice, period: Period) -> pb.Invoice:
    """Keeps a new revision, with the next number if it is the first; or returns the one that somebody
    else kept meanwhile, if newer.
    """
    with ledger.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        latest = _latest(connection, drawn.account_id, period)
        drawn.invoice_number = latest.number if latest else _next_number(connection)
        if latest and not supersedes(drawn, latest.invoice):
            return latest.invoice
        _insert(connection, drawn, period, latest.revision + 1 if latest else 1)
    return drawn


def _next_number(connection: Connection) -> str:
    last = 0
    for digits in count(_DIGITS):
        number = invoices.c.invoice_number
        highest = connection.scalar(
            select(func.max(number)).where(func.length(number) == len(_PREFIX) + digits)
        )
        last = int(highest.removeprefix(_PREFIX)) if highest else last
        if last != 10**digits - 1:
            break
    return f"{_PREFIX}{last + 1:0{_DIGITS}}"


def _insert(connection: Connection, drawn: pb.Invoice, period: Period, revision: int) -> None:
    key = {"invoice_number": drawn.invoice_number, "revision": revision}
    invoice = {
        "account_id": drawn.account_id,
        "period_start_ms": period.start_ms,
        "period_end_ms": period.end_ms,
        "status": pb.InvoiceStatus.Name(drawn.status),
        "total_nanos": drawn.total_nanos,
        "body": _body(drawn),
    }
    connection.execute(insert(invoices).values(key | invoice))
    names = ("model", "unit", "price_version", "quantity", "amount_nanos")
    lines = [
        key | {"line": place} | {name: getattr(line, name) for name in names}
        for place, line in enumerate(drawn.lines, 1)
    ]
    if lines:
        connection.execute(insert(invoice_lines), lines)


def _body(invoice: pb.Invoice) -> bytes:
    return invoice.SerializeToString(deterministic=True)
