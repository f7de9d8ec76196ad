"""What random sequences are made of: choices, and the values worth choosing from."""

from dataclasses import dataclass
from fractions import Fraction
from hashlib import blake2b
from typing import Any

from meter.journal.operations import Grace, Level
from model import DAY_MS, MOST, Account, Price, ms_of, window_of
from model.days import HOUR_MS

MILLION = 10**6
PRICES = {
    "plain": Price("USD", {
        "input_tokens": Fraction(3, MILLION),
        "cached_input_tokens": Fraction(3, 10 * MILLION),
        "output_tokens": Fraction(15, MILLION),
    }),
    "crumbs": Price("USD", {
        "input_tokens": Fraction(3, 10**10),
        "cached_input_tokens": Fraction(15, 10**11),
        "output_tokens": Fraction(7, 10**10),
    }),
}  # fmt: skip
# Just before a day ends: leap days and the lack of them, a year, and weeks.
CLOCKS = (
    ms_of(2024, 2, 29) - 1, ms_of(2024, 2, 29), ms_of(2024, 3, 1) - 1000, ms_of(2023, 3, 1) - 1, ms_of(2024, 1, 1) - 500,
    ms_of(2100, 3, 1) - 1, ms_of(2000, 2, 29) - 1, ms_of(2024, 3, 4) - 1, ms_of(2024, 2, 28) + 5000, ms_of(2025, 1, 1) - 1,
)  # fmt: skip
EDGES = (MOST, 0, 1, 2, 999, 2**53 - 1, 2**53, 2**53 + 1, 2**62, MOST - 1, MOST)
GRANTED = (100, 1000, 10**10, 7, 1, 2**53 + 1, 40)
TYPES = ("TOP_UP", "VOUCHER", "TOP_UP", "PROMOTION", "REFUND", "ADJUSTMENT")
SCOPES = (
    (), (), (), (), ("service=chat",), ("model=plain",), ("model=crumbs", "model=plain"), ("model=plain", "service=chat"),
)  # fmt: skip
CLASSES = ("", "inbound", "inbound", "batch")
DIMENSIONS = (
    {}, {"api_key": "k1"}, {"api_key": "k1", "user": "u1"}, {"service": "chat"}, {"user": "u1", "service": "chat"},
    {"api_key": "k1", "user": "u2", "model": "plain"}, {"user": "u1"}, {"api_key": "k2", "user": "u1", "project": "p"},
    {"user": "a/b *"}, {"user": "*", "api_key": "k1"},
)  # fmt: skip
LABELS = (
    ("api_key=k1",), ("user=u1",), ("api_key=k1", "user=u1"), ("model=plain",), ("model=plain", "user=u2"),
    ("service=chat",), ("api_key=k2", "user=u1"), ("user=*",), ("api_key=k1", "user=*"), ("api_key=*", "user=*"), ("user=*",),
)  # fmt: skip
BUDGETS = ("b1", "b2", "b3", "b4", "b-5")


@dataclass
class RandomValues:
    """Decides one operation, by a seed; 0 always takes the first choice, so that a failing sequence
    can be emptied bit by bit.
    """

    seed: int
    at: int = 0

    def __post_init__(self) -> None:
        self._bytes = blake2b(b"%d" % self.seed).digest() if self.seed else bytes(64)

    def pick(self, choices: Any) -> Any:
        self.at += 1
        return choices[self._bytes[self.at] % len(choices)]

    def number(self, sides: int) -> int:
        return self.pick(range(min(sides, 256)))

    def moment(self, account: Account) -> int:
        """A time to move the account's clock to: around what is due, and around the ends of days,
        weeks, months and years.
        """
        now_ms = account.clock_ms
        due = [hold.expires_ms for hold in account.open_holds()]
        due += [
            grant.expires_ms for grant in account.grants.values() if grant.expires_ms is not None
        ]
        due += [grant.effective_ms for grant in account.grants.values() if not grant.begun]
        due += [
            began + (account.graces[name].duration_ms or 0)
            for name, began in account.graces_begun.items()
        ]
        due = sorted(at for at in due if at > now_ms) or [now_ms + 5000]
        ends = [
            (window_of(window, account.day)[1] or 0) * DAY_MS
            for window in ("day", "day", "week", "month")
        ]
        ends.append((account.hour + 1) * HOUR_MS)
        year = ms_of(1970 + account.day // 365, 12, 31)
        at = self.pick((*due[:3] * 3, *ends, now_ms + 40 * DAY_MS, due[0], now_ms, year))
        return max(now_ms, at + self.pick((0, 0, -1, 1)))

    def levels(self, account: Account) -> tuple[Level, ...]:
        """Thresholds around what is used and left."""
        used = account.used_on(account.day)
        left = max(0, account.remaining)
        daily = (
            {used + self.pick((1, 10, 100)), used + self.pick((11, 50, 10**9))}
            if self.number(2)
            else set()
        )
        low = {left // 2, left // self.pick((3, 10)), 0} if self.number(2) else set()
        return tuple(
            Level(f"d{n}", "daily_use", nanos) for n, nanos in enumerate(sorted(daily))
        ) + tuple(Level(f"l{n}", "low_balance", nanos) for n, nanos in enumerate(sorted(low)))

    def graces(self) -> tuple[Grace, ...]:
        bounds = ((None, 50), (5000, None), (1, 10), (600_000, 10**10), (DAY_MS, 2**61 - 1))
        classes = self.pick(((), ("inbound",), ("inbound",), ("inbound", "batch")))
        return tuple(Grace(name, *self.pick(bounds)) for name in classes)
