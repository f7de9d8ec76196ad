"""Entries: the rows that the ledger is made of, and the finding of duplicates among the rows."""

from collections.abc import Iterable, Mapping, Sequence
from json.encoder import encode_basestring as _quoted
from typing import Any

from sqlalchemy import Connection, Select, select, tuple_
from sqlalchemy.exc import IntegrityError

from meter.database.engine import insert_values
from meter.database.schema import entries
from meter.journal.allocation import OVERAGE, Part, total_overage
from meter.journal.effect import Effect
from meter.journal.entry import Position
from meter.journal.kinds import Kind
from meter.journal.operations import GrantCredits, Operation, VoidGrant
from meter.ledger.journal_records import JournalRecord
from meter.ledger.portions import portions
from meter.ledger.projections.usage import usage_lines

_FIRST_COLUMNS = (
    entries.c.account_id,
    entries.c.request_id,
    entries.c.shard,
    entries.c.epoch,
    entries.c.seq,
)
_COLUMNS = tuple(column.name for column in entries.columns)
_REQUEST_ID = _COLUMNS.index("request_id")  # `duplicate_of` comes next

Request = tuple[str, str]  # account, request id
Duplicates = dict[str, str]  # entry id -> id of the first entry of the same request
Row = tuple[object, ...]  # the values of _COLUMNS


def insert_entries(connection: Connection, records: Sequence[JournalRecord]) -> Duplicates:
    """Inserts a row for each record, and returns the duplicates among the records.

    A row whose request id the account has used before has no request id.
    """
    rows = [_row(record) for record in records]
    try:
        with connection.begin_nested():
            insert_values(connection, entries, _COLUMNS, rows)
        return {}
    except IntegrityError:
        firsts = _first_entries(connection, records)
        duplicates = _unname_repeats(records, rows, firsts)
        insert_values(connection, entries, _COLUMNS, rows)
        return duplicates


def effects_of(
    connection: Connection,
    shard: int,
    records: Sequence[JournalRecord],
) -> dict[tuple[int, int], str]:
    """Returns the effect lines in the ledger, by (epoch, number), from the first record's position
    to the last record's.
    """
    query = _select_effects(shard, records[0].position, records[-1].position)
    effects = {}
    for epoch, seq, effect in connection.execute(query):
        effects[epoch, seq] = effect
    return effects


def _select_effects(
    shard: int,
    first: Position,
    last: Position,
) -> Select[Any]:
    place = tuple_(entries.c.epoch, entries.c.seq)
    columns = select(entries.c.epoch, entries.c.seq, entries.c.effect)
    return columns.where(
        entries.c.shard == shard,
        place >= tuple_(first.epoch, first.seq),
        place <= tuple_(last.epoch, last.seq),
    )


def burned_parts(effect: Effect, subject: int | None) -> tuple[Part, ...]:
    """Returns the parts that an entry keeps: given credits, or taken credits.

    Without such a part, the entry at least names the grant `subject`.
    """
    parts: tuple[Part, ...] = ()
    if effect.kind.gives:
        parts = effect.returned
    elif effect.kind.names_taken:
        parts = effect.taken
    if not parts and subject is not None:
        return (Part(subject, 0),)
    return parts


def overage_of(effect: Effect) -> int:
    """Returns what a debit took from overage; negative: what a payment gave back to overage."""
    if effect.kind is Kind.DEBIT:
        if effect.allocation is not None:
            return total_overage(effect.taken)
        if effect.current_grant == OVERAGE:
            return effect.amount
        return 0
    if effect.kind is Kind.DEBT_PAID:
        return -effect.amount
    return 0


