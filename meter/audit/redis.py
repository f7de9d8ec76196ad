"""The rule of Redis: Redis has what the ledger has, at the position at which Redis was
inspected.
"""

from collections.abc import Iterator

from meter.audit.budgets import BudgetRule
from meter.audit.entry import LedgerEntry
from meter.audit.grants import GrantRule
from meter.journal.account_sums import AccountSums
from meter.journal.redis_snapshot import RedisSnapshot


class RedisRule:
    """Follows an account up to the snapshot's position, and compares once there."""

    def __init__(
        self,
        snapshot: RedisSnapshot | None,
        grants: GrantRule,
        budgets: BudgetRule,
    ) -> None:
        """Without a snapshot (the account is not in Redis) there is nothing to compare."""
        self._pending = snapshot
        self._grants = grants
        self._budgets = budgets
        self._day = 0
        self._state: AccountSums | None = None

    def check_before(self, entry: LedgerEntry) -> Iterator[str]:
        """Compares, if the entry is the first entry behind the snapshot's position."""
        if self._pending is not None and entry.position > self._pending.position:
            yield from self.compare()

    def apply(self, entry: LedgerEntry, state: AccountSums) -> None:
        """Notes the sums that the entry left."""
        if self._pending is not None:
            self._day = entry.effect.day
            self._state = state

    def compare(self) -> Iterator[str]:
        """Yields all differences, unless they were compared before."""
        snapshot = self._pending
        self._pending = None
        if snapshot is None:
            return
        at = f"at {snapshot.position}"
        if self._state is None:
            yield f"has an account {at} of which the ledger has no entry"
            return
        if (snapshot.day, snapshot.state) != (self._day, self._state):
            yield (
                f"{at} Redis has day {snapshot.day} and [{snapshot.state.encode()}],"
                f" the ledger day {self._day} and [{self._state.encode()}]"
            )
        yield from self._compare_grants(snapshot, at)
        yield from self._compare_budgets(snapshot, at)

    def _compare_grants(self, snapshot: RedisSnapshot, at: str) -> Iterator[str]:
        found = {number: sums for number, sums in snapshot.grants.items() if sums != (0, 0)}
        due = self._grants.sums()
        if found != due:
            yield f"{at} Redis has grants {found}, the ledger {due}"

    def _compare_budgets(self, snapshot: RedisSnapshot, at: str) -> Iterator[str]:
        for budget_id in sorted(snapshot.budgets.keys() | self._budgets.known.keys()):
            found = snapshot.budgets.get(budget_id)
            due = None
            if found is not None:
                start_day = found[0]
                due = self._budgets.in_redis(budget_id, start_day)
            if found is None or found != due:
                yield f"{at} Redis has budget {budget_id} at {found}, the ledger at {due}"
