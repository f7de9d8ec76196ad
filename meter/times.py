"""Tells the time, and converts the ledger's times, which are UTC milliseconds."""

import time
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from meter.errors import InvalidField

HOURS_PER_DAY = 24
MS_PER_HOUR = 3_600_000
MS_PER_DAY = HOURS_PER_DAY * MS_PER_HOUR

# Years 1 to 9999: the times that a Timestamp may hold.
_FIRST_SECOND = -62_135_596_800
_LAST_SECOND = 253_402_300_799
LAST_MS = _LAST_SECOND * 1000

_NANOS_PER_MS = 1_000_000
_NANOS_PER_SECOND = 1_000_000_000


def now_ms() -> int:
    """Returns the real time."""
    return time.time_ns() // _NANOS_PER_MS


def timestamp(ms: int) -> Timestamp:
    """Returns the message for a time of the ledger."""
    stamp = Timestamp()
    set_timestamp(stamp, ms)
    return stamp


def set_timestamp(stamp: Timestamp, ms: int) -> None:
    """Sets a message to a time of the ledger."""
    stamp.seconds, rest = divmod(ms, 1000)
    stamp.nanos = rest * _NANOS_PER_MS


def optional_timestamp(ms: int | None) -> Timestamp | None:
    """Returns the message, or None for no time: a protobuf constructor takes None as absent."""
    if ms is None:
        return None
    return timestamp(ms)


def first_ms(field: str, stamp: Timestamp) -> int:
    """Returns the first whole millisecond that is not before `stamp`.

    The ledger's times compare with the result as they compare with `stamp`. Raises InvalidField for
    a time outside the years 1 to 9999.
    """
    seconds_fit = _FIRST_SECOND <= stamp.seconds <= _LAST_SECOND
    nanos_fit = 0 <= stamp.nanos < _NANOS_PER_SECOND
    if not seconds_fit or not nanos_fit:
        raise InvalidField(field, "is not a time of the years 1 to 9999")
    rounded_up = -(-stamp.nanos // _NANOS_PER_MS)
    return stamp.seconds * 1000 + rounded_up


def exact_ms(field: str, stamp: Timestamp) -> int:
    """Returns the time in milliseconds; raises InvalidField for a fraction of a millisecond."""
    ms = first_ms(field, stamp)
    if stamp.nanos % _NANOS_PER_MS:
        raise InvalidField(field, "must be in whole milliseconds")
    return ms


def date_of(day: int) -> str:
    """Returns the ISO date of a UTC day number (days since 1970-01-01)."""
    midnight = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)
    return midnight.date().isoformat()


def month_of(day: int) -> str:
    """Returns the ISO month, such as 2026-11, of a UTC day number."""
    return date_of(day)[:7]


def beginning_of(hour: int) -> str:
    """Returns the ISO time at which a UTC hour, counted from 1970, begins; at midnight the date."""
    day, hour_of_day = divmod(hour, HOURS_PER_DAY)
    if hour_of_day == 0:
        return date_of(day)
    return f"{date_of(day)}T{hour_of_day:02}:00"


def hour_beginning_at(text: str) -> int:
    """Returns the UTC hour of a text of `beginning_of`; raises ValueError for any other text."""
    beginning = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return (beginning - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(hours=1)
