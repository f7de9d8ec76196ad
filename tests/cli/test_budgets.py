"""`creditgate budget`: budgets set, listed and deleted."""

from collections.abc import Callable

from support.customer import CREDIT, Customer, at
from support.terminal import ONE_TRANSPORT, Creditgate

pytest_plugins = ("support.command_line",)
pytestmark = ONE_TRANSPORT

Open = Callable[..., Customer]


def test_a_budget_is_set_listed_and_deleted(creditgate: Creditgate, open_account: Open) -> None:
    customer = open_account("10", test_clock_time=at("2026-03-01T12:00:00Z"))
    name = customer.account_id
    done = creditgate(
        f"budget set {name} team 1000 --scope user=ada --scope project=x=y"
        " --window weekly --soft --threshold most=80% --threshold ten=10"
    )
    terms = "soft, 1,000.00 weekly on project=x=y and user=ada"
    assert done.out == f"budget team of {name}: {terms}\n"
    customer.debit(CREDIT, dimensions={"user": "ada", "project": "x=y"})
    [_, line] = creditgate(f"budget list {name}").lines
    assert line == (
        "team project=x=y and user=ada weekly soft 1,000.00 1.00 0.00"
        " 2026-03-02 00:00:00 most=80%, ten=10.00"
    )
    done = creditgate(f"budget delete {name} team")
    assert done.out == f"deleted budget team of {name}\n"
    assert creditgate(f"budget list {name}").rows == []


def test_a_budget_that_may_count_nothing_is_told(
    creditgate: Creditgate, open_account: Open
) -> None:
    name = open_account("1").account_id
    done = creditgate(f"budget set {name} b 1 --scope model=gpt4o-typo")
    assert done.status == 0
    assert done.err.startswith("creditgate: warning: no price is known for model 'gpt4o-typo'")
    assert done.err.count("\n") == 1
    assert creditgate(f"budget set {name} b 1 --scope model=gpt-4o").err == ""


def test_the_use_of_each_value_is_shown(creditgate: Creditgate, open_account: Open) -> None:
    customer = open_account("10", test_clock_time=at("2026-03-01T12:00:00Z"))
    name = customer.account_id
    terms = "hard, 2.00 hourly on user=*"
    done = creditgate(f"budget set {name} each 2 --scope user=* --window hourly --threshold one=1")
    assert done.out == f"budget each of {name}: {terms}\n"
    for user in ("ada", "bob"):
        customer.debit(CREDIT, dimensions={"user": user})
    [_, line] = creditgate(f"budget list {name}").lines
    assert line == "each user=* hourly hard 2.00 2 2.00 0.00 2026-03-01 13:00:00 one=1.00"
    shown = creditgate(f"budget show {name} each --limit 1")
    assert shown.lines[0] == f"budget each of {name}: {terms}"
    assert shown.lines[2] == "user=ada 1.00 0.00 1.00"
    assert "--page-token" in shown.err + shown.out
    told = creditgate(f"events {name}").out
    assert "budget each, budget values ada," in told
    assert "2026-03-01T12:00" in told
