"""The flushed position of each shard, and the epochs that began."""

import time
from collections.abc import Iterable

from sqlalchemy import Connection, select, update

from meter.database.engine import Ledger, insert_or_ignore
from meter.database.errors import LedgerError
from meter.database.schema import epochs, journal_gaps, shards
from meter.journal.entry import Position

FIRST = Position(1, 0)


class Positions:
    """Where the ledger stands in each shard's journal: everything up to there is in the books, or
    known to be lost.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def ensure(self, count: int) -> None:
        """Begins `count` shards in an empty ledger.

        LedgerError if it was begun with another number: accounts would change shards.
        """
        with self._ledger.write() as connection:
            present = connection.scalars(select(shards.c.shard).with_for_update()).all()
            if not present:
                new = [
                    {"shard": shard, "epoch": FIRST.epoch, "watermark_seq": FIRST.seq}
                    for shard in range(count)
                ]
                if insert_or_ignore(connection, shards, new):
                    insert_or_ignore(
                        connection,
                        epochs,
                        [_epoch(shard, FIRST.epoch, "first start") for shard in range(count)],
                    )
                present = connection.scalars(select(shards.c.shard)).all()
        if len(present) != count:
            raise LedgerError(
                f"this ledger has {len(present)} shards, but CREDITGATE_SHARDS is {count}: set it to {len(present)}"
            )

    def of(self, shard: int) -> Position:
        """The shard's position. LedgerError for a shard that was not begun."""
        positions = self.all()
        if shard not in positions:
            raise LedgerError(f"shard {shard} is not in this ledger, which has {len(positions)}")
        return positions[shard]

    def all(self) -> dict[int, Position]:
        """Every shard's position."""
        with self._ledger.read() as connection:
            rows = connection.execute(
                select(shards.c.shard, shards.c.epoch, shards.c.watermark_seq).order_by(
                    shards.c.shard
                )
            )
            return {shard: Position(epoch, seq) for shard, epoch, seq in rows}

    def begin_epoch(self, shard: int, expected: Position, reason: str) -> Position:
        """Moves the shard into its next epoch, unless it has left the epoch of `expected` already; its
        position now.

        What the journal still holds of older epochs is thereby given up (`journal_gaps` will tell
        of it).
        """
        with self._ledger.write() as connection:
            position = lock(connection, shard)
            if position.epoch == expected.epoch:
                position = Position(position.epoch + 1, 0)
                enter_epoch(connection, shard, position.epoch, reason)
                move(connection, {shard: position})
        return position


def lock(connection: Connection, shard: int) -> Position:
    """The shard's position, which nobody else may move until the transaction ends."""
    rows = lock_free(connection, [shard], wait=True)
    assert shard in rows, f"shard {shard} was not begun"
    return rows[shard]


def lock_free(connection: Connection, wanted: list[int], wait: bool = False) -> dict[int, Position]:
    """As `lock`, for those of the shards that nobody else has locked (SQLite's one writer has them
    all).
    """
    query = (
        select(shards.c.shard, shards.c.epoch, shards.c.watermark_seq)
        .where(shards.c.shard.in_(wanted))
        .order_by(shards.c.shard)
        .with_for_update(skip_locked=not wait)
    )
    return {shard: Position(epoch, seq) for shard, epoch, seq in connection.execute(query)}


def move(connection: Connection, positions: dict[int, Position]) -> None:
    """Sets the positions of shards that are locked."""
    for shard, position in positions.items():
        values = {"epoch": position.epoch, "watermark_seq": position.seq}
        connection.execute(update(shards).where(shards.c.shard == shard).values(values))


def enter_epoch(connection: Connection, shard: int, epoch: int, reason: str) -> None:
    """Records that the epoch began, and why; the first reason given stays."""
    insert_or_ignore(connection, epochs, [_epoch(shard, epoch, reason)])


def record_gap(connection: Connection, shard: int, first: Position, last_seq: int) -> bool:
    """Records that the positions `first` to `last_seq` of the shard's journal were lost; False if that
    was known.
    """
    gap = {
        "shard": shard,
        "epoch": first.epoch,
        "first_seq": first.seq,
        "last_seq": last_seq,
        "found_at_ms": _now_ms(),
    }
    return insert_or_ignore(connection, journal_gaps, [gap]) == 1


def lossy_epochs(connection: Connection, wanted: Iterable[int]) -> set[tuple[int, int]]:
    """Shard and epoch of everything that these shards have lost."""
    found = select(journal_gaps.c.shard, journal_gaps.c.epoch).where(
        journal_gaps.c.shard.in_(wanted)
    )
    return {(shard, epoch) for shard, epoch in connection.execute(found)}


def _epoch(shard: int, epoch: int, reason: str) -> dict[str, object]:
    return {"shard": shard, "epoch": epoch, "opened_at_ms": _now_ms(), "reason": reason}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
