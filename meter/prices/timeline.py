"""What holds at a time: values that follow each other, and the price in force with how
long it is.
"""

from bisect import bisect_right
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Generic, TypeVar

from meter.prices.price import ModelPrice

T = TypeVar("T")
Steps = tuple[tuple[int, T], ...]  # in order; each holds from its time, in ms, until the next one's

ALWAYS_MS = 2**63 - 1


class Source(StrEnum):
    """Where a price is from."""

    CATALOG = "catalog"
    FILE = "file"
    ACCOUNT = "account"  # the account's own part of the price file


@dataclass(frozen=True, slots=True)
class PriceWindow:
    """The price in force from `from_ms` until just before `until_ms`; None if there is none."""

    from_ms: int
    until_ms: int
    price: ModelPrice | None
    source: Source = Source.CATALOG

    def within(self, span: "Span[T]") -> "PriceWindow":
        """The same price, for no longer than `span`."""
        return replace(
            self,
            from_ms=max(self.from_ms, span.from_ms),
            until_ms=min(self.until_ms, span.until_ms),
        )


@dataclass(frozen=True, slots=True)
class Span(Generic[T]):
    """A value that holds from `from_ms` until just before `until_ms`; None before the first."""

    from_ms: int
    until_ms: int
    value: T | None


def span_at(steps: Steps[T], at_ms: int) -> Span[T]:
    """The step in force at a time."""
    begun = bisect_right(steps, at_ms, key=lambda step: step[0])
    until_ms = steps[begun][0] if begun < len(steps) else ALWAYS_MS
    if not begun:
        return Span(-ALWAYS_MS, until_ms, None)
    from_ms, value = steps[begun - 1]
    return Span(from_ms, until_ms, value)
