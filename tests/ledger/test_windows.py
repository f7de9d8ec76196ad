"""The windows of budgets, against the calendar: in hours, of which the tests ask days."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from meter.windows import DAY, HOUR, LIFETIME, MONTH, WEEK, hour_of, window_of

EPOCH = date(1970, 1, 1)
days = st.dates(date(1970, 1, 1), date(2200, 12, 31))


def number(day: date) -> int:
    return (day - EPOCH).days


def days_of(period: str, day: date) -> tuple[int, int]:
    """The window's first day and the one behind it, whatever the hour of the day is."""
    first, behind = window_of(period, number(day) * 24)
    assert window_of(period, number(day) * 24 + 23) == (first, behind)
    assert behind is not None
    assert first % 24 == behind % 24 == 0
    return first // 24, behind // 24


def test_an_hour_is_its_own_window() -> None:
    assert window_of(HOUR, 474_119) == (474_119, 474_120)


def test_an_account_s_hour_is_never_of_an_earlier_day() -> None:
    assert hour_of(day=1, at_ms=25 * 3_600_000 + 1) == 25
    assert hour_of(day=1, at_ms=23 * 3_600_000) == 24


@given(days)
def test_a_day_is_its_own_window(day: date) -> None:
    assert days_of(DAY, day) == (number(day), number(day) + 1)


@given(days)
def test_a_week_begins_on_monday(day: date) -> None:
    first, behind = days_of(WEEK, day)
    assert behind == first + 7
    assert first <= number(day) < first + 7
    assert (EPOCH + timedelta(days=first)).isoweekday() == 1


@given(days)
def test_a_month_begins_on_its_first_leap_years_included(day: date) -> None:
    first, behind = days_of(MONTH, day)
    assert EPOCH + timedelta(days=first) == day.replace(day=1)
    last = EPOCH + timedelta(days=behind - 1)
    assert (last.year, last.month) == (day.year, day.month)
    assert (last + timedelta(days=1)).day == 1


@given(days)
def test_a_lifetime_never_ends(day: date) -> None:
    assert window_of(LIFETIME, number(day) * 24) == (0, None)
