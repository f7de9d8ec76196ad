"""What an audit needs to know of Redis."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from meter.journal.account_sums import ABSENT, AccountSums
from meter.journal.entry import Position


class HoldInRedis(NamedTuple):
    """Holds an open hold as Redis has it."""

    amount_nanos: int
    day: int
    expires_ms: int
    pins: str
    reaped_at: str  # ms; inf: by a test clock; -: the reaper does not know the hold


@dataclass(frozen=True, slots=True)
class RedisSnapshot:
    """Holds an account in Redis, and the newest id of its shard's journal, at one instant."""

    position: Position
    day: int
    state: AccountSums
    # left and held, by the grant's number; OVERAGE is 0
    grants: Mapping[int, tuple[int, int]]
    # the window's first hour, remaining and held, by the counter's name; a budget for each value is
    # there by its id, too, with its window
    budgets: Mapping[str, tuple[int, int, int]]
    # by id, the holds that were asked for; None: not open
    holds: Mapping[str, HoldInRedis | None] = field(default_factory=dict)
    # when the account's grants are due, and when the reaper looks at the account
    due: tuple[str, str] = (ABSENT, ABSENT)


class StoreInspector(Protocol):
    """Inspects accounts in Redis: `meter` itself never reads accounts there."""

    async def inspect_account(
        self,
        shard: int,
        account_id: str,
        hold_ids: Sequence[str],
    ) -> RedisSnapshot | None:
        """Returns the account with its grants, budgets and holds, and its journal's newest id.

        One script reads everything, so that nothing happens in between. The account is as stored,
        not rolled into the present day. Returns None if the account is not in Redis, or is left
        over from an earlier epoch. Raises Unavailable.
        """
        ...
