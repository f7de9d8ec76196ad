"""Journal records: journal entries, read as far as the ledger needs. Pure functions."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from google.protobuf.message import DecodeError

from meter.journal.account_sums import AccountSums
from meter.journal.effect import Effect
from meter.journal.entry import JournalEntry, Method, Position, Pricing, decode
from meter.journal.operations import GrantCredits, Operation, VoidGrant
from meter.v1.journal_pb2 import JournaledRequest

_CALLS = frozenset((Method.AUTHORIZE, Method.DEBIT, Method.RELEASE, Method.EXTEND, Method.EXPIRE))

RawEntry = tuple[bytes, Mapping[bytes, bytes]]  # as redis-py returns an entry


class UnreadableEntry(Exception):
    """An entry was found that no script of this version wrote.

    The entry must not be skipped: somebody may have been charged by it.
    """

    def __init__(self, entry_id: str, cause: Exception) -> None:
        super().__init__(f"journal entry {entry_id} cannot be read: {cause!r}")
        self.entry_id = entry_id


class JournalRecord(NamedTuple):
    """Holds an entry that did something to an account."""

    shard: int
    position: Position
    account_id: str
    request_id: str | None  # None: no request caused the entry
    effect: Effect
    effect_text: str  # as journaled, even where `effect` was rebased
    pricing: Pricing | None = None
    dimensions: Mapping[str, str] | None = None
    traffic_class: str = ""
    description: str = ""
    operation: Operation | None = None
    is_again: bool = False  # the operation had counted already: the record changes nothing

    @property
    def entry_id(self) -> str:
        return f"{self.shard}-{self.position}"

    def with_effect(self, effect: Effect) -> "JournalRecord":
        """Returns the same record with another effect."""
        return self._replace(effect=effect)

    def without_change(self) -> "JournalRecord":
        """Returns the same record as a repeat that changes nothing."""
        effect = self.effect._replace(amount=0, allocation=None)
        return self._replace(effect=effect, is_again=True)


class EpochRecord(NamedTuple):
    """Holds the entry that begins an epoch."""

    position: Position
    reason: str


def read(shard: int, raw: RawEntry) -> JournalRecord | EpochRecord:
    """Returns the entry's record. Raises UnreadableEntry."""
    entry_id, fields = raw
    try:
        return _record(shard, decode(entry_id, fields))
    except (ValueError, KeyError, TypeError, DecodeError) as error:
        raise UnreadableEntry(entry_id.decode(errors="replace"), error) from error


def continues(known: AccountSums, found: AccountSums) -> bool:
    """Says whether an account left as `known` may be found as `found`.

    The sums must be the same; the day and the limits may differ.
    """
    return (
        known.used == found.used
        and known.held == found.held
        and known.total == found.total
        and known.expired == found.expired
        and known.spendable - known.overage == found.spendable - found.overage
    )


def gaps(position: Position, found: Iterable[Position]) -> list[tuple[Position, int]]:
    """Returns the runs missing between a position and the positions found behind it.

    Each run is its first position and its last number.
    """
    missing = []
    for place in found:
        first = position.seq + 1 if place.epoch == position.epoch else 0
        if place.seq > first:
            missing.append((Position(place.epoch, first), place.seq - 1))
        position = place
    return missing


def _record(shard: int, entry: JournalEntry) -> JournalRecord | EpochRecord:
    if entry.method is Method.EPOCH:
        return EpochRecord(entry.position, entry.request.decode())
    effect = entry.effect
    if effect is None or not effect.kind.is_journaled:
        raise ValueError(f"{entry.method} without an effect that is journaled")
    if entry.method in _CALLS:
        return _call(shard, entry, effect)
    if entry.method is Method.CONSEQUENCE:
        return _consequence(shard, entry, effect)
    return _operation(shard, entry, effect)


def _call(shard: int, entry: JournalEntry, effect: Effect) -> JournalRecord:
    request = JournaledRequest.FromString(entry.request)
    account_id = request.account_id
    if not account_id:
        raise ValueError("a request without an account_id")
    dimensions = None
    if request.dimensions:
        dimensions = dict(request.dimensions)
    return JournalRecord(
        shard,
        entry.position,
        account_id,
        request.request_id or None,
        effect,
        entry.effect_text,
        entry.pricing,
        dimensions,
        request.traffic_class,
        request.description,
    )


def _consequence(shard: int, entry: JournalEntry, effect: Effect) -> JournalRecord:
    account_id = entry.request.decode()
    return JournalRecord(
        shard,
        entry.position,
        account_id,
        None,
        effect,
        entry.effect_text,
    )


def _operation(shard: int, entry: JournalEntry, effect: Effect) -> JournalRecord:
    operation = Operation.from_json(entry.request)
    return JournalRecord(
        shard,
        entry.position,
        operation.account_id,
        operation.request_id,
        effect,
        entry.effect_text,
        description=_description(operation),
        operation=operation,
    )


def _description(operation: Operation) -> str:
    match operation.change:
        case GrantCredits(description=text) | VoidGrant(type="VOID", reason=text):
            return text
        case VoidGrant(type=kind, reason=text):
            return f"{kind.lower().replace('_', ' ')}: {text}"
        case _:
            return ""
