"""Reads the setting of when auto-recharge tries a card again."""

import re
from dataclasses import dataclass

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PART = re.compile(r"(\d{1,4})([smhd])")
_MOST_PARTS = 4  # far below what card networks allow in 30 days
_LEAST_MS = 1_000


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Holds the pauses before each further attempt, in ms; str() is the setting's text."""

    text: str
    pauses_ms: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> "RetrySchedule":
        """Returns the schedule of a text such as 1h,24h,72h; a ValueError says how to write one."""
        parts = [part.strip() for part in text.split(",") if part.strip()]
        matches = [_PART.fullmatch(part) for part in parts]
        pauses = [int(match[1]) * _UNITS_MS[match[2]] for match in matches if match]
        is_read = len(pauses) == len(parts) <= _MOST_PARTS
        if not is_read or any(pause < _LEAST_MS for pause in pauses):
            raise ValueError(
                f"write at most {_MOST_PARTS} times, each a number and one of s, m, h and d,"
                " such as 1h,24h,72h"
            )
        return cls(",".join(parts), tuple(pauses))

    def __str__(self) -> str:
        return self.text
