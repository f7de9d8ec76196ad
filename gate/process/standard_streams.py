"""Keeps a process alive whose stdout or stderr is closed, full, or read by nobody."""

import io
import os
import sys

_STDOUT = 1
_STDERR = 2


class _Stderr(io.TextIOWrapper):
    """Writes to stderr at once; what cannot be written is lost."""

    def __init__(self) -> None:
        # Without a buffer: what a buffer held back would fail once more when the process ends.
        raw = io.FileIO(_STDERR, "w", closefd=False)
        super().__init__(
            raw,
            encoding="utf-8",
            errors="backslashreplace",
            write_through=True,
        )

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError:
            return len(text)


def secure_standard_streams() -> None:
    """Makes stdin, stdout and stderr usable. Call before any other file is opened.

    A file that is opened while stderr is closed would get its number, and libraries write there.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(fd, True)
    os.close(fd)
    if sys.stdout is None:
        sys.stdout = io.TextIOWrapper(io.FileIO(_STDOUT, "w", closefd=False), write_through=True)
    if sys.stderr is sys.__stderr__:  # else somebody captures it
        sys.stderr = _Stderr()


def announce(text: str) -> None:
    """Prints a line to stdout, if there is somebody to read it."""
    try:
        print(text, flush=True)
    except OSError:
        # The line stays in the buffer, and would fail once more when the process ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
