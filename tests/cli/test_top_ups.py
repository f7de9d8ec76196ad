"""`creditgate top-up`: purchases made, completed and listed."""

from collections.abc import Callable

from support.customer import CREDIT, Customer
from support.terminal import ONE_TRANSPORT, Creditgate

pytest_plugins = ("support.command_line",)
pytestmark = ONE_TRANSPORT

Open = Callable[..., Customer]


def test_a_top_up_is_made_completed_and_listed(creditgate: Creditgate, open_account: Open) -> None:
    customer = open_account()
    name = customer.account_id
    pending = creditgate(
        f"top-up create {name} 1500 --reference pi_1 --method card"
        " --status pending --currency USD --json"
    ).json["top_up_id"]
    done = creditgate(f"top-up complete {name} {pending}")
    assert done.out.startswith(f"top-up {pending} of 1,500.00 USD for {name}: succeeded, grant g")
    failed = creditgate(f"top-up create {name} 5 --reference pi_2 --status pending --json").json[
        "top_up_id"
    ]
    done = creditgate(f"top-up complete {name} {failed} --failed")
    assert done.out.endswith(": failed\n")
    assert [row[3:] for row in creditgate(f"top-up list {name}").rows] == [
        ["failed", "pi_2", "5.00", "USD"],
        ["succeeded", "card", "pi_1", "1,500.00", "USD"],
    ]
    assert customer.balance().total_credits_nanos == 1500 * CREDIT
