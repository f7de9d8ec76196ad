"""Holds values that follow each other in time, and finds the value or price in force."""

from bisect import bisect_right
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Generic, TypeVar

from meter.prices.price import ModelPrice

T = TypeVar("T")
# (time in ms, value), in order; each value holds from its time until the next value's time.
Steps = tuple[tuple[int, T], ...]

ALWAYS_MS = 2**63 - 1


class Source(StrEnum):
    """Says where a price comes from."""

    CATALOG = "catalog"
    FILE = "file"
    ACCOUNT = "account"  # the account's own part of the price file


@dataclass(frozen=True, slots=True)
class PriceWindow:
    """Holds the price in force from `from_ms` until before `until_ms`; None for no price."""

    from_ms: int
    until_ms: int
    price: ModelPrice | None
    source: Source = Source.CATALOG

    def within(self, span: "Span[T]") -> "PriceWindow":
        """Returns the same price, for no longer than `span`."""
        return replace(
            self,
            from_ms=max(self.from_ms, span.from_ms),
            until_ms=min(self.until_ms, span.until_ms),
        )


@dataclass(frozen=True, slots=True)
class Span(Generic[T]):
    """Holds the value in force from `from_ms` until before `until_ms`; None before the first."""

    from_ms: int
    until_ms: int
    value: T | None


def span_at(steps: Steps[T], at_ms: int) -> Span[T]:
    """Returns the step in force at a time."""
    begun = bisect_right(steps, at_ms, key=lambda step: step[0])
    until_ms = ALWAYS_MS
    if begun < len(steps):
        until_ms, _ = steps[begun]
    if begun == 0:
        return Span(-ALWAYS_MS, until_ms, None)
    from_ms, value = steps[begun - 1]
    return Span(from_ms, until_ms, value)
