"""A run as tables for the terminal, as JSON, as two charts, and as the last section of
README.md.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cases import CLIENTS, SWEEP, SWEPT, Case
from charts import latency_chart, throughput_chart
from goals import Goal
from lab import Options
from processes import HERE
from results import Summary
from rich.console import Console
from rich.table import Table

_README = HERE / "README.md"
_BEGIN = "<!-- results: written by bench.py -->"
_END = "<!-- end of results -->"
_COLUMNS = {
    "per_s": "per second",
    "p50_us": "p50 µs",
    "p99_us": "p99 µs",
    "p99.9_us": "p99.9 µs",
    "p99.99_us": "p99.99 µs",
    "service_us": "service µs",
    "redis_us": "Redis µs",
    "flusher_us": "flusher µs",
    "all_in_us": "all in µs",
    "billing_us": "billing µs",
    "generator_busy": "generator",
}
_POOLED = ("p99.9_us", "p99.99_us")  # too rare in one round
_COLOURS = {"PASS": "green", "not measured": "dim"}

Rows = list[list[str]]


@dataclass(frozen=True, slots=True)
class Report:
    """All that a run found out."""

    command: str
    began: str
    minutes: float
    machine: Mapping[str, str]
    others_share: float  # of the machine's CPU, used by what is not ours
    transport: str
    rounds: int
    options: Options
    cases: Sequence[Case]
    figures: Mapping[str, Summary]
    goals: Sequence[Goal]

    def to_json(self) -> str:
        """For other programs, and for comparing runs."""
        plain = ("command", "began", "minutes", "machine", "others_share", "transport", "rounds")
        told = {
            case.name: {"unit": case.unit, "what": case.what, **asdict(self.figures[case.name])}
            for case in self.cases
        }
        whole = {name: getattr(self, name) for name in plain} | {
            "options": asdict(self.options),
            "cases": told,
            "goals": [asdict(goal) | {"verdict": goal.verdict} for goal in self.goals],
        }
        return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def show(report: Report, console: Console) -> None:
    """The tables."""
    rounds = f"{report.rounds} round{'s' if report.rounds > 1 else ''}"
    console.print(_table(f"medians of {rounds}", ["case", *_COLUMNS.values()], _rows(report)))
    if SWEEP in report.figures:
        console.print(
            _table("calls per second by calls in flight", ["", *map(str, CLIENTS)], _sweep(report))
        )
    console.print(_table("other figures", ["", ""], _others(report)))
    console.print(
        _table("goals", ["", "measured", "", "bound", "verdict"], _goals(report, coloured=True))
    )
    console.print(_circumstances(report))


def write(report: Report, folder: Path) -> None:
    """`latest.json` and the charts into the folder."""
    folder.mkdir(exist_ok=True)
    (folder / "latest.json").write_text(report.to_json(), "utf-8")
    charts = {
        "latency": latency_chart(report.figures, report.transport),
        "throughput": throughput_chart(report.figures, report.transport),
    }
    for name, picture in charts.items():
        if picture:
            (folder / f"{name}.svg").write_text(picture, "utf-8")


def publish(report: Report) -> None:
    """The results into README.md, between its marks."""
    before, _, rest = _README.read_text("utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    _README.write_text(f"{before}{_BEGIN}\n{_markdown(report)}\n{_END}{after}", "utf-8")


def _markdown(report: Report) -> str:
    whats = [case.what for case in report.cases if _has_rate(report, case)]
    rows = [[*row, what] for row, what in zip(_rows(report), whats, strict=True)]
    return "\n".join(
        [
            f"Printed by `{report.command}` on {report.began}. {_circumstances(report)}",
            "",
            *(f"- {name}: {value}" for name, value in report.machine.items()),
            "",
            "### Goals",
            "",
            *_markdown_table(["", "measured", "", "bound", "verdict"], _goals(report)),
            "",
            "![Latency by percentile](results/latency.svg)",
            "",
            "![Throughput by calls in flight](results/throughput.svg)",
            "",
            "### Cases",
            "",
            f"Medians of {report.rounds} rounds; p99.9 and p99.99 are of all rounds together.",
            "",
            *_markdown_table(["case", *_COLUMNS.values(), "what"], rows),
            "",
            "### Calls per second by calls in flight",
            "",
            *_markdown_table(["", *map(str, CLIENTS)], _sweep(report)),
            "",
            "### Other figures",
            "",
            *_markdown_table(["", ""], _others(report)),
        ]
    )


def _rows(report: Report) -> Rows:
    told = [case for case in report.cases if _has_rate(report, case)]
    return [
        [case.name, *(_cell(name, report.figures[case.name]) for name in _COLUMNS)] for case in told
    ]


def _cell(name: str, summary: Summary) -> str:
    value = (summary.pooled if name in _POOLED else summary.medians).get(name)
    if value is None:
        return ""
    return f"{value:.0%}" if name == "generator_busy" else f"{value:,.0f}"


def _sweep(report: Report) -> Rows:
    medians = report.figures[SWEEP].medians
    return [
        [label, *(f"{medians[f'{name}/{clients}']:,.0f}" for clients in CLIENTS)]
        for name, label in SWEPT.items()
    ]


def _others(report: Report) -> Rows:
    """Figures of cases that have no rate, and what each kind of call took among others."""
    return [
        [f"{case.name}: {_words(name)}", f"{value:,.2f}" if value < 100 else f"{value:,.0f}"]
        for case in report.cases
        if case.name != SWEEP
        for name, value in report.figures[case.name].medians.items()
        if not _has_rate(report, case)
        or name.endswith(("/p50_us", "/p99_us"))
        or name in ("late_p50_us", "late_p99_us", "reading_share", "pages")
    ]


def _has_rate(report: Report, case: Case) -> bool:
    return "per_s" in report.figures[case.name].medians


def _words(name: str) -> str:
    words = name.replace("/", ", ").replace("_", " ")
    return words.removesuffix(" us") + ", µs" if words.endswith(" us") else words


def _goals(report: Report, *, coloured: bool = False) -> Rows:
    rows = []
    for goal in report.goals:
        value = "" if goal.value is None else f"{goal.value:,.2f}"
        bound = f"{'≥' if goal.is_least else '≤'} {goal.bound:g}"
        verdict = (
            f"[{_COLOURS.get(goal.verdict, 'red')}]{goal.verdict}[/]" if coloured else goal.verdict
        )
        rows.append([goal.what, value, goal.how, bound, verdict])
    return rows


def _circumstances(report: Report) -> str:
    options = report.options
    return (
        f"It took {report.minutes:.0f} minutes; meanwhile other processes used"
        f" {report.others_share:.1%} of the machine's CPU. The gate"
        f" served by {report.transport}. Many accounts were"
        f" {options.accounts:,}, with {options.open_holds:,} open holds."
    )


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(*head, title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*row)
    return table


def _markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
