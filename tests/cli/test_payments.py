"""`creditgate payment-method`, `top-up buy`, `payment` and `payments`, with the provider `test`."""

from collections.abc import Callable

from support.customer import CREDIT, Customer
from support.servers import wait_until
from support.terminal import ONE_TRANSPORT, Creditgate

pytest_plugins = ("support.command_line",)
pytestmark = ONE_TRANSPORT

Open = Callable[..., Customer]


def test_a_card_is_added_and_buys_credits_that_act_at_once(
    creditgate: Creditgate, open_account: Open
) -> None:
    customer = open_account()
    name = customer.account_id
    added = creditgate(f"payment-method add {name} --test-method test_visa")
    assert added.out.startswith("saved visa 4242 (pm")
    bought = creditgate(f"top-up buy {name} 25 --request-id buy-1 --json").json
    assert (bought["state"], bought["total"]) == (
        "PAID",
        {"currency": "USD", "minor_units": "2500"},
    )
    again = creditgate(f"top-up buy {name} 25 --request-id buy-1 --json").json
    assert again["payment_id"] == bought["payment_id"]
    assert customer.balance().total_credits_nanos == 25 * CREDIT
    [row] = creditgate(f"payments {name}").rows
    assert row[3:] == ["purchase", "paid", "visa", "4242", "USD", "25.00"]
    shown = creditgate(f"payment show {name} {bought['payment_id']}")
    assert shown.out.endswith(": paid, visa 4242\n")
    checked = creditgate(f"check {name} --provider")
    assert (checked.status, checked.out) == (0, "1 payment: as the provider tells\n")
    costs = creditgate(f"top-up buy {name} 30 --validate-only --json").json
    assert (costs["total"]["minor_units"], costs["payment_id"]) == ("3000", "")


def test_a_bought_top_up_is_refunded_and_its_list_says_so(
    creditgate: Creditgate, open_account: Open
) -> None:
    customer = open_account()
    name = customer.account_id
    creditgate(f"payment-method add {name} --test-method test_visa")
    bought = creditgate(f"top-up buy {name} 25 --json").json
    customer.debit(CREDIT // 1000)
    words = f"top-up refund {name} {bought['top_up_id']} --reason 'asked for' --request-id back"
    for _ in range(2):
        assert creditgate(words).out.endswith(": succeeded, 24.99 credits, USD 24.99 back\n")
    assert customer.balance().remaining_nanos == 9 * CREDIT // 1000
    [row] = creditgate(f"top-up list {name}").lines[1:]
    assert "succeeded, 24.99 refunded" in row
    shown = creditgate(f"payment show {name} {bought['payment_id']} --json").json
    assert (shown["refunded_nanos"], shown["uncollected_nanos"]) == ("24990000000", "0")
    assert (
        "NOTHING_TO_REFUND"
        in creditgate(f"top-up refund {name} {bought['top_up_id']} --reason again").err
    )


def test_methods_are_listed_chosen_and_removed(creditgate: Creditgate, open_account: Open) -> None:
    name = open_account().account_id
    for method in ("test_visa", "test_stolen"):
        creditgate(f"payment-method add {name} --test-method {method}")
    listed = creditgate(f"payment-method list {name}").rows
    assert [row[1:] for row in listed] == [
        ["visa", "4242", "Ada", "Lovelace", "12/2099", "default"],
        ["visa", "9979", "Ada", "Lovelace", "12/2099"],
    ]
    stolen = listed[1][0]
    assert creditgate(f"payment-method default {name} {stolen}").out.endswith("is the default\n")
    declined = creditgate(f"top-up buy {name} 25")
    assert declined.status == 1
    assert declined.out.endswith(": cancelled, visa 9979 (The card was declined.)\n")
    assert creditgate(f"payment-method remove {name} {stolen}").out.endswith("is removed\n")
    refused = creditgate(f"top-up buy {name} 25")
    assert (refused.status, refused.out) == (1, "")
    assert "has no default payment method" in refused.err


def test_a_payment_waits_for_the_customer_and_is_confirmed_or_cancelled(
    creditgate: Creditgate, open_account: Open
) -> None:
    customer = open_account()
    name = customer.account_id
    creditgate(f"payment-method add {name} --test-method test_3ds")
    waiting = creditgate(f"top-up buy {name} 25 --json").json
    assert waiting["state"] == "ACTION_REQUIRED"
    assert waiting["action_url"].startswith("test://payment/")
    completed = creditgate(f"payment complete {name} {waiting['payment_id']}")
    assert completed.out.endswith(": paid, visa 3184\n")
    hosted = creditgate(f"top-up buy {name} 25 --hosted --json").json
    cancelled = creditgate(f"payment cancel {name} {hosted['payment_id']}")
    assert cancelled.out.endswith(": cancelled, hosted page\n")
    refused = creditgate(f"payment cancel {name} {waiting['payment_id']}")
    assert "PAYMENT_FINAL" in refused.err
    assert customer.balance().total_credits_nanos == 25 * CREDIT


def test_billing_sees_a_slow_payment_through_by_itself(
    creditgate: Creditgate, open_account: Open
) -> None:
    customer = open_account()
    creditgate(f"payment-method add {customer.account_id} --test-method test_slow")
    slow = creditgate(f"top-up buy {customer.account_id} 25 --json").json
    assert slow["state"] == "PROCESSING"
    wait_until(lambda: customer.balance().total_credits_nanos == 25 * CREDIT)
