"""Entries: the rows that the ledger is made of, and the finding of duplicates among the rows."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, select, tuple_
from sqlalchemy.exc import IntegrityError

from meter.database.engine import insert_many
from meter.database.schema import entries
from meter.journal.allocation import Part, total_overage
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
_encoder = json.JSONEncoder(
    separators=(",", ":"),
    ensure_ascii=False,
    sort_keys=True,
)
_encode = _encoder.encode

Request = tuple[str, str]  # account, request id
Duplicates = dict[str, str]  # entry id -> id of the first entry of the same request
Row = dict[str, object]


def insert_entries(connection: Connection, records: Sequence[JournalRecord]) -> Duplicates:
    """Inserts a row for each record, and returns the duplicates among the records.

    A row whose request id the account has used before has no request id.
    """
    rows = [_row(record) for record in records]
    try:
        with connection.begin_nested():
            insert_many(connection, entries, rows)
        return {}
    except IntegrityError:
        firsts = _first_entries(connection, records)
        duplicates = _unname_repeats(records, rows, firsts)
        insert_many(connection, entries, rows)
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
        return total_overage(effect.taken)
    if effect.kind is Kind.DEBT_PAID:
        return -effect.amount
    return 0


def _row(record: JournalRecord) -> Row:
    effect = record.effect
    model = ""
    price_version = ""
    if record.pricing:
        model = record.pricing.model
        price_version = record.pricing.version
    return {
        "shard": record.shard,
        "epoch": record.position.epoch,
        "seq": record.position.seq,
        "account_id": record.account_id,
        "request_id": record.request_id,
        "duplicate_of": None,
        "kind": effect.kind.name,
        "occurred_at_ms": effect.at_ms,
        "usage_day": effect.usage_day,
        "amount_nanos": effect.balance_delta,
        "balance_nanos": effect.before.remaining + effect.balance_delta,
        "held_nanos": effect.held_delta,
        "shortfall_nanos": effect.shortfall,
        "grace_nanos": effect.grace,
        "burned": _burned(record),
        "overage_nanos": overage_of(effect),
        "hold_id": effect.hold_id,
        "model": model,
        "price_version": price_version,
        "usage_lines": _encode_list(usage_lines(record)),
        "dimensions": _encode_object(record.dimensions),
        "traffic_class": record.traffic_class,
        "description": record.description,
        "late": effect.flags.late,
        "incurred": effect.flags.incurred,
        "effect": record.effect_text,
    }


def _burned(record: JournalRecord) -> str:
    """Returns the entry's parts as JSON: pairs of grant's number and nanos."""
    effect = record.effect
    if effect.allocation is None and effect.kind.spends:
        # The usual entry, written without a Part: most rows take this way.
        if not effect.amount:
            return "[]"
        return f"[[{effect.current_grant},{effect.amount}]]"
    parts = burned_parts(effect, _subject(record))
    return _encode([(part.grant, part.amount) for part in parts])


def _subject(record: JournalRecord) -> int | None:
    """Returns the grant that the record's operation makes or voids."""
    match record.operation:
        case Operation(seq=seq, change=GrantCredits()) if not record.is_again:
            return seq
        case Operation(change=VoidGrant(number=number)):
            return number
        case _:
            return None


def _encode_list(values: Sequence[object]) -> str:
    if not values:
        return "[]"
    return _encode(values)


def _encode_object(values: Mapping[str, str] | None) -> str:
    if not values:
        return "{}"
    return _encode(values)


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
    rows: Sequence[Row],
    firsts: dict[Request, str],
) -> Duplicates:
    """Removes the request ids of repeats from the rows; adds the records' requests to `firsts`."""
    duplicates: Duplicates = {}
    for record, row in zip(records, rows, strict=True):
        first = _entry_before(record, firsts)
        if first is None:
            continue
        row["request_id"] = None
        # An operation stands all the same: operations are recorded, and told apart by number.
        if record.operation is None:
            row["duplicate_of"] = first
            duplicates[record.entry_id] = first
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
