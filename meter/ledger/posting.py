"""Posting: one transaction's worth of journal, into every table that it concerns.

The caller's transaction locks the shards' rows, so one writer at a time posts a shard. What counts
is decided under that lock: records at or below the position have been posted by somebody; those
behind it are posted now, once.

A duplicate (its request id was used before, but the replay record in Redis had lapsed) stays in the
history, marked; a refund of what it charged is recorded in the same transaction. It counts neither
as usage nor in an invoice, since its credits are given back.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import structlog
from sqlalchemy import Connection

from meter.admin.recorder import record_grant
from meter.database.errors import AmountOutOfRange
from meter.journal.effect import Kind
from meter.journal.entry import Position
from meter.journal.operations import REFUND, GrantCredits, Operation
from meter.ledger.entries import Duplicates, effects_of, insert_entries
from meter.ledger.journal_records import EpochRecord, JournalRecord, gaps
from meter.ledger.positions import enter_epoch, lock_free, lossy_epochs, move, record_gap
from meter.ledger.projections.projector import Projections
from meter.ledger.projections.usage import add_usage

log = structlog.get_logger()

Fence = Callable[
    [int, int], None
]  # shard, epoch: begins the epoch in the journal, so that nothing older is admitted


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines from the head of a shard's journal, in its order."""

    shard: int
    records: tuple[JournalRecord | EpochRecord, ...]


@dataclass(slots=True)
class Posted:
    """What a transaction did; true once it is committed."""

    positions: dict[int, Position] = field(default_factory=dict)
    records: list[JournalRecord] = field(default_factory=list)
    duplicates: int = 0
    drifts: int = 0
    gaps: int = 0
    oldest_ms: int | None = None  # of the records, by the real clock


def post(connection: Connection, batches: Sequence[Batch], fence: Fence) -> Posted:
    """Posts what is new of the batches, leaving out the shards that somebody else is posting at this
    moment.
    """
    posted = Posted()
    found = lock_free(connection, [batch.shard for batch in batches])
    for batch in batches:
        if batch.shard in found:
            _advance(connection, batch, found[batch.shard], fence, posted)
    if posted.records:
        _enter(connection, posted)
    move(
        connection,
        {
            shard: position
            for shard, position in posted.positions.items()
            if position != found[shard]
        },
    )
    return posted


def _advance(
    connection: Connection, batch: Batch, position: Position, fence: Fence, posted: Posted
) -> None:
    """Moves over the batch: notes its new records, the epochs they begin, and what is missing."""
    old = [
        record
        for record in batch.records
        if record.position <= position and isinstance(record, JournalRecord)
    ]
    new = [record for record in batch.records if record.position > position]
    missing = gaps(position, (record.position for record in new)) + _written_anew(
        connection, batch.shard, old
    )
    for first, last_seq in missing:
        # The journal is fenced before the ledger may move on: then a gap cannot be passed over
        # without the gate being stopped.
        fence(batch.shard, first.epoch + 1)
        if record_gap(connection, batch.shard, first, last_seq):
            posted.gaps += 1
            log.error(
                "journal_gap",
                shard=batch.shard,
                first=str(first),
                last=f"{first.epoch}-{last_seq}",
                action="shard fenced",
            )
    for record in new:
        if isinstance(record, EpochRecord):
            enter_epoch(connection, batch.shard, record.position.epoch, record.reason)
        else:
            posted.records.append(record)
    posted.positions[batch.shard] = new[-1].position if new else position


def _written_anew(
    connection: Connection, shard: int, old: Sequence[JournalRecord]
) -> list[tuple[Position, int]]:
    """Positions whose entry is not the one that the books have: Redis lost the first, and went on from
    before it.
    """
    if not old:
        return []
    effects = effects_of(connection, shard, old)
    strange = [
        record
        for record in old
        if effects.get((record.position.epoch, record.position.seq)) != record.effect_text
    ]
    for record in strange:
        log.error("journal_entry_given_up", entry=record.entry_id, effect=record.effect_text)
    return [(record.position, record.position.seq) for record in strange]


def _enter(connection: Connection, posted: Posted) -> None:
    lossy = lossy_epochs(connection, {record.shard for record in posted.records})
    projections = Projections(connection, posted.records, lossy)
    posted.records = [projections.take(record) for record in posted.records]
    posted.drifts = projections.drifts
    duplicates = insert_entries(connection, posted.records)
    posted.duplicates = len(duplicates)
    add_usage(
        connection,
        (record for record in posted.records if record.entry_id not in duplicates)
        if duplicates
        else posted.records,
    )
    projections.store()
    _give_back(connection, posted.records, duplicates)
    _do_again(connection, projections.lost)
    projected = projections.projected
    real = (
        record.effect.at_ms
        for record in posted.records
        if projected[record.account_id].applied_clock_ms is None
    )
    posted.oldest_ms = min(real, default=None)


def _give_back(
    connection: Connection, records: Sequence[JournalRecord], duplicates: Duplicates
) -> None:
    """Records a refund for each duplicate that charged something; the gate applies it like any other
    grant.
    """
    for record in records if duplicates else ():
        if record.entry_id in duplicates:
            log.warning(
                "duplicate",
                entry=record.entry_id,
                first=duplicates[record.entry_id],
                charged_nanos=-record.effect.balance_delta,
            )
            if record.effect.kind is Kind.DEBIT and record.effect.amount > 0:
                _refund(connection, record, duplicates[record.entry_id])


def _do_again(connection: Connection, lost: Iterable[Operation]) -> None:
    """Records the grants anew whose entries were lost, though later ones were not: they are durable,
    and must take effect.
    """
    for operation in lost:
        change = operation.change
        if isinstance(change, GrantCredits):
            again = replace(
                change,
                grant_id=f"{change.grant_id}-again",
                description=f"{change.description} (lost, granted again)",
            )
            _record(connection, operation.account_id, again, f"again {operation.seq}")


def _record(connection: Connection, account_id: str, change: GrantCredits, request_id: str) -> None:
    """Records credits of the ledger's own accord.

    A space in the request id keeps clear of all ids that clients may choose.
    """
    try:
        record_grant(connection, account_id, change, request_id)
    except AmountOutOfRange as error:
        log.error("credits_not_given_back", amount_nanos=change.amount_nanos, error=str(error))


def _refund(connection: Connection, record: JournalRecord, first: str) -> None:
    change = GrantCredits(
        grant_id=f"refund-{record.entry_id}",
        type="REFUND",
        amount_nanos=record.effect.amount,
        priority=0,
        effective_at_ms=None,
        expires_at_ms=None,
        description=f"Entry {record.entry_id} repeated entry {first}, and is given back",
        refund_of=record.entry_id,
    )
    _record(connection, record.account_id, change, f"{REFUND}{record.entry_id}")
