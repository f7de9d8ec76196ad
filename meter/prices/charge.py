"""Rounds the charges of one call, once, and shares the amount among the call's cost lines.

A charge is an exact numerator over a `scale`, a price's divisor in nanos, until it is rounded.
"""

from collections.abc import Sequence
from typing import NamedTuple

MAX_QUANTITY = 2**53

# A plain tuple, because a call makes several: (place in unit order, unit, quantity, numerator). The
# numerator is quantity x picos x per, not rounded yet.
Charge = tuple[int, str, int, int]


class CostLine(NamedTuple):
    """Holds the cost of one unit's `quantity`."""

    unit: str
    quantity: int
    amount_nanos: int


class Cost(NamedTuple):
    """Holds the cost of usage; the lines, in unit order, sum to `amount_nanos` exactly."""

    amount_nanos: int
    lines: tuple[CostLine, ...]


def cost_of(charges: Sequence[Charge], scale: int) -> Cost:
    """Returns the cost of the charges, rounded once, half-even, to the nano.

    Lines share the total by largest remainder, ties in the order of the charges.
    """
    total = sum([charge[3] for charge in charges])
    amount_nanos = _half_even(total, scale)
    shares = _shares(charges, scale, amount_nanos)
    # Lists, not generators, throughout: they are the fastest for so few items.
    lines = [
        CostLine(unit, quantity, share)
        for (_, unit, quantity, _), share in zip(charges, shares, strict=True)
    ]
    return Cost(amount_nanos, tuple(lines))


def output_tokens_within(
    nanos: int,
    charges: Sequence[Charge],
    scale: int,
) -> int | None:
    """Returns how many output tokens `nanos` buys; one output token is among the charges.

    The answer is at most 2^53, and 0 when not even the other charges are affordable. None when
    output tokens cost nothing.
    """
    output = sum(charge[3] for charge in charges if charge[1] == "output_tokens")
    rest = sum(charge[3] for charge in charges) - output
    most = _most_within(nanos, scale)
    if rest > most:
        return 0
    if not output:
        return None
    return min((most - rest) // output, MAX_QUANTITY)


def _half_even(numerator: int, denominator: int) -> int:
    """Returns the quotient rounded to the nearest integer, a tie to the even integer."""
    whole, rest = divmod(numerator, denominator)
    doubled = 2 * rest
    if doubled > denominator:
        return whole + 1
    if doubled == denominator and whole & 1:
        return whole + 1
    return whole


def _most_within(nanos: int, scale: int) -> int:
    """Returns the largest numerator over `scale` that rounds to at most `nanos`.

    A tie rounds down only to an even number of nanos.
    """
    return ((2 * nanos + 1) * scale - (nanos & 1)) // 2


def _shares(
    charges: Sequence[Charge],
    scale: int,
    amount_nanos: int,
) -> list[int]:
    """Returns each charge's share of `amount_nanos`, in whole nanos.

    Each charge is rounded down; the missing nanos go to the charges with the largest remainders.
    """
    shares = [charge[3] // scale for charge in charges]
    missing = amount_nanos - sum(shares)
    if missing:
        for place in _by_remainder(charges, scale)[:missing]:
            shares[place] += 1
    return shares


def _by_remainder(charges: Sequence[Charge], scale: int) -> list[int]:
    """Returns the places of the charges, the charge with the largest remainder first."""
    places = range(len(charges))
    return sorted(places, key=lambda place: -(charges[place][3] % scale))
