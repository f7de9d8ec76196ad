"""The journal: the stream in Redis to which every script that moves money appends, in the same
atomic step.

An entry's id is `epoch-seq`, dense within the epoch. `EPOCH-0` begins an epoch and moves no money.
The fields of an entry:

| field | meaning                                                                               |
|-------|---------------------------------------------------------------------------------------|
| e     | the effect line (meter/journal/effect_codec.py); empty where an epoch begins          |
| m     | the method, which says what `q` holds                                                 |
| q     | the request as received (a JournaledRequest), or the operation as recorded (JSON)     |
| p     | pricing: JSON of model, price version and cost lines (`Pricing`); empty if not priced |
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import NamedTuple, Self

from meter.journal.effect import Effect
from meter.journal.effect_codec import decode_effect


class Method(StrEnum):
    """Says what an entry's `q` holds."""

    AUTHORIZE = "authorize"
    DEBIT = "debit"
    RELEASE = "release"
    EXTEND = "extend"
    EXPIRE = "expire"  # `q` names account and hold; no request
    CREATE = "create"  # from here on, `q` is an operation (meter/journal/operations.py)
    UPDATE = "update"
    GRANT = "grant"
    CLOCK = "clock"
    VOID = "void"
    BUDGET = "budget"
    UNBUDGET = "unbudget"
    CONSEQUENCE = "consequence"  # `q` is the account's id: the entry follows by itself
    EPOCH = "epoch"  # `q` says why a new epoch began


_METHODS = {method.encode(): method for method in Method}


class Position(NamedTuple):
    """A place in a shard's journal, and the id of the entry there."""

    epoch: int
    seq: int

    @classmethod
    def from_id(cls, entry_id: str) -> Self:
        epoch, _, seq = entry_id.partition("-")
        return cls(int(epoch), int(seq))

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"


class Pricing(NamedTuple):
    """Says how usage was priced: (unit, quantity, nanos) lines adding up to the amount."""

    model: str
    version: str
    lines: tuple[tuple[str, int, int], ...]
    price: str = ""  # the price of the version, as JSON, where the ledger may not have it yet

    def to_json(self) -> str:
        parts: list[object] = [self.model, self.version, self.lines]
        if self.price:
            parts.append(self.price)
        return json.dumps(parts, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        model, version, lines, *price = json.loads(text)
        return cls(
            model,
            version,
            tuple((unit, quantity, nanos) for unit, quantity, nanos in lines),
            *price,
        )


class JournalEntry(NamedTuple):
    """Holds one entry, decoded except for `request`, whose form depends on the method."""

    position: Position
    method: Method
    effect: Effect | None  # None for Method.EPOCH
    effect_text: str
    request: bytes
    pricing: Pricing | None


@cache
def journal_key(shard: int) -> str:
    return f"cg:{{{shard:02}}}:journal"


def decode(entry_id: bytes, fields: Mapping[bytes, bytes]) -> JournalEntry:
    """Returns the entry of a stream entry as redis-py returns the latter, in bytes.

    Raises ValueError or KeyError on an entry that no script wrote.
    """
    line = fields[b"e"].decode()
    pricing = fields[b"p"]
    return JournalEntry(
        Position.from_id(entry_id.decode()),
        _METHODS[fields[b"m"]],
        decode_effect(line) if line else None,
        line,
        fields[b"q"],
        Pricing.from_json(pricing) if pricing else None,
    )
