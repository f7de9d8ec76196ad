"""Logs an outage as few lines: its beginning, ever fewer reminders, and its end."""

import time

import structlog

_FIRST_REMINDER_S = 1.0
_MOST_BETWEEN_S = 60.0

log = structlog.get_logger()


class OutageLog:
    """Logs that something is away as the event `failed`, and that it is back as `recovered`."""

    def __init__(self, failed: str, recovered: str) -> None:
        self._failed_event = failed
        self._recovered_event = recovered
        self._began_s: float | None = None
        self._next_s = 0.0
        self._wait_s = _FIRST_REMINDER_S

    def failed(self, error: Exception, **details: object) -> None:
        """Notes a failed attempt, which is logged unless the last line is too recent."""
        now_s = time.monotonic()
        if self._began_s is None:
            self._began_s = now_s
            self._wait_s = _FIRST_REMINDER_S
        elif now_s < self._next_s:
            return
        log.warning(
            self._failed_event,
            error=described(error),
            since_s=round(now_s - self._began_s),
            **details,
        )
        self._next_s = now_s + self._wait_s
        self._wait_s = min(_MOST_BETWEEN_S, self._wait_s * 2)

    def ended(self) -> None:
        """Notes a success, which is logged if it ends an outage."""
        if self._began_s is None:
            return
        lasted_s = round(time.monotonic() - self._began_s, 1)
        self._began_s = None
        log.warning(self._recovered_event, lasted_s=lasted_s)


def described(error: Exception) -> str:
    """Returns what an error says; of an error without words, such as a timeout, its name."""
    return str(error) or type(error).__name__
