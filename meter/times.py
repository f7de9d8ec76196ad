"""Tells the time, and converts the ledger's times, which are UTC milliseconds."""

import time
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from meter.errors import InvalidField

MS_PER_HOUR = 3_600_000
MS_PER_DAY = 24 * MS_PER_HOUR

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
    seconds, rest = divmod(ms, 1000)
    return Timestamp(seconds=seconds, nanos=rest * _NANOS_PER_MS)


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


def day_of(date: str) -> int:
    """Returns the UTC day number of an ISO date; raises ValueError for any other text."""
    midnight = datetime.combine(datetime.fromisoformat(date), datetime.min.time(), UTC)
    return (midnight - datetime(1970, 1, 1, tzinfo=UTC)).days


def date_of(day: int) -> str:
    """Returns the ISO date of a UTC day number (days since 1970-01-01)."""
    midnight = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)
    return midnight.date().isoformat()
