"""What a case measured, in one round and over all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from ceiling import Rate
from histogram import Histogram

_PRODUCT = ("service", "redis", "flusher")  # an SQLite ledger is in the flusher's process


@dataclass(frozen=True, slots=True)
class Result:
    """One round of a case: numbers by name, units in the names; and the latencies, if any, as
    `Histogram.to_sparse` has them.
    """

    values: Mapping[str, float]
    latencies: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True, slots=True)
class Summary:
    """Sums up all rounds: the median of each number, and percentiles of the pooled latencies."""

    medians: dict[str, float]
    pooled: dict[str, float]
    rounds: list[dict[str, float]] = field(default_factory=list)


def summarize(results: Sequence[Result]) -> Summary:
    """The rounds taken together."""
    names = dict.fromkeys(name for result in results for name in result.values)
    medians = {
        name: median(result.values[name] for result in results if name in result.values)
        for name in names
    }
    pooled = Histogram.merged(result.latencies for result in results)
    return Summary(
        medians,
        pooled.percentiles_us() if pooled.count else {},
        [dict(each.values) for each in results],
    )


def of_load(measured: Mapping[str, Any], unit: str = "") -> Result:
    """A run of the generator.

    `unit`: the kind of call that ends one unit of what is counted; else every item of every call is
    one.
    """
    ended = measured["ended"]
    seconds = measured["seconds"]
    latencies = measured["latencies"]
    units = max(1, ended.get(unit, 0) if unit else sum(ended.values()) * measured["items"])
    every = Histogram.merged(latencies.values())
    values = {"per_s": units / seconds, **every.percentiles_us()}
    if len(latencies) > 1:
        for kind, each in latencies.items():
            values |= {
                f"{kind}/{name}": us
                for name, us in Histogram.merged([each]).percentiles_us().items()
            }
    values |= {f"{name}_us": used * 1e6 / units for name, used in measured["cpu_s"].items()}
    if "flusher" in measured["cpu_s"]:
        values["all_in_us"] = sum(values[f"{name}_us"] for name in _PRODUCT)
    values |= {f"late_{name}": us for name, us in measured["late_us"].items()}
    return Result(values | {"generator_busy": measured["own_cpu_s"] / seconds}, every.to_sparse())


def of_rate(rate: Rate) -> Result:
    """A run against Redis itself."""
    own = {
        "redis_us": rate.redis_cpu_us,
        "generator_busy": rate.own_cpu_us * rate.units_per_s / 1e6,
    }
    return Result({"per_s": rate.units_per_s, **rate.latency_us, **own})
