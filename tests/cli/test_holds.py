"""`creditgate hold`: open holds, listed and given back."""

from collections.abc import Callable

from support.customer import CREDIT, Customer
from support.terminal import ONE_TRANSPORT, Creditgate

pytest_plugins = ("support.command_line",)
pytestmark = ONE_TRANSPORT

Open = Callable[..., Customer]


def test_open_holds_are_listed_and_given_back(creditgate: Creditgate, open_account: Open) -> None:
    customer = open_account("10")
    name = customer.account_id
    first, second = (customer.authorize(amount * CREDIT).hold_id for amount in (2, 3))
    rows = creditgate(f"hold list {name}").rows
    assert [(row[0], row[-1]) for row in rows] == [(first, "2.00"), (second, "3.00")]
    page = creditgate(f"hold list {name} --limit 1 --json").json
    assert [hold["hold_id"] for hold in page["holds"]] == [first]
    rest = creditgate(f"hold list {name} --limit 1 --page-token {page['next_page_token']}").rows
    assert [row[0] for row in rest] == [second]
    assert creditgate(f"hold release {name} {first}").lines == [
        f"released hold {first} of {name}: 2.00"
    ]
    assert customer.balance().held_nanos == 3 * CREDIT
    assert [row[0] for row in creditgate(f"hold list {name}").rows] == [second]
    again = creditgate(f"hold release {name} {first}")
    assert (again.status, "HOLD_NOT_FOUND" in again.err) == (1, True)


def test_the_history_of_a_hold_names_the_hold_and_its_amount(
    creditgate: Creditgate, open_account: Open
) -> None:
    customer = open_account("10")
    hold_id = customer.authorize(2 * CREDIT).hold_id
    customer.release(hold_id)
    released, authorized = creditgate(
        f"entries {customer.account_id} --kind authorize --kind release"
    ).lines[1:]
    assert f"hold {hold_id}: +2.00" in authorized
    assert f"hold {hold_id}: -2.00" in released
