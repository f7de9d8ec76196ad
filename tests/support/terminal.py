"""What a terminal has of a command: how it ended, and what it printed."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

# To the command one transport is as good as the other.
ONE_TRANSPORT = pytest.mark.parametrize("stack", ["native"], indirect=True)


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def words(self) -> list[str]:
        return self.out.split()

    @property
    def json(self) -> Any:
        """What a command that succeeded printed, read as JSON."""
        assert (self.status, self.err) == (0, "")
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """The lines that a command which succeeded printed, words apart by one space."""
        assert (self.status, self.err) == (0, "")
        return [" ".join(line.split()) for line in self.out.splitlines()]

    @property
    def rows(self) -> list[list[str]]:
        """The words of each of these lines; the first, a table's heading, is left out."""
        return [line.split(" ") for line in self.lines[1:]]


Creditgate = Callable[..., Done]
