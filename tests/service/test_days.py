"""Days and months, by test clocks: limits that reset, holds over midnight, leap days, and books
that agree on all of it.
"""

from collections.abc import Callable

import pytest

from gate.v1.gate_pb2 import ALLOWED, DAILY_LIMIT_EXCEEDED, DENIED
from meter.v1.ledger_pb2 import AUTHORIZE, DAY, DRAFT, EXPIRE, EXTEND, FINAL, HOUR, RELEASE
from support.customer import CREDIT, Customer, at, new_id

pytest_plugins = ("support.running_stack",)

Open = Callable[..., Customer]

BEFORE = "2026-03-15T23:59:59.999Z"
MIDNIGHT = "2026-03-16T00:00:00Z"


@pytest.fixture
def late_in_the_day(open_account: Open) -> Customer:
    """A millisecond to midnight, with a limit of ten credits a day."""
    return open_account("100", daily_limit_nanos=10 * CREDIT, test_clock_time=at(BEFORE))


def test_the_last_millisecond_and_midnight_are_two_days(late_in_the_day: Customer) -> None:
    customer = late_in_the_day
    assert customer.debit(10 * CREDIT).decision == ALLOWED
    denial = customer.debit(1).denial
    assert (denial.reason, denial.resets_at) == (DAILY_LIMIT_EXCEEDED, at(MIDNIGHT))
    customer.advance(MIDNIGHT)
    assert (customer.balance().daily_used_nanos, customer.balance().available_nanos) == (
        0,
        10 * CREDIT,
    )
    assert customer.debit(10 * CREDIT).decision == ALLOWED
    assert customer.debit(1).denial.resets_at == at("2026-03-17T00:00:00Z")
    today, yesterday, _ = customer.entries()
    assert (yesterday.usage_date, yesterday.occurred_at) == ("2026-03-15", at(BEFORE))
    assert (today.usage_date, today.occurred_at) == ("2026-03-16", at(MIDNIGHT))


def test_the_last_millisecond_of_a_day_resets_nothing(open_account: Open) -> None:
    customer = open_account(
        "100", daily_limit_nanos=CREDIT, test_clock_time=at("2026-03-15T00:00:00Z")
    )
    customer.debit(CREDIT)
    customer.advance(BEFORE)
    assert customer.debit(1).decision == DENIED


def test_a_hold_settled_after_midnight_counts_on_the_day_it_was_authorized(
    late_in_the_day: Customer,
) -> None:
    customer = late_in_the_day
    hold = customer.authorize(4 * CREDIT)
    customer.advance(MIDNIGHT)
    balance = customer.balance()
    assert (balance.held_nanos, balance.available_nanos) == (4 * CREDIT, 10 * CREDIT), (
        "today is whole"
    )
    reply = customer.debit(6 * CREDIT, hold_id=hold.hold_id)
    assert (reply.late, reply.balance.daily_used_nanos, reply.balance.available_nanos) == (
        False,
        0,
        10 * CREDIT,
    )
    assert reply.balance.period_usage_nanos == 6 * CREDIT
    [entry, _] = customer.entries()
    assert (entry.usage_date, entry.occurred_at) == ("2026-03-15", at(MIDNIGHT))


def test_a_hold_released_after_midnight_gives_today_nothing(late_in_the_day: Customer) -> None:
    customer = late_in_the_day
    hold = customer.authorize(4 * CREDIT)
    customer.advance(MIDNIGHT)
    reply = customer.release(hold.hold_id)
    assert (reply.balance.held_nanos, reply.balance.available_nanos) == (0, 10 * CREDIT)
    [entry] = customer.entries(RELEASE)
    assert entry.usage_date == "2026-03-15"


