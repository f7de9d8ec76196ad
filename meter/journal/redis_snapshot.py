"""What an audit needs to know of Redis."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from meter.journal.account_sums import AccountSums
from meter.journal.entry import Position


@dataclass(frozen=True, slots=True)
class RedisSnapshot:
    """Holds an account in Redis, and the newest id of its shard's journal, at one instant."""

    position: Position
    day: int
    state: AccountSums
    # left and held, by the grant's number; OVERAGE is 0
    grants: Mapping[int, tuple[int, int]]
    # the window's first day, remaining and held, by the budget's id
    budgets: Mapping[str, tuple[int, int, int]]


class StoreInspector(Protocol):
    """Inspects accounts in Redis: `meter` itself never reads accounts there."""

    async def inspect_account(self, shard: int, account_id: str) -> RedisSnapshot | None:
        """Returns the account with its grants and budgets, and its journal's last-generated-id.

        One script reads everything, so that nothing happens in between. The account is as stored,
        not rolled into the present day. Returns None if the account is not in Redis, or is left
        over from an earlier epoch. Raises Unavailable.
        """
        ...
