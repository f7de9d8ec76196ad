"""The windows of budgets, in UTC days (numbers since 1970-01-01)."""

from datetime import date, timedelta

DAY = "day"
WEEK = "week"
MONTH = "month"
LIFETIME = "lifetime"

_EPOCH = date(1970, 1, 1)


def window_of(period: str, day: int) -> tuple[int, int | None]:
    """The first day of the window that `day` is in, and the first behind it; None: it
    never ends.
    """
    if period == DAY:
        return day, day + 1
    if period == WEEK:
        monday = day - (day + 3) % 7  # 1970-01-01 was a Thursday
        return monday, monday + 7
    if period == LIFETIME:
        return 0, None
    first = (_EPOCH + timedelta(days=day)).replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return (first - _EPOCH).days, (following - _EPOCH).days
