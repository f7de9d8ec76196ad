"""`creditgate balance`: the overview of an account."""

from collections.abc import Callable

from support.customer import CREDIT, Customer
from support.terminal import ONE_TRANSPORT, Creditgate

pytest_plugins = ("support.command_line",)
pytestmark = ONE_TRANSPORT

Open = Callable[..., Customer]


def test_a_balance_has_every_figure_of_the_overview(
    creditgate: Creditgate, open_account: Open
) -> None:
    customer = open_account(
        "1234.5", overage_protection_nanos=5 * CREDIT, daily_limit_nanos=40 * CREDIT
    )
    customer.debit(3)
    customer.authorize(2 * CREDIT)
    printed = creditgate(f"balance {customer.account_id}").out.splitlines()[1:]
    lines = dict(line.rsplit(maxsplit=1) for line in printed)
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
    reply = creditgate(f"balance {customer.account_id} --json").json
    assert reply["balance"]["remaining_nanos"] == "1234499999997"
    assert reply["account_id"] == customer.account_id
