"""Defines how wrong settings are told."""

from collections.abc import Iterable


class SettingsError(ValueError):
    """Lists wrong settings: `problems` has a line for each bad variable."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        lines = ["these settings are wrong:"]
        lines += [f"  {problem}" for problem in self.problems]
        super().__init__("\n".join(lines))
