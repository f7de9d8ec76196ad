"""The rule of Redis: Redis has what the ledger has, at the position at which Redis was
inspected.
"""

from collections.abc import Iterator

from meter.audit.budgets import BudgetRule
from meter.audit.entry import LedgerEntry
from meter.audit.grants import GrantRule
from meter.audit.holds import HoldRule
from meter.journal.account_sums import ABSENT, AccountSums
from meter.journal.redis_snapshot import HoldInRedis, RedisSnapshot
from meter.ledger.projections.snapshot import OpenHold


class RedisRule:
    """Follows an account up to the snapshot's position, and compares once there."""

    def __init__(
        self,
        snapshot: RedisSnapshot | None,
        grants: GrantRule,
        budgets: BudgetRule,
        holds: HoldRule,
    ) -> None:
        """Without a snapshot (the account is not in Redis) there is nothing to compare."""
        self._pending = snapshot
        self._grants = grants
        self._budgets = budgets
        self._holds = holds
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
        yield from self._compare_holds(snapshot, at)
        yield from _compare_due(snapshot, at)

    def _compare_grants(self, snapshot: RedisSnapshot, at: str) -> Iterator[str]:
        found = {number: sums for number, sums in snapshot.grants.items() if sums != (0, 0)}
        due = self._grants.sums()
        if found != due:
            yield f"{at} Redis has grants {found}, the ledger {due}"

    def _compare_budgets(self, snapshot: RedisSnapshot, at: str) -> Iterator[str]:
        """Yields the counters that differ."""
        due = self._budgets.in_redis(snapshot.budgets)
        for name in sorted(snapshot.budgets.keys() | due.keys()):
            found = snapshot.budgets.get(name)
            expected = due.get(name)
            if found is None or found != expected:
                yield f"{at} Redis has budget {name} at {found}, the ledger at {expected}"

    def _compare_holds(self, snapshot: RedisSnapshot, at: str) -> Iterator[str]:
        for hold_id, found in snapshot.holds.items():
            due = self._holds.open.get(hold_id)
            if due is None:
                if found is not None:
                    yield f"{at} hold {hold_id} is open in Redis, and has ended in the ledger"
            elif found is None:
                yield (
                    f"{at} hold {hold_id} of {due.amount_nanos} nanos is open in the ledger, and"
                    " Redis has no record of it"
                )
            else:
                yield from _compare_hold(hold_id, found, due, at)


def _compare_hold(
    hold_id: str,
    found: HoldInRedis,
    due: OpenHold,
    at: str,
) -> Iterator[str]:
    in_ledger = (due.amount_nanos, due.day, due.expires_ms, due.pins)
    if found[:-1] != in_ledger:
        yield f"{at} Redis has hold {hold_id} as {found[:-1]}, the ledger as {in_ledger}"
    if found.reaped_at not in ("inf", str(found.expires_ms)):
        yield (
            f"{at} hold {hold_id} expires at {found.expires_ms}, and the reaper looks for it at"
            f" {found.reaped_at}"
        )


def _compare_due(snapshot: RedisSnapshot, at: str) -> Iterator[str]:
    """Finds a grant that the reaper would miss; a look too early, or in vain, does no harm."""
    due, noted = snapshot.due
    if due == ABSENT:
        return
    if noted == ABSENT or float(noted) > float(due):
        yield f"{at} grants are due at {due}, and the reaper looks for them at {noted}"
