"""Computes the windows of budgets, in UTC days (numbers since 1970-01-01)."""

from datetime import date, timedelta

DAY = "day"
WEEK = "week"
MONTH = "month"
LIFETIME = "lifetime"

_EPOCH = date(1970, 1, 1)
_DAYS_SINCE_MONDAY = 3  # on 1970-01-01, a Thursday


def window_of(period: str, day: int) -> tuple[int, int | None]:
    """Returns the first day of the window that contains `day`, and the first day behind the window.

    None as the second day stands for a window that never ends. A week begins on Monday.
    """
    if period == DAY:
        return day, day + 1
    if period == WEEK:
        monday = day - (day + _DAYS_SINCE_MONDAY) % 7
        return monday, monday + 7
    if period == LIFETIME:
        return 0, None
    first = (_EPOCH + timedelta(days=day)).replace(day=1)
    first_of_next = (first + timedelta(days=32)).replace(day=1)
    return _day_number(first), _day_number(first_of_next)


def _day_number(day: date) -> int:
    return (day - _EPOCH).days
