"""The rules of a shard's journal, and the rule of the numbers of invoices."""

from collections.abc import Iterator

from sqlalchemy import Connection, func, select

from meter.audit.findings import Findings, Invariant
from meter.database.schema import entries, epochs, invoices, journal_gaps, shards
from meter.journal.entry import Position

Run = tuple[Position, int]  # first position, last number


def check_journal(connection: Connection, shard: int, findings: Findings) -> None:
    """Checks that the shard's journal is dense, and that the flushed position is right."""
    known = list(_recorded_gaps(connection, shard))
    for first, last_seq in known:
        detail = (
            f"entries {first} to {first.epoch}-{last_seq} were lost,"
            " or written anew, before the ledger had them"
        )
        findings.add(Invariant.JOURNAL, detail, shard=shard)
    for first, last_seq in _holes(connection, shard):
        if not _is_recorded(first, last_seq, known):
            detail = (
                f"entries {first} to {first.epoch}-{last_seq} are missing, and not recorded as lost"
            )
            findings.add(Invariant.JOURNAL, detail, shard=shard)
    for detail in _check_position(connection, shard):
        findings.add(Invariant.WATERMARK, detail, shard=shard)


def check_invoice_numbers(connection: Connection, findings: Findings) -> None:
    """Checks that invoices are numbered from 1 without gaps."""
    number = invoices.c.invoice_number
    counted = select(func.count(func.distinct(number)), func.max(func.length(number)))
    count, length = connection.execute(counted).one()
    if not count:
        return
    # Of the longest numbers, the highest text is the highest number.
    highest = connection.scalar(select(func.max(number)).where(func.length(number) == length))
    if int(highest.rpartition("-")[2]) != count:
        detail = f"the highest number is {highest}, but there are {count} invoices"
        findings.add(Invariant.INVOICES, detail)


def _recorded_gaps(connection: Connection, shard: int) -> Iterator[Run]:
    """Yields the runs that are known to be lost."""
    wanted = (
        select(journal_gaps)
        .where(journal_gaps.c.shard == shard)
        .order_by(journal_gaps.c.epoch, journal_gaps.c.first_seq)
    )
    for row in connection.execute(wanted):
        yield Position(row.epoch, row.first_seq), row.last_seq


def _is_recorded(first: Position, last_seq: int, known: list[Run]) -> bool:
    return any(
        gap.epoch == first.epoch and gap.seq <= first.seq and last_seq <= gap_last_seq
        for gap, gap_last_seq in known
    )


def _holes(connection: Connection, shard: int) -> Iterator[Run]:
    """Yields runs of numbers without an entry, before the last entry of each epoch."""
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


def _check_position(connection: Connection, shard: int) -> Iterator[str]:
    row = connection.execute(select(shards).where(shards.c.shard == shard)).one()
    of_epoch = (entries.c.shard == shard, entries.c.epoch == row.epoch)
    newest = connection.scalar(select(func.max(entries.c.seq)).where(*of_epoch)) or 0
    if row.watermark_seq != newest:
        yield (
            f"the flushed position is {row.epoch}-{row.watermark_seq},"
            f" the newest entry of that epoch is {row.epoch}-{newest}"
        )
    begun = set(connection.scalars(select(epochs.c.epoch).where(epochs.c.shard == shard)))
    of_shard = select(entries.c.epoch).where(entries.c.shard == shard).distinct()
    used = set(connection.scalars(of_shard))
    if not used <= begun or row.epoch != max(begun, default=0):
        yield (
            f"the flushed position is of epoch {row.epoch},"
            f" entries are of {sorted(used)}, begun are {sorted(begun)}"
        )
