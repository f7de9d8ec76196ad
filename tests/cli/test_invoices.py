"""`creditgate invoice`: one invoice, printed in each form."""

import csv
from collections.abc import Callable

from gate.v1.gate_pb2 import Usage
from support.customer import CREDIT, Customer, at
from support.terminal import ONE_TRANSPORT, Creditgate

pytest_plugins = ("support.command_line",)
pytestmark = ONE_TRANSPORT

Open = Callable[..., Customer]


def test_an_invoice_prints_as_table_json_and_csv(
    creditgate: Creditgate, open_account: Open
) -> None:
    customer = open_account(
        "1", overage_protection_nanos=CREDIT, test_clock_time=at("2028-03-15T12:00:00Z")
    )
    customer.debit(usage=Usage(model="tiny", input_tokens=1_000_000))
    customer.debit(500_000_000)
    customer.advance("2028-04-01T00:00:00Z")
    march = f"invoice create {customer.account_id} --month 2028-03"
    made = creditgate(f"{march} --json").json
    assert made["total_nanos"] == "1500000000"
    assert made["overage_due_nanos"] == "500000000"
    assert made["status"] == "FINAL"
    assert creditgate(f"{march} --format json").json == made
    number = made["invoice_number"]
    assert creditgate(f"invoice show {number} --json").json == made
    table = creditgate(march)
    assert table.out == creditgate(f"invoice show {number}").out
    assert {number, customer.account_id, "1.50", "0.50", "tiny"} <= set(table.words)
    rows = list(csv.DictReader(creditgate(f"{march} --format csv").out.splitlines()))
    lines = [int(row["amount_nanos"]) for row in rows if row["row"] == "line"]
    assert sum(lines) == 1_500_000_000
    period = "--since 2028-03-01 --until 2028-04-01"
    assert creditgate(f"invoice create {customer.account_id} {period} --json").json == made
    row = creditgate(f"invoice list {customer.account_id}").words
    assert {number, "2028-03-01", "2028-04-01", "0.50"} <= set(row)


def test_a_preview_has_no_number_and_a_second_bill_of_a_time_names_the_first(
    creditgate: Creditgate, open_account: Open
) -> None:
    customer = open_account("2", test_clock_time=at("2028-03-15T12:00:00Z"))
    customer.debit(CREDIT)
    customer.advance("2028-04-01T00:00:00Z")
    draft = creditgate(f"invoice preview {customer.account_id} --month 2028-03 --json").json
    assert (draft["status"], draft["invoice_number"]) == ("DRAFT", "")
    final = creditgate(f"invoice create {customer.account_id} --month 2028-03 --json").json
    half = f"{customer.account_id} --since 2028-03-15 --until 2028-04-01"
    refused = creditgate(f"invoice create {half}")
    assert refused.status == 1
    assert final["invoice_number"] in refused.err
    assert refused.err.startswith("creditgate: --since: ")
    assert creditgate(f"invoice preview {half} --json").json["total_nanos"] == str(CREDIT)