def test_a_hold_that_expires_at_midnight_gives_today_nothing(late_in_the_day: Customer) -> None:
    customer = late_in_the_day
    hold = customer.authorize(4 * CREDIT, hold_ttl_ms=1)
    assert customer.balance().available_nanos == 6 * CREDIT
    customer.advance(MIDNIGHT)
    balance = customer.balance()
    assert (balance.held_nanos, balance.available_nanos) == (0, 10 * CREDIT)
    [entry] = customer.entries(EXPIRE)
    assert (entry.usage_date, entry.held_nanos) == ("2026-03-15", -4 * CREDIT)
    late = customer.debit(3 * CREDIT, hold_id=hold.hold_id)
    assert (late.late, late.balance.daily_used_nanos, late.balance.available_nanos) == (
        True,
        3 * CREDIT,
        7 * CREDIT,
    )
    assert customer.entries()[0].usage_date == "2026-03-16", "a late debit counts today"


def test_a_hold_extended_after_midnight_goes_on_counting_on_its_own_day(
    late_in_the_day: Customer,
) -> None:
    customer = late_in_the_day
    hold = customer.authorize(4 * CREDIT)
    customer.advance(MIDNIGHT)
    reply = customer.extend(hold.hold_id, 2 * CREDIT)
    assert (reply.held_nanos, reply.balance.available_nanos) == (6 * CREDIT, 10 * CREDIT)
    assert customer.entries(EXTEND)[0].usage_date == "2026-03-15"
    assert customer.debit(6 * CREDIT, hold_id=hold.hold_id).balance.available_nanos == 10 * CREDIT


def test_a_hold_given_back_on_its_own_day_gives_the_day_its_room_back(open_account: Open) -> None:
    customer = open_account(
        "100", daily_limit_nanos=10 * CREDIT, test_clock_time=at("2026-03-15T12:00:00Z")
    )
    released = customer.authorize(4 * CREDIT)
    expiring = customer.authorize(5 * CREDIT, hold_ttl_ms=1)
    assert customer.balance().available_nanos == CREDIT
    customer.release(released.hold_id)
    assert customer.balance().available_nanos == 5 * CREDIT
    customer.advance("2026-03-15T12:00:01Z")
    assert (customer.balance().available_nanos, len(customer.entries(EXPIRE))) == (10 * CREDIT, 1)
    assert customer.debit(0, hold_id=expiring.hold_id).late


def test_a_denial_before_midnight_is_judged_afresh_after_it(late_in_the_day: Customer) -> None:
    customer = late_in_the_day
    request_id = new_id()
    customer.debit(10 * CREDIT)
    assert customer.authorize(CREDIT, request_id=request_id).decision == DENIED
    customer.advance(MIDNIGHT)
    reply = customer.authorize(CREDIT, request_id=request_id)
    assert (reply.decision, reply.replayed) == (ALLOWED, False)


def test_a_replay_after_midnight_still_tells_of_the_day_before(late_in_the_day: Customer) -> None:
    customer = late_in_the_day
    request_id = new_id()
    first = customer.debit(CREDIT, request_id=request_id)
    customer.advance(MIDNIGHT)
    again = customer.debit(CREDIT, request_id=request_id)
    assert (again.replayed, again.balance) == (True, first.balance)
    assert customer.balance().daily_used_nanos == 0


@pytest.mark.parametrize(
    ("last", "first", "month_goes_on"),
    [
        ("2028-02-28", "2028-02-29", True),  # a leap day
        ("2028-02-29", "2028-03-01", False),
        ("2027-02-28", "2027-03-01", False),  # no leap year
        ("2100-02-28", "2100-03-01", False),  # nor is this one
        ("2000-02-29", "2000-03-01", False),  # but this one was
        ("2026-12-31", "2027-01-01", False),
        ("2026-04-30", "2026-05-01", False),
        ("2026-05-30", "2026-05-31", True),
    ],
)
def test_the_calendar_rolls_days_and_months(
    open_account: Open, last: str, first: str, month_goes_on: bool
) -> None:
    customer = open_account(
        "100", daily_limit_nanos=CREDIT, test_clock_time=at(f"{last}T23:59:59.999Z")
    )
    assert customer.debit(CREDIT).balance.period_usage_nanos == CREDIT
    assert customer.debit(1).denial.resets_at == at(f"{first}T00:00:00Z")
    customer.advance(f"{first}T00:00:00Z")
    balance = customer.debit(1).balance
    assert (balance.daily_used_nanos, balance.period_usage_nanos) == (
        1,
        CREDIT + 1 if month_goes_on else 1,
    )
    assert [entry.usage_date for entry in customer.entries()][:2] == [first, last]


