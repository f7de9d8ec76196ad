"""Runs the scripts of an account, and first removes whatever keeps a script from running.

A script has written nothing when the reply is:

- absent: the account is missing in Redis, and is restored from the ledger;
- stale: another epoch of the shard has begun, and the shard is verified again;
- due: grants begin or expire before anything else may be decided, by entries of their own.
"""

from gate.store.connections import Reply
from gate.store.due_grants import ATTEMPTS, process_due_grants
from gate.store.keys import shard_of
from gate.store.restore import Restorer
from gate.store.script_runner import Arguments, ScriptRunner
from gate.store.shards import Shards
from meter.errors import Unavailable


class AccountScripts:
    """Runs scripts under the epoch of the account's shard."""

    def __init__(
        self,
        runner: ScriptRunner,
        shards: Shards,
        restorer: Restorer,
    ) -> None:
        self._runner = runner
        self._shards = shards
        self._restorer = restorer
        self.acknowledged = shards.acknowledged.ids

    def shard_of(self, account_id: str) -> int:
        """Returns the account's shard."""
        return shard_of(account_id, self._shards.count)

    def epoch(self, shard: int) -> int:
        """Returns the epoch to write under. ShardClosed while there is none."""
        return self._shards.epoch(shard)

    async def run(
        self,
        name: str,
        shard: int,
        account_id: str,
        keys: list[str],
        arguments: Arguments,
    ) -> list[Reply]:
        """Returns the reply of a script whose first argument is the epoch.

        Unavailable after several attempts. Errors of the runner are raised too.
        """
        for _ in range(ATTEMPTS):
            reply = await self._runner.run(name, shard, keys, arguments)
            match reply[0]:
                case b"absent":
                    await self._restorer.restore(account_id)
                case b"stale":
                    stale_epoch, *_ = arguments
                    await self._shards.verify(shard, int(stale_epoch))
                case b"due":
                    epoch = self._shards.epoch(shard)
                    await process_due_grants(self._runner, shard, account_id, epoch)
                case _:
                    return reply
            # The shard may be in another epoch by now.
            arguments = (self._shards.epoch(shard), *arguments[1:])
        raise Unavailable(
            "ACCOUNT_RESTORING",
            "the account or its shard is being brought up to date; repeat the call shortly",
        )
