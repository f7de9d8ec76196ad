"""Tests invoices as people see them: the terminal's table, and CSV."""

import asyncio
import csv
import re
from collections.abc import Iterator
from decimal import Decimal

import pytest
from rich.console import Console

from meter.database.engine import Ledger
from meter.invoices.rendering import to_csv, to_table
from meter.money import parse_credits
from meter.prices import ModelPrice
from meter.prices.recorded import Prices
from meter.service import LedgerService
from meter.times import timestamp
from meter.v1 import ledger_pb2 as pb
from support.histories import (
    DAY,
    FEBRUARY,
    GPT,
    JANUARY,
    MARCH,
    Scribe,
    compute_invoice,
    service_of,
    usage,
)
from support.sample_ledger import credit_books

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


def create(service: LedgerService) -> pb.Invoice:
    january = {"period_start": timestamp(JANUARY), "period_end": timestamp(FEBRUARY)}
    return asyncio.run(service.CreateInvoice(pb.CreateInvoiceRequest(account_id="acme", **january)))


@pytest.fixture
def invoice(scribe: Scribe, service: LedgerService) -> pb.Invoice:
    price = ModelPrice(GPT, "USD", 1, (("input_tokens", 2_500_000), ("output_tokens", 10_000_000)))
    Prices(scribe.ledger).record(price)
    scribe.grant(1500 * CREDIT)
    lines = (("input_tokens", 123_456_789_012, 308_641_972_530), ("output_tokens", 99, 990))
    scribe.debit(sum(nanos for *_, nanos in lines), pricing=usage(*lines, version=price.version))
    scribe.debit(1500 * CREDIT)
    scribe.now_ms = FEBRUARY
    return create(service)


def rendered(invoice: pb.Invoice) -> list[str]:
    console = Console(width=80, record=True, file=_Nowhere())
    console.print(to_table(invoice))
    return console.export_text().splitlines()


class _Nowhere:
    """Takes what the console writes as it goes."""

    def write(self, _: str) -> int:
        return 0

    def flush(self) -> None:
        pass


def test_the_table_fits_80_columns_and_has_every_amount(invoice: pb.Invoice) -> None:
    text = rendered(invoice)
    assert max(map(len, text)) <= 80
    page = "\n".join(text)
    for shown in (
        "INV-000001",
        "acme",
        "2026-01-01 to 2026-01-31 (UTC)",
        "FINAL",
        GPT,
        "input tokens",
        "123,456,789,012",
        "2.5",
    ):
        assert shown in page
    for amount in (
        "308.64197253",
        "0.00000099",
        "1,808.64197352",
        "-1,500.00",
        "308.64197352",
        "-308.64197352",
    ):
        assert amount in page, page


def test_decimal_points_stand_below_each_other(invoice: pb.Invoice) -> None:
    amounts = [
        line.rstrip()
        for line in rendered(invoice)
        if line.rstrip()[-1:].isdigit() and "." in line[60:]
    ]
    assert len(amounts) == 9
    assert len({line.rindex(".") for line in amounts}) == 1


def test_an_invoice_of_nothing_is_a_page_too(service: LedgerService) -> None:
    assert any("nothing was used" in line for line in rendered(create(service)))


@pytest.fixture
def of_credits(ledger: Ledger) -> pb.Invoice:
    """Returns an invoice with every kind of row: overage is left to the next purchase."""
    scribe = credit_books(ledger)
    scribe.now_ms = FEBRUARY + DAY
    scribe.debit(5000, dimensions={"service": "chat"})
    scribe.grant(1000)
    return compute_invoice(scribe, FEBRUARY, MARCH, preview=True)


def test_the_table_says_whose_credits_paid_and_what_is_left_to_the_next_purchase(
    of_credits: pb.Invoice,
) -> None:
    columns = [re.split(r" {2,}", line.strip()) for line in rendered(of_credits)]
    sums = dict(each for each in columns[5:] if len(each) == 2)
    assert sums == {
        "Total of 2 debits": "0.00000503",
        "Paid from top-ups": "-0.000000853",
        "Overage, paid since": "-0.000001",
        "Overage, left to the next purchase": "-0.000003177",
        "Overage due, USD": "0.00",
        "Opening balance": "-0.000000092",
        "Credits granted": "0.000002",
        "Closing balance": "-0.000003122",
    }


def test_the_table_says_what_expired(ledger: Ledger) -> None:
    january = compute_invoice(credit_books(ledger), JANUARY, FEBRUARY)
    page = "\n".join(rendered(january))
    assert re.search(r"Paid from vouchers +-0\.00000008 ", page)
    assert re.search(r"Paid from promotions +-0\.000000025", page)
    assert re.search(r"Credits expired or voided +-0\.000000045", page)


def test_csv_has_a_row_for_each_payment(of_credits: pb.Invoice) -> None:
    found = list(csv.DictReader(to_csv(of_credits).splitlines()))
    nanos = {row["row"]: int(row["amount_nanos"]) for row in found}
    assert [(row["unit"], row["amount_nanos"]) for row in found if row["row"] == "payment"] == [
        ("TOP_UP", "853")
    ]
    assert nanos["payment"] + nanos["overage_used"] == nanos["total"] == 5030
    assert (
        nanos["credits_applied"] + nanos["overage_due"] + nanos["overage_carried"] == nanos["total"]
    )
    assert (nanos["overage_carried"], nanos["debt_paid"], nanos["credits_expired"]) == (
        3177,
        1107,
        0,
    )


@pytest.fixture
def rows(invoice: pb.Invoice) -> Iterator[dict[str, str]]:
    return iter(csv.DictReader(to_csv(invoice).splitlines()))


def test_csv_has_exact_decimals_that_are_the_nanos_and_add_up(
    rows: Iterator[dict[str, str]],
) -> None:
    found = list(rows)
    assert all(parse_credits(row["amount"]) == int(row["amount_nanos"]) for row in found)
    sums = {
        row["row"]: Decimal(row["amount"]) for row in found if row["row"] not in ("line", "payment")
    }
    assert sum(Decimal(row["amount"]) for row in found if row["row"] == "line") == sums["total"]
    assert (
        sums["credits_applied"] + sums["overage_due"] == sums["total"] == Decimal("1808.64197352")
    )
    assert {row["invoice_number"] for row in found} == {"INV-000001"}
    assert {row["period_end"] for row in found} == {"2026-02-01T00:00:00Z"}
