"""`creditgate mail`, and the addresses of accounts: a billing without a mail server."""

from collections.abc import Callable

import pytest

from support.customer import CREDIT, Customer
from support.servers import wait_until
from support.terminal import ONE_TRANSPORT, Creditgate

pytest_plugins = ("support.command_line",)
pytestmark = ONE_TRANSPORT

Open = Callable[..., Customer]


def test_without_a_mail_server_mails_are_kept_as_suppressed_and_shown(
    creditgate: Creditgate, open_account: Open
) -> None:
    customer = open_account("10")
    name = customer.account_id
    told = creditgate(
        f"account update {name} --alert-email a@example.com --alert-email b@example.com"
    )
    assert "b@example.com" in told.out
    customer.debit(10 * CREDIT)
    wait_until(lambda: len(creditgate(f"mail list {name}").rows) == 2)
    rows = creditgate(f"mail list {name}").rows
    assert sorted(row[4:] for row in rows) == [
        ["credits.exhausted", "a@example.com", "suppressed"],
        ["credits.exhausted", "b@example.com", "suppressed"],
    ]
    mail_id = rows[0][2]
    assert creditgate(f"mail resend {mail_id}").out.endswith(": suppressed\n")
    assert creditgate("mail test ops@example.com").out.endswith("to ops@example.com: suppressed\n")
    removed = creditgate(f"account update {name} --alert-email '' --json").json
    assert removed["alert_emails"] == []


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("nobody", "'nobody' is no address"),
        ("a@b@c", "is no address"),
        ("a@b --alert-email a@b", "has an address twice"),
        ("'a@b\nBcc: c@d'", "is no address"),
        ("mü@example.com", "is no address"),
        (f"{'x' * 251}@b.c", "is no address"),
        (" --alert-email ".join(f"a{n}@b" for n in range(11)), "at most 10; there are 11"),
    ],
)
def test_an_address_in_no_form_is_refused(
    creditgate: Creditgate, open_account: Open, address: str, told: str
) -> None:
    name = open_account().account_id
    done = creditgate(f"account update {name} --alert-email {address}")
    assert done.status == 1
    assert told in done.err
    assert "--alert-email" in done.err


def test_a_mail_that_is_not_there_is_told(creditgate: Creditgate) -> None:
    assert "(MAIL_NOT_FOUND)" in creditgate("mail resend mail_none").err
    assert "RECIPIENT" in creditgate("mail test nobody").err
