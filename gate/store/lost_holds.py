"""Settles holds that the store has lost: what was used is charged all the same."""

import asyncio

from gate.hold_ids import made_at_s
from gate.pricing import Cost
from gate.store.calls import Outcome, Store
from gate.store.keys import shard_of
from gate.store.shards import Shards
from gate.v1.gate_pb2 import DebitRequest
from meter.database.engine import Ledger
from meter.errors import NotFound
from meter.ledger.known_holds import knows_hold, may_be_lost


class LostHolds:
    """Tells a hold that was acknowledged and lost from one that ended, or never was.

    The ledger knows every hold that was not lost. It is asked only about a hold that the store does
    not know, and that was made before the store lost something.
    """

    def __init__(
        self,
        store: Store,
        shards: Shards,
        ledger: Ledger,
    ) -> None:
        self._store = store
        self._shards = shards
        self._ledger = ledger

    async def debit(
        self,
        request: DebitRequest,
        cost: Cost,
        refusal: NotFound,
    ) -> Outcome:
        """Charges the usage of a lost hold as incurred and late; raises `refusal` for others."""
        if refusal.reason != "HOLD_NOT_FOUND" or not await self._is_lost(request):
            raise refusal
        return await self._store.debit_of_lost_hold(request, cost)

    async def _is_lost(self, request: DebitRequest) -> bool:
        shard = shard_of(request.account_id, self._shards.count)
        if self._shards.epoch(shard) == 1:
            return False
        try:
            made_ms = int(made_at_s(request.hold_id) * 1000)
        except ValueError:
            return False
        if not await asyncio.to_thread(self._may_be_lost, shard, made_ms):
            return False
        # What the journal has is not lost.
        await self._shards.flushed([shard])
        return not await asyncio.to_thread(self._is_known, request, made_ms)

    def _may_be_lost(self, shard: int, made_ms: int) -> bool:
        with self._ledger.read() as connection:
            return may_be_lost(connection, shard, made_ms)

    def _is_known(self, request: DebitRequest, made_ms: int) -> bool:
        with self._ledger.read() as connection:
            return knows_hold(
                connection,
                request.account_id,
                request.hold_id,
                made_ms,
            )
