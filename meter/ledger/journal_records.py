"""Lines: journal entries, read as far as the books need. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from google.protobuf.message import DecodeError

from meter.journal.account_sums import ABSENT, AccountSums
from meter.journal.effect import Effect, Kind
from meter.journal.entry import JournalEntry, Method, Position, Pricing, decode
from meter.journal.operations import GrantCredits, Operation, VoidGrant
from meter.v1.journal_pb2 import JournaledRequest

KINDS: dict[Kind, str] = {
    kind: kind.name for kind in Kind if kind is not Kind.BALANCE
}  # names of meter.v1.EntryKind

_CALLS = frozenset((Method.AUTHORIZE, Method.DEBIT, Method.RELEASE, Method.EXTEND, Method.EXPIRE))

RawEntry = tuple[bytes, Mapping[bytes, bytes]]  # as redis-py hands it over


class UnreadableEntry(Exception):
    """An entry that no script of this version wrote.

    It must not be skipped: somebody may have been charged by it.
    """

    def __init__(self, entry_id: str, cause: Exception) -> None:
        super().__init__(f"journal entry {entry_id} cannot be read: {cause!r}")
        self.entry_id = entry_id


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """An entry that did something to an account."""

    shard: int
    position: Position
    account_id: str
    request_id: str | None  # None: no request caused it
    effect: Effect
    effect_text: str
    pricing: Pricing | None = None
    dimensions: Mapping[str, str] | None = None
    traffic_class: str = ""
    description: str = ""
    operation: Operation | None = None
    is_again: bool = False  # the operation had counted already: it stands, and changes nothing

    @property
    def entry_id(self) -> str:
        return f"{self.shard}-{self.position}"

    def with_effect(self, effect: Effect) -> "JournalRecord":
        """The same record, counted otherwise."""
        return replace(self, effect=effect)

    def of_nothing(self) -> "JournalRecord":
        """The same record as one that changes nothing."""
        return replace(self, effect=self.effect._replace(amount=0, extras=ABSENT), is_again=True)


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """The entry that begins an epoch."""

    position: Position
    reason: str


def read(shard: int, raw: RawEntry) -> JournalRecord | EpochRecord:
    """The entry's record; UnreadableEntry."""
    entry_id, fields = raw
    try:
        return _line(shard, decode(entry_id, fields), fields[b"e"])
    except (ValueError, KeyError, TypeError, DecodeError) as error:
        raise UnreadableEntry(entry_id.decode(errors="replace"), error) from error


def continues(known: AccountSums, found: AccountSums) -> bool:
    """Whether an account that was left as `known` may be found as `found`: the same sums, on whatever
    day, under whatever limits.
    """
    return (
        known.used == found.used
        and known.held == found.held
        and known.total == found.total
        and known.expired == found.expired
        and known.spendable - known.overage == found.spendable - found.overage
    )


def _line(shard: int, entry: JournalEntry, text: bytes) -> JournalRecord | EpochRecord:
    if entry.method is Method.EPOCH:
        return EpochRecord(entry.position, entry.request.decode())
    effect = entry.effect
    if effect is None or effect.kind not in KINDS:
        raise ValueError(f"{entry.method} without an effect that is journaled")
    if entry.method in _CALLS:
        return _call(shard, entry, effect, text.decode())
    if entry.method is Method.CONSEQUENCE:
        return JournalRecord(
            shard, entry.position, entry.request.decode(), None, effect, text.decode()
        )
    operation = Operation.from_json(entry.request)
    return JournalRecord(
        shard,
        entry.position,
        operation.account_id,
        operation.request_id,
        effect,
        text.decode(),
        description=_description(operation),
        operation=operation,
    )


def _call(shard: int, entry: JournalEntry, effect: Effect, text: str) -> JournalRecord:
    request = JournaledRequest.FromString(entry.request)
    if not request.account_id:
        raise ValueError("a request without an account_id")
    return JournalRecord(
        shard,
        entry.position,
        request.account_id,
        request.request_id or None,
        effect,
        text,
        entry.pricing,
        dict(request.dimensions),
        request.traffic_class,
        request.description,
    )


def _description(operation: Operation) -> str:
    match operation.change:
        case GrantCredits(description=text) | VoidGrant(reason=text):
            return text
        case _:
            return ""


def gaps(position: Position, found: Iterable[Position]) -> list[tuple[Position, int]]:
    """What is missing between a position and the entries found behind it, as (first, last number) of
    each run.
    """
    missing = []
    for place in found:
        first = position.seq + 1 if place.epoch == position.epoch else 0
        if place.seq > first:
            missing.append((Position(place.epoch, first), place.seq - 1))
        position = place
    return missing
