"""UTC days and hours by their numbers since 1970-01-01, and the windows that they fall into."""

from datetime import UTC, date, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
_EPOCH = date(1970, 1, 1)


def month_of(day: int) -> tuple[int, int]:
    return date_of(day).year, date_of(day).month


def window_of(window: str, day: int) -> tuple[int, int | None]:
    """First day of the window that `day` is in, and the first one behind it; None: it
    never ends.
    """
    date_ = date_of(day)
    match window:
        case "day":
            return day, day + 1
        case "week":
            monday = day - date_.weekday()
            return monday, monday + 7
        case "month":
            next_month = (date_.replace(day=1) + timedelta(days=31)).replace(day=1)
            return number_of(date_.replace(day=1)), number_of(next_month)
        case _:
            return 0, None


def hours_of(window: str, hour: int) -> tuple[int, int | None]:
    """The same in hours, for the window that `hour` is in."""
    if window == "hour":
        return hour, hour + 1
    first, behind = window_of(window, hour // 24)
    return first * 24, None if behind is None else behind * 24


def date_of(day: int) -> date:
    return _EPOCH + timedelta(days=day)


def number_of(date_: date) -> int:
    return (date_ - _EPOCH).days


def ms_of(year: int, month: int, day: int) -> int:
    """When that day begins."""
    return round(datetime(year, month, day, tzinfo=UTC).timestamp()) * 1000


def at(ms: int) -> Timestamp:
    return Timestamp(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000)
