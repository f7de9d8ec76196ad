"""The names of budgets' counters.

A counter has what is used and held of a budget in a window. A budget has one counter, named by the
budget's id; a budget for each value has a counter for each value that occurs: `ID:VALUE`, or
`ID:VALUE:VALUE` for two dimensions. The part behind the id is called the counter's value. Counters
beyond MOST_VALUES share the value `:*`. gate/lua/lib/budgets.lua writes the same names.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

MOST_VALUES = 10_000  # that have counters of their own in a budget's window
EACH = "*"  # in a budget's label: each value of the key
NO_VALUE = ""  # of the only counter of a budget that is not for each value
OTHER_VALUES = f":{EACH}"

_SPECIAL = re.compile(r"[ %,;:/|*]")
_ESCAPED = re.compile("%([0-9A-F]{2})")


def split_name(name: str) -> tuple[str, str]:
    """Returns the budget's id and the counter's value."""
    budget_id, colon, value = name.partition(":")
    return budget_id, colon + value


def is_for_each_value(labels: Iterable[str]) -> bool:
    """Says whether a budget of these labels has a counter for each value."""
    return any(map(_is_each, labels))


def met_value(labels: Iterable[str], dimensions: Mapping[str, str]) -> str | None:
    """Returns the counter's value for usage of these dimensions; None if these labels miss it."""
    value = NO_VALUE
    for label in labels:
        key, _, wanted = label.partition("=")
        found = dimensions.get(key)
        if found is None or wanted not in (found, EACH):
            return None
        if wanted == EACH:
            value += f":{_escape(found)}"
    return value


def values_of(value: str) -> list[str]:
    """Returns the dimension values that a counter's value names."""
    return [_unescape(text) for text in value.split(":")[1:]]


def scope_of(labels: Sequence[str], value: str) -> dict[str, str]:
    """Returns the dimensions that a counter of this value counts, "*" for the others."""
    values = values_of(value)
    scope = {}
    for label in labels:
        key, _, wanted = label.partition("=")
        if wanted == EACH and values:
            wanted = values.pop(0)
        scope[key] = wanted
    return scope


def _is_each(label: str) -> bool:
    _, _, wanted = label.partition("=")
    return wanted == EACH


def _escape(text: str) -> str:
    return _SPECIAL.sub(lambda found: f"%{ord(found[0]):02X}", text)


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
