"""The windows of budgets, against the calendar."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from meter.windows import DAY, LIFETIME, MONTH, WEEK, window_of

EPOCH = date(1970, 1, 1)
days = st.dates(date(1970, 1, 1), date(2200, 12, 31))


def number(day: date) -> int:
    return (day - EPOCH).days


@given(days)
def test_a_day_is_its_own_window(day: date) -> None:
    assert window_of(DAY, number(day)) == (number(day), number(day) + 1)


@given(days)
def test_a_week_begins_on_monday(day: date) -> None:
    first, behind = window_of(WEEK, number(day))
    assert behind == first + 7
    assert first <= number(day) < first + 7
    assert (EPOCH + timedelta(days=first)).isoweekday() == 1


@given(days)
def test_a_month_begins_on_its_first_leap_years_included(day: date) -> None:
    first, behind = window_of(MONTH, number(day))
    assert EPOCH + timedelta(days=first) == day.replace(day=1)
    assert behind is not None
    last = EPOCH + timedelta(days=behind - 1)
    assert (last.year, last.month) == (day.year, day.month)
    assert (last + timedelta(days=1)).day == 1


@given(days)
def test_a_lifetime_never_ends(day: date) -> None:
    assert window_of(LIFETIME, number(day)) == (0, None)
