"""`creditgate check`: the books compared with Redis."""

from collections.abc import Callable

from support.customer import Customer
from support.stack import Client, Stack
from support.terminal import ONE_TRANSPORT, Creditgate

pytest_plugins = ("support.command_line",)
pytestmark = ONE_TRANSPORT

Open = Callable[..., Customer]


def test_the_check_says_that_the_books_are_right(
    creditgate: Creditgate, open_account: Open
) -> None:
    customer = open_account("1")
    done = creditgate(f"check {customer.account_id}")
    assert (done.status, done.out) == (0, "1 account, 2 entries, 0 invoices: the books are right\n")
    assert creditgate(f"check {customer.account_id} --json").json["entries_checked"] == "2"


def test_the_check_tells_each_finding_and_ends_with_1(
    creditgate: Creditgate, client: Client, stack: Stack
) -> None:
    client.open_account("cooked", "1")
    assert creditgate("check cooked").status == 0
    with stack.valkey.client() as redis:
        [key] = redis.keys("cg:*:a:cooked")
        redis.hincrby(key, "gl", 5)
        for line in ("check cooked", "check cooked --json"):
            done = creditgate(line)
            assert (done.status, done.err) == (1, "")
            assert "redis" in done.out
        assert "2 findings" in creditgate("check cooked").out
        redis.hincrby(key, "gl", -5)