def test_days_without_a_call_are_skipped_whole(open_account: Open) -> None:
    customer = open_account(
        "100", daily_limit_nanos=CREDIT, test_clock_time=at("2026-01-31T12:00:00Z")
    )
    customer.debit(CREDIT)
    customer.advance("2027-06-15T12:00:00Z")
    balance = customer.debit(CREDIT).balance
    assert (balance.daily_used_nanos, balance.period_usage_nanos) == (CREDIT, CREDIT)


def test_usage_entries_invoice_and_balance_agree_over_midnight_and_the_months_end(
    open_account: Open,
) -> None:
    customer = open_account(
        "100", daily_limit_nanos=50 * CREDIT, test_clock_time=at("2028-02-29T22:30:00Z")
    )
    customer.debit(1)
    hold = customer.authorize(64, hold_ttl_ms=86_400_000)
    customer.advance("2028-02-29T23:59:59.999Z")
    customer.debit(2)
    customer.advance("2028-03-01T00:00:00Z")
    customer.debit(4)
    assert customer.debit(32, hold_id=hold.hold_id).balance.period_usage_nanos == 36, (
        "charged in March"
    )
    customer.advance("2028-03-01T01:00:00Z")
    customer.debit(8)

    by_day = {
        bucket.start_time.ToJsonString()[:10]: bucket.amount_nanos
        for bucket in customer.usage(granularity=DAY)
    }
    assert by_day == {"2028-02-29": 3, "2028-03-01": 44}
    by_hour = [bucket.amount_nanos for bucket in customer.usage(granularity=HOUR)]
    assert by_hour == [1, 2, 36, 8]
    february = customer.invoice("2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z")
    march = customer.invoice()
    assert (february.total_nanos, february.entry_count, february.status) == (3, 2, FINAL)
    assert (march.total_nanos, march.entry_count, march.status) == (44, 3, DRAFT)
    assert march.period_start == february.period_end == at("2028-03-01T00:00:00Z")
    assert march.opening_balance_nanos == february.closing_balance_nanos == 100 * CREDIT - 3
    in_march = customer.entries(start_time=at("2028-03-01T00:00:00Z"))
    assert (
        sum(-entry.amount_nanos for entry in in_march)
        == 44
        == customer.balance().period_usage_nanos
    )
    assert customer.balance().daily_used_nanos == 12, "the settled hold counts on its own day"
    assert march.closing_balance_nanos == customer.balance().remaining_nanos


def test_limits_go_by_the_day_of_the_entry(open_account: Open) -> None:
    customer = open_account("100", daily_limit_nanos=10, test_clock_time=at(BEFORE))
    hold = customer.authorize(10)
    customer.advance(MIDNIGHT)
    customer.debit(10)
    customer.debit(9, hold_id=hold.hold_id)
    days: dict[str, int] = {}
    for entry in customer.entries():
        days[entry.usage_date] = days.get(entry.usage_date, 0) - min(0, entry.amount_nanos)
    assert days == {"2026-03-15": 9, "2026-03-16": 10}
    assert len(customer.entries(AUTHORIZE)) == 1


def test_an_account_by_the_real_clock_lives_today(open_account: Open) -> None:
    customer = open_account("2", daily_limit_nanos=CREDIT)
    customer.authorize(CREDIT)
    denial = customer.authorize(1).denial
    entry = customer.entries(AUTHORIZE)[0]
    assert entry.occurred_at.ToJsonString()[:10] == entry.usage_date
    midnight = denial.resets_at
    assert (midnight.seconds % 86_400, midnight.nanos) == (0, 0)
    assert 0 < midnight.seconds - entry.occurred_at.seconds <= 86_400
