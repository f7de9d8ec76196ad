"""GetBalance: what each figure of the overview means."""

from collections.abc import Callable

from gate.v1.gate_pb2 import (
    ALLOWED,
    DAILY_LIMIT_EXCEEDED,
    DENIED,
    INSUFFICIENT_CREDITS,
    Balance,
    GetBalanceRequest,
    GetBalanceResponse,
)
from meter.v1.accounts_pb2 import ACTIVE, SUSPENDED, Grace
from support.customer import CREDIT, Customer, at
from support.stack import Stack

pytest_plugins = ("support.running_stack",)

Open = Callable[..., Customer]


def overview(customer: Customer) -> GetBalanceResponse:
    request = GetBalanceRequest(account_id=customer.account_id)
    reply: GetBalanceResponse = customer.client.gate.GetBalance(request)
    return reply


def test_a_new_account_has_nothing(open_account: Open) -> None:
    assert open_account().balance() == Balance()


def test_the_overview_names_account_currency_and_the_time_it_was_read(open_account: Open) -> None:
    customer = open_account(currency="EUR", test_clock_time=at("2026-03-15T12:00:00.123Z"))
    reply = customer.client.gate.GetBalance(GetBalanceRequest(account_id=customer.account_id))
    assert (reply.account_id, reply.currency) == (customer.account_id, "EUR")
    assert reply.read_at == at("2026-03-15T12:00:00.123Z")


def test_every_figure_of_an_account_in_use(open_account: Open) -> None:
    customer = open_account(
        "10", overage_protection_nanos=5 * CREDIT, daily_limit_nanos=12 * CREDIT
    )
    customer.grant(2 * CREDIT)
    customer.debit(4 * CREDIT)
    customer.authorize(3 * CREDIT)
    assert customer.balance() == Balance(
        total_credits_nanos=12 * CREDIT,
        period_usage_nanos=4 * CREDIT,
        remaining_nanos=8 * CREDIT,
        overage_protection_nanos=5 * CREDIT,
        held_nanos=3 * CREDIT,
        daily_limit_nanos=12 * CREDIT,
        daily_used_nanos=4 * CREDIT,
        available_nanos=5 * CREDIT,  # the day leaves less than the credits do
    )


def test_an_absent_daily_limit_is_absent_and_one_of_zero_is_there(open_account: Open) -> None:
    assert not open_account("1").balance().HasField("daily_limit_nanos")
    balance = open_account("1", daily_limit_nanos=0).balance()
    assert (
        balance.HasField("daily_limit_nanos"),
        balance.daily_limit_nanos,
        balance.available_nanos,
    ) == (True, 0, 0)


def test_available_is_never_shown_below_zero(open_account: Open) -> None:
    customer = open_account("1")
    customer.debit(3 * CREDIT, incurred=True)
    assert (customer.balance().remaining_nanos, customer.balance().available_nanos) == (
        -2 * CREDIT,
        0,
    )


def test_every_gate_shows_the_same(open_account: Open, other_client: object) -> None:
    customer = open_account("10")
    customer.debit(4 * CREDIT)
    assert customer.at(other_client).balance() == customer.balance()


def test_a_changed_overage_protection_acts_on_the_next_call(open_account: Open) -> None:
    customer = open_account("1")
    customer.update(overage_protection_nanos=2 * CREDIT)
    assert customer.balance().available_nanos == 3 * CREDIT
    customer.debit(3 * CREDIT)
    customer.update(overage_protection_nanos=CREDIT)
    assert (customer.balance().remaining_nanos, customer.balance().available_nanos) == (
        -2 * CREDIT,
        0,
    )
    assert customer.debit(1).denial.reason == INSUFFICIENT_CREDITS


def test_a_changed_daily_limit_counts_what_was_used_before_it(open_account: Open) -> None:
    customer = open_account("10")
    customer.debit(2 * CREDIT)
    customer.authorize(CREDIT)
    customer.update(daily_limit_nanos=4 * CREDIT)
    assert customer.balance().available_nanos == CREDIT
    customer.update(daily_limit_nanos=2 * CREDIT)
    assert customer.authorize(1).denial.reason == DAILY_LIMIT_EXCEEDED
    customer.update(daily_limit_nanos=None)
    assert not customer.balance().HasField("daily_limit_nanos")
    assert customer.balance().available_nanos == 7 * CREDIT


def test_a_suspended_account_shows_all_but_what_is_available_as_before(open_account: Open) -> None:
    customer = open_account("10")
    before = customer.balance()
    customer.update(status=SUSPENDED)
    before.available_nanos = 0
    assert customer.balance() == before


def test_an_account_lost_in_redis_comes_back_as_it_was_with_its_holds(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("10", daily_limit_nanos=9 * CREDIT)
    customer.debit(2 * CREDIT)
    hold = customer.authorize(3 * CREDIT)
    before = customer.balance()
    with stack.valkey.client() as redis:
        [key] = redis.keys(f"cg:*:a:{customer.account_id}")
        redis.delete(key)
    assert customer.balance() == before
    assert customer.debit(CREDIT, hold_id=hold.hold_id).decision == ALLOWED
    assert customer.balance().held_nanos == 0


def test_a_suspended_account_has_nothing_available_in_any_reply(open_account: Open) -> None:
    customer = open_account("10")
    hold = customer.authorize(CREDIT)
    settled = customer.authorize(CREDIT)
    customer.update(status=SUSPENDED)
    assert overview(customer).suspended
    assert customer.balance().available_nanos == 0
    for reply in (
        customer.debit(CREDIT),
        customer.debit(CREDIT, incurred=True),
        customer.debit(CREDIT, hold_id=settled.hold_id),
        customer.release(hold.hold_id),
    ):
        assert reply.balance.available_nanos == 0
    customer.update(status=ACTIVE)
    assert not overview(customer).suspended
    assert customer.balance().available_nanos == 8 * CREDIT


def test_a_grace_is_told_until_it_is_over(open_account: Open) -> None:
    minute = Grace(traffic_class="inbound", duration_ms=60_000)
    customer = open_account("0", graces=[minute], test_clock_time=at("2026-03-15T12:00:00Z"))
    assert customer.debit(CREDIT, traffic_class="inbound").in_grace
    customer.advance("2026-03-15T12:00:59.999Z")
    assert len(overview(customer).graces) == 1
    customer.advance("2026-03-15T12:01:00Z")
    assert not overview(customer).graces


def test_credits_that_overage_in_use_holds_back_are_told_as_blocked(open_account: Open) -> None:
    half = Grace(traffic_class="inbound", amount_nanos=CREDIT // 2)
    customer = open_account("0", graces=[half])
    customer.debit(CREDIT // 2, traffic_class="inbound")
    customer.grant(5 * CREDIT)
    assert customer.balance().available_nanos == 9 * CREDIT // 2
    assert customer.debit(9 * CREDIT // 2).decision == ALLOWED
    seen = overview(customer)
    assert [part.remaining_nanos for part in seen.breakdown] == [CREDIT // 2]
    assert (seen.debt_nanos, seen.blocked_nanos) == (CREDIT // 2, CREDIT // 2)
    assert seen.balance.available_nanos == 0
    assert customer.debit(1).decision == DENIED
