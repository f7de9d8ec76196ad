"""An account's sums."""

from typing import NamedTuple

ABSENT = "-"  # in place of what there is none of, wherever facts stand in a line of text


class AccountSums(NamedTuple):
    """An account's sums, as its hash in Redis keeps them (`gate/store/keys.py`).

    `room` is daily limit - used today - held today, with 0 in place of an absent limit: so that it
    is known when a limit is set.
    """

    spendable: int = (
        0  # left in effective, unscoped grants, and of overage: what any request may take
    )
    held: int = 0
    overage: int = 0
    total: int = 0  # credits ever granted
    used: int = 0  # credits ever used
    room: int = 0
    limit: int | None = None
    day_base: int = 0  # of `used`: what does not count as used today
    month_base: int = 0  # `used` when the month began
    expired: int = 0  # of `total`: expired or voided
    yesterday_base: int = 0  # of `used`: what counts neither as used today nor yesterday

    @property
    def remaining(self) -> int:
        return self.total - self.expired - self.used

    @property
    def scoped(self) -> int:
        """Left in grants that only some requests may use."""
        return self.remaining - (self.spendable - self.overage + self.held)

    @property
    def used_today(self) -> int:
        return self.used - self.day_base

    @property
    def used_yesterday(self) -> int:
        return self.day_base - self.yesterday_base

    @property
    def used_this_month(self) -> int:
        return self.used - self.month_base

    @property
    def held_today(self) -> int:
        return (self.limit or 0) - self.room - self.used_today

    def tokens(self) -> str:
        """As the ledger keeps it."""
        limit = ABSENT if self.limit is None else self.limit
        return (
            f"{self.spendable} {self.held} {self.overage} {self.total} {self.used} {self.room} {limit}"
            f" {self.day_base} {self.month_base} {self.expired} {self.yesterday_base}"
        )

    @classmethod
    def from_tokens(cls, text: str) -> "AccountSums":
        spendable, held, overage, total, used, room, limit, *bases = text.split(" ")
        return cls(
            int(spendable),
            int(held),
            int(overage),
            int(total),
            int(used),
            int(room),
            None if limit == ABSENT else int(limit),
            *map(int, bases),
        )
