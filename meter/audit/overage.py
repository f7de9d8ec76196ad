"""The rule of overage: the account goes below the overage protection only by shortfall, by grace,
or because the protection was lowered.
"""

from collections.abc import Iterator

from meter.audit.entry import LedgerEntry


class OverageRule:
    """Adds up what excuses an account below the overage protection."""

    def __init__(self) -> None:
        self._excused = 0
        self._protection = 0

    def check(self, entry: LedgerEntry) -> Iterator[str]:
        """Follows by one entry, and yields a finding if the account is further below."""
        protection = entry.effect.before.overage
        lowered = max(0, self._protection - protection)
        self._excused += entry.shortfall_nanos + entry.grace_nanos + lowered
        self._protection = protection
        below = -entry.effect.after().spendable
        if below > self._excused:
            yield (
                f"{entry.id}: balance {entry.balance_nanos} is {below} nanos below the overage"
                f" protection of {protection}, of which {self._excused} are shortfall or grace"
            )

    def take_over(self, entry: LedgerEntry) -> None:
        """Excuses what a reconciliation found below the protection."""
        self._protection = entry.effect.before.overage
        self._excused = max(self._excused, -entry.effect.after().spendable)
