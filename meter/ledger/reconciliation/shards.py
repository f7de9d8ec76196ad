"""Brings the shards of an older ledger up to their store, step by step.

A step that is done again does no harm: an account that was taken over does not differ any more.

1. The journal is fenced: a new epoch begins, and nothing of an older one is written any more.
2. Accounts are taken over, some in each transaction, as entries of the new epoch.
3. The journal is emptied: all that it has is in the accounts.
4. The ledger's position moves behind, into one more epoch, and the shard is the ledger's own store
   again. A gate begins that epoch, and loads the accounts from the ledger.

Until the last step the shard is closed, as it was (`ledger_older`).
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from sqlalchemy import Connection

from meter.database.engine import Ledger
from meter.database.errors import LedgerError
from meter.journal.entry import Position
from meter.journals import Journals, JournalStatus
from meter.ledger.positions import (
    RECONCILED,
    Positions,
    enter_epoch,
    lock,
    move,
    newest_entry,
    set_store,
)
from meter.ledger.projections.snapshot import load_snapshot
from meter.ledger.reconciliation.account import take_over
from meter.ledger.reconciliation.difference import (
    Difference,
    FoundAccount,
    difference,
    is_same,
    nothing_of,
)
from meter.ledger.shard_state import (
    REFUSED,
    ShardState,
    StoreName,
    judge,
    refused_store,
)

_ACCOUNTS = 100  # per transaction


def older_shards(
    positions: Positions,
    statuses: Iterable[JournalStatus],
    store_name: str,
) -> list[JournalStatus]:
    """Returns the shards of which the store has more than the ledger.

    LedgerError if a shard of the store must not be used.
    """
    known = positions.shards()
    older = []
    for status in statuses:
        shard = known[status.shard]
        state = judge(shard, status.found, store_name)
        if state in REFUSED:
            raise LedgerError(refused_store(shard, status.found, store_name))
        if state is ShardState.LEDGER_OLDER:
            older.append(status)
    return older


def differences(ledger: Ledger, accounts: Iterable[FoundAccount]) -> Iterator[Difference]:
    """Yields what the ledger lacks of each account that differs."""
    for found in accounts:
        wanted = found.snapshot
        known = load_snapshot(ledger, wanted.account_id) or nothing_of(wanted)
        if not is_same(known, wanted):
            yield difference(known, wanted)


class ShardReconciliation:
    """Brings one shard up. Every step may raise LedgerUnavailable, RedisError or ForeignShard."""

    def __init__(
        self,
        ledger: Ledger,
        journals: Journals,
        status: JournalStatus,
        store_name: str,
    ) -> None:
        known = Positions(ledger).shards()[status.shard]
        assert status.found.owner is not None, "the shard names its ledger"
        assert status.found.end is not None, "the shard has a journal"
        self._ledger = ledger
        self._journals = journals
        self._shard = status.shard
        self._found = status.found
        self._known = known._replace(
            store=StoreName(status.found.owner.store_id, known.store.name or store_name)
        )
        self._epoch = status.found.end.epoch + 1

    def fence(self) -> None:
        """Begins an epoch in the journal, of which the ledger's own entries will be."""
        flushed = self._found.flushed or self._known.position
        self._journals.fence(
            self._shard,
            self._epoch,
            flushed,
            self._known.owner,
            RECONCILED,
        )

    def take_over(self, accounts: Iterable[FoundAccount], now_ms: int) -> None:
        """Writes what the ledger lacks of the accounts. Raises Irreconcilable."""
        waiting = iter(accounts)
        while some := list(islice(waiting, _ACCOUNTS)):
            with self._ledger.write() as connection:
                self._take_some(connection, some, now_ms)

    def empty_journal(self) -> None:
        """Takes away what the journal has: all of it is in the accounts."""
        fenced = {self._shard: Position(self._epoch, 0)}
        self._journals.trim(fenced, {self._shard: self._known.owner})

    def finish(self) -> None:
        """Moves the ledger's position behind all that was taken over."""
        after = Position(self._epoch + 1, 0)
        with self._ledger.write() as connection:
            self._lock(connection)
            enter_epoch(connection, self._shard, after.epoch, RECONCILED)
            set_store(connection, self._shard, self._known.store)
            move(connection, {self._shard: after})

    def _take_some(
        self,
        connection: Connection,
        accounts: Sequence[FoundAccount],
        now_ms: int,
    ) -> None:
        self._lock(connection)
        enter_epoch(connection, self._shard, self._epoch, RECONCILED)
        last = newest_entry(connection, self._shard, self._epoch)
        for found in accounts:
            last = take_over(connection, self._shard, last, found, now_ms)

    def _lock(self, connection: Connection) -> None:
        position = lock(connection, self._shard)
        if position != self._known.position:
            raise LedgerError(
                f"shard {self._shard}: somebody else moved the ledger from {self._known.position}"
                f" to {position}: run `creditgate reconcile` again"
            )
