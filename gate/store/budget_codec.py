"""The codec of budgets' stored forms: the fields of their hashes in Redis, and their text.

The scripts have the same forms in gate/lua/lib/budgets.lua. Hours are UTC hours, counted from 1970.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from gate.store.stored_text import joined, pairs, tokens
from meter.journal.account_sums import ABSENT
from meter.journal.counter_names import EACH, is_for_each_value, split_name
from meter.ledger.projections.budgets import CounterSums


class BudgetField(StrEnum):
    """Begins the name of a budgets' field.

    A space and the budgets' labels follow ("key=value", one or two, sorted, a line each; the key
    alone for a budget for each value); behind LABELS, a space and the budget's id. A budget for
    each value has no amounts here, but a hash of counters (`CounterField`).
    """

    BUDGETS = "d"  # the `StoredBudget`s of these labels, by id, a line each
    LABELS = "f"  # the budget's labels
    REMAINING = "r"  # of the first budget of BUDGETS: limit - used - held in the window
    HELD = "h"  # of the first budget: held in the window; absent: 0
    # The second budget has r2 and h2, and so on.


class CounterField(StrEnum):
    """Begins the name of a counter's field; the counter's value follows.

    Both fields are there for each value that the window has seen (meter/journal/counter_names.py).
    """

    TAKEN = "r"  # used + held, negative
    HELD = "h"


class StoredBudget(NamedTuple):
    """Lays out a budget: parts between spaces, and commas within a part."""

    window: tuple[str, int, int | None]  # id, first hour, first hour behind the window
    limit: tuple[int, str]  # nanos, h hard or s soft
    thresholds: str | None  # `StoredBudgetThreshold`s
    number: int  # of the operation that made the budget
    period: str  # hour, day, week, month or lifetime


class StoredBudgetThreshold(NamedTuple):
    """Lays out a budget's threshold: tokens around a colon, and bars between thresholds."""

    threshold_id: str
    nanos: int


class HeldBudget(NamedTuple):
    """Lays out a budget counted in by a hold: tokens between commas, semicolons between budgets."""

    name: str  # of the counter
    start_hour: str  # of the window
    number: str  # of the operation that made the budget


class Counter(NamedTuple):
    """Holds what Redis has of a budget's counter, in nanos."""

    start_hour: int  # of the window
    remaining: int
    held: int


def encode_budget_thresholds(levels: Iterable[tuple[str, int]]) -> str:
    """Returns the thresholds of a budget as stored."""
    stored = (StoredBudgetThreshold(threshold_id, nanos) for threshold_id, nanos in levels)
    return "|".join(joined(":", threshold) for threshold in stored) or ABSENT


def encode_labels(labels: Sequence[str]) -> str:
    """Returns a budget's labels as stored: a line each, the key alone for each value."""
    return "\n".join(map(_stored_label, labels))


def decode_labels(text: str) -> tuple[str, ...]:
    """Returns the labels of a budget that are stored so."""
    return tuple(map(_label, text.split("\n")))


def encode_counters(counters: Iterable[tuple[str, int, int]]) -> str:
    """Returns counters as load_account takes them: value, nanos used + held, nanos held."""
    return ";".join(joined(",", counter) for counter in counters) or ABSENT


def encode_held_budgets(budgets: str, numbers: Mapping[str, int]) -> str:
    """Returns the budgets counted in by a hold, as stored; budgets without a number are left out.

    `budgets` has the counter's name and the first hour of each budget, in the form of the ledger.
    """
    found = []
    for text in budgets.split(";"):
        name, _, start_hour = text.partition(",")
        budget_id, _ = split_name(name)
        if budget_id in numbers:
            found.append(HeldBudget(name, start_hour, str(numbers[budget_id])))
    return ";".join(joined(",", budget) for budget in found) or ABSENT


def decode_budgets(fields: Sequence[bytes], counters: Sequence[Any]) -> dict[str, Counter]:
    """Returns each counter by its name; a budget for each value by its id too, as if unused.

    `fields` are the names and values of the budgets' hash in turn; `counters` the ids of budgets
    and, likewise, the fields of the hash of the budget's counters.
    """
    budgets = _decode_definitions(pairs(fields))
    for budget_id, counter_fields in zip(counters[::2], counters[1::2], strict=True):
        budgets |= _decode_counters(budget_id.decode(), budgets, pairs(counter_fields))
    return budgets


def definitions_in(fields: Mapping[str, str]) -> Iterator[tuple[str, int, str]]:
    """Yields each `StoredBudget` of the budgets' hash: its labels, its place among them, the text.

    The labels are as stored.
    """
    prefix = f"{BudgetField.BUDGETS} "
    for name, lines in fields.items():
        if name.startswith(prefix):
            labels = name.removeprefix(prefix)
            for place, line in enumerate(lines.split("\n"), 1):
                yield labels, place, line


def ids_for_each_value(fields: Mapping[str, str]) -> list[str]:
    """Returns the budgets for each value in the budgets' hash, by their ids."""
    prefix = f"{BudgetField.LABELS} "
    return [
        name.removeprefix(prefix)
        for name, labels in fields.items()
        if name.startswith(prefix) and is_for_each_value(decode_labels(labels))
    ]


def counters_in(fields: Mapping[str, str]) -> dict[str, CounterSums]:
    """Returns the counters in the hash of a budget for each value, by value."""
    counters = {}
    for name, taken in fields.items():
        if name.startswith(CounterField.TAKEN):
            value = name.removeprefix(CounterField.TAKEN)
            held = int(fields[f"{CounterField.HELD}{value}"])
            counters[value] = CounterSums(-int(taken) - held, held)
    return counters


def budget_field(field: BudgetField, place: int, labels: str) -> str:
    """Returns the name of the field of the budget at this place among those of the labels."""
    if place == 1:
        return f"{field} {labels}"
    return f"{field}{place} {labels}"


def _decode_definitions(fields: Mapping[str, str]) -> dict[str, Counter]:
    budgets = {}
    for labels, place, line in definitions_in(fields):
        window, limit, *_ = tokens(" ", line, StoredBudget._fields)
        budget_id, start_hour, _ = window.split(",")
        nanos, _ = limit.split(",")
        remaining = fields.get(budget_field(BudgetField.REMAINING, place, labels), nanos)
        held = fields.get(budget_field(BudgetField.HELD, place, labels), "0")
        budgets[budget_id] = Counter(int(start_hour), int(remaining), int(held))
    return budgets


def _decode_counters(
    budget_id: str,
    budgets: Mapping[str, Counter],
    fields: Mapping[str, str],
) -> dict[str, Counter]:
    unused = budgets[budget_id]
    counters = {}
    for value, sums in counters_in(fields).items():
        remaining = unused.remaining - sums.used - sums.held
        counters[budget_id + value] = Counter(unused.start_hour, remaining, sums.held)
    return counters


def _stored_label(label: str) -> str:
    key, _, value = label.partition("=")
    if value == EACH:
        return key
    return label


def _label(stored: str) -> str:
    if "=" in stored:
        return stored
    return f"{stored}={EACH}"
