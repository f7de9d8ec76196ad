"""Posting: one transaction's part of the journal, into every table that the part concerns.

The caller's transaction locks the shards' rows, so one writer at a time posts a shard. What counts
is decided under that lock: records at or below the position were posted before; records behind the
position are posted now, once.

A duplicate (its request id was used before, but the replay record in Redis had lapsed) stays in the
history, marked; a refund of its charge is recorded in the same transaction. A duplicate counts
neither as usage nor in an invoice, since its credits are given back; with the refund it does not
count as used in the account's sums and budgets either.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import structlog
from sqlalchemy import Connection

from meter.admin.granting import record_grant
from meter.database.errors import AmountOutOfRange
from meter.journal.entry import Position
from meter.journal.kinds import Kind
from meter.journal.operations import REFUND_REQUEST_PREFIX, GrantCredits, Operation
from meter.ledger.entries import Duplicates, effects_of, insert_entries
from meter.ledger.journal_records import EpochRecord, JournalRecord, gaps
from meter.ledger.positions import enter_epoch, lock_free, lossy_epochs, move, record_gap
from meter.ledger.projections.projector import Projector
from meter.ledger.projections.usage import UsageProjection
from meter.prices.recorded import record_prices

log = structlog.get_logger()

# Given a shard, an epoch and the shard's position, begins the epoch in the journal, which then
# admits nothing older. Raises if the journal had been flushed beyond the position.
Fence = Callable[[int, int, Position], None]


@dataclass(frozen=True, slots=True)
class Batch:
    """Holds records from the head of a shard's journal, in the journal's order."""

    shard: int
    records: tuple[JournalRecord | EpochRecord, ...]


@dataclass(slots=True)
class Posted:
    """Says what a transaction did; true once the transaction is committed."""

    positions: dict[int, Position] = field(default_factory=dict)
    records: list[JournalRecord] = field(default_factory=list)
    duplicates: int = 0
    drifts: int = 0
    gaps: int = 0
    oldest_ms: int | None = None  # of the records, by the real clock


def post(
    connection: Connection,
    batches: Sequence[Batch],
    fence: Fence,
) -> Posted:
    """Posts the new records of the batches, and returns what was done.

    Leaves out shards that another flusher is posting at this moment.
    """
    posted = Posted()
    found = lock_free(connection, [batch.shard for batch in batches])
    for batch in batches:
        if batch.shard in found:
            _take_batch(connection, batch, found[batch.shard], fence, posted)
    if posted.records:
        _write_records(connection, posted)
    reached = posted.positions.items()
    moved = {shard: position for shard, position in reached if position != found[shard]}
    move(connection, moved)
    return posted


def _take_batch(
    connection: Connection,
    batch: Batch,
    position: Position,
    fence: Fence,
    posted: Posted,
) -> None:
    """Moves over the batch: notes new records, the epochs that begin, and what is missing."""
    old, new = _split(batch, position)
    missing = gaps(position, [record.position for record in new])
    missing += _rewritten(connection, batch.shard, old)
    for first, last_seq in missing:
        # The journal is fenced before the ledger may move on. So the ledger cannot pass over a gap
        # while the gate goes on.
        fence(batch.shard, first.epoch + 1, position)
        _note_gap(connection, batch.shard, first, last_seq, posted)
    _take_new(connection, batch.shard, new, posted)
    if new:
        position = new[-1].position
    posted.positions[batch.shard] = position


def _split(
    batch: Batch,
    position: Position,
) -> tuple[list[JournalRecord], list[JournalRecord | EpochRecord]]:
    """Returns the records up to the position, without those of epochs, and all later records."""
    old = []
    new = []
    for record in batch.records:
        if record.position > position:
            new.append(record)
        elif isinstance(record, JournalRecord):
            old.append(record)
    return old, new


def _take_new(
    connection: Connection,
    shard: int,
    new: Iterable[JournalRecord | EpochRecord],
    posted: Posted,
) -> None:
    for record in new:
        if isinstance(record, EpochRecord):
            epoch = record.position.epoch
            enter_epoch(connection, shard, epoch, record.reason)
        else:
            posted.records.append(record)


def _note_gap(
    connection: Connection,
    shard: int,
    first: Position,
    last_seq: int,
    posted: Posted,
) -> None:
    if record_gap(connection, shard, first, last_seq):
        posted.gaps += 1
        log.error(
            "journal_gap",
            shard=shard,
            first=str(first),
            last=f"{first.epoch}-{last_seq}",
            action="shard fenced",
        )


def _rewritten(
    connection: Connection,
    shard: int,
    old: Sequence[JournalRecord],
) -> list[tuple[Position, int]]:
    """Returns the positions whose entry is not the entry that the ledger has.

    Redis lost the entry that was posted, and went on from before that entry.
    """
    if not old:
        return []
    effects = effects_of(connection, shard, old)
    rewritten = []
    for record in old:
        position = record.position
        place = (position.epoch, position.seq)
        if effects.get(place) != record.effect_text:
            _log_given_up(record)
            rewritten.append((position, position.seq))
    return rewritten


def _log_given_up(record: JournalRecord) -> None:
    log.error(
        "journal_entry_given_up",
        entry=record.entry_id,
        effect=record.effect_text,
    )


def _write_records(connection: Connection, posted: Posted) -> None:
    """Writes the records' entries and all projections."""
    projector = _project(connection, posted)
    record_prices(connection, [record.pricing for record in posted.records if record.pricing])
    duplicates = insert_entries(connection, posted.records)
    posted.duplicates = len(duplicates)
    _add_usage(connection, posted.records, duplicates)
    projector.save()
    if duplicates:
        _give_back(connection, posted.records, duplicates, projector)
    _grant_again(connection, projector.lost)
    posted.oldest_ms = _oldest_ms(posted.records, projector)


