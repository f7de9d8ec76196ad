"""Waits until the ledger holds what Redis had acknowledged."""

from contextlib import suppress

from gate.store.calls import Store
from gate.store.keys import shard_of
from gate.store.shards import Shards
from meter.errors import ServiceError


class FlushBarrier:
    """Stands between the store's acknowledged entries and a reader of the ledger."""

    def __init__(self, store: Store, shards: Shards) -> None:
        self._store = store
        self._shards = shards

    async def wait(self, account_id: str | None) -> None:
        """Returns when the ledger holds all that was journaled for the account before the call.

        None stands for all accounts. Raises Unavailable if the flusher is too far behind, or if
        the store cannot be reached.
        """
        count = self._shards.count
        if account_id is None:
            await self._shards.flushed(range(count))
        else:
            await self._process_due_grants(account_id)
            await self._shards.flushed([shard_of(account_id, count)])

    async def _process_due_grants(self, account_id: str) -> None:
        """Processes due grants; get_balance does so.

        Errors are left to the wait that follows, which needs the same store.
        """
        with suppress(ServiceError):
            await self._store.get_balance(account_id)
