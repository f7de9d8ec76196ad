"""Authorize: the contract of holds being placed, whole, in part, or not at all."""

from collections.abc import Callable

import pytest

from gate.v1.gate_pb2 import (
    ACCOUNT_SUSPENDED,
    ALLOWED,
    DAILY_LIMIT_EXCEEDED,
    DENIED,
    INSUFFICIENT_CREDITS,
    AuthorizeResponse,
    Balance,
    GetBalanceRequest,
    Usage,
)
from meter.v1.accounts_pb2 import SUSPENDED
from meter.v1.ledger_pb2 import AUTHORIZE
from support.customer import CREDIT, Customer, at, new_id

pytest_plugins = ("support.running_stack",)

Open = Callable[..., Customer]
NOON = "2026-03-15T12:00:00Z"


def test_an_allowed_authorize_answers_with_the_hold_and_the_balance_after_it(
    open_account: Open,
) -> None:
    customer = open_account("10", overage_protection_nanos=2 * CREDIT, test_clock_time=at(NOON))
    reply = customer.authorize(3 * CREDIT, hold_ttl_ms=60_000)
    assert reply == AuthorizeResponse(
        decision=ALLOWED,
        hold_id=reply.hold_id,
        held_nanos=3 * CREDIT,
        expires_at=at("2026-03-15T12:01:00Z"),
        balance=Balance(
            total_credits_nanos=10 * CREDIT,
            remaining_nanos=10 * CREDIT,
            overage_protection_nanos=2 * CREDIT,
            held_nanos=3 * CREDIT,
            available_nanos=9 * CREDIT,
        ),
    )
    assert reply.hold_id
    assert customer.balance() == reply.balance


def test_a_hold_lives_ten_minutes_unless_told_otherwise(open_account: Open) -> None:
    customer = open_account("10", test_clock_time=at(NOON))
    assert customer.authorize(1).expires_at == at("2026-03-15T12:10:00Z")


def test_a_hold_by_the_real_clock_expires_its_time_to_live_after_it_was_placed(
    open_account: Open,
) -> None:
    customer = open_account("10")
    overview = customer.client.gate.GetBalance(GetBalanceRequest(account_id=customer.account_id))
    ends = customer.authorize(1, hold_ttl_ms=5000).expires_at.ToMilliseconds()
    assert 5000 <= ends - overview.read_at.ToMilliseconds() < 15_000


def test_an_authorize_stands_in_the_history_without_moving_credits(open_account: Open) -> None:
    customer = open_account("10")
    reply = customer.authorize(
        4, request_id="r-1", dimensions={"user": "ada"}, traffic_class="chat"
    )
    [entry] = customer.entries(AUTHORIZE)
    assert (entry.request_id, entry.hold_id, entry.dimensions) == (
        "r-1",
        reply.hold_id,
        {"user": "ada"},
    )
    assert (entry.amount_nanos, entry.held_nanos, entry.balance_nanos) == (0, 4, 10 * CREDIT)
    assert len(customer.entries()) == 1, "a hold is not among what moved credits"


def test_all_that_is_available_can_be_held_and_not_a_nano_more(open_account: Open) -> None:
    customer = open_account("1", overage_protection_nanos=CREDIT)
    assert customer.authorize(2 * CREDIT + 1).decision == DENIED
    assert customer.authorize(2 * CREDIT).decision == ALLOWED
    assert customer.authorize(1).decision == DENIED


def test_a_denial_for_want_of_credits_says_what_was_missing_and_what_would_do(
    open_account: Open,
) -> None:
    customer = open_account("10", overage_protection_nanos=CREDIT)
    customer.authorize(4 * CREDIT)
    reply = customer.authorize(8 * CREDIT)
    assert (reply.decision, reply.denial.reason) == (DENIED, INSUFFICIENT_CREDITS)
    assert (reply.denial.shortfall_nanos, reply.denial.affordable_nanos) == (CREDIT, 7 * CREDIT)
    assert not reply.denial.HasField("resets_at"), "time alone does not bring credits"
    assert not reply.denial.HasField("affordable_output_tokens"), "no model was named"
    assert (reply.hold_id, reply.held_nanos, reply.HasField("expires_at"), reply.replayed) == (
        "",
        0,
        False,
        False,
    )
    assert reply.balance == customer.balance()


def test_a_denial_by_the_daily_limit_heals_at_the_next_utc_midnight(open_account: Open) -> None:
    customer = open_account("100", daily_limit_nanos=10 * CREDIT, test_clock_time=at(NOON))
    customer.debit(3 * CREDIT)
    customer.authorize(2 * CREDIT)
    denial = customer.authorize(6 * CREDIT).denial
    assert denial.reason == DAILY_LIMIT_EXCEEDED
    assert (denial.shortfall_nanos, denial.affordable_nanos) == (CREDIT, 5 * CREDIT)
    assert denial.resets_at == at("2026-03-16T00:00:00Z")


def test_more_than_a_whole_daily_limit_never_heals_by_time(open_account: Open) -> None:
    customer = open_account("100", daily_limit_nanos=10 * CREDIT)
    denial = customer.authorize(10 * CREDIT + 1).denial
    assert denial.reason == DAILY_LIMIT_EXCEEDED
    assert not denial.HasField("resets_at")


