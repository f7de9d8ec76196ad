"""The command, run in this process as a terminal runs it: its arguments, its environment, what it
prints, how it ends.
"""

import os
import shlex
import sys

import pytest

from gate.cli.app import main
from support.stack import Stack
from support.terminal import Creditgate, Done

pytest_plugins = ("support.running_stack",)


@pytest.fixture
def creditgate(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Creditgate:
    """`creditgate LINE`, with the running stack as its service.

    The line is split as a shell splits it; further arguments are words that are taken as they are.
    """
    for name in [name for name in os.environ if name.startswith("CREDITGATE_")]:
        monkeypatch.delenv(name)
    for name, value in stack.environment().items():
        if name.startswith("CREDITGATE_"):
            monkeypatch.setenv(name, value)

    def run(line: str, *words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["creditgate", *shlex.split(line), *words])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Done(int(ended.value.code or 0), printed.out, printed.err)

    return run
