"""Judges a shard: what the ledger knows of the shard, against what stands in the store.

Every pair of the two is one of the states below, and each state has a way out.
"""

from enum import StrEnum
from typing import NamedTuple, Self

from meter.journal.entry import Position
from meter.journal.owner import FORM, Owner


class ShardState(StrEnum):
    """Says how ledger and store stand to each other."""

    OPEN = "open"  # the journal goes on from the ledger's position
    NEW = "new"  # neither has anything: a gate opens the shard
    AWAITS_FLUSHER = "awaits_flusher"  # a newer epoch, whose entries the flusher carries over
    LOST = "lost"  # the store is behind: a gate begins a new epoch, and rebuilds from the ledger
    LEDGER_OLDER = "ledger_older"  # the ledger lacks entries that it had once: a backup
    FOREIGN = "foreign"  # the store is another ledger's, or the ledger another store's
    OTHER_FORM = "other_form"  # another version of the product wrote the store


# The store must not be used by this process.
REFUSED = (ShardState.FOREIGN, ShardState.OTHER_FORM)


class StoreName(NamedTuple):
    """Names a store."""

    store_id: str  # random, made when a shard is first opened on the empty store; empty: none
    name: str  # the address, or as `CREDITGATE_REDIS_NAME` says


class LedgerShard(NamedTuple):
    """Says what the ledger knows of one of its shards."""

    ledger_id: str
    position: Position
    store: StoreName  # the store that the shard was last opened on

    @property
    def owner(self) -> Owner:
        return Owner(self.ledger_id, self.store.store_id)


class StoredShard(NamedTuple):
    """Says what stands in the store."""

    owner: Owner | None
    end: Position | None = None  # id of the newest entry ever; None: there is no journal
    flushed: Position | None = None  # how far the ledger had come; None: without a journal

    @classmethod
    def decode(
        cls,
        end: Position | None,
        owner: bytes | None,
        flushed: bytes | None,
    ) -> Self:
        """Returns what the journal's end and the fields of the shard's hash say."""
        return cls(
            None if owner is None else Owner.decode(owner),
            end,
            None if flushed is None else Position.from_id(flushed.decode()),
        )

    @property
    def is_empty(self) -> bool:
        return self.owner is None and self.end is None


def judge(
    known: LedgerShard,
    found: StoredShard,
    store_name: str,
) -> ShardState:
    """Returns the state of a shard; `store_name` is how the store is reached now.

    An empty store takes the place of the one that the ledger knows only under the same name: an
    empty store of another name may be a mistake, while the right one is being used by others.
    """
    if found.is_empty:
        return _judge_empty(known, store_name)
    if found.owner is None or found.owner.ledger_id != known.ledger_id:
        return ShardState.FOREIGN
    if found.owner.form != FORM:
        return ShardState.OTHER_FORM
    if not known.store.store_id:
        return ShardState.LEDGER_OLDER
    if found.owner.store_id != known.store.store_id:
        return ShardState.FOREIGN
    return _judge_history(known.position, found)


def _judge_empty(known: LedgerShard, store_name: str) -> ShardState:
    if not known.store.store_id:
        return ShardState.NEW
    if known.store.name != store_name:
        return ShardState.FOREIGN
    if known.position.seq == 0:
        return ShardState.NEW
    return ShardState.LOST


def _judge_history(position: Position, found: StoredShard) -> ShardState:
    """Compares the ledger's position with a journal of its own."""
    end = found.end
    if end is None or end < position:
        return ShardState.LOST
    if found.flushed is not None and found.flushed > position:
        return ShardState.LEDGER_OLDER
    if end.epoch > position.epoch:
        return ShardState.AWAITS_FLUSHER
    return ShardState.OPEN


def refused_store(
    known: LedgerShard,
    found: StoredShard,
    store_name: str,
) -> str:
    """Returns what an operator is told of a store that must not be used."""
    ledgers = f"this ledger ({known.ledger_id})"
    other = f"the store at {store_name}"
    if found.owner is not None and found.owner.ledger_id != known.ledger_id:
        return (
            f"{other} belongs to another ledger ({found.owner.ledger_id}), not to {ledgers}:"
            " correct CREDITGATE_REDIS_URL or CREDITGATE_LEDGER_URL"
        )
    if found.owner is not None and found.owner.form != FORM:
        return (
            f"{other} is of form {found.owner.form}, and this version of creditgate reads and"
            f" writes form {FORM}: use the version that wrote it; or let that version's flusher"
            " empty the journals, empty the store, and start this version, which rebuilds the"
            " accounts from the ledger"
        )
    ours = f"{ledgers} belongs to the store {known.store.store_id} at {known.store.name}"
    here = "empty"
    if found.owner is not None:
        here = f"another store ({found.owner.store_id})"
    elif found.end is not None:
        here = "a store that names no ledger"
    return (
        f"{ours}; {other} is {here}: correct CREDITGATE_REDIS_URL, or, if this store is to take the"
        " other's place and nothing uses the other any more, run `creditgate adopt`; if the two are"
        " one store by two names, set CREDITGATE_REDIS_NAME to the first"
    )
