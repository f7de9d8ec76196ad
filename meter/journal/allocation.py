"""Parts of an amount, by the grant that each is of: lists of them, and their text in effect lines,
such as `7:30,9s:10,0:5`.
"""

from collections.abc import Iterable
from typing import NamedTuple

NO_PARTS = "-"


class Part(NamedTuple):
    """Credits of one grant."""

    grant: int  # its number in the account; 0: overage
    amount: int
    scoped: bool = False


def parts_of(text: str) -> tuple[Part, ...]:
    """The parts that a text names."""
    return () if text == NO_PARTS else tuple(_part(*each.split(":")) for each in text.split(","))


def text_of(parts: Iterable[Part]) -> str:
    """The parts as a text."""
    return (
        ",".join(f"{grant}{'s' if scoped else ''}:{amount}" for grant, amount, scoped in parts)
        or NO_PARTS
    )


def joined(parts: Iterable[Part], more: Iterable[Part]) -> tuple[Part, ...]:
    """One list, in which each grant comes once."""
    sums: dict[int, Part] = {}
    for part in (*parts, *more):
        known = sums.get(part.grant)
        sums[part.grant] = (
            part if known is None else known._replace(amount=known.amount + part.amount)
        )
    return tuple(sums.values())


def first_of(parts: Iterable[Part], amount: int) -> tuple[Part, ...]:
    """The first of them that come to `amount`, or all of them, if they are less."""
    taken = []
    for part in parts:
        if amount:
            taken.append(part._replace(amount=min(part.amount, amount)))
            amount -= taken[-1].amount
    return tuple(taken)


def total(parts: Iterable[Part]) -> int:
    """What they come to."""
    return sum(part.amount for part in parts)


def scoped(parts: Iterable[Part]) -> int:
    """What of them only some requests may use."""
    return sum(part.amount for part in parts if part.scoped)


def unscoped(parts: Iterable[Part]) -> int:
    """What of them any request may use."""
    return sum(part.amount for part in parts if not part.scoped)


def unscoped_in(text: str) -> int:
    """The same, of the parts that a text names; this is on the way of every call whose effect names
    some.
    """
    if text == NO_PARTS:
        return 0
    if "," in text:
        return unscoped(parts_of(text))
    grant, amount = text.split(":")
    return 0 if grant.endswith("s") else int(amount)


def _part(grant: str, amount: str) -> Part:
    return Part(int(grant.rstrip("s")), int(amount), grant.endswith("s"))
