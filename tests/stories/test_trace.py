"""A trace of real requests, replayed over gRPC: its cost is the same by every way of adding it up,
to the nano.

The trace is made up, of 500 rows (8,819 with --long). To use another of the form
TIMESTAMP,ContextTokens,GeneratedTokens, name its file in the environment:
TRACE_CSV=path/to/trace.csv pytest tests/stories/test_trace.py
"""

import csv
import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from genai_prices import Usage, calc_price
from google.protobuf.timestamp_pb2 import Timestamp

from meter.money import format_credits
from meter.v1.ledger_pb2 import (
    DAY,
    DEBIT,
    HOUR,
    CreateInvoiceRequest,
    Granularity,
    Invoice,
    ListEntriesRequest,
    QueryUsageRequest,
)
from support.stack import Client, Stack, running_stack

pytest_plugins = ("support.ledgers",)

ACCOUNTS = ("replay-1", "replay-2")
NANOS_PER_CREDIT = 10**9
PER_MILLION = {
    "input_tokens": Decimal("2.50"),
    "output_tokens": Decimal(10),
}  # of gpt-4o, in credits


@dataclass(frozen=True, slots=True)
class Request:
    """A row of the trace."""

    input_tokens: int
    output_tokens: int

    def nanos_by_unit(self) -> dict[str, int]:
        """What it costs, from the price list."""
        return {
            unit: _whole(getattr(self, unit) * price / 10**6 * NANOS_PER_CREDIT)
            for unit, price in PER_MILLION.items()
        }

    def nanos_by_genai_prices(self) -> int:
        """What it costs, from the library's own arithmetic."""
        usage = Usage(input_tokens=self.input_tokens, output_tokens=self.output_tokens)
        return _whole(
            calc_price(usage, "gpt-4o", provider_id="openai").total_price * NANOS_PER_CREDIT
        )


@pytest.fixture
def trace(tmp_path: Path, is_long: bool) -> Path:
    if named := os.environ.get("TRACE_CSV"):
        return Path(named).absolute()
    path = tmp_path / "trace.csv"
    random_values = random.Random(2023)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["TIMESTAMP", "ContextTokens", "GeneratedTokens"])
        for _ in range(8819 if is_long else 500):
            moment += timedelta(seconds=random_values.expovariate(2.5))
            rows.writerow(
                [
                    f"{moment:%Y-%m-%d %H:%M:%S.%f}0",
                    random_values.randint(3, 7437),
                    random_values.randint(1, 1899),
                ]
            )
    return path


@pytest.mark.sqlite_first
def test_a_replayed_trace_adds_up_to_the_nano_however_it_is_added_up(
    ledger_url: str, trace: Path
) -> None:
    requests = {
        account: read_trace(trace)[number :: len(ACCOUNTS)]
        for number, account in enumerate(ACCOUNTS)
    }
    with running_stack(ledger_url) as stack:
        printed = replay(stack, trace)
        client = stack.client()
        for account, rows in requests.items():
            check_account(client, account, rows)
        total = sum(row.nanos_by_genai_prices() for rows in requests.values() for row in rows)
        assert format_credits(total) in printed.replace(",", "")

        again = replay(stack, trace)  # under the same request ids
        assert format_credits(total) in again.replace(",", "")
        assert [charged(client, account) for account in ACCOUNTS] == [
            cost(rows) for rows in requests.values()
        ]
        client.close()

        checked = json.loads(stack.command("check", "--json"))
    assert checked["findings"] == []
    assert int(checked["entries_checked"]) == 2 * sum(map(len, requests.values())) + 2 * len(
        ACCOUNTS
    )
    print(
        f"{sum(map(len, requests.values()))} requests cost {format_credits(total)} credits\n{printed}"
    )


def replay(stack: Stack, trace: Path) -> str:
    return stack.command(
        "replay", str(trace), "--accounts", str(len(ACCOUNTS)), "--run-id", "a-trace"
    )


def check_account(client: Client, account: str, rows: list[Request]) -> None:
    """One account's entries, usage and invoice, against the trace."""
    by_unit = {unit: sum(row.nanos_by_unit()[unit] for row in rows) for unit in PER_MILLION}
    assert charged(client, account) == sum(by_unit.values()) == cost(rows)
    assert used(client, account, HOUR) == used(client, account, DAY) == by_unit
    assert client.balance(account).remaining_nanos == 1000 * NANOS_PER_CREDIT - cost(rows)
    made = invoice(client, account)
    assert {line.unit: line.amount_nanos for line in made.lines} == by_unit
    assert {line.unit: line.quantity for line in made.lines} == {
        unit: sum(getattr(row, unit) for row in rows) for unit in PER_MILLION
    }
    assert (made.total_nanos, made.entry_count) == (cost(rows), len(rows))
    assert invoice(client, account).SerializeToString() == made.SerializeToString()


def cost(rows: list[Request]) -> int:
    return sum(row.nanos_by_genai_prices() for row in rows)


def charged(client: Client, account: str) -> int:
    """The sum of the debits."""
    request = ListEntriesRequest(account_id=account, kinds=[DEBIT], page_size=1000)
    return -sum(
        entry.amount_nanos
        for page in pages(client.ledger.ListEntries, request)
        for entry in page.entries
    )


def used(client: Client, account: str, granularity: Granularity.ValueType) -> dict[str, int]:
    """The sums of usage, by unit."""
    request = QueryUsageRequest(account_id=account, granularity=granularity, page_size=1000)
    sums: dict[str, int] = dict.fromkeys(PER_MILLION, 0)
    for page in pages(client.ledger.QueryUsage, request):
        for bucket in page.buckets:
            sums[bucket.unit] += bucket.amount_nanos
    return sums


def invoice(client: Client, account: str) -> Invoice:
    """Of a few days, so that it does not matter when the test runs."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start, end = (
        Timestamp(seconds=int((today + timedelta(days=days)).timestamp())) for days in (-2, 3)
    )
    made: Invoice = client.ledger.CreateInvoice(
        CreateInvoiceRequest(account_id=account, period_start=start, period_end=end)
    )
    return made


def pages(method: Callable[[Any], Any], request: Any) -> Iterator[Any]:
    while True:
        page = method(request)
        yield page
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def read_trace(path: Path) -> list[Request]:
    with path.open(newline="") as file:
        return [
            Request(int(row["ContextTokens"]), int(row["GeneratedTokens"]))
            for row in csv.DictReader(file)
        ]


def _whole(nanos: Decimal) -> int:
    assert nanos == int(nanos), "these prices come to whole nanos: nothing is ever rounded"
    return int(nanos)
