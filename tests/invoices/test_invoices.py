"""Tests invoices computed from real entries: numbered, stored, and rendered."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from itertools import cycle

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import func, insert, select

from meter.database.engine import Ledger
from meter.database.migrate import open_ledger
from meter.database.schema import invoice_lines, invoices
from meter.errors import InvalidField, NotFound
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
) -> pb.Invoice:
    request = pb.CreateInvoiceRequest(account_id=account_id)
    if start is not None:
        request.period_start.CopyFrom(timestamp(start))
    if end is not None:
        request.period_end.CopyFrom(timestamp(end))
    return asyncio.run(service.CreateInvoice(request))


def get(service: LedgerService, number: str) -> pb.Invoice:
    return asyncio.run(service.GetInvoice(pb.GetInvoiceRequest(invoice_number=number)))


def listed(service: LedgerService, **query: object) -> pb.ListInvoicesResponse:
    return asyncio.run(service.ListInvoices(pb.ListInvoicesRequest(**query)))


def revisions(ledger: Ledger) -> int:
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
    assert (invoice.currency, invoice.account_id, invoice.invoice_number) == (
        "USD",
        "acme",
        "INV-000001",
    )


def test_the_same_call_gives_the_same_bytes(scribe: Scribe, service: LedgerService) -> None:
    scribe.grant(100)
    for number in range(1, 20):
        scribe.debit(number, pricing=usage(("input_tokens", 1, number), model=f"m{number % 7}"))
    first = create(service).SerializeToString(deterministic=True)
    assert create(service).SerializeToString(deterministic=True) == first
    assert get(service, "INV-000001").SerializeToString(deterministic=True) == first
    assert listed(service).invoices[0].SerializeToString(deterministic=True) == first
    assert revisions(scribe.ledger) == 1


def test_a_draft_takes_in_what_came_since_and_keeps_its_number(
    scribe: Scribe, service: LedgerService
) -> None:
    scribe.debit(5)
    first = create(service)
    scribe.debit(7)
    second = create(service)
    assert (first.status, second.status) == (pb.DRAFT, pb.DRAFT)
    assert (first.total_nanos, second.total_nanos) == (5, 12)
    assert first.invoice_number == second.invoice_number
    assert get(service, first.invoice_number) == second
    assert list(listed(service).invoices) == [second]
    assert revisions(scribe.ledger) == 2


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
    assert revisions(scribe.ledger) == 2


def test_an_entry_belongs_to_the_period_it_occurred_in(
    scribe: Scribe, service: LedgerService
) -> None:
    for at, amount in ((JANUARY, 1), (FEBRUARY - 1, 10), (FEBRUARY, 100), (MARCH, 1000)):
        scribe.now_ms = at
        scribe.debit(amount)
    assert create(service).total_nanos == 11
    assert create(service, FEBRUARY, MARCH).total_nanos == 100
    assert create(service, FEBRUARY - 1, FEBRUARY).total_nanos == 10


def test_without_a_period_it_is_the_calendar_month_that_runs(
    scribe: Scribe, service: LedgerService
) -> None:
    scribe.now_ms = int(datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC).timestamp() * 1000)
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
    for month in range(5):
        create(service, JANUARY + month, FEBRUARY)
        create(service, JANUARY + month, FEBRUARY, "other")
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
        "revision": 1,
        "account_id": "other",
        "period_start_ms": 0,
        "period_end_ms": 1,
        "status": "FINAL",
        "total_nanos": 0,
    }
    with scribe.ledger.write() as connection:
        body = pb.Invoice(invoice_number="INV-999999").SerializeToString()
        connection.execute(
            insert(invoices).values(million | {"invoice_number": "INV-999999", "body": body})
        )
    numbers = [create(service, JANUARY + month).invoice_number for month in range(2)]
    assert numbers == ["INV-1000000", "INV-1000001"]
    assert [each.invoice_number for each in listed(service).invoices] == ["INV-999999", *numbers]


def test_two_processes_that_draw_the_same_invoice_at_once_draw_one(
    scribe: Scribe, ledger_url: str
) -> None:
    scribe.create("other")
    scribe.debit(5)
    scribe.flush()
    wanted = [
        CreateInvoiceQuery(
            "acme" if number % 2 else "other", Period(JANUARY + number // 4, FEBRUARY)
        )
        for number in range(40)
    ]
    with (
        closing(open_ledger(ledger_url)) as one,
        closing(open_ledger(ledger_url)) as other,
        ThreadPoolExecutor(8) as threads,
    ):
        ledgers = cycle((one, other))
        computed = list(
            threads.map(lambda each: create_invoice(next(ledgers), each, FEBRUARY), wanted * 2)
        )
    numbers = {
        (each.account_id, each.period_start.ToMilliseconds()): each.invoice_number
        for each in computed
    }
    assert all(
        numbers[each.account_id, each.period_start.ToMilliseconds()] == each.invoice_number
        for each in computed
    )
    assert sorted(numbers.values()) == [f"INV-{number:06}" for number in range(1, 21)]
    assert revisions(scribe.ledger) == 20


def test_a_draft_never_goes_back_while_debits_keep_coming(scribe: Scribe, ledger_url: str) -> None:
    wanted = CreateInvoiceQuery("acme", Period(JANUARY, FEBRUARY))

    def write() -> None:
        for _ in range(30):
            scribe.debit(1)
            scribe.flush()

    def compute(ledger: Ledger) -> None:
        while not written.done():
            create_invoice(ledger, wanted, JANUARY)

    with closing(open_ledger(ledger_url)) as other, ThreadPoolExecutor(3) as threads:
        written = threads.submit(write)
        computing = [threads.submit(compute, ledger) for ledger in (scribe.ledger, other)]
        for each in (written, *computing):
            each.result()
        create_invoice(other, wanted, JANUARY)
    with scribe.ledger.read() as connection:
        totals = list(
            connection.scalars(select(invoices.c.total_nanos).order_by(invoices.c.revision))
        )
    assert totals == sorted(set(totals))
    assert totals[-1] == 30


def test_the_lines_are_kept_beside_the_document(scribe: Scribe, service: LedgerService) -> None:
    scribe.debit(35, pricing=usage(("input_tokens", 2, 5), ("output_tokens", 3, 30)))
    invoice = create(service)
    with scribe.ledger.read() as connection:
        rows = connection.execute(select(invoice_lines).order_by(invoice_lines.c.line)).all()
    assert [
        (row.invoice_number, row.revision, row.unit, row.quantity, row.amount_nanos) for row in rows
    ] == [("INV-000001", 1, line.unit, line.quantity, line.amount_nanos) for line in invoice.lines]
