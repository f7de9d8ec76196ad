"""`creditgate voucher`: codes made, redeemed and listed."""

from collections.abc import Callable

from support.customer import Customer, at, new_id
from support.terminal import ONE_TRANSPORT, Creditgate

pytest_plugins = ("support.command_line",)
pytestmark = ONE_TRANSPORT

Open = Callable[..., Customer]


def test_voucher_codes_are_printed_one_a_line_and_redeemed(
    creditgate: Creditgate, open_account: Open
) -> None:
    customer = open_account(test_clock_time=at("2026-03-01T12:00:00Z"))
    batch = f"cli-{new_id()}"
    done = creditgate(
        f"voucher create {batch} 5 --codes 2 --live 30d --type promotion --expires 2126-01-01"
        " --description 'spring sale' --uses 3 --uses-per-account 2"
    )
    codes = done.out.splitlines()
    assert [len(code) for code in codes] == [34, 34]
    granted = creditgate(f"voucher redeem {customer.account_id} {codes[0].lower()}").out
    assert granted.startswith(
        f"granted 5.00 to {customer.account_id} as PROMOTION until 2026-03-31 12:00:00, grant g"
    )
    listed = creditgate("voucher list --limit 1000").rows
    [row] = [row for row in listed if row[0] == batch]
    assert " ".join(row[1:]) == "promotion 5.00 USD 2 3 1 2126-01-01 00:00:00 spring sale"
