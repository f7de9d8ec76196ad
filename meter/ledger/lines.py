"""Lines: journal entries, read as far as the books need. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from google.protobuf.message import DecodeError

from meter.effect import Effect, Kind, State
from meter.journal import JournalEntry, Method, Position, Pricing, decode
from meter.operations import GrantCredits, Operation
from meter.v1.journal_pb2 import JournaledRequest

KINDS = {
    Kind.DEBIT: "DEBIT",
    Kind.GRANT: "GRANT",
    Kind.AUTHORIZE: "AUTHORIZE",
    Kind.EXTEND: "EXTEND",
    Kind.RELEASE: "RELEASE",
    Kind.EXPIRE: "EXPIRE",
    Kind.CREATE: "CREATE",
    Kind.UPDATE: "UPDATE",
    Kind.CLOCK: "CLOCK",
}  # names of meter.v1.EntryKind

_CALLS = frozenset((Method.AUTHORIZE, Method.DEBIT, Method.RELEASE, Method.EXTEND, Method.EXPIRE))

RawEntry = tuple[bytes, Mapping[bytes, bytes]]  # as redis-py hands it over


class UnreadableEntry(Exception):
    """An entry that no script of this version wrote. It must not be skipped: somebody may have been charged by it."""

    def __init__(self, entry_id: str, cause: Exception) -> None:
        super().__init__(f"journal entry {entry_id} cannot be read: {cause!r}")
        self.entry_id = entry_id


@dataclass(frozen=True, slots=True)
class Line:
    """An entry that did something to an account."""

    shard: int
    position: Position
    account_id: str
    request_id: str | None  # None: no request caused it
    effect: Effect
    effect_text: str
    pricing: Pricing | None = None
    dimensions: Mapping[str, str] | None = None
    description: str = ""
    operation: Operation | None = None

    @property
    def entry_id(self) -> str:
        return f"{self.shard}-{self.position}"

    def carried_on(self, known: State) -> "Line":
        """The same deed on top of sums that differ from those it found: what was lost in between stays lost, what it did is kept."""
        found = self.effect.before
        before = found._replace(
            spendable=known.remaining + found.overage - known.held,
            held=known.held,
            total=known.total,
            used=known.used,
            day_base=known.used - found.used_today,
            month_base=known.used - found.used_this_month,
        )
        return replace(self, effect=self.effect._replace(before=before))

    def of_nothing(self) -> "Line":
        """The same line without an amount: it stands, and changes nothing."""
        return replace(self, effect=self.effect._replace(amount=0))


@dataclass(frozen=True, slots=True)
class EpochLine:
    """The entry that begins an epoch."""

    position: Position
    reason: str


def read(shard: int, raw: RawEntry) -> Line | EpochLine:
    """The entry's line; UnreadableEntry."""
    entry_id, fields = raw
    try:
        return _line(shard, decode(entry_id, fields), fields[b"e"])
    except (ValueError, KeyError, TypeError, DecodeError) as error:
        raise UnreadableEntry(entry_id.decode(errors="replace"), error) from error


def continues(known: State, found: State) -> bool:
    """Whether an account that was left as `known` may be found as `found`: the same sums, on whatever day, under whatever limits."""
    return (
        known.used == found.used
        and known.held == found.held
        and known.total == found.total
        and known.spendable - known.overage == found.spendable - found.overage
    )


def _line(shard: int, entry: JournalEntry, text: bytes) -> Line | EpochLine:
    if entry.method is Method.EPOCH:
        return EpochLine(entry.position, entry.request.decode())
    effect = entry.effect
    if effect is None or effect.kind not in KINDS:
        raise ValueError(f"{entry.method} without an effect that is journaled")
    if entry.method in _CALLS:
        return _call(shard, entry, effect, text.decode())
    operation = Operation.from_json(entry.request)
    description = operation.change.description if isinstance(operation.change, GrantCredits) else ""
    return Line(
        shard,
        entry.position,
        operation.account_id,
        operation.request_id,
        effect,
        text.decode(),
        description=description,
        operation=operation,
    )


def _call(shard: int, entry: JournalEntry, effect: Effect, text: str) -> Line:
    request = JournaledRequest.FromString(entry.request)
    if not request.account_id:
        raise ValueError("a request without an account_id")
    return Line(
        shard,
        entry.position,
        request.account_id,
        request.request_id or None,
        effect,
        text,
        entry.pricing,
        dict(request.dimensions),
        request.description,
    )


def gaps(position: Position, found: Iterable[Position]) -> list[tuple[Position, int]]:
    """What is missing between a position and the entries found behind it, as (first, last number) of each run."""
    missing = []
    for place in found:
        first = position.seq + 1 if place.epoch == position.epoch else 0
        if place.seq > first:
            missing.append((Position(place.epoch, first), place.seq - 1))
        position = place
    return missing
