"""Lists of a thousand of the longest rows reach a client that takes what gRPC's own clients take."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import pytest
from google.protobuf.message import Message
from sqlalchemy import Table, insert, select

from gate.v1.gate_pb2 import DebitRequest, Usage
from meter.database.admin_schema import budgets, top_ups, voucher_batches
from meter.database.migrate import open_ledger
from meter.database.schema import (
    accounts,
    budget_windows,
    entries,
    events,
    grants,
    invoices,
    open_holds,
    usage_daily,
)
from meter.v1 import accounts_pb2 as accounts_pb
from meter.v1 import ledger_pb2 as ledger_pb
from support.customer import CREDIT, PRICES, Customer, at
from support.stack import Client, Stack, running_stack

ROWS = 1000
MESSAGE_MAX_BYTES = 4 * 1024 * 1024
LONG_TEXT = "x" * 512
DIMENSIONS = {f"{number:02}".ljust(63, "k"): "v" * 256 for number in range(15)}
SCOPE = accounts_pb.Scope(services=[f"{number:02}".ljust(256, "s") for number in range(50)])
THRESHOLDS = [
    accounts_pb.Threshold(
        threshold_id=f"{number:02}".ljust(64, "t"),
        subject=accounts_pb.Threshold.DAILY_USE,
        amount_nanos=number + 1,
    )
    for number in range(50)
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    prices = tmp_path_factory.mktemp("prices") / "prices.yaml"
    prices.write_text(PRICES)
    with running_stack(
        prices_file=str(prices), voucher_key="of this test alone, and as long as a key has to be"
    ) as stack:
        live(stack.client())
        with closing(open_ledger(stack.ledger_url)) as ledger, ledger.write() as connection:
            for table, changes in COPIES.items():
                rows = connection.execute(select(table)).mappings().all()
                row = max(rows, key=lambda row: len(str(row)))
                copies = [{**row, **changes(number)} for number in range(1, ROWS)]
                connection.execute(insert(table), copies)
        yield stack


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[Client]:
    with closing(stack.client()) as client:
        yield client


def live(client: Client) -> None:
    """Makes one row of each list, as long as the calls let it be."""
    client.open_account("acme", thresholds=THRESHOLDS)
    customer = Customer(client, "acme")
    customer.grant(10 * CREDIT, description=LONG_TEXT, scope=SCOPE)
    customer.grant(10 * CREDIT)
    customer.set_budget("each-pair", CREDIT, dict.fromkeys([*DIMENSIONS][:2], "*"))
    usage = Usage(model="tiny", input_tokens=1000)
    request = customer.asks(DebitRequest, usage=usage, dimensions=DIMENSIONS, description=LONG_TEXT)
    client.gate.Debit(request)
    customer.set_budget("a-budget", CREDIT, {"user": "u" * 256})
    top_up = accounts_pb.TopUp(
        account_id="acme", amount_nanos=10 * CREDIT, payment_reference="r" * 128
    )
    client.accounts.CreateTopUp(accounts_pb.CreateTopUpRequest(request_id="1", top_up=top_up))
    batch = accounts_pb.VoucherBatch(
        batch_id="a-batch",
        amount_nanos=1,
        currency="USD",
        codes=1,
        description=LONG_TEXT,
        scope=SCOPE,
    )
    client.accounts.CreateVouchers(accounts_pb.CreateVouchersRequest(request_id="1", batch=batch))
    customer.authorize(CREDIT)
    client.open_account("billed", test_clock_time=at("2026-01-15T00:00:00Z"))
    billed = Customer(client, "billed")
    billed.advance("2026-03-01T00:00:00Z")
    billed.invoice("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z")
    client.close()


def long_invoice(number: int) -> bytes:
    line = ledger_pb.InvoiceLine(model="m" * 200, unit="u" * 64, quantity=1, amount_nanos=1)
    name = f"INV-{number:06}"
    return ledger_pb.Invoice(invoice_number=name, lines=[line] * 50).SerializeToString()


# What tells the copies of a table's row apart.
COPIES: Mapping[Table, Callable[[int], Mapping[str, Any]]] = {
    accounts: lambda number: {"account_id": f"another-{number}"},
    entries: lambda number: {"shard": 98, "seq": number, "request_id": f"copy-{number}"},
    events: lambda number: {
        "number": 1_000_000 + number,
        "event_id": f"evt_{number}",
        "once_key": f"{number}",
    },
    open_holds: lambda number: {"hold_id": f"another-{number}"},
    grants: lambda number: {"grant_id": f"another-{number}", "number": 1_000_000 + number},
    invoices: lambda number: {
        "invoice_number": f"INV-{number + 1:06}",
        "body": long_invoice(number + 1),
    },
    usage_daily: lambda number: {"start_ms": number * 86_400_000, "dimension": "user"},
    budgets: lambda number: {"budget_id": f"another-{number}"},
    budget_windows: lambda number: {"value": f":{number:04}{'漢' * 252}:{'字' * 256}"},
    top_ups: lambda number: {
        "top_up_id": f"another-{number}",
        "request_id": f"copy-{number}",
        "payment_reference": f"{number}".ljust(128, "r"),
    },
    voucher_batches: lambda number: {
        "batch_id": f"another-{number}",
        "request_id": f"copy-{number}",
    },
}

LISTS: Mapping[str, tuple[str, Message, str]] = {
    "ListAccounts": ("accounts", accounts_pb.ListAccountsRequest(), "accounts"),
    "ListTopUps": ("accounts", accounts_pb.ListTopUpsRequest(account_id="acme"), "top_ups"),
    "ListVoucherBatches": ("accounts", accounts_pb.ListVoucherBatchesRequest(), "batches"),
    "ListBudgets": ("accounts", accounts_pb.ListBudgetsRequest(account_id="acme"), "budgets"),
    "ListBudgetValues": (
        "accounts",
        accounts_pb.ListBudgetValuesRequest(account_id="acme", budget_id="each-pair"),
        "values",
    ),
    "ListEntries": (
        "ledger",
        ledger_pb.ListEntriesRequest(account_id="acme", kinds=[ledger_pb.DEBIT, ledger_pb.GRANT]),
        "entries",
    ),
    "QueryUsage": (
        "ledger",
        ledger_pb.QueryUsageRequest(account_id="acme", granularity=ledger_pb.DAY, dimension="user"),
        "buckets",
    ),
    "ListInvoices": ("ledger", ledger_pb.ListInvoicesRequest(), "invoices"),
    "ListHolds": ("ledger", ledger_pb.ListHoldsRequest(account_id="acme"), "holds"),
    "ListGrants": ("ledger", ledger_pb.ListGrantsRequest(account_id="acme"), "grants"),
    "ListEvents": ("ledger", ledger_pb.ListEventsRequest(), "events"),
}


def pages_of(call: Callable[[Any], Any], request: Any, name: str) -> Iterator[Sequence[Message]]:
    request.page_size = ROWS
    while True:
        reply = call(request)
        assert reply.ByteSize() < MESSAGE_MAX_BYTES
        page = getattr(reply, name)
        if page:
            yield page
        if not page or not reply.next_page_token:
            return
        request.page_token = reply.next_page_token


def test_every_list_call_is_tried() -> None:
    services = {
        *accounts_pb.DESCRIPTOR.services_by_name["Accounts"].methods,
        *ledger_pb.DESCRIPTOR.services_by_name["Ledger"].methods,
    }
    paged = {each.name for each in services if "page_token" in each.input_type.fields_by_name}
    assert LISTS.keys() == paged


@pytest.mark.parametrize("method", LISTS)
def test_a_list_of_the_longest_rows_comes_whole_in_pages_that_a_client_takes(
    client: Client, method: str
) -> None:
    service, request, name = LISTS[method]
    call = getattr(getattr(client, service), method)
    rows = [row for page in pages_of(call, request, name) for row in page]
    keys = [row.SerializeToString(deterministic=True) for row in rows]
    assert len(rows) >= ROWS - 1
    assert len(set(keys)) == len(keys)
