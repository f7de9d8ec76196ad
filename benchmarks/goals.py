"""What the figures are held against: ratios between cases of one run, and bytes."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

from ceiling import DEPTHS, USUAL_DEPTH
from results import Summary

Figures = Mapping[str, Summary]

_BYTES_PER_ACCOUNT = 400
_BYTES_PER_RECORD = 220


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound, what was measured, and how that was computed.

    `value` is None when a case it needs was not run.
    """

    what: str
    how: str
    value: float | None
    bound: float
    is_least: bool  # the bound is the least that will do; else the most

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        if (self.value >= self.bound) if self.is_least else (self.value <= self.bound):
            return "PASS"
        return "below" if self.is_least else "above"


def goals(figures: Figures, transport: str) -> list[Goal]:
    """All of them, for a run in which the gate served by `transport`: each is computed for every
    round, since the machine's speed may change from one to the next, and the median of these is
    held against the bound.
    """
    rounds = max(len(summary.rounds) for summary in figures.values())
    this = 0  # round

    def of(case: str, name: str = "per_s") -> float:
        its = figures[case].rounds
        return its[min(this, len(its) - 1)][name]

    def median_of(value: Callable[[], float]) -> float | None:
        nonlocal this
        found = []
        for number in range(rounds):
            this = number
            with suppress(KeyError):  # not measured, or too few calls for this percentile
                found.append(value())
        return median(found) if found else None

    def ceiling(of_what: str) -> float:
        return max(of(f"ceiling {of_what} x{depth}") for depth in DEPTHS)

    def least(what: str, how: str, bound: float, value: Callable[[], float]) -> Goal:
        return Goal(what, how, median_of(value), bound, is_least=True)

    def most(what: str, how: str, bound: float, value: Callable[[], float]) -> Goal:
        return Goal(what, how, median_of(value), bound, is_least=False)

    null = f"null {transport} 1"
    one = "debit 1"
    return [
        least(
            "saturated Debit",
            "of the ceiling",
            0.45,
            lambda: of("debit saturated") / ceiling("debit"),
        ),
        least(
            "saturated Debit",
            "times the naive design",
            8,
            lambda: of("debit saturated") / of("naive saturated"),
        ),
        least(
            "Authorize + Debit",
            "of the ceiling of pairs",
            0.45,
            lambda: of("pair saturated") / ceiling("pair"),
        ),
        most(
            "p50 of one client's Debit",
            "times null RPC p50 + bare script p50",
            1.5,
            lambda: of(one, "p50_us") / (of(null, "p50_us") + of("bare script 1", "p50_us")),
        ),
        most(
            "p99 at half of saturation",
            "times the p50 of one client's Debit",
            6,
            lambda: of("debit half", "p99_us") / of(one, "p50_us"),
        ),
        least("Batch of 128", "of the ceiling", 0.8, lambda: of("batch 128") / ceiling("debit")),
        least(
            "the debit script",
            "of the rate of reference.lua",
            0.6,
            lambda: of(f"ceiling debit x{USUAL_DEPTH}") / of("script reference"),
        ),
        least(
            "flusher into SQLite",
            "times the saturated Debit",
            1.2,
            lambda: of("flusher SQLite") / of("debit saturated"),
        ),
        least(
            "flusher into PostgreSQL",
            "times the saturated Debit",
            1.2,
            lambda: of("flusher PostgreSQL") / of("debit saturated"),
        ),
        most(
            "p99 while the flusher runs",
            "times without, at the same rate",
            1.5,
            lambda: of("debit half, flushed", "p99_us") / of("debit half", "p99_us"),
        ),
        most(
            "p99 while the ledger is read",
            "times without, less the reading's share of the CPU",
            1.2,
            lambda: (
                of("debit quarter, read", "p99_us")
                / of("debit quarter, flushed", "p99_us")
                * (1 - of("debit quarter, read", "reading_share"))
            ),
        ),
        most(
            "p50 among many accounts and holds",
            "times that of few",
            1.2,
            lambda: of("debit 1, crowded", "p50_us") / of(one, "p50_us"),
        ),
        most(
            "p99 among many accounts and holds",
            "times that of few",
            1.2,
            lambda: of("debit 1, crowded", "p99_us") / of(one, "p99_us"),
        ),
        least(
            "debits of accounts with five grants",
            "of those with one",
            0.9,
            lambda: of("debit 5 grants") / of("debit tagged"),
        ),
        most(
            "a budget",
            "of a debit's cost, alone",
            0.12,
            lambda: of("debit tagged") / of("debit 1 budget") - 1,
        ),
        most(
            "a budget",
            "of a debit's cost, one of four",
            0.12,
            lambda: (of("debit tagged") / of("debit 4 budgets") - 1) / 4,
        ),
        most("an account", "bytes", _BYTES_PER_ACCOUNT, lambda: of("memory", "account")),
        most("an open hold", "bytes", _BYTES_PER_RECORD, lambda: of("memory", "open_hold")),
        most("a replay record", "bytes", _BYTES_PER_RECORD, lambda: of("memory", "replay_record")),
    ]
