"""The command: what each subcommand prints, for people and as JSON, and how it says what
went wrong.
"""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gate.v1.gate_pb2 import Usage
from support.customer import CREDIT, Customer, at
from support.stack import Stack, free_port

pytest_plugins = ("support.running_stack", "support.command_line")
# To the command one transport is as good as the other.
pytestmark = pytest.mark.parametrize("stack", ["native"], indirect=True)

Open = Callable[..., Customer]
Run = Callable[..., Any]


def parsed(done: Any) -> Any:
    assert (done.status, done.err) == (0, "")
    return json.loads(done.out)


def test_an_account_is_created_shown_and_changed(creditgate: Run) -> None:
    done = creditgate(
        "account", "create", "cli-1", "--overage", "5", "--daily-limit", "20.000000001"
    )
    assert done.status == 0
    for text in ("cli-1", "USD", "active", "5.00", "20.000000001"):
        assert text in done.words
    assert creditgate("account", "show", "cli-1").out == done.out
    done = creditgate(
        "account", "update", "cli-1", "--overage", "0.5", "--no-daily-limit", "--suspend"
    )
    for text in ("suspended", "0.50", "none"):
        assert text in done.words
    assert "active" in creditgate("account", "update", "cli-1", "--resume").words


def test_an_account_as_json_has_the_protos_field_names_and_exact_integers(creditgate: Run) -> None:
    created = parsed(
        creditgate(
            "account",
            "create",
            "cli-2",
            "--currency",
            "EUR",
            "--overage",
            "9007199.254740993",
            "--json",
        )
    )
    assert created == {
        "account_id": "cli-2",
        "currency": "EUR",
        "status": "ACTIVE",
        "overage_protection_nanos": "9007199254740993",
        "create_time": created["create_time"],
        "overage_policy": "NEXT_INVOICE",
        "spend_management_off": False,
        "thresholds": [],
        "graces": [],
    }
    assert parsed(creditgate("account", "show", "cli-2", "--json")) == created
    changed = parsed(creditgate("account", "update", "cli-2", "--daily-limit", "1", "--json"))
    assert changed["daily_limit_nanos"] == "1000000000"


def test_accounts_are_listed_page_by_page(creditgate: Run, open_account: Open) -> None:
    open_account(), open_account()
    page = parsed(creditgate("account", "list", "--limit", "1", "--json"))
    assert len(page["accounts"]) == 1
    done = creditgate("account", "list", "--limit", "1")
    assert page["accounts"][0]["account_id"] in done.words
    assert f"more: --page-token {page['next_page_token']}" in done.out
    following = parsed(
        creditgate("account", "list", "--page-token", page["next_page_token"], "--json")
    )
    assert following["accounts"][0]["account_id"] > page["accounts"][0]["account_id"]


def test_a_test_clock_is_set_and_advanced(creditgate: Run) -> None:
    creditgate("account", "create", "cli-3", "--test-clock", "2028-02-28")
    done = creditgate(
        "account", "advance-clock", "cli-3", "2028-02-29T12:00", "--request-id", "r-1"
    )
    assert "2028-02-29T12:00:00Z" in done.words
    shown = parsed(
        creditgate(
            "account", "advance-clock", "cli-3", "2028-02-29T12:00", "--request-id", "r-1", "--json"
        )
    )
    assert shown["test_clock_time"] == "2028-02-29T12:00:00Z"


def test_credits_are_granted_exactly_and_once_for_a_request_id(
    creditgate: Run, open_account: Open
) -> None:
    customer = open_account()
    words = (
        "grant",
        customer.account_id,
        "0.000000001",
        "--type",
        "promotion",
        "--request-id",
        "r-1",
    )
    assert f"granted 0.000000001 to {customer.account_id} as PROMOTION" in creditgate(*words).out
    again = parsed(creditgate(*words, "--json"))
    assert (again["amount_nanos"], again["type"]) == ("1", "PROMOTION")
    creditgate("grant", customer.account_id, "25"), creditgate("grant", customer.account_id, "25")
    assert customer.balance().total_credits_nanos == 50 * CREDIT + 1


def test_a_balance_has_every_figure_of_the_overview(creditgate: Run, open_account: Open) -> None:
    customer = open_account(
        "1234.5", overage_protection_nanos=5 * CREDIT, daily_limit_nanos=40 * CREDIT
    )
    customer.debit(3)
    customer.authorize(2 * CREDIT)
    lines = dict(
        line.rsplit(maxsplit=1)
        for line in creditgate("balance", customer.account_id).out.splitlines()[1:]
    )
    assert {name.strip(): value for name, value in lines.items()} == {
        "total credits": "1,234.50",
        "used this month": "0.000000003",
        "remaining": "1,234.499999997",
        "top-up": "1,234.499999997",
        "overage protection": "5.00",
        "held": "2.00",
        "daily limit": "40.00",
        "used today": "0.000000003",
        "used yesterday": "0.00",
        "available to use": "37.999999997",
    }
    reply = parsed(creditgate("balance", customer.account_id, "--json"))
    assert reply["balance"]["remaining_nanos"] == "1234499999997"
    assert reply["account_id"] == customer.account_id