def _row(record: JournalRecord) -> Row:
    """Returns the record's row, by position: much of the flusher's time is spent here."""
    effect = record.effect
    amount_nanos = effect.balance_delta
    model = ""
    price_version = ""
    if record.pricing is not None:
        model = record.pricing.model
        price_version = record.pricing.version
    return (
        record.shard,
        *record.position,
        record.account_id,
        record.request_id,
        None,  # duplicate_of
        effect.kind.name,
        effect.at_ms,
        effect.usage_day,
        amount_nanos,
        effect.before.remaining + amount_nanos,
        effect.held_delta,
        effect.shortfall,
        effect.grace,
        _burned(record),
        overage_of(effect),
        effect.hold_id,
        model,
        price_version,
        _encode_lines(usage_lines(record)),
        _encode_dimensions(record.dimensions),
        record.traffic_class,
        record.description,
        effect.flags.late,
        effect.flags.incurred,
        record.effect_text,
    )


def _renamed(row: Row, duplicate_of: str | None) -> Row:
    """Returns the row of a repeat: without its request id, which another row has."""
    return (*row[:_REQUEST_ID], None, duplicate_of, *row[_REQUEST_ID + 2 :])


def _burned(record: JournalRecord) -> str:
    """Returns the entry's parts as JSON: pairs of grant's number and nanos."""
    effect = record.effect
    if effect.allocation is None and effect.kind.spends:
        # The usual entry, written without a Part: most rows take this way.
        if not effect.amount:
            return "[]"
        return f"[[{effect.current_grant},{effect.amount}]]"
    parts = burned_parts(effect, _subject(record))
    return f"[{','.join([f'[{part.grant},{part.amount}]' for part in parts])}]"


def _subject(record: JournalRecord) -> int | None:
    """Returns the grant that the record's operation makes or voids."""
    match record.operation:
        case Operation(seq=seq, change=GrantCredits()) if not record.is_again:
            return seq
        case Operation(change=VoidGrant(number=number)):
            return number
        case _:
            return None


# JSON, written here at a fraction of what an encoder costs that does not know its values.


def _encode_lines(lines: Iterable[tuple[str, int, int]]) -> str:
    written = [f"[{_quoted(unit)},{quantity},{nanos}]" for unit, quantity, nanos in lines]
    return f"[{','.join(written)}]"


def _encode_dimensions(dimensions: Mapping[str, str] | None) -> str:
    if not dimensions:
        return "{}"
    pairs = [f"{_quoted(key)}:{_quoted(dimensions[key])}" for key in sorted(dimensions)]
    return f"{{{','.join(pairs)}}}"


def _first_entries(connection: Connection, records: Iterable[JournalRecord]) -> dict[Request, str]:
    """Returns the records' requests that the ledger has already, with each request's entry id."""
    requests = [_request(record) for record in records]
    wanted = [request for request in requests if request is not None]
    firsts: dict[Request, str] = {}
    for some in portions(wanted):
        firsts |= _entries_of(connection, some)
    return firsts


def _entries_of(connection: Connection, requests: Sequence[Request]) -> dict[Request, str]:
    name = tuple_(entries.c.account_id, entries.c.request_id)
    query = select(*_FIRST_COLUMNS).where(name.in_(requests))
    found = {}
    for account_id, request_id, shard, epoch, seq in connection.execute(query):
        found[account_id, request_id] = f"{shard}-{epoch}-{seq}"
    return found


def _unname_repeats(
    records: Sequence[JournalRecord],
    rows: list[Row],
    firsts: dict[Request, str],
) -> Duplicates:
    """Removes the request ids of repeats from the rows; adds the records' requests to `firsts`."""
    duplicates: Duplicates = {}
    for place, record in enumerate(records):
        first = _entry_before(record, firsts)
        if first is None:
            continue
        # An operation stands all the same: operations are recorded, and told apart by number.
        duplicate_of = None
        if record.operation is None:
            duplicate_of = first
            duplicates[record.entry_id] = first
        rows[place] = _renamed(rows[place], duplicate_of)
    return duplicates


def _entry_before(record: JournalRecord, firsts: dict[Request, str]) -> str | None:
    """Returns the first entry of the record's request; None, and noted, if it is the record's."""
    request = _request(record)
    if request is None:
        return None
    first = firsts.get(request)
    if first is None:
        firsts[request] = record.entry_id
    return first


def _request(record: JournalRecord) -> Request | None:
    if not record.request_id:
        return None
    return record.account_id, record.request_id
