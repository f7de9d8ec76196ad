"""Reads the journals, and takes from them what is durable: the flusher's side of Redis.

What changes a journal checks in the same step that the shard still belongs to the caller's ledger
and store (meter/journal/owner.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from redis.retry import Retry

from meter.journal.entry import Method, Position, journal_key
from meter.journal.owner import Owner, shard_key
from meter.ledger.journal_records import RawEntry
from meter.ledger.shard_state import StoredShard

_SOCKET_TIMEOUT_S = 10
GAP = "gap in the journal: entries were lost before the ledger had them"

# Says whether a position, or none, is behind another.
_IS_BEHIND = """
local function is_behind(position, other)
  if not position then return true end
  local epoch, seq = position:match('^(%d+)-(%d+)$')
  local other_epoch, other_seq = other:match('^(%d+)-(%d+)$')
  if epoch ~= other_epoch then return tonumber(epoch) < tonumber(other_epoch) end
  return tonumber(seq) < tonumber(other_seq)
end
"""

# KEYS: journal, shard. ARGV: the owner as it must be, the oldest id to keep, the position.
_TRIM = (
    _IS_BEHIND
    + """
if redis.call('HGET', KEYS[2], 'owner') ~= ARGV[1] then return 'foreign' end
redis.call('XTRIM', KEYS[1], 'MINID', ARGV[2])
if is_behind(redis.call('HGET', KEYS[2], 'flushed'), ARGV[3]) then
  redis.call('HSET', KEYS[2], 'flushed', ARGV[3])
end
return 'ok'
"""
)

# KEYS: journal, shard. ARGV: the owner as it must be, the entry's id, method, reason, the ledger's
# position.
_FENCE = (
    _IS_BEHIND
    + """
if redis.call('HGET', KEYS[2], 'owner') ~= ARGV[1] then return 'foreign' end
local flushed = redis.call('HGET', KEYS[2], 'flushed')
if flushed and is_behind(ARGV[5], flushed) then return 'flushed' end
redis.call('XADD', KEYS[1], ARGV[2], 'e', '', 'm', ARGV[3], 'q', ARGV[4], 'p', '')
return 'ok'
"""
)


class ForeignShard(Exception):
    """The shard belongs to another ledger or store by now; nothing was changed."""

    def __init__(self, shard: int) -> None:
        super().__init__(f"shard {shard} belongs to another ledger or store")


class LedgerOlder(Exception):
    """The ledger lacks entries that it had once; nothing was changed."""

    def __init__(self, shard: int) -> None:
        super().__init__(f"shard {shard} had been flushed further: the ledger is a backup")


class JournalStatus(NamedTuple):
    """Says what stands in the store of a shard, how long the journal is, and where it begins."""

    shard: int
    found: StoredShard
    length: int = 0
    head: bytes | None = None  # id of the oldest entry


def journal_client(url: str) -> Redis:
    """Returns a client that never repeats a command by itself, and connects when first used."""
    return Redis.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=_SOCKET_TIMEOUT_S,
        socket_connect_timeout=_SOCKET_TIMEOUT_S,
    )


class Journals:
    """Knows the journals of one store. All methods block, and may raise RedisError."""

    def __init__(self, client: Redis, shards: int) -> None:
        self._client = client
        self._shards = shards

    def reconnect(self) -> None:
        """Has the next command open a connection of its own.

        After a failover the former connection may still lead to a server that is a replica now.
        """
        self._client.connection_pool.disconnect()

    def statuses(self) -> list[JournalStatus]:
        """Returns the status of every shard's journal."""
        pipeline = self._client.pipeline(transaction=False)
        for shard in range(self._shards):
            # The journal comes first: whoever begins a journal names the owner in the same step.
            pipeline.xinfo_stream(journal_key(shard))
            pipeline.hmget(shard_key(shard), "owner", "flushed")
        replies = pipeline.execute(raise_on_error=False)
        pairs = zip(replies[::2], replies[1::2], strict=True)
        return [_status(shard, named, info) for shard, (info, named) in enumerate(pairs)]

    def oldest_entries(
        self,
        shards: Iterable[int],
        count: int,
    ) -> list[list[RawEntry]]:
        """Returns up to `count` entries from the head of each shard's journal."""
        pipeline = self._client.pipeline(transaction=False)
        for shard in shards:
            pipeline.xrange(journal_key(shard), count=count)
        found: list[list[RawEntry]] = pipeline.execute()
        return found

    def trim(self, positions: Mapping[int, Position], owners: Mapping[int, Owner]) -> None:
        """Takes away the entries up to the positions. ForeignShard: others are taken away."""
        pipeline = self._client.pipeline(transaction=False)
        for shard, position in positions.items():
            oldest = Position(position.epoch, position.seq + 1)
            pipeline.eval(
                _TRIM, 2, *_keys(shard), owners[shard].encode(), str(oldest), str(position)
            )
        _check_owned(list(positions), pipeline.execute())

    def fence(
        self,
        shard: int,
        epoch: int,
        position: Position,
        owner: Owner,
        reason: str = GAP,
    ) -> None:
        """Begins the epoch in the shard's journal; does nothing if the journal is as far.

        `position` is the ledger's. ForeignShard; LedgerOlder if more had been flushed.
        """
        entry = (f"{epoch}-0", Method.EPOCH.value, reason, str(position))
        try:
            done: Any = self._client.eval(_FENCE, 2, *_keys(shard), owner.encode(), *entry)
        except ResponseError as error:
            if "equal or smaller" not in str(error):
                raise
        else:
            _check_owned([shard], [done])


def _keys(shard: int) -> tuple[str, str]:
    return journal_key(shard), shard_key(shard)


def _check_owned(shards: Sequence[int], replies: Sequence[bytes]) -> None:
    for shard, reply in zip(shards, replies, strict=True):
        if reply == b"foreign":
            raise ForeignShard(shard)
        if reply == b"flushed":
            raise LedgerOlder(shard)


def _status(
    shard: int,
    named: list[bytes | None] | Exception,
    info: Any,
) -> JournalStatus:
    if isinstance(named, Exception):
        raise named
    owner, flushed = named
    if isinstance(info, ResponseError) and "no such key" in str(info).lower():
        return JournalStatus(shard, StoredShard.decode(None, owner, flushed))
    if isinstance(info, Exception):
        raise info
    end = Position.from_id(info["last-generated-id"].decode())
    head = info["first-entry"][0] if info["first-entry"] else None
    found = StoredShard.decode(end, owner, flushed)
    return JournalStatus(shard, found, info["length"], head)
