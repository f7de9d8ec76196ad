"""Expires holds, and begins and expires grants, when their time has come."""

from gate.store.account_scripts import AccountScripts
from gate.store.contracts import ExpireArguments, ProcessDueGrantsArguments
from gate.store.errors import CommandFailed
from gate.store.keys import call_keys, hold_member
from meter.journal.entry import Method
from meter.v1.journal_pb2 import JournaledRequest

# How long Redis still knows an expired hold, so that a late debit is charged as late.
LATE_WINDOW_MS = 86_400_000


class Expiry:
    """Runs the scripts for the passing of time. Each method may raise a ServiceError."""

    def __init__(self, scripts: AccountScripts) -> None:
        self._scripts = scripts

    async def expire(self, account_id: str, hold_id: str) -> bool:
        """Gives a hold back if the hold's time is over (gate/lua/upkeep/expire.lua).

        Returns whether the hold has expired by this call; a hold ends only once. CommandFailed
        if Redis has lost the hold's record.
        """
        shard = self._scripts.shard_of(account_id)
        request = JournaledRequest(account_id=account_id, hold_id=hold_id)
        arguments = ExpireArguments(
            epoch=self._scripts.epoch(shard),
            hold_id=hold_id,
            hold_member=hold_member(account_id, hold_id),
            late_ttl_ms=LATE_WINDOW_MS,
            method=Method.EXPIRE,
            request=request.SerializeToString(),
        )
        keys = call_keys("expire", shard, account_id, hold_id=hold_id)
        status, *_ = await self._scripts.run(
            "expire",
            shard,
            account_id,
            keys,
            arguments,
        )
        if status == b"missing":
            raise CommandFailed(
                f"expire: Redis has lost the record of hold {hold_id} of account {account_id}; what"
                " the hold has stays held"
            )
        return bool(status == b"ok")

    async def process_due_grants(self, account_id: str) -> int:
        """Begins and expires the account's grants whose time has come.

        Returns how many (gate/lua/upkeep/process_due_grants.lua).
        """
        name = "process_due_grants"
        shard = self._scripts.shard_of(account_id)
        arguments = ProcessDueGrantsArguments(self._scripts.epoch(shard), due_member=account_id)
        keys = call_keys(name, shard, account_id)
        _, processed = await self._scripts.run(
            name,
            shard,
            account_id,
            keys,
            arguments,
        )
        return int(processed)
