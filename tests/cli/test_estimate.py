"""`creditgate estimate`: what a request would cost."""

from collections.abc import Callable

import pytest

from support.customer import CREDIT, Customer
from support.terminal import ONE_TRANSPORT, Creditgate

pytest_plugins = ("support.command_line",)
pytestmark = ONE_TRANSPORT

Open = Callable[..., Customer]


def test_an_estimate_tells_cost_and_what_credits_buy(
    creditgate: Creditgate, open_account: Open
) -> None:
    account_id = open_account("1").account_id
    line = "estimate tiny input_tokens=1000 output_tokens=250"  # 0.001 and 0.0005 credits
    made = creditgate(f"{line} --account {account_id} --json").json
    assert made["cost_nanos"] == str(CREDIT * 15 // 10_000)
    assert made["affordable_requests"] == "666"
    done = creditgate(f"{line} --credits 0.003")
    assert (
        done.out.splitlines()[-1] == "0.003 USD buy 2 such requests, or 1,000 output tokens in one"
    )
    assert done.rows[:3] == [
        ["input_tokens", "1,000", "0.001"],
        ["output_tokens", "250", "0.0005"],
        [made["model"], "0.0015"],
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("tiny input_tokens=many", "input_tokens: 'many' is no whole number of units"),
        ("tiny input_tokens", "UNIT=QUANTITY is written as input_tokens=1000"),
        (
            "tiny reasoning_tokens=5",
            "'reasoning_tokens' is no unit; expected one of: input_tokens, ",
        ),
        (
            "tiny input_tokens=1 --credits much",
            "--credits: 'much' is not a decimal number",
        ),
    ],
)
def test_an_estimate_says_what_is_typed_wrongly(
    creditgate: Creditgate, words: str, says: str
) -> None:
    done = creditgate(f"estimate {words}")
    assert done.status != 0
    assert says in " ".join(done.err.split())


def test_an_estimate_reads_a_providers_usage_object(creditgate: Creditgate) -> None:
    used = '{"prompt_tokens":1000,"completion_tokens":250}'
    done = creditgate(f"estimate tiny --reported '{used}'")
    assert done.rows[:2] == [["input_tokens", "1,000", "0.001"], ["output_tokens", "250", "0.0005"]]


def test_an_estimate_is_by_the_price_of_a_service_tier(creditgate: Creditgate) -> None:
    made = creditgate("estimate tiny input_tokens=1000 --service-tier batch --json").json
    assert made["cost_nanos"] == str(CREDIT // 2000)
