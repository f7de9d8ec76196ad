"""What callers were told of, against what the store still has after a failover."""

import structlog

from gate.metrics import UpkeepMetrics
from meter.journal.entry import Position
from meter.ledger.shard_state import LedgerShard, StoredShard

_NOTHING = Position(0, 0)

log = structlog.get_logger()


class Acknowledged:
    """Knows, of each shard, the newest entry that a caller of this process was told of.

    A store that was replaced by a replica may lack such entries. Where the ledger lacks the entries
    too, nothing else would tell of the loss.
    """

    def __init__(self, count: int, metrics: UpkeepMetrics) -> None:
        self.ids: list[bytes | None] = [None] * count  # by shard; the calls write here
        self._metrics = metrics

    def lost(
        self,
        shard: int,
        known: LedgerShard,
        found: StoredShard,
    ) -> int:
        """Returns how many entries neither the store nor the ledger has; none once an epoch begins.

        Nothing may be in flight, as is so while the shard is closed.
        """
        entry_id = self.ids[shard]
        if entry_id is None:
            return 0
        told = Position.from_id(entry_id.decode())
        kept = max(found.end or _NOTHING, known.position)
        if told <= kept:
            return 0
        if kept.epoch == told.epoch:
            return told.seq - kept.seq
        return told.seq

    def count_lost(self, shard: int, entries: int) -> None:
        """Counts and logs lost entries; to be called once the loss has begun another epoch."""
        if entries:
            self._metrics.acknowledged_lost.inc(entries)
            log.error("acknowledged_lost", shard=shard, entries=entries)