def _project(connection: Connection, posted: Posted) -> Projector:
    """Applies the records to the projections in memory; the records become what they count as."""
    shards = {record.shard for record in posted.records}
    lossy = lossy_epochs(connection, shards)
    projector = Projector(connection, posted.records, lossy)
    posted.records = [projector.apply(record) for record in posted.records]
    posted.drifts = projector.drifts
    return projector


def _oldest_ms(records: Iterable[JournalRecord], projector: Projector) -> int | None:
    """Returns when the oldest of the records occurred by the real clock, if any did."""
    on_test_clock = projector.accounts_on_test_clock()
    times = [record.effect.at_ms for record in records if record.account_id not in on_test_clock]
    return min(times, default=None)


def _add_usage(
    connection: Connection,
    records: Iterable[JournalRecord],
    duplicates: Duplicates,
) -> None:
    usage = UsageProjection(connection)
    for record in records:
        if not duplicates or record.entry_id not in duplicates:
            usage.apply(record)
    usage.save()


def _give_back(
    connection: Connection,
    records: Iterable[JournalRecord],
    duplicates: Duplicates,
    projector: Projector,
) -> None:
    """Records a refund for each duplicate that charged something.

    The gate applies the refund like any other grant.
    """
    for record in records:
        first = duplicates.get(record.entry_id)
        if first is None:
            continue
        _log_duplicate(record, first)
        if record.effect.kind is Kind.DEBIT and record.effect.amount > 0:
            request_id = f"{REFUND_REQUEST_PREFIX}{record.entry_id}"
            refund = _refund(record, first, projector.used_in(record))
            _record(connection, record.account_id, refund, request_id)


def _log_duplicate(record: JournalRecord, first: str) -> None:
    log.warning(
        "duplicate",
        entry=record.entry_id,
        first=first,
        charged_nanos=-record.effect.balance_delta,
    )


def _refund(record: JournalRecord, first: str, budgets: str) -> GrantCredits:
    return GrantCredits(
        grant_id=f"refund-{record.entry_id}",
        type="REFUND",
        amount_nanos=record.effect.amount,
        priority=0,
        effective_at_ms=None,
        expires_at_ms=None,
        description=f"Entry {record.entry_id} repeated entry {first}, and is given back",
        refund_of=record.entry_id,
        refund_day=record.effect.usage_day,
        refund_charged_day=record.effect.day,
        refund_budgets=budgets,
    )


def _grant_again(connection: Connection, lost: Iterable[Operation]) -> None:
    """Records lost grants anew.

    The entries of such grants were lost, though later entries were not. A recorded grant is
    durable, and must take effect.
    """
    for operation in lost:
        change = operation.change
        if isinstance(change, GrantCredits):
            _record(
                connection,
                operation.account_id,
                _again(change),
                f"again {operation.seq}",
            )


def _again(lost: GrantCredits) -> GrantCredits:
    return replace(
        lost,
        grant_id=f"{lost.grant_id}-again",
        description=f"{lost.description} (lost, granted again)",
    )


def _record(
    connection: Connection,
    account_id: str,
    change: GrantCredits,
    request_id: str,
) -> None:
    """Records credits of the ledger's own accord.

    The request id has a space, so that no client can have chosen the same id.
    """
    try:
        record_grant(connection, account_id, change, request_id)
    except AmountOutOfRange as error:
        log.error(
            "credits_not_given_back",
            amount_nanos=change.amount_nanos,
            error=str(error),
        )
