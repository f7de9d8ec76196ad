"""How the command says what went wrong: one line on stderr, in the words of its options."""

import pytest

from support.customer import another_gate, silent_redis
from support.stack import Stack, free_port
from support.terminal import ONE_TRANSPORT, Creditgate

pytest_plugins = ("support.command_line",)
pytestmark = ONE_TRANSPORT


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("balance nobody", "ACCOUNT_NOT_FOUND"),
        (
            "account show nobody",
            "creditgate: ACCOUNT: no account nobody; create it with `creditgate account",
        ),
        ("account create x --currency usd", "did you mean USD?"),
        ("account create x --overage 1.0000000001", "more than 9 decimal places"),
        ("account create x --overage -1", "creditgate: --overage: must be 0 to"),
        ("account create x --daily-limit lots", "such as 25 or 0.25"),
        ("account create x --test-clock today", "write it as 2026-11-01"),
        (
            "account create x --threshold a=daily-use:101%",
            "creditgate: --threshold: must be 1 to 100",
        ),
        ("account create x --grace a=lots", "such as 25 or 0.25"),
        ("grant nobody 1e30", "more than an account can hold"),
        ("grant nobody NaN", "not a finite number"),
        ("grant nobody 0", "creditgate: CREDITS: must be above 0"),
        ("grant nobody 1", "ACCOUNT_NOT_FOUND"),
        ("grant nobody 1 --type refund", "creditgate: --description: must give the reason"),
        ("grant nobody 1 --model no-such-model", "creditgate: --model: no price is known"),
        (
            "grant nobody 1 --expires 2020-01-01 --effective 2021-01-01",
            "creditgate: --expires: must be after",
        ),
        ("void nobody g1 --reason x", "ACCOUNT_NOT_FOUND"),
        ("grants nobody", "ACCOUNT_NOT_FOUND"),
        ("top-up create nobody 25 --reference x", "ACCOUNT_NOT_FOUND"),
        ("voucher redeem nobody typo", "is mistyped"),
        ("voucher create Spring 1", "must be 1 to 64 of a-z"),
        ("voucher create spring 1 --codes 0", "creditgate: --codes: must be 1 to 10000"),
        ("budget delete nobody b", "ACCOUNT_NOT_FOUND"),
        ("entries nobody --since yesterday", "write it as 2026-11-01"),
        ("entries nobody --page-token made-up", "creditgate: --page-token: is not a token"),
        (
            "usage nobody",
            "creditgate: ACCOUNT: no account nobody; create it with `creditgate account",
        ),
        ("events nobody", "ACCOUNT_NOT_FOUND"),
        ("invoice create nobody --month 2026-13", "write it as 2026-11"),
        ("invoice create nobody --month 9999-12", "no later than 9999-11"),
        ("invoice show INV-999999", "INVOICE_NOT_FOUND"),
        ("check nobody", "ACCOUNT_NOT_FOUND"),
    ],
)
def test_what_went_wrong_is_one_line_that_names_the_fix(
    creditgate: Creditgate, line: str, says: str
) -> None:
    done = creditgate(line)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("creditgate: ")
    assert done.err.count("\n") == 1
    assert says in done.err


@pytest.mark.parametrize(
    "line",
    [
        "no-such-command",
        "account update x",
        "account update x --daily-limit 1 --no-daily-limit",
        "account update x --threshold a=b=c",
        "account update x --threshold half=daily-use:x%",
        "account update x --threshold half=daily-use:50% --no-thresholds",
        "account update x --grace inbound",
        "account update x --grace inbound=5 --no-graces",
        "account update x --overage-policy never",
        "grant x 1 --type gift",
        "grant x 1 --priority 1001",
        "void x g1",
        "void x g1 --reason y --type gift",
        "top-up create x 5",
        "top-up create x 5 --reference y --status lost",
        "voucher create b 1 --live soon",
        "voucher create b 1 --type refund",
        "budget set x b 1",
        "budget set x b 1 --scope user",
        "budget set x b 1 --scope user=a --window yearly",
        "budget set x b 1 --scope user=a --threshold half",
        "entries x --kind gift",
        "usage x --by year",
        "invoice create",
        "invoice create x --format pdf",
    ],
)
def test_a_command_wrongly_typed_ends_with_2_and_its_usage(
    creditgate: Creditgate, line: str
) -> None:
    done = creditgate(line)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("Usage: ")


def test_proxies_of_the_environment_are_not_used(
    creditgate: Creditgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for line in ("balance nobody", "entries nobody"):
        assert "ACCOUNT_NOT_FOUND" in creditgate(line).err


def test_without_a_service_the_command_says_how_to_start_one(
    creditgate: Creditgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDITGATE_LISTEN", f"127.0.0.1:{free_port()}")
    done = creditgate("balance x")
    assert done.status == 1
    assert "start one with `creditgate up`" in done.err
    assert "set CREDITGATE_LISTEN" in done.err


def test_without_billing_the_command_names_its_address_and_setting(
    creditgate: Creditgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("CREDITGATE_BILLING_LISTEN", target)
    done = creditgate("entries x")
    assert done.status == 1
    assert f"no service answers at {target}" in done.err
    assert "set CREDITGATE_BILLING_LISTEN" in done.err


def test_a_call_whose_outcome_is_unknown_tells_how_to_repeat_it(
    creditgate: Creditgate, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    creditgate("account create waits")
    target = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("CREDITGATE_LISTEN", target)
    with another_gate(stack, listen=target, redis_timeout_ms="500"), silent_redis(stack):
        done = creditgate("hold release waits h1 --request-id r-7")
    assert done.status == 1
    assert "whether it took effect is unknown: repeat it with --request-id r-7" in done.err


def test_without_a_home_directory_only_what_needs_a_data_directory_asks_for_one(
    creditgate: Creditgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "~nobody-of-this-name")
    monkeypatch.delenv("CREDITGATE_DATA_DIR", raising=False)
    assert "ACCOUNT_NOT_FOUND" in creditgate("balance nobody").err
    done = creditgate("config")
    assert done.status == 1
    assert "there is no home directory here" in done.err