def test_the_history_shows_what_was_used_with_the_balance_after_it(
    creditgate: Run, open_account: Open
) -> None:
    customer = open_account("10", test_clock_time=at("2026-03-15T12:00:00Z"))
    customer.debit(usage=Usage(model="tiny", input_tokens=1234), description="first")
    customer.debit(CREDIT, incurred=True)
    lines = creditgate("entries", customer.account_id).out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["2026-03-15"] * 3
    assert lines[1].split()[-2:] == ["-1.00", "8.998766"]
    assert "incurred" in lines[1]
    assert lines[2].split()[2:] == [
        *(
            "debit",
            "tiny;",
            "1,234",
            "input;",
            "first;",
            "from",
            "0.001234",
            "top-up",
            "-0.001234",
            "9.998766",
        )
    ]
    page = parsed(creditgate("entries", customer.account_id, "--limit", "1", "--json"))
    assert [entry["amount_nanos"] for entry in page["entries"]] == ["-1000000000"]
    more = creditgate("entries", customer.account_id, "--limit", "1").out.splitlines()[-1]
    assert more == f"more: --page-token {page['next_page_token']}"
    filtered = creditgate(
        "entries",
        customer.account_id,
        "--kind",
        "grant",
        "--since",
        "2026-03-15",
        "--until",
        "2026-03-16",
    )
    assert len(filtered.out.splitlines()) == 2


def test_amounts_are_never_cut_short_and_names_never_read_as_markup(
    creditgate: Run, client: Any
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
    assert name in creditgate("account", "list", "--limit", "1000").out


def test_usage_is_shown_by_day_hour_and_dimension(creditgate: Run, open_account: Open) -> None:
    customer = open_account("10", test_clock_time=at("2026-03-15T12:30:00Z"))
    customer.debit(usage=Usage(model="tiny", input_tokens=5000), dimensions={"user": "ada"})
    customer.debit(usage=Usage(model="tiny", input_tokens=1), dimensions={"user": "bob"})
    [line] = creditgate("usage", customer.account_id).out.splitlines()[1:]
    assert line.split() == ["2026-03-15", "tiny", "input", "5,001", "2", "0.005001"]
    split = creditgate(
        "usage", customer.account_id, "--by", "hour", "--dimension", "user"
    ).out.splitlines()[1:]
    assert [line.split()[1:] for line in split] == [
        ["12:00:00", "tiny", "input", "ada", "5,000", "1", "0.005"],
        ["12:00:00", "tiny", "input", "bob", "1", "1", "0.000001"],
    ]
    page = parsed(creditgate("usage", customer.account_id, "--model", "tiny", "--json"))
    assert page["buckets"][0]["amount_nanos"] == "5001000"


def test_an_invoice_prints_as_table_json_and_csv(creditgate: Run, open_account: Open) -> None:
    customer = open_account(
        "1", overage_protection_nanos=CREDIT, test_clock_time=at("2028-03-15T12:00:00Z")
    )
    customer.debit(usage=Usage(model="tiny", input_tokens=1_000_000))
    customer.debit(500_000_000)
    customer.advance("2028-04-01T00:00:00Z")
    words = ("invoice", customer.account_id, "--month", "2028-03")
    made = parsed(creditgate(*words, "--json"))
    assert (made["total_nanos"], made["overage_due_nanos"], made["status"]) == (
        "1500000000",
        "500000000",
        "FINAL",
    )
    assert parsed(creditgate(*words, "--format", "json")) == made
    number = made["invoice_number"]
    assert parsed(creditgate("invoice", "--number", number, "--json")) == made
    table = creditgate(*words)
    assert table.out == creditgate("invoice", "--number", number).out
    assert {number, customer.account_id, "1.50", "0.50", "tiny"} <= set(table.words)
    rows = list(csv.DictReader(creditgate(*words, "--format", "csv").out.splitlines()))
    lines = [int(row["amount_nanos"]) for row in rows if row["row"] == "line"]
    assert sum(lines) == 1_500_000_000
    spanned = parsed(
        creditgate(
            "invoice",
            customer.account_id,
            "--since",
            "2028-03-01",
            "--until",
            "2028-04-01",
            "--json",
        )
    )
    assert spanned == made


def test_the_check_says_that_the_books_are_right(creditgate: Run, open_account: Open) -> None:
    customer = open_account("1")
    done = creditgate("check", customer.account_id)
    assert (done.status, done.out) == (0, "1 account, 2 entries, 0 invoices: the books are right\n")
    assert parsed(creditgate("check", customer.account_id, "--json"))["entries_checked"] == "2"


def test_the_check_tells_each_finding_and_ends_with_1(
    creditgate: Run, client: Any, stack: Stack
) -> None:
    client.open_account("cooked", "1")
    assert creditgate("check", "cooked").status == 0
    with stack.valkey.client() as redis:
        [key] = redis.keys("cg:*:a:cooked")
        redis.hincrby(key, "gl", 5)
        for words in (("check", "cooked"), ("check", "cooked", "--json")):
            done = creditgate(*words)
            assert (done.status, done.err) == (1, "")
            assert "redis" in done.out
        assert "2 findings" in creditgate("check", "cooked").out
        redis.hincrby(key, "gl", -5)


def test_the_settings_are_shown_with_secrets_masked(
    creditgate: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDITGATE_REDIS_URL", "redis://gate:sesame@redis.example:6379/1")
    monkeypatch.setenv(
        "CREDITGATE_LEDGER_URL", "postgresql://gate:sesame@db.example/creditgate?sslpassword=sesame"
    )
    done = creditgate("config")
    assert done.status == 0
    assert "sesame" not in done.out
    assert "redis://gate:***@redis.example:6379/1" in done.words
    rows = [line.split()[0] for line in done.out.splitlines()[1:]]
    assert "CREDITGATE_LISTEN" in rows
    assert all(name.startswith("CREDITGATE_") for name in rows), "a line for each"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("balance", "nobody"), "ACCOUNT_NOT_FOUND"),
        (("account", "show", "nobody"), "CreateAccount"),
        (("account", "create", "x", "--currency", "usd"), "three capital letters"),
        (("account", "create", "x", "--overage", "1.0000000001"), "more than 9 decimal places"),
        (("account", "create", "x", "--overage", "-1"), "creditgate: --overage: must be 0 to"),
        (("account", "create", "x", "--daily-limit", "lots"), "such as 25 or 0.25"),
        (("account", "create", "x", "--test-clock", "today"), "write it as 2026-11-01"),
        (("grant", "nobody", "1e30"), "more than an account can hold"),
        (("grant", "nobody", "NaN"), "not a finite number"),
        (("grant", "nobody", "1"), "ACCOUNT_NOT_FOUND"),
        (("entries", "nobody", "--since", "yesterday"), "write it as 2026-11-01"),
        (
            ("entries", "nobody", "--page-token", "made-up"),
            "creditgate: --page-token: is not a token",
        ),
        (("usage", "nobody"), "ACCOUNT_NOT_FOUND"),
        (("invoice", "nobody", "--month", "2026-13"), "write it as 2026-11"),
        (("invoice", "nobody", "--month", "9999-12"), "write it as 2026-11"),
        (("invoice", "--number", "INV-999999"), "INVOICE_NOT_FOUND"),
        (("check", "nobody"), "ACCOUNT_NOT_FOUND"),
    ],
)
def test_what_went_wrong_is_one_line_that_names_the_fix(
    creditgate: Run, words: tuple[str, ...], says: str
) -> None:
    done = creditgate(*words)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("creditgate: ")
    assert done.err.count("\n") == 1
    assert says in done.err


