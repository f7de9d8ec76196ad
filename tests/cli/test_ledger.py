"""`creditgate entries`, `usage` and `events`: what the ledger knows of an account."""

from collections.abc import Callable

from gate.v1.gate_pb2 import Usage
from support.customer import CREDIT, Customer, at
from support.servers import wait_until
from support.stack import Client
from support.terminal import ONE_TRANSPORT, Creditgate

pytest_plugins = ("support.command_line",)
pytestmark = ONE_TRANSPORT

Open = Callable[..., Customer]


def test_the_history_shows_what_was_used_with_the_balance_after_it(
    creditgate: Creditgate, open_account: Open
) -> None:
    customer = open_account("10", test_clock_time=at("2026-03-15T12:00:00Z"))
    name = customer.account_id
    customer.debit(usage=Usage(model="tiny", input_tokens=1234), description="first")
    customer.debit(CREDIT, incurred=True)
    incurred, used, granted = creditgate(f"entries {name}").rows
    assert incurred[0] == used[0] == granted[0] == "2026-03-15"
    assert incurred[-2:] == ["-1.00", "8.998766"]
    assert "incurred" in " ".join(incurred)
    assert " ".join(used[2:]) == (
        "debit tiny; 1,234 input; first; from 0.001234 top-up -0.001234 9.998766"
    )
    page = creditgate(f"entries {name} --limit 1 --json").json
    assert [entry["amount_nanos"] for entry in page["entries"]] == ["-1000000000"]
    more = creditgate(f"entries {name} --limit 1").out.splitlines()[-1]
    assert more == f"more: --page-token {page['next_page_token']}"
    day = "--since 2026-03-15 --until 2026-03-16"
    filtered = creditgate(f"entries {name} --kind grant {day}")
    assert len(filtered.out.splitlines()) == 2


def test_the_history_names_what_debits_were_paid_from(
    creditgate: Creditgate, open_account: Open
) -> None:
    customer = open_account("1", overage_protection_nanos=CREDIT)
    creditgate(f"grant {customer.account_id} 0.5 --type voucher --priority 1")
    customer.debit(2 * CREDIT)
    line = creditgate(f"entries {customer.account_id} --kind debit").out.splitlines()[1]
    assert "from 0.50 voucher, 1.00 top-up, 0.50 overage" in line


def test_amounts_are_never_cut_short_and_names_never_read_as_markup(
    creditgate: Creditgate, client: Client
) -> None:
    name = "[bold]x[/bold]"
    words = f":bug: [red]a[/red] [/] {'y' * 100}"
    client.open_account(name, overage_protection_nanos=2**61 - 1)
    customer = Customer(client, name)
    customer.debit(2**61 - 1, description=words)
    done = creditgate("entries", name)
    assert done.out.splitlines()[1].split()[-2:] == ["-2,305,843,009.213693951"] * 2
    assert words in done.out
    assert name in creditgate("balance", name).out
    assert name in creditgate("account list --limit 1000").out


def test_usage_is_shown_by_day_hour_and_dimension(
    creditgate: Creditgate, open_account: Open
) -> None:
    customer = open_account("10", test_clock_time=at("2026-03-15T12:30:00Z"))
    name = customer.account_id
    customer.debit(usage=Usage(model="tiny", input_tokens=5000), dimensions={"user": "ada"})
    customer.debit(usage=Usage(model="tiny", input_tokens=1), dimensions={"user": "bob"})
    [row] = creditgate(f"usage {name}").rows
    assert row == ["2026-03-15", "tiny", "input", "5,001", "2", "0.005001"]
    split = creditgate(f"usage {name} --by hour --dimension user").rows
    assert [row[1:] for row in split] == [
        ["12:00:00", "tiny", "input", "ada", "5,000", "1", "0.005"],
        ["12:00:00", "tiny", "input", "bob", "1", "1", "0.000001"],
    ]
    page = creditgate(f"usage {name} --model tiny --json").json
    assert page["buckets"][0]["amount_nanos"] == "5001000"


def test_events_are_shown_oldest_first(creditgate: Creditgate, open_account: Open) -> None:
    clock = at("2026-03-01T12:00:00Z")
    customer = open_account("10", test_clock_time=clock, daily_limit_nanos=4 * CREDIT)
    name = customer.account_id
    thresholds = "--threshold half=daily-use:50% --threshold three=daily-use:3"
    creditgate(f"account update {name} {thresholds}")
    customer.debit(3 * CREDIT)
    found = creditgate(f"events {name}").rows
    window = "window 2026-03-01"
    beginning = f"{name} threshold.crossed level"
    assert [" ".join(row[2:]) for row in found] == [
        f"{beginning} {level}, subject DAILY_USE, threshold {threshold}, value 3.00, {window}"
        for level, threshold in (("2.00", "half"), ("3.00", "three"))
    ]
    newest = creditgate(f"events {name} --newest-first --type threshold.* --limit 1").out
    assert "threshold three" in newest
    assert "threshold half" not in newest


def test_events_name_the_reason_of_denied_requests(
    creditgate: Creditgate, open_account: Open
) -> None:
    customer = open_account("10", test_clock_time=at("2026-03-01T12:00:00Z"))
    name = customer.account_id
    customer.set_budget("ada", CREDIT, {"user": "ada"})
    customer.debit(11 * CREDIT)
    wait_until(lambda: len(customer.events()) == 1)
    customer.debit(2 * CREDIT, dimensions={"user": "ada"})
    wait_until(lambda: len(customer.events()) == 2)
    found = creditgate(f"events {name}").rows
    assert [" ".join(row[2:]) for row in found] == [
        f"{name} request.denied affordable {denied}, window 2026-03-01"
        for denied in (
            "10.00, reason INSUFFICIENT_CREDITS",
            "1.00, budget ada, reason BUDGET_EXCEEDED",
        )
    ]
