"""An account's sums."""

from typing import NamedTuple, Self

ABSENT = "-"  # stands for a missing value in every line of text


class AccountSums(NamedTuple):
    """Holds an account's sums in nanos, as the account's hash in Redis has them.

    `day_remaining` is daily limit - used today - held today, with 0 in place of an absent limit, so
    that `day_remaining` is right as soon as a limit is set.
    """

    # left in effective, unscoped grants and in overage: credits that every request may take
    spendable: int = 0
    held: int = 0
    overage: int = 0  # the overage protection
    total: int = 0  # credits ever granted
    used: int = 0  # credits ever used
    day_remaining: int = 0
    daily_limit: int | None = None
    day_base: int = 0  # part of `used` that does not count as used today
    month_base: int = 0  # `used` when the month began
    expired: int = 0  # part of `total` that expired or was voided
    yesterday_base: int = 0  # part of `used` that counts neither as used today nor yesterday

    @property
    def remaining(self) -> int:
        return self.total - self.expired - self.used

    @property
    def scoped(self) -> int:
        """Returns the credits left in grants that only some requests may use."""
        unscoped = self.spendable - self.overage
        return self.remaining - unscoped - self.held

    @property
    def used_today(self) -> int:
        return self.used - self.day_base

    @property
    def used_yesterday(self) -> int:
        return self.day_base - self.yesterday_base

    @property
    def used_this_month(self) -> int:
        return self.used - self.month_base

    def encode(self) -> str:
        """Returns the sums as the ledger stores them: one token for each field, in order."""
        return " ".join([ABSENT if value is None else str(value) for value in self])

    @classmethod
    def decode(cls, text: str) -> Self:
        """Returns the sums from the text of `encode`. Raises ValueError for any other text."""
        values = [None if token == ABSENT else int(token) for token in text.split(" ")]
        if len(values) != len(cls._fields):
            raise ValueError(f"{len(values)} sums, expected {len(cls._fields)}")
        return cls._make(values)
