"""Runs the command in this process as a terminal runs it: with arguments and an environment, and
with what it prints and how it ends as a result.
"""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from gate.cli.app import main
from support.stack import Stack


@dataclass(frozen=True)
class Done:
    """Holds how a command has ended."""

    status: int
    out: str
    err: str

    @property
    def words(self) -> list[str]:
        return self.out.split()


@pytest.fixture
def creditgate(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Done]]:
    """Runs `creditgate WORDS` with the running stack as its service."""
    for name in [name for name in os.environ if name.startswith("CREDITGATE_")]:
        monkeypatch.delenv(name)
    for name, value in stack.environment().items():
        if name.startswith("CREDITGATE_"):
            monkeypatch.setenv(name, value)

    def run(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["creditgate", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Done(int(ended.value.code or 0), printed.out, printed.err)

    return run
