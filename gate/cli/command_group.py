"""Adds a group of commands under one word, as `creditgate account create`."""

from collections.abc import Callable, Mapping

import typer


def add_group(
    app: typer.Typer,
    name: str,
    help: str,
    commands: Mapping[str, Callable[..., None]],
) -> None:
    """Adds the commands, keyed by the word that follows the group's name."""
    group = typer.Typer(no_args_is_help=True, help=help)
    for word, command in commands.items():
        group.command(word)(command)
    app.add_typer(group, name=name)
