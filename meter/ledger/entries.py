"""Entries: the rows that the books are made of, and the finding of duplicates among them."""

import json
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, select, tuple_
from sqlalchemy.exc import IntegrityError

from meter.database.engine import insert_many
from meter.database.schema import entries
from meter.journal.account_sums import ABSENT
from meter.journal.allocation import Part
from meter.journal.effect import Effect, Kind
from meter.journal.operations import GrantCredits, Operation, VoidGrant
from meter.ledger.journal_records import KINDS, JournalRecord
from meter.ledger.projections.usage import usage_lines

_KEYS_PER_QUERY = 500
_PLAIN = frozenset((Kind.AUTHORIZE, Kind.EXTEND, Kind.DEBIT))
_TAKES = _PLAIN | {Kind.GRANT_EXPIRED, Kind.GRANT_VOIDED, Kind.GRANT_EXHAUSTED, Kind.DEBT_PAID}
_GIVES = frozenset((Kind.GRANT, Kind.GRANT_STARTED))
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode

Request = tuple[str, str]  # account, request id
Duplicates = dict[str, str]  # entry id -> id of the first entry of its request


def insert_entries(connection: Connection, records: Sequence[JournalRecord]) -> Duplicates:
    """Inserts a row for each record.

    A request id that an account has used before leaves its row without one; which these were.
    """
    rows = [_row(record) for record in records]
    try:
        with connection.begin_nested():
            insert_many(connection, entries, rows)
        return {}
    except IntegrityError:
        duplicates = _unname_repeats(records, rows, _first_entries(connection, records))
        insert_many(connection, entries, rows)
        return duplicates


def effects_of(
    connection: Connection, shard: int, records: Sequence[JournalRecord]
) -> dict[tuple[int, int], str]:
    """The effect that the books have at each (epoch, number) from the first of the records to the
    last.
    """
    place = tuple_(entries.c.epoch, entries.c.seq)
    first = records[0].position
    last = records[-1].position
    found = select(entries.c.epoch, entries.c.seq, entries.c.effect).where(
        entries.c.shard == shard,
        place >= tuple_(first.epoch, first.seq),
        place <= tuple_(last.epoch, last.seq),
    )
    return {(epoch, seq): effect for epoch, seq, effect in connection.execute(found)}


def _row(record: JournalRecord) -> dict[str, object]:
    effect = record.effect
    pricing = record.pricing
    burned, overage = _burned(record)
    return {
        "shard": record.shard,
        "epoch": record.position.epoch,
        "seq": record.position.seq,
        "account_id": record.account_id,
        "request_id": record.request_id,
        "duplicate_of": None,
        "kind": KINDS[effect.kind],
        "occurred_at_ms": effect.at_ms,
        "usage_day": effect.usage_day,
        "amount_nanos": effect.balance_delta,
        "balance_nanos": effect.before.remaining + effect.balance_delta,
        "held_nanos": effect.held_delta,
        "shortfall_nanos": effect.shortfall,
        "grace_nanos": effect.grace if effect.flags != ABSENT else 0,
        "burned": burned,
        "overage_nanos": overage,
        "hold_id": effect.hold_id,
        "model": pricing.model if pricing else "",
        "price_version": pricing.version if pricing else "",
        "usage_lines": _json(usage_lines(record)),
        "dimensions": _json(record.dimensions or {}),
        "traffic_class": record.traffic_class,
        "description": record.description,
        "late": effect.late,
        "incurred": effect.incurred,
        "effect": record.effect_text,
    }


def _burned(record: JournalRecord) -> tuple[str, int]:
    """Whose credits it is about, and what a debit took from overage, or a payment gave
    back to it.
    """
    effect = record.effect
    if effect.extras == ABSENT and effect.kind in _PLAIN:
        overage = effect.amount if effect.kind is Kind.DEBIT and not effect.bucket else 0
        return (f"[[{effect.bucket},{effect.amount}]]" if effect.amount else "[]"), overage
    parts = burned_parts(effect, _subject(record))
    overage = (
        sum(part.amount for part in parts if not part.grant) if effect.kind is Kind.DEBIT else 0
    )
    if effect.kind is Kind.DEBT_PAID:
        overage = -effect.amount
    return _encode([[part.grant, part.amount] for part in parts]), overage


def burned_parts(effect: Effect, subject: int | None) -> tuple[Part, ...]:
    """The parts that the entry keeps: what was taken, or given by a grant; or at least the grant that
    it is about.
    """
    parts = (
        effect.returned if effect.kind in _GIVES else effect.taken if effect.kind in _TAKES else ()
    )
    return parts or (() if subject is None else (Part(subject, 0),))


def _subject(record: JournalRecord) -> int | None:
    """The grant that an operation makes or voids."""
    match record.operation:
        case Operation(seq=seq, change=GrantCredits()) if not record.is_again:
            return seq
        case Operation(change=VoidGrant(number=number)):
            return number
        case _:
            return None


def _json(value: Mapping[str, str] | Sequence[object]) -> str:
    if not value:
        return "{}" if isinstance(value, Mapping) else "[]"
    return _encode(value)


def _first_entries(connection: Connection, records: Iterable[JournalRecord]) -> dict[Request, str]:
    """Of the records' requests, those that are in the books already, with their entry's id."""
    wanted = [wished for record in records if (wished := _request(record))]
    request = tuple_(entries.c.account_id, entries.c.request_id)
    columns = (
        entries.c.account_id,
        entries.c.request_id,
        entries.c.shard,
        entries.c.epoch,
        entries.c.seq,
    )
    firsts = {}
    for start in range(0, len(wanted), _KEYS_PER_QUERY):
        found = select(*columns).where(request.in_(wanted[start : start + _KEYS_PER_QUERY]))
        for account_id, request_id, shard, epoch, seq in connection.execute(found):
            firsts[account_id, request_id] = f"{shard}-{epoch}-{seq}"
    return firsts


def _unname_repeats(
    records: Sequence[JournalRecord], rows: Sequence[dict[str, object]], firsts: dict[Request, str]
) -> Duplicates:
    duplicates: Duplicates = {}
    for record, row in zip(records, rows, strict=True):
        request = _request(record)
        if request in firsts:
            row["request_id"] = None
            # An operation stands all the same: it was recorded, and is told apart by its own
            # number.
            if record.operation is None:
                row["duplicate_of"] = duplicates[record.entry_id] = firsts[request]
        elif request:
            firsts[request] = record.entry_id
    return duplicates


def _request(record: JournalRecord) -> Request | None:
    return (record.account_id, record.request_id) if record.request_id else None
