"""Tests invoices computed from real entries: numbered, stored, and rendered."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from itertools import cycle, pairwise

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import func, insert, select

from meter.database.engine import Ledger
from meter.database.migrate import open_ledger
from meter.database.schema import invoice_lines, invoices
from meter.errors import FailedPrecondition, InvalidField, NotFound, ServiceError
from meter.invoices.calculation import Period
from meter.invoices.repository import CreateInvoiceQuery, create_invoice, month_of
from meter.prices import ModelPrice
from meter.prices.recorded import Prices
from meter.service import LedgerService
from meter.times import timestamp
from meter.v1 import ledger_pb2 as pb
from support.histories import DAY, FEBRUARY, GPT, HOUR, JANUARY, MARCH, Scribe, service_of, usage

pytest_plugins = ("support.ledgers",)

CREDIT = 1_000_000_000


def exact_time(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) * 1000


@pytest.fixture
def scribe(ledger: Ledger) -> Scribe:
    scribe = Scribe(ledger)
    scribe.create("acme")
    return scribe


@pytest.fixture
def service(scribe: Scribe) -> LedgerService:
    return service_of(scribe)


def create(
    service: LedgerService,
    start: int | None = JANUARY,
    end: int | None = FEBRUARY,
    account_id: str = "acme",
    preview: bool = False,
) -> pb.Invoice:
    request = pb.CreateInvoiceRequest(account_id=account_id, preview=preview)
    if start is not None:
        request.period_start.CopyFrom(timestamp(start))
    if end is not None:
        request.period_end.CopyFrom(timestamp(end))
    return asyncio.run(service.CreateInvoice(request))


def get(service: LedgerService, number: str) -> pb.Invoice:
    return asyncio.run(service.GetInvoice(pb.GetInvoiceRequest(invoice_number=number)))


def listed(service: LedgerService, **query: object) -> pb.ListInvoicesResponse:
    return asyncio.run(service.ListInvoices(pb.ListInvoicesRequest(**query)))


def refused(service: LedgerService, start: int, end: int, account_id: str = "acme") -> ServiceError:
    """Returns the error with which an invoice of the period is refused."""
    with pytest.raises(ServiceError) as raised:
        create(service, start, end, account_id)
    return raised.value


def stored(ledger: Ledger) -> int:
    with ledger.read() as connection:
        return connection.scalar(select(func.count()).select_from(invoices)) or 0


def test_a_line_for_each_model_unit_and_price_version(
    scribe: Scribe, service: LedgerService
) -> None:
    old = ModelPrice(GPT, "USD", 1, (("input_tokens", 2_500_000), ("output_tokens", 10_000_000)))
    new = ModelPrice(GPT, "USD", 1, (("input_tokens", 125), ("output_tokens", 10_000_000)))
    for price in (old, new):
        Prices(scribe.ledger).record(price)
    scribe.grant(CREDIT)
    scribe.debit(
        35, pricing=usage(("input_tokens", 2, 5), ("output_tokens", 3, 30), version=old.version)
    )
    scribe.debit(10, pricing=usage(("output_tokens", 1, 10), version=old.version))
    scribe.debit(1, pricing=usage(("input_tokens", 8, 1), version=new.version))
    scribe.debit(7)
    scribe.debit(9, pricing=usage(("requests", 1, 9), model="a/z", version="unknown"))
    invoice = create(service)
    lines = [
        (each.model, each.unit, each.quantity, each.unit_price, each.amount_nanos)
        for each in invoice.lines
    ]
    by_version = sorted(
        [
            (old.version, (GPT, "input_tokens", 2, "2.5", 5)),
            (new.version, (GPT, "input_tokens", 8, "0.000125", 1)),
        ]
    )
    assert lines == [
        ("", "amount", 1, "", 7),
        ("a/z", "requests", 1, "", 9),
        *(line for _, line in by_version),
        (GPT, "output_tokens", 4, "10", 40),
    ]
    assert invoice.total_nanos == sum(each.amount_nanos for each in invoice.lines) == 62
    assert invoice.entry_count == 5
    assert (invoice.currency, invoice.account_id) == ("USD", "acme")


def test_the_same_call_gives_the_same_bytes(scribe: Scribe, service: LedgerService) -> None:
    scribe.grant(100)
    for number in range(1, 20):
        scribe.debit(number, pricing=usage(("input_tokens", 1, number), model=f"m{number % 7}"))
    scribe.now_ms = FEBRUARY
    first = create(service).SerializeToString(deterministic=True)
    assert create(service).SerializeToString(deterministic=True) == first
    assert get(service, "INV-000001").SerializeToString(deterministic=True) == first
    assert listed(service).invoices[0].SerializeToString(deterministic=True) == first
    assert stored(scribe.ledger) == 1


def test_a_draft_takes_in_what_came_since_and_takes_no_number(
    scribe: Scribe, service: LedgerService
) -> None:
    scribe.debit(5)
    first = create(service)
    scribe.debit(7)
    second = create(service)
    assert (first.status, second.status) == (pb.DRAFT, pb.DRAFT)
    assert (first.total_nanos, second.total_nanos) == (5, 12)
    assert first.invoice_number == second.invoice_number == ""
    assert not listed(service).invoices
    scribe.now_ms = FEBRUARY
    assert create(service).invoice_number == "INV-000001"


def test_an_invoice_is_final_from_the_periods_end_and_never_changes(
    scribe: Scribe, service: LedgerService
) -> None:
    scribe.debit(5)
    scribe.now_ms = FEBRUARY - 1
    assert create(service).status == pb.DRAFT
    scribe.now_ms = FEBRUARY
    final = create(service)
    assert final.status == pb.FINAL
    scribe.now_ms = JANUARY + HOUR  # the store's clock was set back
    scribe.debit(7)
    scribe.now_ms = FEBRUARY - 1
    assert create(service) == final
    assert stored(scribe.ledger) == 1


def test_an_entry_belongs_to_the_period_it_occurred_in(
    scribe: Scribe, service: LedgerService
) -> None:
    for at, amount in ((JANUARY, 1), (FEBRUARY - 1, 10), (FEBRUARY, 100), (MARCH, 1000)):
        scribe.now_ms = at
        scribe.debit(amount)
    assert create(service).total_nanos == 11
    assert create(service, FEBRUARY, MARCH).total_nanos == 100
    assert create(service, FEBRUARY - 1, FEBRUARY, preview=True).total_nanos == 10


def test_usage_is_never_billed_twice(scribe: Scribe, service: LedgerService) -> None:
    scribe.debit(5)
    scribe.now_ms = MARCH
    final = create(service)
    middle = JANUARY + 15 * DAY
    for start, end in (
        (middle, FEBRUARY),
        (JANUARY, middle),
        (middle, MARCH),
        (JANUARY, MARCH),
        (middle, middle + DAY),
        (FEBRUARY - 1, MARCH),
    ):
        error = refused(service, start, end)
        assert (error.reason, error.code) == ("PERIOD_INVOICED", "FAILED_PRECONDITION")
        assert final.invoice_number in error.message
        draft = create(service, start, end, preview=True)
        assert (draft.status, draft.invoice_number) == (pb.DRAFT, "")
    assert create(service, FEBRUARY, MARCH).invoice_number == "INV-000002"
    assert create(service) == create(service, preview=True) == final
    assert stored(scribe.ledger) == 2


def test_a_period_of_which_nothing_can_be_told_is_refused(
    scribe: Scribe, service: LedgerService
) -> None:
    scribe.now_ms = MARCH
    scribe.create("young")
    scribe.debit(5, account_id="young")
    begun = scribe.now_ms
    early = refused(service, JANUARY, FEBRUARY, "young")
    assert (early.reason, early.field) == ("PERIOD_BEFORE_ACCOUNT", "period_end")
    future = refused(service, begun + 1, begun + DAY, "young")
    assert (future.reason, future.field) == ("PERIOD_NOT_BEGUN", "period_start")
    assert create(service, begun, begun + DAY, "young").status == pb.DRAFT
    assert create(service, JANUARY, MARCH + 1, "young").invoice_number == "INV-000001"


def test_the_last_month_that_a_clock_knows_has_no_end(
    scribe: Scribe, service: LedgerService
) -> None:
    scribe.create("last", clock=exact_time(9999, 12, 15))
    with pytest.raises(InvalidField) as raised:
        create(service, None, None, "last")
    assert raised.value.field == "period_end"


def test_without_a_period_it_is_the_calendar_month_that_runs(
    scribe: Scribe, service: LedgerService
) -> None:
    scribe.now_ms = exact_time(2028, 2, 29)
    invoice = create(service, None, None)
    assert invoice.period_start.ToJsonString() == "2028-02-01T00:00:00Z"
    assert invoice.period_end.ToJsonString() == "2028-03-01T00:00:00Z"
    assert invoice.status == pb.DRAFT


@pytest.mark.parametrize("at", [JANUARY, FEBRUARY - 1, FEBRUARY, MARCH - 1, MARCH])
def test_a_time_is_in_its_month(at: int) -> None:
    month = month_of(at)
    assert month.start_ms <= at < month.end_ms
    assert month_of(month.end_ms).start_ms == month.end_ms
    assert month_of(month.start_ms - 1).end_ms == month.start_ms


def test_an_account_on_a_test_clock_goes_by_that(scribe: Scribe, service: LedgerService) -> None:
    scribe.create("tester", clock=JANUARY + DAY)
    scribe.now_ms = JANUARY + DAY
    scribe.debit(5, account_id="tester")
    scribe.now_ms = MARCH + DAY
    assert create(service, None, None, "tester").status == pb.DRAFT
    scribe.advance_clock(FEBRUARY, "tester")
    scribe.now_ms = JANUARY
    assert create(service, account_id="tester").status == pb.FINAL
    assert create(service, None, None, "tester").period_start == timestamp(FEBRUARY)


def test_a_duplicate_is_in_no_invoice_whether_given_back_or_not(
    scribe: Scribe, service: LedgerService
) -> None:
    scribe.grant(100)
    request_id = scribe.debit(30)
    scribe.now_ms = FEBRUARY - 1
    scribe.debit(30, request_id=request_id)
    scribe.flush()
    scribe.now_ms = FEBRUARY
    january = create(service)
    assert (january.total_nanos, january.entry_count, january.closing_balance_nanos) == (30, 1, 70)
    before = create(service, FEBRUARY, MARCH)
    scribe.apply_pending()
    scribe.debit(1)
    february = create(service, FEBRUARY, MARCH)
    assert before.opening_balance_nanos == february.opening_balance_nanos == 70
    assert (
        february.credits_granted_nanos,
        february.total_nanos,
        february.closing_balance_nanos,
    ) == (0, 1, 69)
    scribe.flush()
    assert scribe.accounts["acme"].state.remaining == 69


BAD_PERIODS = [
    ({"account_id": ""}, "account_id"),
    ({"period_start": timestamp(JANUARY)}, "period_end"),
    ({"period_end": timestamp(JANUARY)}, "period_start"),
    ({"period_start": timestamp(JANUARY), "period_end": timestamp(JANUARY)}, "period_end"),
    ({"period_start": timestamp(FEBRUARY), "period_end": timestamp(JANUARY)}, "period_end"),
    ({"period_start": Timestamp(nanos=1), "period_end": timestamp(JANUARY)}, "period_start"),
    ({"period_start": timestamp(JANUARY), "period_end": Timestamp(seconds=2**50)}, "period_end"),
]


@pytest.mark.parametrize(("fields", "blamed"), BAD_PERIODS)
def test_a_bad_field_of_create_invoice_is_named(fields: dict[str, object], blamed: str) -> None:
    with pytest.raises(InvalidField) as refused:
        CreateInvoiceQuery.of(pb.CreateInvoiceRequest(**{"account_id": "acme", **fields}))
    assert refused.value.field == blamed


def test_an_unknown_account_or_number_is_not_found(service: LedgerService) -> None:
    with pytest.raises(NotFound) as refused:
        create(service, account_id="nobody")
    assert refused.value.field == "account_id"
    with pytest.raises(NotFound) as refused:
        get(service, "INV-000001")
    assert refused.value.field == "invoice_number"
    with pytest.raises(InvalidField):
        get(service, "")


def test_invoices_are_listed_by_number_page_by_page(scribe: Scribe, service: LedgerService) -> None:
    scribe.create("other")
    scribe.now_ms = FEBRUARY
    for day in range(5):
        for account_id in ("acme", "other"):
            create(service, JANUARY + day * DAY, JANUARY + (day + 1) * DAY, account_id)
    whole = list(listed(service).invoices)
    assert [each.invoice_number for each in whole] == [
        f"INV-{number:06}" for number in range(1, 11)
    ]
    assert [each.invoice_number for each in listed(service, account_id="other").invoices] == [
        f"INV-{number:06}" for number in range(2, 11, 2)
    ]
    joined = []
    token = ""
    for page_size in (4, 5, 1):
        page = listed(service, page_size=page_size, page_token=token)
        joined += page.invoices
        token = page.next_page_token
    assert joined == whole
    assert not token
    token = listed(service, page_size=1).next_page_token
    with pytest.raises(InvalidField) as refused:
        listed(service, account_id="other", page_token=token)
    assert refused.value.field == "page_token"


def test_numbers_go_on_in_order_past_six_digits(scribe: Scribe, service: LedgerService) -> None:
    million = {
        "account_id": "other",
        "period_start_ms": 0,
        "period_end_ms": 1,
        "total_nanos": 0,
    }
    with scribe.ledger.write() as connection:
        body = pb.Invoice(invoice_number="INV-999999").SerializeToString()
        connection.execute(
            insert(invoices).values(million | {"invoice_number": "INV-999999", "body": body})
        )
    scribe.now_ms = MARCH
    made = [create(service), create(service, FEBRUARY, MARCH)]
    numbers = [each.invoice_number for each in made]
    assert numbers == ["INV-1000000", "INV-1000001"]
    assert [each.invoice_number for each in listed(service).invoices] == ["INV-999999", *numbers]


def test_processes_that_bill_an_account_at_once_bill_every_time_once(
    scribe: Scribe, ledger_url: str
) -> None:
    scribe.create("other")
    scribe.debit(5)
    scribe.flush()
    half = JANUARY + 15 * DAY
    periods = (Period(JANUARY, FEBRUARY), Period(JANUARY, half), Period(half, FEBRUARY))
    wanted = [CreateInvoiceQuery(who, each) for each in periods for who in ("acme", "other")]
    with (
        closing(open_ledger(ledger_url)) as one,
        closing(open_ledger(ledger_url)) as other,
        ThreadPoolExecutor(8) as threads,
    ):
        ledgers = cycle((one, other))
        drawn = threads.map(lambda each: draw(next(ledgers), each), wanted * 8)
        made = {each.invoice_number: each for each in drawn if each is not None}
    for who in ("acme", "other"):
        own = [each for each in made.values() if each.account_id == who]
        spans = sorted((each.period_start.seconds, each.period_end.seconds) for each in own)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert sorted(made) == [f"INV-{number:06}" for number in range(1, len(made) + 1)]
    assert stored(scribe.ledger) == len(made) >= 2


def draw(ledger: Ledger, query: CreateInvoiceQuery) -> pb.Invoice | None:
    """Makes the final invoice; None if another invoice has a part of the period."""
    try:
        return create_invoice(ledger, query, FEBRUARY)
    except FailedPrecondition:
        return None


def test_the_lines_are_kept_beside_the_document(scribe: Scribe, service: LedgerService) -> None:
    scribe.debit(35, pricing=usage(("input_tokens", 2, 5), ("output_tokens", 3, 30)))
    scribe.now_ms = FEBRUARY
    invoice = create(service)
    with scribe.ledger.read() as connection:
        rows = connection.execute(select(invoice_lines).order_by(invoice_lines.c.line)).all()
    assert [(row.invoice_number, row.unit, row.quantity, row.amount_nanos) for row in rows] == [
        ("INV-000001", line.unit, line.quantity, line.amount_nanos) for line in invoice.lines
    ]
