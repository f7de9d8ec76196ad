"""The commands about credits: what each prints, for people and as JSON, and how it says what is typed
wrongly.
"""

import json
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest

from support.customer import CREDIT, Customer, at, new_id

pytest_plugins = ("support.running_stack", "support.command_line")

# To these calls one transport is as good as the other.
pytestmark = pytest.mark.parametrize("stack", ["native"], indirect=True)

Open = Callable[..., Customer]
Run = Callable[..., Any]
CLOCK = "2026-03-01T12:00:00Z"


def parsed(done: Any) -> Any:
    assert (done.status, done.err) == (0, "")
    return json.loads(done.out)


def rows(done: Any) -> list[list[str]]:
    """The cells of a printed table, its heading left out."""
    assert (done.status, done.err) == (0, "")
    return [line.split() for line in done.out.splitlines()[1:]]


def test_the_version_is_that_of_the_package(creditgate: Run) -> None:
    assert creditgate("--version").out == f"creditgate {version('creditgate')}\n"


def test_an_account_has_every_setting_that_can_be_typed(creditgate: Run) -> None:
    name = f"cli-{new_id()}"
    settings = (
        "--overage-policy", "next-purchase", "--no-spend-management", "--threshold", "half=daily-use:50%",
        "--threshold", "low=low-balance:1000.5", "--grace", "inbound=10m,5", "--grace", "batch=2",
    )  # fmt: skip
    done = creditgate("account", "create", name, *settings)
    for words in (
        "next-purchase",
        "half=daily-use:50%",
        "low=low-balance:1,000.50",
        "inbound=10m,5.00",
        "batch=2.00",
    ):
        assert words in done.words
    assert "spend management off" in " ".join(done.words)
    done = creditgate(
        "account", "update", name, "--spend-management", "--no-thresholds", "--grace", "inbound=36h"
    )
    shown = parsed(creditgate("account", "show", name, "--json"))
    assert (shown["spend_management_off"], shown["thresholds"], shown["overage_policy"]) == (
        False,
        [],
        "NEXT_PURCHASE",
    )
    assert shown["graces"] == [{"traffic_class": "inbound", "duration_ms": "129600000"}]
    assert parsed(creditgate("account", "update", name, "--no-graces", "--json"))["graces"] == []


def test_a_grant_has_every_term_that_can_be_typed(creditgate: Run, open_account: Open) -> None:
    customer = open_account(test_clock_time=at(CLOCK))
    terms = (
        "--type",
        "promotion",
        "--priority",
        "7",
        "--effective",
        "2026-03-02",
        "--expires",
        "2026-04-01T12:00",
    )
    scope = ("--model", "gpt-4o", "--model", "tiny", "--service", "chat", "--non-refundable")
    made = parsed(creditgate("grant", customer.account_id, "5", *terms, *scope, "--json"))
    assert (made["priority"], made["effective_at"], made["expires_at"]) == (
        7,
        "2026-03-02T00:00:00Z",
        "2026-04-01T12:00:00Z",
    )
    assert made["scope"] == {"models": ["openai/gpt-4o", "tiny"], "services": ["chat"]}
    assert (made["non_refundable"], made["type"]) == (True, "PROMOTION")


def test_grants_are_listed_in_burn_order_with_what_became_of_them(
    creditgate: Run, open_account: Open
) -> None:
    customer = open_account("1000", test_clock_time=at(CLOCK))
    first = parsed(
        creditgate(
            "grant", customer.account_id, "3", "--priority", "1", "--service", "chat", "--json"
        )
    )
    customer.debit(CREDIT, dimensions={"service": "chat"})
    customer.authorize(CREDIT, dimensions={"service": "chat"})
    listed = rows(creditgate("grants", customer.account_id))
    assert listed[0] == [
        first["grant_id"], "top-up", "live", "1", "3.00", "1.00", "1.00", "0.00", "0.00", "1.00", "never", "service", "chat",
    ]  # fmt: skip
    assert listed[1][1:] == [
        "top-up",
        "live",
        "50",
        "1,000.00",
        "0.00",
        "0.00",
        "0.00",
        "0.00",
        "1,000.00",
        "never",
    ]
    page = parsed(creditgate("grants", customer.account_id, "--limit", "1", "--json"))
    assert [each["grant"]["grant_id"] for each in page["grants"]] == [first["grant_id"]]


def test_a_grant_is_voided_and_then_listed_only_on_request(
    creditgate: Run, open_account: Open
) -> None:
    customer = open_account()
    grant_id = parsed(creditgate("grant", customer.account_id, "1234", "--json"))["grant_id"]
    words = ("void", customer.account_id, grant_id, "--reason", "paid twice", "--request-id", "v")
    said = f"voided 1,234.00 of grant {grant_id} of {customer.account_id}\n"
    assert creditgate(*words).out == said
    assert creditgate(*words).out == said
    assert rows(creditgate("grants", customer.account_id)) == []
    assert [row[:3] for row in rows(creditgate("grants", customer.account_id, "--all"))] == [
        [grant_id, "top-up", "voided"]
    ]


