"""CPU time of processes, from /proc: a process with all that it started, dead children included."""

import os
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_seconds(root: int) -> float:
    """User and system time of `root` and its descendants so far."""
    stats = _stats()
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in stats.items():
        children.setdefault(parent, []).append(pid)
    total = 0
    pending = [root]
    while pending:
        pid = pending.pop()
        total += stats[pid][1] if pid in stats else 0
        pending += children.get(pid, [])
    return total / _TICKS_PER_S


def _stats() -> dict[int, tuple[int, int]]:
    """Parent and ticks (own, and of children waited for) of every process."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(") ")[2].split()
            except OSError:  # it has just ended
                continue
            found[int(folder.name)] = (int(fields[1]), sum(map(int, fields[11:15])))
    return found
