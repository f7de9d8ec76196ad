"""Protobuf timestamps and the ledger's times, which are UTC milliseconds."""

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from meter.errors import InvalidField

MS_PER_HOUR = 3_600_000
MS_PER_DAY = 24 * MS_PER_HOUR

_FIRST_SECOND = -62_135_596_800
_LAST_SECOND = 253_402_300_799  # years 1 to 9999: what a Timestamp may be
_NANOS_PER_MS = 1_000_000


def timestamp(ms: int) -> Timestamp:
    """The message for a time of the ledger."""
    seconds, rest = divmod(ms, 1000)
    return Timestamp(seconds=seconds, nanos=rest * _NANOS_PER_MS)


def optional_timestamp(ms: int | None) -> Timestamp | None:
    """The message, or None for no time: as a protobuf constructor takes an absent field."""
    return None if ms is None else timestamp(ms)


def first_ms(field: str, time: Timestamp) -> int:
    """The first whole millisecond that is not before `time`; the ledger's times compare with both
    alike.

    InvalidField if it is no time.
    """
    if not (
        _FIRST_SECOND <= time.seconds <= _LAST_SECOND and 0 <= time.nanos < 1000 * _NANOS_PER_MS
    ):
        raise InvalidField(field, "is not a time of the years 1 to 9999")
    return time.seconds * 1000 + -(-time.nanos // _NANOS_PER_MS)


def exact_ms(field: str, time: Timestamp) -> int:
    """The time in milliseconds; InvalidField if it has a fraction of one."""
    ms = first_ms(field, time)
    if time.nanos % _NANOS_PER_MS:
        raise InvalidField(field, "must be in whole milliseconds")
    return ms


def date_of(day: int) -> str:
    """ISO date of a UTC day number (days since 1970-01-01)."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).date().isoformat()
