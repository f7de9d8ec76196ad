"""`creditgate account`: accounts created, shown, listed and changed."""

from collections.abc import Callable

from support.customer import Customer, new_id
from support.terminal import ONE_TRANSPORT, Creditgate

pytest_plugins = ("support.command_line",)
pytestmark = ONE_TRANSPORT

Open = Callable[..., Customer]


def test_an_account_is_created_shown_and_changed(creditgate: Creditgate) -> None:
    done = creditgate("account create cli-1 --overage 5 --daily-limit 20.000000001")
    assert done.status == 0
    for text in ("cli-1", "USD", "active", "5.00", "20.000000001"):
        assert text in done.words
    assert creditgate("account show cli-1").out == done.out
    done = creditgate("account update cli-1 --overage 0.5 --no-daily-limit --suspend")
    for text in ("suspended", "0.50", "none"):
        assert text in done.words
    assert "active" in creditgate("account update cli-1 --resume").words


def test_an_account_as_json_has_the_protos_field_names_and_exact_integers(
    creditgate: Creditgate,
) -> None:
    terms = "--currency EUR --overage 9007199.254740993"
    created = creditgate(f"account create cli-2 {terms} --json").json
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
        "billing_emails": [],
        "alert_emails": [],
    }
    assert creditgate("account show cli-2 --json").json == created
    changed = creditgate("account update cli-2 --daily-limit 1 --json").json
    assert changed["daily_limit_nanos"] == "1000000000"


def test_an_account_has_every_setting_that_can_be_typed(creditgate: Creditgate) -> None:
    name = f"cli-{new_id()}"
    settings = (
        "--overage-policy next-purchase --no-spend-management"
        " --threshold half=daily-use:50% --threshold low=low-balance:1000.5"
        " --grace inbound=10m,5 --grace batch=2"
    )
    done = creditgate(f"account create {name} {settings}")
    for text in (
        "next-purchase",
        "half=daily-use:50%",
        "low=low-balance:1,000.50",
        "inbound=10m,5.00",
        "batch=2.00",
    ):
        assert text in done.words
    assert "spend management off" in " ".join(done.words)
    done = creditgate(
        f"account update {name} --spend-management --no-thresholds --grace inbound=36h"
    )
    shown = creditgate(f"account show {name} --json").json
    assert shown["spend_management_off"] is False
    assert shown["thresholds"] == []
    assert shown["overage_policy"] == "NEXT_PURCHASE"
    assert shown["graces"] == [{"traffic_class": "inbound", "duration_ms": "129600000"}]
    assert creditgate(f"account update {name} --no-graces --json").json["graces"] == []


def test_accounts_are_listed_page_by_page(creditgate: Creditgate, open_account: Open) -> None:
    open_account()
    open_account()
    page = creditgate("account list --limit 1 --json").json
    [first] = page["accounts"]
    done = creditgate("account list --limit 1")
    assert first["account_id"] in done.words
    token = page["next_page_token"]
    assert f"more: --page-token {token}" in done.out
    following = creditgate("account list --json --page-token", token).json
    assert following["accounts"][0]["account_id"] > first["account_id"]


def test_a_test_clock_is_set_and_advanced(creditgate: Creditgate) -> None:
    creditgate("account create cli-3 --test-clock 2028-02-28")
    advance = "account advance-clock cli-3 2028-02-29T12:00 --request-id r-1"
    assert "2028-02-29T12:00:00Z" in creditgate(advance).words
    shown = creditgate(f"{advance} --json").json
    assert shown["test_clock_time"] == "2028-02-29T12:00:00Z"
