"""Debit: the contract of usage being charged, with a hold and without, on time, late, and beyond
what there was.
"""

from collections.abc import Callable

import pytest

from gate.v1.gate_pb2 import (
    ACCOUNT_SUSPENDED,
    ALLOWED,
    DAILY_LIMIT_EXCEEDED,
    DENIED,
    INSUFFICIENT_CREDITS,
    Balance,
    DebitResponse,
)
from meter.v1.accounts_pb2 import ACTIVE, SUSPENDED
from meter.v1.ledger_pb2 import UsageLine
from support.customer import CREDIT, Customer, at, new_id

pytest_plugins = ("support.running_stack",)

Open = Callable[..., Customer]
NOON = "2026-03-15T12:00:00Z"


def test_a_debit_without_a_hold_checks_and_spends_in_one_step(open_account: Open) -> None:
    customer = open_account("10", overage_protection_nanos=CREDIT, daily_limit_nanos=20 * CREDIT)
    assert customer.debit(4 * CREDIT) == DebitResponse(
        decision=ALLOWED,
        charged_nanos=4 * CREDIT,
        balance=Balance(
            total_credits_nanos=10 * CREDIT,
            period_usage_nanos=4 * CREDIT,
            remaining_nanos=6 * CREDIT,
            overage_protection_nanos=CREDIT,
            daily_limit_nanos=20 * CREDIT,
            daily_used_nanos=4 * CREDIT,
            available_nanos=7 * CREDIT,
        ),
    )


def test_a_debit_stands_in_the_history_with_all_it_was_told(open_account: Open) -> None:
    customer = open_account("10", test_clock_time=at(NOON))
    customer.debit(
        4, request_id="r-1", description="a picture", dimensions={"user": "ada", "project": "p"}
    )
    [debit, grant] = customer.entries()
    assert (debit.request_id, debit.description) == ("r-1", "a picture")
    assert debit.dimensions == {"user": "ada", "project": "p"}
    assert (debit.amount_nanos, debit.balance_nanos) == (-4, 10 * CREDIT - 4)
    assert (debit.occurred_at, debit.usage_date) == (at(NOON), "2026-03-15")
    assert list(debit.usage) == [UsageLine(unit="amount", quantity=1, amount_nanos=4)]
    assert (grant.amount_nanos, grant.balance_nanos) == (10 * CREDIT, 10 * CREDIT)


def test_overage_protection_carries_an_account_below_zero(open_account: Open) -> None:
    customer = open_account("1", overage_protection_nanos=2 * CREDIT)
    reply = customer.debit(3 * CREDIT)
    assert (reply.decision, reply.shortfall_nanos) == (ALLOWED, 0)
    assert (reply.balance.remaining_nanos, reply.balance.available_nanos) == (-2 * CREDIT, 0)
    assert customer.debit(1).denial.reason == INSUFFICIENT_CREDITS


def test_a_denied_debit_says_what_was_missing_and_charges_nothing(open_account: Open) -> None:
    customer = open_account("1")
    before = customer.balance()
    reply = customer.debit(CREDIT + 1)
    assert (reply.decision, reply.charged_nanos, reply.shortfall_nanos) == (DENIED, 0, 0)
    assert reply.denial.reason == INSUFFICIENT_CREDITS
    assert (reply.denial.shortfall_nanos, reply.denial.affordable_nanos) == (1, CREDIT)
    assert reply.balance == customer.balance() == before


def test_a_debit_beyond_the_daily_limit_is_denied_until_midnight(open_account: Open) -> None:
    customer = open_account("10", daily_limit_nanos=CREDIT, test_clock_time=at(NOON))
    customer.debit(CREDIT)
    denial = customer.debit(1).denial
    assert (denial.reason, denial.resets_at) == (DAILY_LIMIT_EXCEEDED, at("2026-03-16T00:00:00Z"))
    customer.advance("2026-03-16T00:00:00Z")
    assert customer.debit(1).decision == ALLOWED