@pytest.mark.parametrize(
    "words",
    [
        ("account", "update", "x"),
        ("account", "update", "x", "--daily-limit", "1", "--no-daily-limit"),
        ("grant", "x", "1", "--type", "gift"),
        ("entries", "x", "--kind", "gift"),
        ("usage", "x", "--by", "year"),
        ("invoice",),
        ("invoice", "x", "--number", "INV-1"),
        ("invoice", "x", "--format", "pdf"),
        ("no-such-command",),
    ],
)
def test_a_command_wrongly_typed_ends_with_2_and_its_usage(
    creditgate: Run, words: tuple[str, ...]
) -> None:
    done = creditgate(*words)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("Usage: ")


def test_without_a_service_the_command_says_how_to_start_one(
    creditgate: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDITGATE_LISTEN", f"127.0.0.1:{free_port()}")
    done = creditgate("balance", "x")
    assert done.status == 1
    assert "start one with `creditgate up`" in done.err
    assert "set CREDITGATE_LISTEN" in done.err


def test_without_billing_the_command_names_its_address_and_setting(
    creditgate: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("CREDITGATE_BILLING_LISTEN", target)
    done = creditgate("entries", "x")
    assert done.status == 1
    assert f"no service answers at {target}" in done.err
    assert "set CREDITGATE_BILLING_LISTEN" in done.err


def test_wrong_settings_are_told_by_name(creditgate: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITGATE_SHARDS", "0")
    monkeypatch.setenv("CREDITGATE_LISTEN", "nowhere")
    for command in ("config", "serve", "flush", "billing", "migrate"):
        done = creditgate(command)
        assert done.status == 1
        assert "CREDITGATE_SHARDS" in done.err
        assert "CREDITGATE_LISTEN" in done.err


def test_a_wrong_price_file_ends_the_gate_before_it_serves(stack: Stack, tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("models: {}")
    environment = stack.environment() | {
        "CREDITGATE_PRICES_FILE": str(prices),
        "CREDITGATE_LOG_LEVEL": "error",
    }
    command = [
        str(Path(sys.executable).parent / "creditgate"),
        "serve",
        "--listen",
        f"127.0.0.1:{free_port()}",
    ]
    done = subprocess.run(
        command, check=False, env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"creditgate: {prices}: models: ")
    assert done.stderr.count("\n") == 1
