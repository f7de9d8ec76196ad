"""The journal: the stream in Redis to which every script that moves money appends, in the same atomic
step.

An entry's id is `epoch-seq`, dense within its epoch. `EPOCH-0` begins an epoch and moves no money.
Its fields:

| field | meaning                                                                                    |
|-------|--------------------------------------------------------------------------------------------|
| e     | the effect line (meter/journal/effect.py); empty for the entry that begins an epoch                 |
| m     | the method: what `q` is                                                                    |
| q     | the request as received (read as a JournaledRequest), or the operation as recorded (JSON)  |
| p     | pricing: JSON of the model, price version and cost lines (`Pricing`); empty if not priced  |
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Self

from meter.journal.effect import Effect
from meter.journal.effect_codec import decode_effect


class Method(StrEnum):
    """What an entry's `q` holds."""

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
    # `q` is the account's id: what another entry, or time, brought about by itself
    CONSEQUENCE = "consequence"
    EPOCH = "epoch"  # `q` says why a new epoch began


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a shard's journal; also the id of the entry there."""

    epoch: int
    seq: int

    @classmethod
    def from_id(cls, entry_id: str) -> Self:
        epoch, _, seq = entry_id.partition("-")
        return cls(int(epoch), int(seq))

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"


@dataclass(frozen=True, slots=True)
class Pricing:
    """How a usage came to its amount: (unit, quantity, nanos) lines that add up to it."""

    model: str
    version: str
    lines: tuple[tuple[str, int, int], ...]

    def to_json(self) -> str:
        return json.dumps([self.model, self.version, self.lines], separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        model, version, lines = json.loads(text)
        return cls(
            model, version, tuple((unit, quantity, nanos) for unit, quantity, nanos in lines)
        )


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One entry, parsed as far as the journal itself goes; `request` is left to who knows
    its form.
    """

    position: Position
    method: Method
    effect: Effect | None  # None for Method.EPOCH
    request: bytes
    pricing: Pricing | None


@cache
def journal_key(shard: int) -> str:
    return f"cg:{{{shard:02}}}:journal"


def decode(entry_id: bytes, fields: Mapping[bytes, bytes]) -> JournalEntry:
    """A stream entry as redis-py hands it over (bytes), parsed.

    Raises ValueError or KeyError on an entry that no script wrote.
    """
    line = fields[b"e"]
    pricing = fields[b"p"]
    return JournalEntry(
        Position.from_id(entry_id.decode()),
        Method(fields[b"m"].decode()),
        decode_effect(line.decode()) if line else None,
        fields[b"q"],
        Pricing.from_json(pricing) if pricing else None,
    )
