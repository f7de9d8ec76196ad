"""Cuts long lists of keys into portions: a database bounds the parameters of one query."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

KEYS_PER_QUERY = 500

Key = TypeVar("Key")


def portions(keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    """Yields all the keys, as many at a time as one query takes."""
    for start in range(0, len(keys), KEYS_PER_QUERY):
        yield keys[start : start + KEYS_PER_QUERY]
