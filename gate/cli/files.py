"""The command that prints the files for operators that come with the distribution."""

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated

import typer

from gate.cli.connection import CallFailed


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("files")(print_files)


def print_files(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="Which one to print; without, the names of all."),
    ] = "",
) -> None:
    """Print a file for operators, such as redis/users.acl, or the names of all."""
    found = dict(shipped_files())
    if not name:
        print("\n".join(sorted(found)))
    elif name in found:
        print(found[name].read_text("utf-8"), end="")
    else:
        raise CallFailed(f"there is no file {name!r}; `creditgate files` lists all")


def shipped_files() -> Iterator[tuple[str, Traversable]]:
    """Yields each file with its name, which has the folder in it."""
    yield from _below(files("gate") / "shipped", "")


def _below(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        name = f"{path}{entry.name}"
        if entry.is_dir():
            yield from _below(entry, f"{name}/")
        else:
            yield name, entry
