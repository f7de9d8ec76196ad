"""Finds the names nearest to a name that is not known, to tell somebody who mistyped one."""

import re
from collections import Counter
from collections.abc import Iterable

_SHOWN = 4
_LETTERS_COMPARED = 64  # clients choose the names
_LEAST_LIKENESS = 0.45
_NO_LETTERS = re.compile("[^a-z0-9]+")


class NearestNames:
    """Knows names, and finds those with the most groups of three letters in common with another.

    The text before a name's last slash counts only among names that are alike otherwise.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._sizes: dict[str, int] = {}
        self._by_group: dict[str, list[str]] = {}
        for name in names:
            groups = _groups(name)
            self._sizes[name] = len(groups)
            for group in groups:
                self._by_group.setdefault(group, []).append(name)

    def to(self, wanted: str) -> dict[str, float]:
        """Returns the nearest names with their likeness, from above 0 to 1, the nearest first."""
        groups = _groups(wanted)
        common: Counter[str] = Counter()
        for group in groups:
            common.update(self._by_group.get(group, ()))
        likeness = {
            name: 2 * count / (len(groups) + self._sizes[name]) for name, count in common.items()
        }
        near = [name for name, value in likeness.items() if value >= _LEAST_LIKENESS]
        near.sort(key=lambda name: (-likeness[name], len(name), name))
        return {name: likeness[name] for name in near[:_SHOWN]}


def nearest_of(found: Iterable[dict[str, float]]) -> list[str]:
    """Returns the nearest names of all that were found, the nearest first."""
    likeness: dict[str, float] = {}
    for names in found:
        likeness.update(names)
    near = sorted(likeness, key=lambda name: (-likeness[name], len(name), name))
    return near[:_SHOWN]


def _groups(name: str) -> set[str]:
    """Returns the groups of three letters or digits in the part after the last slash."""
    last_part = name.strip().lower().rpartition("/")[2]
    letters = _NO_LETTERS.sub("", last_part)[:_LETTERS_COMPARED]
    # Two marks at each end, so that the beginning and the end of a name count.
    marked = f"^^{letters}$$"
    return {marked[start : start + 3] for start in range(len(marked) - 2)}