def test_a_top_up_is_made_completed_and_listed(creditgate: Run, open_account: Open) -> None:
    customer = open_account()
    words = (
        "top-up",
        "create",
        customer.account_id,
        "1500",
        "--reference",
        "pi_1",
        "--method",
        "card",
    )
    pending = parsed(creditgate(*words, "--status", "pending", "--currency", "USD", "--json"))
    done = creditgate("top-up", "complete", customer.account_id, pending["top_up_id"])
    assert done.out.startswith(
        f"top-up {pending['top_up_id']} of 1,500.00 USD for {customer.account_id}: succeeded, grant g"
    )
    failed = parsed(
        creditgate(
            "top-up",
            "create",
            customer.account_id,
            "5",
            "--reference",
            "pi_2",
            "--status",
            "pending",
            "--json",
        )
    )
    done = creditgate("top-up", "complete", customer.account_id, failed["top_up_id"], "--failed")
    assert done.out.endswith(": failed\n")
    found = rows(creditgate("top-up", "list", customer.account_id))
    assert [row[3:] for row in found] == [
        ["failed", "pi_2", "5.00", "USD"],
        ["succeeded", "card", "pi_1", "1,500.00", "USD"],
    ]
    assert customer.balance().total_credits_nanos == 1500 * CREDIT


def test_voucher_codes_are_printed_one_a_line_and_redeemed(
    creditgate: Run, open_account: Open
) -> None:
    customer = open_account(test_clock_time=at(CLOCK))
    batch = f"cli-{new_id()}"
    words = (
        "voucher",
        "create",
        batch,
        "5",
        "--codes",
        "2",
        "--live",
        "30d",
        "--type",
        "promotion",
        "--expires",
        "2126-01-01",
    )
    done = creditgate(
        *words, "--description", "spring sale", "--uses", "3", "--uses-per-account", "2"
    )
    codes = done.out.splitlines()
    assert [len(code) for code in codes] == [34, 34]
    granted = creditgate("voucher", "redeem", customer.account_id, codes[0].lower()).out
    assert granted.startswith(
        f"granted 5.00 to {customer.account_id} as PROMOTION until 2026-03-31 12:00:00, grant g"
    )
    row = next(
        row for row in rows(creditgate("voucher", "list", "--limit", "1000")) if row[0] == batch
    )
    assert row[1:] == [
        "promotion",
        "5.00",
        "USD",
        "2",
        "3",
        "1",
        "2126-01-01",
        "00:00:00",
        "spring",
        "sale",
    ]


def test_a_budget_is_set_listed_and_deleted(creditgate: Run, open_account: Open) -> None:
    customer = open_account("10", test_clock_time=at(CLOCK))
    words = (
        "budget",
        "set",
        customer.account_id,
        "team",
        "1000",
        "--scope",
        "user=ada",
        "--scope",
        "project=x=y",
    )
    done = creditgate(
        *words, "--window", "weekly", "--soft", "--threshold", "most=80%", "--threshold", "ten=10"
    )
    assert (
        done.out
        == f"budget team of {customer.account_id}: soft, 1,000.00 weekly on project=x=y and user=ada\n"
    )
    customer.debit(CREDIT, dimensions={"user": "ada", "project": "x=y"})
    [row] = rows(creditgate("budget", "list", customer.account_id))
    terms = ["team", "project=x=y", "and", "user=ada", "weekly", "soft", "1,000.00", "1.00", "0.00"]
    assert row == [*terms, "2026-03-02", "00:00:00", "most=80%,", "ten=10.00"]
    assert (
        creditgate("budget", "delete", customer.account_id, "team").out
        == f"deleted budget team of {customer.account_id}\n"
    )
    assert rows(creditgate("budget", "list", customer.account_id)) == []


def test_events_are_shown_oldest_first(creditgate: Run, open_account: Open) -> None:
    customer = open_account("10", test_clock_time=at(CLOCK), daily_limit_nanos=4 * CREDIT)
    levels = ("--threshold", "half=daily-use:50%", "--threshold", "three=daily-use:3")
    creditgate("account", "update", customer.account_id, *levels)
    customer.debit(3 * CREDIT)
    found = rows(creditgate("events", customer.account_id))
    assert [row[2:] for row in found] == [
        [customer.account_id, "half", "daily", "use", found[0][6], "2.00", "3.00"],
        [customer.account_id, "three", "daily", "use", found[0][6], "3.00", "3.00"],
    ]


