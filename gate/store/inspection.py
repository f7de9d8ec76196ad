"""Looks at Redis from outside the calls: accounts for the audit, and the clock."""

from collections.abc import Sequence

from gate.store.account_reader import read_snapshot
from gate.store.connections import Connections
from gate.store.contracts import InspectAccountArguments
from gate.store.keys import call_keys, hold_key, hold_member
from gate.store.script_runner import ScriptRunner
from gate.store.shards import Shards
from meter.journal.redis_snapshot import RedisSnapshot, StoreInspector


class Inspection(StoreInspector):
    """Shows accounts as Redis has them. May raise a ServiceError; nothing is written."""

    def __init__(
        self,
        connections: Connections,
        runner: ScriptRunner,
        shards: Shards,
    ) -> None:
        self._connections = connections
        self._runner = runner
        self._shards = shards

    async def inspect_account(
        self,
        shard: int,
        account_id: str,
        hold_ids: Sequence[str] = (),
    ) -> RedisSnapshot | None:
        """Returns the account, the holds and the end of the shard's journal at one instant.

        None if the account is not in Redis (gate/lua/upkeep/inspect_account.lua).
        """
        name = "inspect_account"
        keys = call_keys(name, shard, account_id)
        keys.extend(hold_key(shard, account_id, hold_id) for hold_id in hold_ids)
        arguments = InspectAccountArguments(self._shards.epoch(shard), account_id)
        members = [hold_member(account_id, hold_id) for hold_id in hold_ids]
        status, *reply = await self._runner.run(
            name,
            shard,
            keys,
            (*arguments, *members),
        )
        if status == b"absent":
            return None
        return read_snapshot(*reply)

    async def now_ms(self) -> int:
        """Returns the time by the clock of Redis, by which accounts without a test clock live."""
        seconds, microseconds = await self._connections.command(0, "TIME")
        return int(seconds) * 1000 + int(microseconds) // 1000
