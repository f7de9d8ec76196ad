"""The two charts of a run: latency by percentile, and throughput by calls in flight."""

from collections.abc import Mapping
from statistics import NormalDist

from cases import CLIENTS, SWEEP, SWEPT
from chart import Axis, Line, chart, ticks_around
from histogram import PERCENTILES
from results import Summary

_LATENCIES = {
    "debit 1": "Debit, one client",
    "debit half": "Debit, half of saturation",
    "debit half, flushed": "the same, flusher running",
    "naive 1": "naive, one client",
}


def latency_chart(figures: Mapping[str, Summary], transport: str) -> str:
    """Percentiles of all rounds together; empty if there are none."""
    names = _LATENCIES | {f"null {transport} 1": "null RPC, one client"}
    lines = [
        Line(label, _percentiles(figures[name])) for name, label in names.items() if name in figures
    ]
    heights = [height for line in lines for _, height in line.points]
    if not heights:
        return ""
    # The normal distribution's quantiles spread the percentiles out as far as they are rare.
    marks = [(percent, f"p{percent:g}") for percent in PERCENTILES]
    across = Axis("percentile", marks, lambda percent: NormalDist().inv_cdf(percent / 100))
    return chart(
        "Latency by percentile", across, Axis("µs", ticks_around(min(heights), max(heights))), lines
    )


def throughput_chart(figures: Mapping[str, Summary], transport: str) -> str:
    """Calls per second by calls in flight; empty if they were not measured."""
    if SWEEP not in figures:
        return ""
    medians = figures[SWEEP].medians
    labels = SWEPT | {"null": f"null RPC, {transport}"}
    lines = [
        Line(label, [(n, medians[f"{name}/{n}"]) for n in CLIENTS])
        for name, label in labels.items()
    ]
    ceilings = [
        summary.medians["per_s"]
        for name, summary in figures.items()
        if name.startswith("ceiling debit")
    ]
    if ceilings:
        lines.append(Line("ceiling", [(n, max(ceilings)) for n in CLIENTS], dashed=True))
    heights = [height for line in lines for _, height in line.points]
    across = Axis("calls in flight", [(n, str(n)) for n in CLIENTS])
    return chart(
        "Throughput", across, Axis("per second", ticks_around(min(heights), max(heights))), lines
    )


def _percentiles(summary: Summary) -> list[tuple[float, float]]:
    found = ((percent, summary.pooled.get(f"p{percent:g}_us")) for percent in PERCENTILES)
    return [(percent, value) for percent, value in found if value is not None]
