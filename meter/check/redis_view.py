"""What a check needs to see of Redis."""

from dataclasses import dataclass
from typing import Protocol

from meter.effect import State
from meter.journal import Position


@dataclass(frozen=True, slots=True)
class Sighting:
    """An account in Redis, and the newest id of its shard's journal, at one instant."""

    position: Position
    day: int
    state: State


class RedisView(Protocol):
    """Looks at Redis, for `meter` never does so itself."""

    async def sight(self, shard: int, account_id: str) -> Sighting | None:
        """The account's hash and its journal's last-generated-id, read by one script: nothing may happen between the two.

        As the hash stands, not rolled into the present day. None if the account is not in Redis, or left over from an earlier epoch.
        Raises Unavailable.
        """
        ...
