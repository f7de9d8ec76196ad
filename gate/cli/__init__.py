"""The command `creditgate`."""

from gate.cli.app import main

__all__ = ["main"]
