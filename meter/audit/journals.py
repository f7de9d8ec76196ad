"""The rules of a whole shard's journal, and of the numbers of invoices."""

from collections.abc import Iterator

from sqlalchemy import Connection, func, select

from meter.audit.findings import Findings, Invariant
from meter.database.schema import entries, epochs, invoices, journal_gaps, shards
from meter.journal.entry import Position


def check_journal(connection: Connection, shard: int, findings: Findings) -> None:
    """Density, and the flushed position, of one shard."""
    known = list(_recorded_gaps(connection, shard))
    for first, last_seq in known:
        detail = f"entries {first} to {first.epoch}-{last_seq} were lost, or written anew, before the ledger had them"
        findings.add(Invariant.JOURNAL, detail, shard=shard)
    for first, last_seq in _holes(connection, shard):
        if not any(
            gap.epoch == first.epoch and gap.seq <= first.seq and last_seq <= last
            for gap, last in known
        ):
            detail = (
                f"entries {first} to {first.epoch}-{last_seq} are missing, and not recorded as lost"
            )
            findings.add(Invariant.JOURNAL, detail, shard=shard)
    for detail in _position(connection, shard):
        findings.add(Invariant.WATERMARK, detail, shard=shard)


def _recorded_gaps(connection: Connection, shard: int) -> Iterator[tuple[Position, int]]:
    """What is known to be lost: first position and last sequence of each run."""
    wanted = (
        select(journal_gaps)
        .where(journal_gaps.c.shard == shard)
        .order_by(journal_gaps.c.epoch, journal_gaps.c.first_seq)
    )
    for row in connection.execute(wanted):
        yield Position(row.epoch, row.first_seq), row.last_seq


def check_numbers(connection: Connection, findings: Findings) -> None:
    """Invoices are numbered from 1 without gaps."""
    numbers = select(
        func.count(func.distinct(invoices.c.invoice_number)),
        func.max(func.length(invoices.c.invoice_number)),
    )
    count, length = connection.execute(numbers).one()
    if count:
        highest = connection.scalar(
            select(func.max(invoices.c.invoice_number)).where(
                func.length(invoices.c.invoice_number) == length
            )
        )
        if int(highest.rpartition("-")[2]) != count:
            findings.add(
                Invariant.INVOICES,
                f"the highest number is {highest}, but there are {count} invoices",
            )


def _holes(connection: Connection, shard: int) -> Iterator[tuple[Position, int]]:
    """Runs of sequences without an entry, before the last one of each epoch."""
    previous = (
        func.lag(entries.c.seq, 1, 0)
        .over(partition_by=entries.c.epoch, order_by=entries.c.seq)
        .label("previous")
    )
    pairs = (
        select(entries.c.epoch, entries.c.seq, previous).where(entries.c.shard == shard).subquery()
    )
    apart = (
        select(pairs)
        .where(pairs.c.seq != pairs.c.previous + 1)
        .order_by(pairs.c.epoch, pairs.c.seq)
    )
    for row in connection.execute(apart.limit(Findings.LIMIT)):
        yield Position(row.epoch, row.previous + 1), row.seq - 1


def _position(connection: Connection, shard: int) -> Iterator[str]:
    row = connection.execute(select(shards).where(shards.c.shard == shard)).one()
    of_epoch = (entries.c.shard == shard, entries.c.epoch == row.epoch)
    newest = connection.scalar(select(func.max(entries.c.seq)).where(*of_epoch)) or 0
    if row.watermark_seq != newest:
        yield f"the flushed position is {row.epoch}-{row.watermark_seq}, the newest entry of that epoch is {row.epoch}-{newest}"
    begun = set(connection.scalars(select(epochs.c.epoch).where(epochs.c.shard == shard)))
    used = set(
        connection.scalars(select(entries.c.epoch).where(entries.c.shard == shard).distinct())
    )
    if not used <= begun or row.epoch != max(begun, default=0):
        yield f"the flushed position is of epoch {row.epoch}, entries are of {sorted(used)}, begun are {sorted(begun)}"
