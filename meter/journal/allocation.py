"""Allocations: the grants that an effect took credits from and gave credits back to, and the
budgets in which the effect counts.

A list of parts is a text such as `7:30,9s:10,0:5` in effect lines, and wherever a hold's pins are
stored: nanos by the grant's number, `s` for a scoped grant, 0 for overage.
"""

from collections.abc import Iterable
from typing import NamedTuple

from meter.journal.account_sums import ABSENT
from meter.journal.counter_names import NO_VALUE

OVERAGE = 0  # stands in place of a grant's number
_SCOPED = "s"


class Part(NamedTuple):
    """Holds credits of one grant."""

    grant: int  # the grant's number in the account, or OVERAGE
    amount: int
    scoped: bool = False


class MatchedBudget(NamedTuple):
    """Holds a budget's counter as it stood before the effect.

    For a hold that ends, the window is the window in which the hold was counted.
    """

    budget_id: str
    start_hour: int  # first UTC hour of the window, counted from 1970
    end_hour: int | None  # first hour behind the window; None: the window never ends
    remaining: int  # limit - used - held
    held: int
    limit: int
    hard: bool
    current: bool = True  # False: the window has passed; the sums are those of the present window
    value: str = NO_VALUE  # of the counter (meter/journal/counter_names.py)

    @property
    def name(self) -> str:
        """Returns the counter's name."""
        return self.budget_id + self.value


class Allocation(NamedTuple):
    """Says whose credits an effect moved, where that was not the current grant alone."""

    taken: tuple[Part, ...] = ()
    returned: tuple[Part, ...] = ()  # what a hold had pinned, or what a grant or a payment gave
    lapsed: tuple[Part, ...] = ()  # of `returned`: came back too late, and expires by an own entry
    budgets: tuple[MatchedBudget, ...] = ()
    # of a late debit: the budgets in which the hold had counted; `budgets` then match its usage
    freed: tuple[MatchedBudget, ...] = ()


def decode_parts(text: str) -> tuple[Part, ...]:
    """Returns the parts that the text lists. Raises ValueError for any other text."""
    if text == ABSENT:
        return ()
    if "," not in text:
        return (_decode_part(text),)
    return tuple([_decode_part(part) for part in text.split(",")])


def encode_parts(parts: Iterable[Part]) -> str:
    """Returns the text that lists the parts."""
    return ",".join(_encode_part(part) for part in parts) or ABSENT


def joined(parts: Iterable[Part], more: Iterable[Part]) -> tuple[Part, ...]:
    """Returns all the parts in a single list, each grant once."""
    sums: dict[int, Part] = {}
    for part in (*parts, *more):
        known = sums.get(part.grant)
        if known is None:
            sums[part.grant] = part
        else:
            sums[part.grant] = known._replace(amount=known.amount + part.amount)
    return tuple(sums.values())


def first_of(parts: Iterable[Part], amount: int) -> tuple[Part, ...]:
    """Returns the first parts, up to `amount`; all parts, if their total is less."""
    first = []
    for part in parts:
        if amount == 0:
            break
        taken = min(part.amount, amount)
        first.append(part._replace(amount=taken))
        amount -= taken
    return tuple(first)


def total(parts: Iterable[Part]) -> int:
    """Returns the sum of the parts, in nanos."""
    return sum(part.amount for part in parts)


def total_scoped(parts: Iterable[Part]) -> int:
    """Returns the sum of the parts that only some requests may use, in nanos."""
    return sum(part.amount for part in parts if part.scoped)


def total_unscoped(parts: Iterable[Part]) -> int:
    """Returns the sum of the parts that every request may use, in nanos."""
    amount = 0
    for part in parts:  # a loop: on the way of every call with an allocation
        if not part.scoped:
            amount += part.amount
    return amount


def total_overage(parts: Iterable[Part]) -> int:
    """Returns the sum of the parts that are of overage, in nanos."""
    return sum(part.amount for part in parts if part.grant == OVERAGE)


def _decode_part(text: str) -> Part:
    grant, amount = text.split(":")
    if grant.endswith(_SCOPED):
        return Part(int(grant[:-1]), int(amount), scoped=True)
    return Part(int(grant), int(amount))


def _encode_part(part: Part) -> str:
    mark = _SCOPED if part.scoped else ""
    return f"{part.grant}{mark}:{part.amount}"
