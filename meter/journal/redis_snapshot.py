"""What a check needs to see of Redis."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from meter.journal.account_sums import AccountSums
from meter.journal.entry import Position


@dataclass(frozen=True, slots=True)
class RedisSnapshot:
    """An account in Redis, and the newest id of its shard's journal, at one instant."""

    position: Position
    day: int
    state: AccountSums
    grants: Mapping[int, tuple[int, int]]  # left and held, by the grant's number; 0: overage
    budgets: Mapping[
        str, tuple[int, int, int]
    ]  # the window's first day, room, held, by the budget's id


class StoreInspector(Protocol):
    """Looks at Redis, for `meter` never does so itself."""

    async def inspect_account(self, shard: int, account_id: str) -> RedisSnapshot | None:
        """The account with its grants and budgets, and its journal's last-generated-id, read by one
        script: nothing may happen between the two.

        As the hash stands, not rolled into the present day. None if the account is not in Redis, or
        left over from an earlier epoch. Raises Unavailable.
        """
        ...
