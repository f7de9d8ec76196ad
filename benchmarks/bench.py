"""Runs every case in turn, in several rounds, and compares the figures with goals (`make bench`).

Rounds are interleaved: each round runs all cases once, so that a change of the machine's mood
touches all cases alike.
"""

import argparse
import shlex
import signal
import sys
import time
from datetime import UTC, datetime

from cases import Case, cases
from goals import goals
from lab import Lab, Options
from machine import Usage, facts
from processes import HERE, Failed
from report import Report, publish, show, write
from results import Result, summarize
from rich.console import Console

_RESULTS = HERE / "results"


def main() -> int:
    """Returns 1 if a case could not be run, or an answer was wrong; a missed goal is no failure."""
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(1)
    )  # as Ctrl-C does: what was started is ended
    arguments = _arguments()
    wanted = [
        case
        for case in cases()
        if not arguments.only or any(word in case.name for word in arguments.only)
    ]
    run = _Run(wanted, arguments.rounds)
    with Lab(_options(arguments)) as lab:
        for number in range(arguments.rounds):
            run.round(lab, number + 1)
        report = run.report(lab)
    is_partial = arguments.quick or arguments.only or run.failures
    write(report, _RESULTS / "partial" if is_partial else _RESULTS)
    if not is_partial:
        publish(report)
    show(report, Console(width=None if sys.stdout.isatty() else 150))
    for failure in run.failures:
        print(f"bench: {failure}", file=sys.stderr)
    return 1 if run.failures else 0


class _Run:
    """The rounds so far."""

    def __init__(self, wanted: list[Case], rounds: int) -> None:
        self._wanted = wanted
        self._rounds = rounds
        self._began = datetime.now(UTC)
        self._before = Usage.now()
        self._results: dict[str, list[Result]] = {case.name: [] for case in wanted}
        self.failures: list[str] = []

    def round(self, lab: Lab, number: int) -> None:
        """Every case once. One that fails is left out of this round, and remembered."""
        for case in self._wanted:
            print(f"round {number} of {self._rounds}: {case.name}", file=sys.stderr, flush=True)
            try:
                self._results[case.name].append(case.run(lab))
            except Failed as failure:
                self.failures.append(f"{case.name}, round {number}: {failure}")
            lab.tidy()

    def report(self, lab: Lab) -> Report:
        figures = {name: summarize(found) for name, found in self._results.items()}
        return Report(
            command="make bench"
            if len(sys.argv) == 1
            else shlex.join(["python", "benchmarks/bench.py", *sys.argv[1:]]),
            began=f"{self._began:%Y-%m-%d %H:%M} UTC",
            minutes=(time.monotonic() - self._before.at) / 60,
            machine=facts(),
            others_share=Usage.now().others_since(self._before),
            transport=lab.transport,
            rounds=self._rounds,
            options=lab.options,
            cases=self._wanted,
            figures=figures,
            goals=goals(figures, lab.transport),
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench.py", description="Measures Creditgate beside its own limits."
    )
    parser.add_argument(
        "--rounds", type=int, default=0, help="how often each case is run (5; with --quick: 1)"
    )
    parser.add_argument(
        "--seconds", type=float, default=0, help="how long each time (4; with --quick: 1)"
    )
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help="only cases with NAME in theirs; may be repeated",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a look at whether all works; writes to results/partial",
    )
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (1 if arguments.quick else 5)
    arguments.seconds = arguments.seconds or (1.0 if arguments.quick else 4.0)
    return arguments


def _options(arguments: argparse.Namespace) -> Options:
    seconds = arguments.seconds
    if arguments.quick:
        return Options(seconds, accounts=10_000, open_holds=1_000, backlog=20_000)
    return Options(seconds, accounts=1_000_000, open_holds=100_000, backlog=60_000)


if __name__ == "__main__":
    sys.exit(main())
