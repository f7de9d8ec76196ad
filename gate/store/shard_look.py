"""Looks at what stands in the store of a shard."""

from gate.store.connections import Connections
from gate.store.errors import CommandFailed
from meter.journal.entry import Position, journal_key
from meter.journal.owner import shard_key
from meter.ledger.shard_state import StoredShard


async def look(connections: Connections, shard: int) -> StoredShard:
    """Returns what stands in the store of a shard.

    The journal comes first: whoever begins a journal names the owner in the same step.
    """
    end = await look_at_journal(connections, shard)
    owner, flushed = await connections.command(
        shard,
        "HMGET",
        shard_key(shard),
        "owner",
        "flushed",
    )
    return StoredShard.decode(end, owner, flushed)


async def look_at_journal(connections: Connections, shard: int) -> Position | None:
    """Returns the id of the newest entry that the journal ever had; None without a journal."""
    try:
        info = await connections.command(
            shard,
            "XINFO",
            "STREAM",
            journal_key(shard),
        )
    except CommandFailed as error:
        if "no such key" in str(error).lower():
            return None
        raise
    fields = dict(zip(info[::2], info[1::2], strict=True))
    return Position.from_id(fields[b"last-generated-id"].decode())
