"""Gives a ledger's shards to another store, which only a person may decide."""

import uuid
from collections.abc import Iterable
from typing import NamedTuple

from meter.database.errors import LedgerError
from meter.journals import JournalStatus
from meter.ledger.positions import Positions
from meter.ledger.shard_state import LedgerShard, ShardState, StoreName, judge, refused_store

_REASON = "adopted by an operator"


class Adoption(NamedTuple):
    """Says from which store to which a shard moves."""

    shard: int
    known: LedgerShard
    store: StoreName
    is_empty: bool  # the store: the shard is rebuilt from the ledger, in a new epoch


def plan_adoptions(
    positions: Positions,
    statuses: Iterable[JournalStatus],
    store_name: str,
) -> list[Adoption]:
    """Returns what has to change for the ledger to belong to the store.

    LedgerError if a shard of the store belongs to another ledger, or is of another form.
    """
    known = positions.shards()
    adoptions = []
    for status in statuses:
        shard = known[status.shard]
        state = judge(shard, status.found, store_name)
        if state is ShardState.OTHER_FORM:
            raise LedgerError(refused_store(shard, status.found, store_name))
        if state is ShardState.FOREIGN:
            adoptions.append(_adoption(status, shard, store_name))
    return adoptions


def adopt(positions: Positions, adoptions: Iterable[Adoption]) -> None:
    """Gives each shard to its new store."""
    for shard, known, store, is_empty in adoptions:
        if is_empty:
            positions.begin_epoch(shard, known.position, _REASON, store)
        else:
            positions.adopt(shard, store)


def _adoption(
    status: JournalStatus,
    known: LedgerShard,
    store_name: str,
) -> Adoption:
    found = status.found
    if found.is_empty:
        store = StoreName(str(uuid.uuid4()), store_name)
        return Adoption(status.shard, known, store, is_empty=True)
    if found.owner is None or found.owner.ledger_id != known.ledger_id:
        raise LedgerError(refused_store(known, found, store_name))
    store = StoreName(found.owner.store_id, store_name)
    return Adoption(status.shard, known, store, is_empty=False)
