"""The flusher: carries the journals into the ledger, each entry once, in order.

One round looks at every shard's journal, posts the entries in transactions of a bounded size, and
after each commit trims the entries that are now durable. A round begins when about as many entries
as pay for a round must have come, when somebody asks for the ledger (meter/flush_requests.py), or
after the interval. The flusher keeps no state that matters: a
flusher that is killed, or whose commit's outcome is unknown, begins again from the ledger's
position. Any number of flushers may run.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from threading import Event, Thread

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from meter.database.engine import Ledger
from meter.database.errors import LedgerError, LedgerUnavailable
from meter.flush_lag import FlushLag, age_s
from meter.flush_requests import FlushRequests
from meter.journal.entry import Position
from meter.journal.owner import Owner
from meter.journals import ForeignShard, Journals, JournalStatus, LedgerOlder
from meter.ledger.journal_records import (
    EpochRecord,
    JournalRecord,
    RawEntry,
    UnreadableEntry,
    read,
)
from meter.ledger.positions import Positions
from meter.ledger.posting import Batch, Posted, post
from meter.ledger.projections.accounts import UnknownAccount
from meter.ledger.projections.holds import OpenHoldCount, count_open_holds
from meter.ledger.shard_state import REFUSED, LedgerShard, ShardState, judge, refused_store
from meter.metrics import (
    FOREIGN,
    LEDGER_OLDER,
    LOST,
    OTHER_FORM,
    REJECTED,
    STOPS,
    UNREADABLE,
    FlusherMetrics,
)
from meter.outage_log import OutageLog

# per transaction: Redis reads them in a millisecond, for which calls wait, and other writers of an
# SQLite ledger wait for a tenth of a second
BATCH_ENTRIES = 1000
_WORTH_A_ROUND = 1000  # entries: a round's own cost is small beside theirs
_BEHIND = 3 * _WORTH_A_ROUND  # entries in one round: there are more by now
_HOLDS_EVERY_S = 5.0
_STOP_OF = {
    ShardState.LOST: LOST,
    ShardState.LEDGER_OLDER: LEDGER_OLDER,
    ShardState.FOREIGN: FOREIGN,
    ShardState.OTHER_FORM: OTHER_FORM,
}
_FIRST_PAUSE_S = 0.1  # after a failure
_MOST_PAUSE_S = 5.0
_OTHERS_S = 0.02  # for another flusher to be done
_EXPECTED = (LedgerUnavailable, RedisError, ForeignShard, LedgerOlder)

log = structlog.get_logger()


class Flusher:
    """Flushes `shards` journals of one Redis into one ledger.

    All methods block, and must be called by one thread at a time.
    """

    def __init__(
        self,
        journals: Journals,
        requests: FlushRequests,
        ledger: Ledger,
        interval_ms: int,
        metrics: FlusherMetrics,
        store_name: str,
    ) -> None:
        """No entry waits longer than `interval_ms` for others.

        `store_name` is how the store is reached, or what an operator calls the store.
        """
        self._journals = journals
        self._requests = requests
        self._store_name = store_name
        self._ledger = ledger
        self._positions = Positions(ledger)
        self._interval_s = interval_ms / 1000
        self._metrics = metrics
        self._known: dict[int, LedgerShard] = {}  # as of the round's begin
        self._stopped: dict[int, str] = {}
        self._stopped_before: dict[int, str] = {}
        self._lag = FlushLag(metrics.lag_seconds)
        self._holds_due = 0.0
        self._paced_at = time.monotonic()
        self._outage = OutageLog("flush_failed", "flushing_again")

    def run(self, stop: Event) -> None:
        """Flushes until told to stop.

        After a failure, which is logged and counted, flushing goes on after a growing pause.
        """
        Thread(target=self._lag.keep, args=(stop,), daemon=True).start()
        failures = 0
        while not stop.is_set():
            try:
                flushed = self.flush_once()
                failures = 0
                self._outage.ended()
            except Exception as error:
                failures += 1
                pause = self._note_failure(error, failures)
                stop.wait(pause)
                continue
            self._requests.wait(self._pace(flushed), stop)

    def drain(self, timeout_s: float) -> bool:
        """Flushes until every journal is in the ledger.

        Returns False if a shard is stopped, or the time is over. Raises as `flush_once`.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            flushed = self.flush_once()
            left = {journal.shard for journal in self._journal_statuses() if journal.length}
            if left <= self._stopped.keys():
                return not self._stopped
            if time.monotonic() > deadline:
                return False
            if not flushed:
                time.sleep(_OTHERS_S)

    def flush_once(self) -> int:
        """Flushes all shards once, and returns the number of entries written.

        Raises LedgerUnavailable or RedisError; the rest is left for the next round.
        """
        self._begin_round()
        began = time.time()
        statuses = self._journal_statuses()
        flushed = self._flush_waiting(statuses)
        self._lag.end_round(began)
        self._count_stopped()
        self._count_holds()
        return flushed

    def _pace(self, flushed: int) -> float:
        """Returns the seconds after which a round is worth while, if entries go on coming so."""
        now = time.monotonic()
        elapsed_s = now - self._paced_at
        self._paced_at = now
        if flushed >= _BEHIND:
            return 0.0
        if not flushed:
            return self._interval_s
        return min(self._interval_s, _WORTH_A_ROUND * elapsed_s / flushed)

    def _note_failure(self, error: Exception, failures: int) -> float:
        """Logs and counts a failed round, and returns the seconds to wait before the next."""
        doublings = min(failures, 16)
        pause = min(_MOST_PAUSE_S, _FIRST_PAUSE_S * 2.0**doublings)
        self._metrics.ledger_failures.inc()
        self._lag.fail_round(time.time())
        self._journals.reconnect()
        self._outage.failed(
            error,
            failures=failures,
            retry_in_s=pause,
            exc_info=not isinstance(error, _EXPECTED),
        )
        return pause

    def _begin_round(self) -> None:
        self._lag.begin_round()
        self._known = self._positions.shards()
        self._stopped_before = self._stopped
        self._stopped = {}

    def require_own_store(self) -> None:
        """Raises LedgerError if ledger and store do not belong to each other."""
        foreign = self._foreign_stores()
        # Twice: between a look at the store and a look at the ledger, a gate may change both.
        if foreign and (foreign := self._foreign_stores()):
            raise LedgerError(foreign[0])

    def _foreign_stores(self) -> list[str]:
        """Returns what is told of each shard whose store is not the ledger's."""
        statuses = self._journals.statuses()
        known = self._positions.shards()
        told = []
        for journal in statuses:
            shard = known[journal.shard]
            if judge(shard, journal.found, self._store_name) in REFUSED:
                told.append(refused_store(shard, journal.found, self._store_name))
        return told

    def _journal_statuses(self) -> list[JournalStatus]:
        statuses = self._journals.statuses()
        for journal in statuses:
            self._metrics.journal_length.labels(journal.shard).set(journal.length)
        self._lag.note(statuses)
        return statuses

    def _flush_waiting(self, statuses: Iterable[JournalStatus]) -> int:
        """Flushes the journals that have entries, and returns the number of entries written."""
        waiting = [journal for journal in statuses if self._may_flush(journal)]
        flushed = 0
        for group in self._groups(waiting):
            flushed += self._flush(group)
        return flushed

    def _may_flush(self, journal: JournalStatus) -> bool:
        """Says whether the journal has entries to flush; stops a shard that must not be flushed."""
        state = self._judge(journal)
        if state in _STOP_OF:
            # The ledger may have moved on since it was read, by another flusher or a gate.
            self._known = self._positions.shards()
            if self._judge(journal) is state:
                self._stop_for(state, journal)
            return False
        return journal.length > 0

    def _judge(self, journal: JournalStatus) -> ShardState:
        return judge(self._known[journal.shard], journal.found, self._store_name)

    def _stop_for(self, state: ShardState, journal: JournalStatus) -> None:
        known = self._known[journal.shard]
        if state in REFUSED:
            detail = refused_store(known, journal.found, self._store_name)
        else:
            detail = f"journal ends at {journal.found.end}, the ledger holds {known.position}"
        self._stop(journal.shard, _STOP_OF[state], detail)

    def _groups(self, statuses: Iterable[JournalStatus]) -> Iterator[list[int]]:
        """Yields groups of shards, each to be posted in one transaction.

        A shard that was stopped goes alone, so that the shard cannot fail others.
        """
        group: list[int] = []
        entries = 0
        for journal in statuses:
            if journal.shard in self._stopped_before:
                yield [journal.shard]
                continue
            group.append(journal.shard)
            entries += min(journal.length, BATCH_ENTRIES)
            if entries >= BATCH_ENTRIES:
                yield group
                group = []
                entries = 0
        if group:
            yield group

    def _flush(self, group: Sequence[int]) -> int:
        batches = [batch for batch in self._take(group) if batch.records]
        if not batches:
            return 0
        try:
            return self._post(batches)
        except (DBAPIError, UnknownAccount) as error:
            if len(batches) > 1:
                return self._flush_apart(batches)
            self._stop(batches[0].shard, REJECTED, str(error))
            return 0

    def _flush_apart(self, batches: Iterable[Batch]) -> int:
        """Flushes each batch's shard in a transaction of its own."""
        flushed = 0
        for batch in batches:
            flushed += self._flush([batch.shard])
        return flushed

    def _take(self, group: Sequence[int]) -> list[Batch]:
        """Returns a batch from the head of each shard's journal."""
        found = self._journals.oldest_entries(group, BATCH_ENTRIES)
        batches = []
        for shard, raw_entries in zip(group, found, strict=True):
            batches.append(self._read(shard, raw_entries))
        return batches

    def _read(self, shard: int, found: Sequence[RawEntry]) -> Batch:
        """Returns the entries' records, up to the first unreadable entry, which stops the shard."""
        records: list[JournalRecord | EpochRecord] = []
        try:
            records.extend(read(shard, raw) for raw in found)
        except UnreadableEntry as error:
            self._stop(shard, UNREADABLE, str(error))
        return Batch(shard, tuple(records))

    def _post(self, batches: Sequence[Batch]) -> int:
        with self._metrics.transaction_seconds.time(), self._ledger.write() as connection:
            posted = post(connection, batches, self._fence)
        self._count(posted)
        self._journals.trim(posted.positions, self._owners())
        return len(posted.records)

    def _owners(self) -> dict[int, Owner]:
        return {shard: known.owner for shard, known in self._known.items()}

    def _fence(
        self,
        shard: int,
        epoch: int,
        position: Position,
    ) -> None:
        """Begins the epoch in the shard's journal, which has lost entries."""
        self._journals.fence(shard, epoch, position, self._known[shard].owner)

    def _stop(self, shard: int, reason: str, detail: str) -> None:
        self._stopped[shard] = reason
        if self._stopped_before.get(shard) != reason:
            log.error(
                "shard_not_flushed",
                shard=shard,
                reason=reason,
                detail=detail,
            )

    def _count(self, posted: Posted) -> None:
        self._count_rows(posted.records)
        self._metrics.duplicates.inc(posted.duplicates)
        self._metrics.drifts.inc(posted.drifts)
        self._metrics.gaps.inc(posted.gaps)
        if posted.oldest_ms is not None:
            self._lag.posted(posted.oldest_ms)

    def _count_rows(self, records: Sequence[JournalRecord]) -> None:
        kinds = Counter([record.effect.kind for record in records])
        for kind, rows in kinds.items():
            self._metrics.rows.labels(kind.name).inc(rows)
        self._metrics.batch_rows.observe(len(records))

    def _count_stopped(self) -> None:
        stopped = Counter(self._stopped.values())
        for reason in STOPS:
            shards = stopped[reason]
            self._metrics.shards_stopped.labels(reason).set(shards)

    def _count_holds(self) -> None:
        """Counts the open holds, but not in every round, since counting reads a table."""
        if time.monotonic() < self._holds_due:
            return
        self._holds_due = time.monotonic() + _HOLDS_EVERY_S
        with self._ledger.read() as connection:
            holds = count_open_holds(connection)
        self._show_holds(holds)

    def _show_holds(self, holds: OpenHoldCount) -> None:
        oldest_s = 0.0
        if holds.oldest_ms is not None:
            oldest_s = age_s(holds.oldest_ms)
        self._metrics.holds_open.set(holds.count)
        self._metrics.holds_oldest_seconds.set(oldest_s)