@pytest.mark.parametrize("charged", [0, 1, 3 * CREDIT, 4 * CREDIT])
def test_settling_for_less_than_was_held_gives_the_rest_back(
    open_account: Open, charged: int
) -> None:
    customer = open_account("10")
    hold = customer.authorize(4 * CREDIT)
    reply = customer.debit(charged, hold_id=hold.hold_id)
    assert (reply.decision, reply.charged_nanos, reply.shortfall_nanos, reply.late) == (
        ALLOWED,
        charged,
        0,
        False,
    )
    assert reply.balance == customer.balance()
    assert (reply.balance.held_nanos, reply.balance.remaining_nanos) == (0, 10 * CREDIT - charged)
    assert (reply.balance.available_nanos, reply.balance.daily_used_nanos) == (
        10 * CREDIT - charged,
        charged,
    )


def test_settling_for_more_than_was_held_takes_the_extra(open_account: Open) -> None:
    customer = open_account("10")
    hold = customer.authorize(CREDIT)
    reply = customer.debit(7 * CREDIT, hold_id=hold.hold_id)
    assert (reply.charged_nanos, reply.shortfall_nanos) == (7 * CREDIT, 0)
    assert (reply.balance.remaining_nanos, reply.balance.held_nanos) == (3 * CREDIT, 0)


def test_settling_never_takes_what_another_hold_has_set_aside_without_owning_to_it(
    open_account: Open,
) -> None:
    customer = open_account("10")
    hold = customer.authorize(CREDIT)
    other = customer.authorize(8 * CREDIT)
    reply = customer.debit(5 * CREDIT, hold_id=hold.hold_id)
    assert (reply.charged_nanos, reply.shortfall_nanos) == (5 * CREDIT, 3 * CREDIT)
    assert customer.debit(8 * CREDIT, hold_id=other.hold_id).shortfall_nanos == 0, (
        "its own credits are still set aside"
    )
    assert customer.balance().remaining_nanos == -3 * CREDIT


def test_what_settling_takes_beyond_overage_protection_is_debt_until_paid(
    open_account: Open,
) -> None:
    customer = open_account("2", overage_protection_nanos=CREDIT)
    hold = customer.authorize(3 * CREDIT)
    reply = customer.debit(10 * CREDIT, hold_id=hold.hold_id)
    assert (reply.decision, reply.charged_nanos, reply.shortfall_nanos) == (
        ALLOWED,
        10 * CREDIT,
        7 * CREDIT,
    )
    assert (reply.balance.remaining_nanos, reply.balance.available_nanos) == (-8 * CREDIT, 0)
    customer.grant(7 * CREDIT)
    assert customer.authorize(1).denial.reason == INSUFFICIENT_CREDITS, "the debt is paid first"
    customer.grant(1)
    assert customer.authorize(1).decision == ALLOWED
    assert [entry.shortfall_nanos for entry in customer.entries()] == [0, 0, 7 * CREDIT, 0]


def test_settling_beyond_the_daily_limit_uses_the_day_up_and_is_no_shortfall(
    open_account: Open,
) -> None:
    customer = open_account("10", daily_limit_nanos=2 * CREDIT)
    hold = customer.authorize(CREDIT)
    reply = customer.debit(3 * CREDIT, hold_id=hold.hold_id)
    assert (reply.charged_nanos, reply.shortfall_nanos) == (3 * CREDIT, 0)
    assert (reply.balance.daily_used_nanos, reply.balance.available_nanos) == (3 * CREDIT, 0)