def test_want_of_credits_goes_before_the_daily_limit(open_account: Open) -> None:
    customer = open_account("1", daily_limit_nanos=CREDIT)
    denial = customer.authorize(2 * CREDIT).denial
    assert denial.reason == INSUFFICIENT_CREDITS
    assert not denial.HasField("resets_at")


def test_suspension_goes_before_want_of_credits_and_leaves_nothing_affordable(
    open_account: Open,
) -> None:
    customer = open_account("5")
    customer.update(status=SUSPENDED)
    denial = customer.authorize(6 * CREDIT).denial
    assert (denial.reason, denial.affordable_nanos, denial.shortfall_nanos) == (
        ACCOUNT_SUSPENDED,
        0,
        6 * CREDIT,
    )
    assert not denial.HasField("resets_at")


def test_a_denial_writes_nothing(open_account: Open) -> None:
    customer = open_account("1")
    before = customer.balance()
    customer.authorize(2 * CREDIT)
    assert customer.balance() == before
    assert customer.entries(AUTHORIZE) == []


def test_a_daily_limit_of_zero_admits_nothing(open_account: Open) -> None:
    customer = open_account("10", daily_limit_nanos=0)
    assert customer.balance().available_nanos == 0
    assert customer.authorize(1).denial.reason == DAILY_LIMIT_EXCEEDED


@pytest.mark.parametrize(
    ("credits", "limit", "least", "amount", "held"),
    [
        ("10", None, 1, 4 * CREDIT, 4 * CREDIT),  # all of it fits
        ("3", None, 1, 4 * CREDIT, 3 * CREDIT),  # as much as there is
        ("3", None, 3 * CREDIT, 4 * CREDIT, 3 * CREDIT),  # exactly the least
        ("3", None, 4 * CREDIT, 4 * CREDIT, None),  # least and amount are one: all or nothing
        ("3", None, 3 * CREDIT + 1, 4 * CREDIT, None),  # a nano short of the least
        ("10", 2 * CREDIT, 1, 4 * CREDIT, 2 * CREDIT),  # as much as the day leaves
        ("1", 2 * CREDIT, 1, 4 * CREDIT, CREDIT),  # the smaller of the two bounds
        ("0", None, 1, 4 * CREDIT, None),  # nothing at all
    ],
)
def test_a_partial_authorize_holds_as_much_as_fits_between_least_and_amount(
    open_account: Open, credits: str, limit: int | None, least: int, amount: int, held: int | None
) -> None:
    customer = open_account(credits, daily_limit_nanos=limit)
    reply = customer.authorize(amount, min_amount_nanos=least)
    assert reply.decision == (DENIED if held is None else ALLOWED)
    assert reply.held_nanos == (held or 0)
    assert customer.balance().held_nanos == (held or 0)


def test_a_partial_authorize_is_short_by_what_is_missing_to_its_least(open_account: Open) -> None:
    denial = open_account("3").authorize(9 * CREDIT, min_amount_nanos=5 * CREDIT).denial
    assert (denial.shortfall_nanos, denial.affordable_nanos) == (2 * CREDIT, 3 * CREDIT)


def test_a_replay_gives_the_first_reply_whatever_has_happened_since(open_account: Open) -> None:
    customer = open_account("10")
    first = customer.authorize(4 * CREDIT, request_id="r-1")
    customer.debit(CREDIT)
    again = customer.authorize(4 * CREDIT, request_id="r-1")
    assert again.replayed
    again.replayed = False
    assert again == first
    assert customer.balance().held_nanos == 4 * CREDIT


def test_a_denied_authorize_is_judged_afresh_after_a_top_up(open_account: Open) -> None:
    customer = open_account("1")
    request_id = new_id()
    assert customer.authorize(2 * CREDIT, request_id=request_id).decision == DENIED
    customer.grant(CREDIT)
    reply = customer.authorize(2 * CREDIT, request_id=request_id)
    assert (reply.decision, reply.replayed) == (ALLOWED, False)
    assert customer.authorize(2 * CREDIT, request_id=request_id).replayed


def test_what_costs_nothing_is_allowed_whatever_credits_and_limits_say(open_account: Open) -> None:
    customer = open_account("1", overage_protection_nanos=4 * CREDIT, daily_limit_nanos=CREDIT)
    customer.set_budget("tight", 1, {"user": "ada"})
    customer.debit(7 * CREDIT, incurred=True)
    free = Usage(model="free-of-charge", input_tokens=1000, output_tokens=1000)
    reply = customer.authorize(usage=free, dimensions={"user": "ada"})
    assert (reply.decision, reply.held_nanos, reply.in_grace) == (ALLOWED, 0, False)
    charged = customer.debit(usage=free, dimensions={"user": "ada"})
    assert (charged.decision, charged.charged_nanos, charged.shortfall_nanos) == (ALLOWED, 0, 0)
    customer.update(status=SUSPENDED)
    assert customer.authorize(usage=free).denial.reason == ACCOUNT_SUSPENDED
