"""Computes the windows of budgets, in UTC hours (numbers since 1970-01-01T00:00)."""

from datetime import date, timedelta

from meter.times import HOURS_PER_DAY, MS_PER_HOUR

HOUR = "hour"
DAY = "day"
WEEK = "week"
MONTH = "month"
LIFETIME = "lifetime"

_EPOCH = date(1970, 1, 1)
_DAYS_SINCE_MONDAY = 3  # on 1970-01-01, a Thursday


def hour_of(day: int, at_ms: int) -> int:
    """Returns the hour in which an account of that day lives, which never is of an earlier day."""
    return max(day * HOURS_PER_DAY, at_ms // MS_PER_HOUR)


def window_of(period: str, hour: int) -> tuple[int, int | None]:
    """Returns the first hour of the window that contains `hour`, and the first hour behind it.

    None as the second hour stands for a window that never ends. A week begins on Monday.
    """
    if period == HOUR:
        return hour, hour + 1
    if period == LIFETIME:
        return 0, None
    first_day, next_day = _days_of(period, hour // HOURS_PER_DAY)
    return first_day * HOURS_PER_DAY, next_day * HOURS_PER_DAY


def _days_of(period: str, day: int) -> tuple[int, int]:
    """Returns the first day of a window of whole days, and the first day behind it."""
    if period == DAY:
        return day, day + 1
    if period == WEEK:
        monday = day - (day + _DAYS_SINCE_MONDAY) % 7
        return monday, monday + 7
    first = (_EPOCH + timedelta(days=day)).replace(day=1)
    first_of_next = (first + timedelta(days=32)).replace(day=1)
    return _day_number(first), _day_number(first_of_next)


def _day_number(day: date) -> int:
    return (day - _EPOCH).days
