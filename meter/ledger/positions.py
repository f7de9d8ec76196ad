"""The flushed position of each shard, the store of each shard, and the epochs that began."""

import uuid
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, insert, select, update

from meter.database.engine import Ledger, insert_or_ignore, write_many
from meter.database.errors import LedgerError, LedgerUnavailable
from meter.database.schema import entries, epochs, identity, journal_gaps, shards
from meter.journal.entry import Position
from meter.ledger.shard_state import LedgerShard, StoreName
from meter.times import now_ms

FIRST = Position(1, 0)
# Why epochs begin in which nothing is lost.
RECONCILED = "an older ledger was brought up to its store by an operator"

_MOVE = (
    update(shards)
    .where(shards.c.shard == bindparam("moved"))
    .values(epoch=bindparam("new_epoch"), watermark_seq=bindparam("new_seq"))
)


class Positions:
    """Knows how far each shard's journal is flushed.

    Everything up to a shard's position is in the ledger, or known to be lost.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def ensure(self, count: int) -> None:
        """Begins `count` shards in an empty ledger; does nothing if `count` shards are there.

        Raises LedgerError if the ledger was begun with another number: accounts would change
        shards.
        """
        present = self.all()
        if not present:
            with self._ledger.write() as connection:
                _begin_shards(connection, count)
            present = self.all()
        if len(present) != count:
            raise LedgerError(
                f"this ledger has {len(present)} shards, but CREDITGATE_SHARDS is {count}:"
                f" set it to {len(present)}"
            )

    def all(self) -> dict[int, Position]:
        """Returns every shard's position."""
        query = _select_positions()
        with self._ledger.read() as connection:
            return _positions(connection, query)

    def shards(self) -> dict[int, LedgerShard]:
        """Returns every shard's position and store. LedgerUnavailable before `ensure`."""
        columns = _select_positions().add_columns(shards.c.store_id, shards.c.store_name)
        with self._ledger.read() as connection:
            ledger_id = connection.scalar(select(identity.c.ledger_id))
            rows = connection.execute(columns).all()
        if ledger_id is None:
            raise LedgerUnavailable("the ledger has not been begun, or was replaced")
        return {
            row.shard: LedgerShard(
                ledger_id,
                Position(row.epoch, row.watermark_seq),
                StoreName(row.store_id, row.store_name),
            )
            for row in rows
        }

    def claim(self, store: StoreName) -> None:
        """Gives the shards that no store has been opened for to the store."""
        unclaimed = update(shards).where(shards.c.store_id == "")
        with self._ledger.write() as connection:
            connection.execute(unclaimed.values(store_id=store.store_id, store_name=store.name))

    def adopt(self, shard: int, store: StoreName) -> None:
        """Gives a shard to a store that holds the shard's data already."""
        with self._ledger.write() as connection:
            lock(connection, shard)
            set_store(connection, shard, store)

    def begin_epoch(
        self,
        shard: int,
        expected: Position,
        reason: str,
        store: StoreName | None = None,
    ) -> Position:
        """Moves the shard into its next epoch, and returns the shard's position.

        Does nothing if the shard has left the epoch of `expected` already. What the journal still
        holds of older epochs is given up, and will be recorded in `journal_gaps`. The shard stays
        in its store unless `store` names another.
        """
        with self._ledger.write() as connection:
            position = lock(connection, shard)
            if position.epoch == expected.epoch:
                position = Position(position.epoch + 1, 0)
                enter_epoch(connection, shard, position.epoch, reason)
                move(connection, {shard: position})
                if store is not None:
                    set_store(connection, shard, store)
        return position


def lock(connection: Connection, shard: int) -> Position:
    """Returns the shard's position; nobody else may move the shard until the transaction ends."""
    rows = lock_free(connection, [shard], wait=True)
    assert shard in rows, f"shard {shard} was not begun"
    return rows[shard]


def lock_free(
    connection: Connection,
    wanted: list[int],
    wait: bool = False,
) -> dict[int, Position]:
    """Locks the shards of `wanted` not locked by others, and returns the shards' positions.

    SQLite has a single writer: a lock is a lock of all shards.
    """
    query = (
        _select_positions().where(shards.c.shard.in_(wanted)).with_for_update(skip_locked=not wait)
    )
    return _positions(connection, query)


def move(connection: Connection, positions: dict[int, Position]) -> None:
    """Sets the positions of shards that are locked."""
    rows = [
        {"moved": shard, "new_epoch": position.epoch, "new_seq": position.seq}
        for shard, position in positions.items()
    ]
    write_many(connection, _MOVE, rows)


def enter_epoch(
    connection: Connection,
    shard: int,
    epoch: int,
    reason: str,
) -> None:
    """Records that the epoch began, and why; the first reason given stays."""
    row = _epoch(shard, epoch, reason)
    insert_or_ignore(connection, epochs, [row])


def newest_entry(connection: Connection, shard: int, epoch: int) -> Position:
    """Returns the position of the epoch's newest entry in the ledger; number 0: there is none."""
    of_epoch = (entries.c.shard == shard) & (entries.c.epoch == epoch)
    newest = connection.scalar(select(func.max(entries.c.seq)).where(of_epoch))
    return Position(epoch, newest or 0)


def record_gap(
    connection: Connection,
    shard: int,
    first: Position,
    last_seq: int,
) -> bool:
    """Records that the shard lost the positions from `first` to `last_seq`.

    Returns False if the gap was known.
    """
    gap = {
        "shard": shard,
        "epoch": first.epoch,
        "first_seq": first.seq,
        "last_seq": last_seq,
        "found_at_ms": now_ms(),
    }
    inserted = insert_or_ignore(connection, journal_gaps, [gap])
    return inserted == 1


def lossy_epochs(connection: Connection, wanted: Iterable[int]) -> set[tuple[int, int]]:
    """Returns shard and epoch of every gap in the shards' journals."""
    gaps = select(journal_gaps.c.shard, journal_gaps.c.epoch)
    query = gaps.where(journal_gaps.c.shard.in_(wanted))
    return {(row.shard, row.epoch) for row in connection.execute(query)}


def _select_positions() -> Select[Any]:
    columns = select(shards.c.shard, shards.c.epoch, shards.c.watermark_seq)
    return columns.order_by(shards.c.shard)


def _positions(
    connection: Connection,
    query: Select[Any],
) -> dict[int, Position]:
    rows = connection.execute(query)
    return {row.shard: Position(row.epoch, row.watermark_seq) for row in rows}


def _begin_shards(connection: Connection, count: int) -> None:
    new_shards = []
    new_epochs = []
    for shard in range(count):
        new_shards.append(_shard(shard))
        new_epochs.append(_epoch(shard, FIRST.epoch, "first start"))
    if insert_or_ignore(connection, shards, new_shards):
        insert_or_ignore(connection, epochs, new_epochs)
        connection.execute(insert(identity).values(ledger_id=str(uuid.uuid4())))


def set_store(connection: Connection, shard: int, store: StoreName) -> None:
    """Gives a shard that is locked to a store."""
    of_shard = update(shards).where(shards.c.shard == shard)
    connection.execute(of_shard.values(store_id=store.store_id, store_name=store.name))


def _shard(shard: int) -> dict[str, object]:
    return {
        "shard": shard,
        "epoch": FIRST.epoch,
        "watermark_seq": FIRST.seq,
        "store_id": "",
        "store_name": "",
    }


def _epoch(shard: int, epoch: int, reason: str) -> dict[str, object]:
    return {
        "shard": shard,
        "epoch": epoch,
        "opened_at_ms": now_ms(),
        "reason": reason,
    }