def test_the_history_names_what_debits_were_paid_from(creditgate: Run, open_account: Open) -> None:
    customer = open_account("1", overage_protection_nanos=CREDIT)
    creditgate("grant", customer.account_id, "0.5", "--type", "voucher", "--priority", "1")
    customer.debit(2 * CREDIT)
    line = creditgate("entries", customer.account_id, "--kind", "debit").out.splitlines()[1]
    assert "from 0.50 voucher, 1.00 top-up, 0.50 overage" in line


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("grant", "nobody", "0"), "creditgate: CREDITS: must be above 0"),
        (
            ("grant", "nobody", "1", "--type", "refund"),
            "creditgate: --description: must give the reason",
        ),
        (
            ("grant", "nobody", "1", "--model", "no-such-model"),
            "creditgate: --model: no price is known",
        ),
        (
            ("grant", "nobody", "1", "--expires", "2020-01-01", "--effective", "2021-01-01"),
            "creditgate: --expires: must be after",
        ),
        (("void", "nobody", "g1", "--reason", "x"), "ACCOUNT_NOT_FOUND"),
        (("top-up", "create", "nobody", "25", "--reference", "x"), "ACCOUNT_NOT_FOUND"),
        (("voucher", "redeem", "nobody", "typo"), "is mistyped"),
        (("voucher", "create", "Spring", "1"), "must be 1 to 64 of a-z"),
        (
            ("voucher", "create", "spring", "1", "--codes", "0"),
            "creditgate: --codes: must be 1 to 10000",
        ),
        (("budget", "delete", "nobody", "b"), "ACCOUNT_NOT_FOUND"),
        (
            ("account", "create", "x", "--threshold", "a=daily-use:101%"),
            "creditgate: --threshold: must be 1 to 100",
        ),
        (("account", "create", "x", "--grace", "a=lots"), "such as 25 or 0.25"),
        (("events", "nobody"), "ACCOUNT_NOT_FOUND"),
        (("grants", "nobody"), "ACCOUNT_NOT_FOUND"),
    ],
)
def test_what_went_wrong_is_told_in_the_commands_own_words(
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
        ("grant", "x", "1", "--priority", "1001"),
        ("void", "x", "g1"),
        ("void", "x", "g1", "--reason", "y", "--type", "gift"),
        ("top-up", "create", "x", "5"),
        ("top-up", "create", "x", "5", "--reference", "y", "--status", "lost"),
        ("voucher", "create", "b", "1", "--live", "soon"),
        ("voucher", "create", "b", "1", "--type", "refund"),
        ("budget", "set", "x", "b", "1"),
        ("budget", "set", "x", "b", "1", "--scope", "user"),
        ("budget", "set", "x", "b", "1", "--scope", "user=a", "--window", "yearly"),
        ("budget", "set", "x", "b", "1", "--scope", "user=a", "--threshold", "half"),
        ("account", "update", "x", "--threshold", "a=b=c"),
        ("account", "update", "x", "--threshold", "half=daily-use:x%"),
        ("account", "update", "x", "--threshold", "half=daily-use:50%", "--no-thresholds"),
        ("account", "update", "x", "--grace", "inbound"),
        ("account", "update", "x", "--grace", "inbound=5", "--no-graces"),
        ("account", "update", "x", "--overage-policy", "never"),
    ],
)
def test_a_command_wrongly_typed_ends_with_2_and_its_usage(
    creditgate: Run, words: tuple[str, ...]
) -> None:
    done = creditgate(*words)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("Usage: ")


def test_an_estimate_tells_cost_and_what_credits_buy(creditgate: Run, open_account: Open) -> None:
    account_id = open_account("1").account_id
    one = ("estimate", "tiny", "input_tokens=1000", "output_tokens=250")  # 0.001 and 0.0005 credits
    made = parsed(creditgate(*one, "--account", account_id, "--json"))
    assert (made["cost_nanos"], made["affordable_requests"]) == (str(CREDIT * 15 // 10_000), "666")
    done = creditgate(*one, "--credits", "0.003")
    assert (
        done.out.splitlines()[-1] == "0.003 USD buy 2 such requests, or 1,000 output tokens in one"
    )
    assert rows(done)[:3] == [
        ["input_tokens", "1,000", "0.001"],
        ["output_tokens", "250", "0.0005"],
        [made["model"], "0.0015"],
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("tiny", "input_tokens=many"), "input_tokens: 'many' is no whole number of units"),
        (("tiny", "input_tokens"), "UNIT=QUANTITY is written as input_tokens=1000"),
        (
            ("tiny", "reasoning_tokens=5"),
            "'reasoning_tokens' is no unit; expected one of: input_tokens, ",
        ),
        (
            ("tiny", "input_tokens=1", "--credits", "much"),
            "--credits: 'much' is not a decimal number",
        ),
    ],
)
def test_an_estimate_says_what_is_typed_wrongly(
    creditgate: Run, words: tuple[str, ...], says: str
) -> None:
    done = creditgate("estimate", *words)
    assert done.status != 0
    assert says in " ".join(done.err.split())