def test_incurred_usage_is_charged_whatever_there_is(open_account: Open) -> None:
    customer = open_account("1", daily_limit_nanos=2 * CREDIT)
    reply = customer.debit(5 * CREDIT, incurred=True)
    assert (reply.decision, reply.charged_nanos, reply.shortfall_nanos) == (
        ALLOWED,
        5 * CREDIT,
        4 * CREDIT,
    )
    assert customer.balance().remaining_nanos == -4 * CREDIT
    assert customer.debit(CREDIT, incurred=True).shortfall_nanos == CREDIT, (
        "only its own part, not the debt before it"
    )
    [second, first, _] = customer.entries()
    assert (first.incurred, first.late, first.shortfall_nanos) == (True, False, 4 * CREDIT)
    assert second.balance_nanos == -5 * CREDIT


def test_a_late_debit_is_charged_as_incurred_and_marked(open_account: Open) -> None:
    customer = open_account("10", test_clock_time=at(NOON))
    hold = customer.authorize(10 * CREDIT, hold_ttl_ms=1000)
    customer.advance("2026-03-15T12:00:01Z")
    assert customer.balance().held_nanos == 0, "the credits have gone back"
    customer.debit(8 * CREDIT)
    reply = customer.debit(9 * CREDIT, hold_id=hold.hold_id)
    assert (reply.decision, reply.late) == (ALLOWED, True)
    assert (reply.charged_nanos, reply.shortfall_nanos) == (9 * CREDIT, 7 * CREDIT)
    assert reply.balance == customer.balance()
    [entry, *_] = customer.entries()
    assert (entry.late, entry.hold_id, entry.held_nanos) == (True, hold.hold_id, 0)


def test_a_suspended_account_spends_nothing_new_yet_settles_and_takes_incurred_usage(
    open_account: Open,
) -> None:
    customer = open_account("10")
    hold = customer.authorize(2 * CREDIT)
    customer.update(status=SUSPENDED)
    assert customer.debit(1).denial.reason == ACCOUNT_SUSPENDED
    assert customer.authorize(1).denial.reason == ACCOUNT_SUSPENDED
    assert customer.extend(hold.hold_id, 1).denial.reason == ACCOUNT_SUSPENDED
    assert customer.debit(3 * CREDIT, hold_id=hold.hold_id).charged_nanos == 3 * CREDIT
    assert customer.debit(CREDIT, incurred=True).charged_nanos == CREDIT
    customer.update(status=ACTIVE)
    assert customer.debit(1).decision == ALLOWED


def test_a_replay_gives_the_first_reply_and_charges_nothing(open_account: Open) -> None:
    customer = open_account("10")
    hold = customer.authorize(2 * CREDIT)
    first = customer.debit(CREDIT, hold_id=hold.hold_id, request_id="r-1")
    customer.debit(CREDIT)
    again = customer.debit(CREDIT, hold_id=hold.hold_id, request_id="r-1")
    assert again.replayed
    again.replayed = False
    assert again == first
    assert customer.balance().remaining_nanos == 8 * CREDIT
    assert len(customer.entries()) == 3


def test_a_late_or_short_debit_replays_as_it_was(open_account: Open) -> None:
    customer = open_account("1", test_clock_time=at(NOON))
    hold = customer.authorize(CREDIT, hold_ttl_ms=1)
    customer.advance("2026-03-15T12:00:01Z")
    request = {"hold_id": hold.hold_id, "request_id": new_id()}
    assert customer.debit(3 * CREDIT, **request).shortfall_nanos == 2 * CREDIT
    customer.grant(9 * CREDIT)
    again = customer.debit(3 * CREDIT, **request)
    assert (again.late, again.shortfall_nanos, again.replayed) == (True, 2 * CREDIT, True)


def test_a_denied_debit_is_judged_afresh_after_a_top_up(open_account: Open) -> None:
    customer = open_account("1")
    request_id = new_id()
    assert customer.debit(2 * CREDIT, request_id=request_id).decision == DENIED
    customer.grant(CREDIT)
    reply = customer.debit(2 * CREDIT, request_id=request_id)
    assert (reply.decision, reply.replayed) == (ALLOWED, False)
