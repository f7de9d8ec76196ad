"""`creditgate grant`, `void` and `grants`: credits given, taken back and listed."""

from collections.abc import Callable

from support.customer import CREDIT, Customer, at
from support.terminal import ONE_TRANSPORT, Creditgate

pytest_plugins = ("support.command_line",)
pytestmark = ONE_TRANSPORT

Open = Callable[..., Customer]

CLOCK = "2026-03-01T12:00:00Z"


def test_credits_are_granted_exactly_and_once_for_a_request_id(
    creditgate: Creditgate, open_account: Open
) -> None:
    customer = open_account()
    name = customer.account_id
    line = f"grant {name} 0.000000001 --type promotion --request-id r-1"
    assert f"granted 0.000000001 to {name} as PROMOTION" in creditgate(line).out
    again = creditgate(f"{line} --json").json
    assert (again["amount_nanos"], again["type"]) == ("1", "PROMOTION")
    creditgate(f"grant {name} 25")
    creditgate(f"grant {name} 25")
    assert customer.balance().total_credits_nanos == 50 * CREDIT + 1


def test_a_grant_has_every_term_that_can_be_typed(
    creditgate: Creditgate, open_account: Open
) -> None:
    customer = open_account(test_clock_time=at(CLOCK))
    terms = (
        "--type promotion --priority 7 --effective 2026-03-02 --expires 2026-04-01T12:00"
        " --model gpt-4o --model tiny --service chat --non-refundable"
    )
    made = creditgate(f"grant {customer.account_id} 5 {terms} --json").json
    assert made["priority"] == 7
    assert made["effective_at"] == "2026-03-02T00:00:00Z"
    assert made["expires_at"] == "2026-04-01T12:00:00Z"
    assert made["scope"] == {"models": ["openai/gpt-4o", "tiny"], "services": ["chat"]}
    assert (made["non_refundable"], made["type"]) == (True, "PROMOTION")


def test_grants_are_listed_in_burn_order_with_what_became_of_them(
    creditgate: Creditgate, open_account: Open
) -> None:
    customer = open_account("1000", test_clock_time=at(CLOCK))
    name = customer.account_id
    first = creditgate(f"grant {name} 3 --priority 1 --service chat --json").json["grant_id"]
    customer.debit(CREDIT, dimensions={"service": "chat"})
    customer.authorize(CREDIT, dimensions={"service": "chat"})
    chat, top_up = creditgate(f"grants {name}").rows
    spent = "3.00 1.00 1.00 0.00 0.00 1.00"
    untouched = "1,000.00 0.00 0.00 0.00 0.00 1,000.00"
    assert chat == f"{first} top-up live 1 {spent} never service chat".split()
    assert top_up[1:] == f"top-up live 50 {untouched} never".split()
    page = creditgate(f"grants {name} --limit 1 --json").json
    assert [each["grant"]["grant_id"] for each in page["grants"]] == [first]


def test_a_grant_is_voided_and_then_listed_only_on_request(
    creditgate: Creditgate, open_account: Open
) -> None:
    name = open_account().account_id
    grant_id = creditgate(f"grant {name} 1234 --json").json["grant_id"]
    line = f"void {name} {grant_id} --reason 'paid twice' --request-id v"
    said = f"voided 1,234.00 of grant {grant_id} of {name}\n"
    assert creditgate(line).out == said
    assert creditgate(line).out == said
    assert creditgate(f"grants {name}").rows == []
    [row] = creditgate(f"grants {name} --all").rows
    assert row[:3] == [grant_id, "top-up", "voided"]


def test_a_void_of_more_than_there_is_tells_so_and_nothing_is_voided_twice(
    creditgate: Creditgate, open_account: Open
) -> None:
    customer = open_account()
    name = customer.account_id
    grant_id = creditgate(f"grant {name} 15 --json").json["grant_id"]
    line = f"void {name} {grant_id} --reason wrong --type correction --credits 500"
    assert creditgate(line).out == (
        f"voided 15.00 of grant {grant_id} of {name}, all that was unspent: 500.00 were asked for\n"
    )
    again = creditgate(line)
    assert again.status == 1
    assert f"grant {grant_id} is voided; nothing of it is left (GRANT_ENDED)" in again.err
    voided = creditgate(f"entries {name}").lines[1]
    assert f"correction: wrong; top-up {grant_id}" in voided
    assert len(customer.entries()) == 2


def test_the_history_says_what_paid_debt_and_what_expired(
    creditgate: Creditgate, open_account: Open
) -> None:
    customer = open_account(overage_protection_nanos=CREDIT, test_clock_time=at(CLOCK))
    name = customer.account_id
    customer.debit(CREDIT)
    line = f"grant {name} 3 --type adjustment --description paid --expires 2026-03-02"
    grant_id = creditgate(f"{line} --json").json["grant_id"]
    creditgate(f"account advance-clock {name} 2026-03-02")
    history = creditgate(f"entries {name}").lines[1:]
    assert f"grant_expired adjustment {grant_id} -2.00" in history[0]
    assert f"1.00 of overage paid from adjustment {grant_id}" in history[1]
