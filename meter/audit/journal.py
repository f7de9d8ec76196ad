"""The rules of a shard's journal, and the rules of the numbers of invoices and events."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, ScalarSelect, Select, Subquery, func, select

from meter.audit.findings import Findings, Invariant
from meter.database.schema import entries, epochs, events, invoices, journal_gaps, shards
from meter.journal.entry import Position

Run = tuple[Position, int]  # first position, last number


def check_journal(
    connection: Connection,
    shard: int,
    findings: Findings,
) -> None:
    """Checks the density of the shard's journal, and the flushed position."""
    for detail in _check_dense(connection, shard):
        findings.add(Invariant.JOURNAL, detail, shard=shard)
    for detail in _check_position(connection, shard):
        findings.add(Invariant.WATERMARK, detail, shard=shard)


def check_invoice_numbers(connection: Connection, findings: Findings) -> None:
    """Checks that invoices are numbered from 1 without gaps."""
    count = _count_invoices(connection)
    if not count:
        return
    highest = _highest_invoice_number(connection)
    _, _, digits = highest.rpartition("-")
    if int(digits) != count:
        detail = f"the highest number is {highest}, but there are {count} invoices"
        findings.add(Invariant.INVOICES, detail)


def check_event_numbers(connection: Connection, findings: Findings) -> None:
    """Checks that events are numbered from 1 without gaps."""
    query = select(func.max(events.c.number), func.count())
    highest, count = connection.execute(query).one()
    if (highest or 0) != count:
        detail = f"the highest number is {highest}, but there are {count} events"
        findings.add(Invariant.EVENTS, detail)


def _count_invoices(connection: Connection) -> int:
    query = select(func.count()).select_from(invoices)
    return connection.scalar(query) or 0


def _highest_invoice_number(connection: Connection) -> str:
    """Returns the highest number: of the longest numbers, the number with the highest text."""
    number = invoices.c.invoice_number
    is_longest = func.length(number) == _greatest_length()
    query = select(func.max(number)).where(is_longest)
    highest: str = connection.execute(query).scalar_one()
    return highest


def _greatest_length() -> ScalarSelect[int]:
    """Selects the length of the longest number of an invoice."""
    length = func.length(invoices.c.invoice_number)
    return select(func.max(length)).scalar_subquery()


def _check_dense(connection: Connection, shard: int) -> Iterator[str]:
    """Yields the entries that were lost, and the entries that are missing without a record."""
    known = list(_recorded_gaps(connection, shard))
    yield from _tell_lost(known)
    for first, last_seq in _holes(connection, shard):
        if not _is_recorded(first, last_seq, known):
            yield (
                f"entries {first} to {first.epoch}-{last_seq} are missing, and not recorded as lost"
            )


def _tell_lost(known: list[Run]) -> Iterator[str]:
    for first, last_seq in known:
        yield (
            f"entries {first} to {first.epoch}-{last_seq} were lost,"
            " or written anew, before the ledger had them"
        )


def _recorded_gaps(connection: Connection, shard: int) -> Iterator[Run]:
    """Yields the runs that are known to be lost."""
    wanted = (
        select(journal_gaps)
        .where(journal_gaps.c.shard == shard)
        .order_by(journal_gaps.c.epoch, journal_gaps.c.first_seq)
    )
    for row in connection.execute(wanted):
        first = Position(row.epoch, row.first_seq)
        yield first, row.last_seq


def _is_recorded(first: Position, last_seq: int, known: list[Run]) -> bool:
    """Says whether one of the known runs covers the run from `first` to `last_seq`."""
    for gap, gap_last_seq in known:
        if gap.epoch == first.epoch and gap.seq <= first.seq and last_seq <= gap_last_seq:
            return True
    return False


def _holes(connection: Connection, shard: int) -> Iterator[Run]:
    """Yields runs of numbers without an entry, before the last entry of each epoch."""
    query = _select_behind_holes(shard).limit(Findings.LIMIT)
    for row in connection.execute(query):
        first = Position(row.epoch, row.previous + 1)
        yield first, row.seq - 1


def _select_behind_holes(shard: int) -> Select[Any]:
    """Selects the entries whose number does not follow the number before, in order."""
    pairs = _pairs_of_neighbours(shard)
    return (
        select(pairs)
        .where(pairs.c.seq != pairs.c.previous + 1)
        .order_by(pairs.c.epoch, pairs.c.seq)
    )


def _pairs_of_neighbours(shard: int) -> Subquery:
    """Returns each entry's number with the number before, or 0, in the same epoch."""
    previous = func.lag(entries.c.seq, 1, 0).over(
        partition_by=entries.c.epoch,
        order_by=entries.c.seq,
    )
    columns = (
        entries.c.epoch,
        entries.c.seq,
        previous.label("previous"),
    )
    query = select(*columns).where(entries.c.shard == shard)
    return query.subquery()


def _check_position(connection: Connection, shard: int) -> Iterator[str]:
    query = select(shards).where(shards.c.shard == shard)
    row = connection.execute(query).one()
    newest = _newest_number(connection, shard, row.epoch)
    if row.watermark_seq != newest:
        yield (
            f"the flushed position is {row.epoch}-{row.watermark_seq},"
            f" the newest entry of that epoch is {row.epoch}-{newest}"
        )
    yield from _check_epochs(connection, shard, row.epoch)


def _check_epochs(connection: Connection, shard: int, epoch: int) -> Iterator[str]:
    """Yields a finding unless the position is of the last epoch begun, and all used were begun."""
    begun = _begun_epochs(connection, shard)
    used = _used_epochs(connection, shard)
    if not used <= begun or epoch != max(begun, default=0):
        yield (
            f"the flushed position is of epoch {epoch},"
            f" entries are of {sorted(used)}, begun are {sorted(begun)}"
        )


def _newest_number(connection: Connection, shard: int, epoch: int) -> int:
    """Returns the number of the epoch's newest entry; 0: the epoch has none."""
    newest = select(func.max(entries.c.seq))
    query = newest.where(entries.c.shard == shard, entries.c.epoch == epoch)
    return connection.scalar(query) or 0


def _begun_epochs(connection: Connection, shard: int) -> set[int]:
    query = select(epochs.c.epoch).where(epochs.c.shard == shard)
    return set(connection.scalars(query))


def _used_epochs(connection: Connection, shard: int) -> set[int]:
    """Returns the epochs of the shard's entries."""
    of_shard = select(entries.c.epoch).where(entries.c.shard == shard)
    query = of_shard.distinct()
    return set(connection.scalars(query))
