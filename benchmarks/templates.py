"""Bytes that are made once, and differ from call to call only where a name of fixed width stands:
an account, a request id, a hold.

Making a message or a command anew for every call would cost the generator more than the gate needs
to answer it.
"""

import re
import secrets
from collections.abc import Iterator, Sequence
from itertools import count
from operator import itemgetter
from random import Random
from typing import TypeVar

T = TypeVar("T")

# Stand-ins, as long as what takes their place.
ACCOUNT = "acct-0000000"
REQUEST = "request-id-to-replace"


class Template:
    """Bytes with names in them; `fill` puts others of the same length in their places."""

    def __init__(self, original: bytes, *names: bytes) -> None:
        pieces = re.split(b"(" + b"|".join(map(re.escape, names)) + b")", original)
        assert set(pieces[1::2]) == set(names), "a name does not occur"
        self._literals = tuple(pieces[::2])
        places = [
            len(self._literals) + names.index(piece) if at % 2 else at // 2
            for at, piece in enumerate(pieces)
        ]
        self._in_place = itemgetter(*places)

    def fill(self, *names: bytes) -> bytes:
        return b"".join(self._in_place(self._literals + names))


def request_ids() -> Iterator[bytes]:
    """Request ids that nobody has used before, as long as REQUEST."""
    prefix = secrets.token_hex(5).encode()
    return (b"%b-%010x" % (prefix, number) for number in count())


def at_random(population: Sequence[T]) -> Iterator[T]:
    """Members at random, all equally likely; each time the same ones."""
    draw = Random(7).random
    while True:
        yield population[int(draw() * len(population))]


def account_id(number: int, kind: str = "acct") -> bytes:
    """The account of that number and kind (population.py).

    Number 0 of a kind is the one of which all others are copies.
    """
    return b"%b-%07d" % (kind.encode(), number)
