"""What the figures are held against: ratios between cases of one run, and bytes."""

from collections.abc import Callable, Mapping, Sequence
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


class Round:
    """Looks figures up in one round of a run.

    A case that was run in fewer rounds gives the figures of its last one.
    """

    def __init__(self, figures: Figures, transport: str, number: int) -> None:
        self._figures = figures
        self._transport = transport
        self._number = number

    def __call__(self, case: str, name: str = "per_s") -> float:
        """Returns a case's figure. KeyError if the figure was not measured."""
        rounds = self._figures[case].rounds
        return rounds[min(self._number, len(rounds) - 1)][name]

    def ceiling(self, of_what: str) -> float:
        """Returns what Redis alone reached at the best of the depths."""
        return max(self(f"ceiling {of_what} x{depth}") for depth in DEPTHS)

    def null_rpc_p50_us(self) -> float:
        """Returns the median of a call that does nothing, over the gate's transport."""
        return self(f"null {self._transport} 1", "p50_us")


@dataclass(frozen=True, slots=True)
class Target:
    """A bound, and how the value that is held against the bound is computed for one round."""

    what: str
    how: str
    bound: float
    value: Callable[[Round], float]
    is_least: bool

    def judge(self, rounds: Sequence[Round]) -> Goal:
        """Holds the median of all rounds against the bound.

        Each round is computed by itself, since the machine's speed may change between rounds.
        """
        values = []
        for each in rounds:
            with suppress(KeyError):  # not measured, or too few calls for this percentile
                values.append(self.value(each))
        value = median(values) if values else None
        return Goal(self.what, self.how, value, self.bound, self.is_least)


def goals(figures: Figures, transport: str) -> list[Goal]:
    """Judges a run in which the gate served by `transport`."""
    count = max(len(summary.rounds) for summary in figures.values())
    rounds = [Round(figures, transport, number) for number in range(count)]
    return [target.judge(rounds) for target in _TARGETS]


def _at_least(
    what: str,
    how: str,
    bound: float,
    value: Callable[[Round], float],
) -> Target:
    return Target(what, how, bound, value, is_least=True)


def _at_most(
    what: str,
    how: str,
    bound: float,
    value: Callable[[Round], float],
) -> Target:
    return Target(what, how, bound, value, is_least=False)


_ONE = "debit 1"

_TARGETS = [
    _at_least(
        "saturated Debit",
        "of the ceiling",
        0.45,
        lambda of: of("debit saturated") / of.ceiling("debit"),
    ),
    _at_least(
        "saturated Debit",
        "times the naive design",
        8,
        lambda of: of("debit saturated") / of("naive saturated"),
    ),
    _at_least(
        "Authorize + Debit",
        "of the ceiling of pairs",
        0.45,
        lambda of: of("pair saturated") / of.ceiling("pair"),
    ),
    _at_most(
        "p50 of one client's Debit",
        "times null RPC p50 + bare script p50",
        1.5,
        lambda of: of(_ONE, "p50_us") / (of.null_rpc_p50_us() + of("bare script 1", "p50_us")),
    ),
    _at_most(
        "p99 at half of saturation",
        "times the p50 of one client's Debit",
        6,
        lambda of: of("debit half", "p99_us") / of(_ONE, "p50_us"),
    ),
    _at_least(
        "Batch of 128", "of the ceiling", 0.8, lambda of: of("batch 128") / of.ceiling("debit")
    ),
    _at_least(
        "the debit script",
        "of the rate of reference.lua",
        0.6,
        lambda of: of(f"ceiling debit x{USUAL_DEPTH}") / of("script reference"),
    ),
    _at_least(
        "flusher into SQLite",
        "times the saturated Debit",
        1.2,
        lambda of: of("flusher SQLite") / of("debit saturated"),
    ),
    _at_least(
        "flusher into PostgreSQL",
        "times the saturated Debit",
        1.2,
        lambda of: of("flusher PostgreSQL") / of("debit saturated"),
    ),
    _at_most(
        "p99 while the flusher runs",
        "times without, at the same rate",
        1.5,
        lambda of: of("debit half, flushed", "p99_us") / of("debit half", "p99_us"),
    ),
    _at_most(
        "p99 while the ledger is read",
        "times without, less the reading's share of the CPU",
        1.2,
        lambda of: (
            of("debit quarter, read", "p99_us")
            / of("debit quarter, flushed", "p99_us")
            * (1 - of("debit quarter, read", "reading_share"))
        ),
    ),
    _at_most(
        "p50 among many accounts and holds",
        "times that of few",
        1.2,
        lambda of: of("debit 1, crowded", "p50_us") / of(_ONE, "p50_us"),
    ),
    _at_most(
        "p99 among many accounts and holds",
        "times that of few",
        1.2,
        lambda of: of("debit 1, crowded", "p99_us") / of(_ONE, "p99_us"),
    ),
    _at_least(
        "debits of accounts with five grants",
        "of those with one",
        0.9,
        lambda of: of("debit 5 grants") / of("debit tagged"),
    ),
    _at_most(
        "a budget",
        "of a debit's cost, alone",
        0.12,
        lambda of: of("debit tagged") / of("debit 1 budget") - 1,
    ),
    _at_most(
        "a budget",
        "of a debit's cost, one of four",
        0.12,
        lambda of: (of("debit tagged") / of("debit 4 budgets") - 1) / 4,
    ),
    _at_most("an account", "bytes", _BYTES_PER_ACCOUNT, lambda of: of("memory", "account")),
    _at_most("an open hold", "bytes", _BYTES_PER_RECORD, lambda of: of("memory", "open_hold")),
    _at_most(
        "a replay record", "bytes", _BYTES_PER_RECORD, lambda of: of("memory", "replay_record")
    ),
]
