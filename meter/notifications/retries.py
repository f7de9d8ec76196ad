"""Says when a delivery that failed is tried again."""

import random
from datetime import UTC
from email.utils import parsedate_to_datetime

from meter.times import MS_PER_DAY, MS_PER_HOUR

_MS_PER_SECOND = 1000
_MS_PER_MINUTE = 60_000
_SPREAD = 0.2  # of each wait, so that receivers do not get all at once what they had missed

# The waits before the second attempt and the following ones: three days in all.
WEBHOOK_WAITS_MS = (
    5 * _MS_PER_SECOND,
    5 * _MS_PER_MINUTE,
    30 * _MS_PER_MINUTE,
    2 * MS_PER_HOUR,
    5 * MS_PER_HOUR,
    10 * MS_PER_HOUR,
    14 * MS_PER_HOUR,
    20 * MS_PER_HOUR,
    24 * MS_PER_HOUR,
)


MAIL_WAITS_MS = (
    _MS_PER_MINUTE,
    5 * _MS_PER_MINUTE,
    30 * _MS_PER_MINUTE,
    2 * MS_PER_HOUR,
    6 * MS_PER_HOUR,
    24 * MS_PER_HOUR,
)


def wait_ms(waits: tuple[int, ...], attempts: int, asked_ms: int = 0) -> int | None:
    """Returns how long to wait after so many attempts, in ms; None: no further attempt.

    `asked_ms` is what the receiver asked for, of which at most a day counts.
    """
    if attempts > len(waits):
        return None
    usual = waits[attempts - 1]
    spread = int(usual * random.uniform(-_SPREAD, _SPREAD))
    return max(usual + spread, min(asked_ms, MS_PER_DAY))


def asked_wait_ms(retry_after: str, now_ms: int) -> int:
    """Returns the wait that a Retry-After header asks for, in ms; 0 for none, or no such wait."""
    if retry_after.isascii() and retry_after.isdigit():
        return int(retry_after[:9]) * _MS_PER_SECOND
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0
    at_ms = int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * _MS_PER_SECOND)
    return max(0, at_ms - now_ms)
