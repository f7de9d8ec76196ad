"""Prints replies: as JSON for programs, or as text and tables for people."""

from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message
from rich.console import RenderableType
from rich.table import Table

from gate.cli.connection import console, money, print_json, print_next, when
from gate.cli.options import typed

Reply = TypeVar("Reply", bound=Message)


def print_reply(
    reply: Reply,
    as_json: bool,
    render: Callable[[Reply], RenderableType],
) -> None:
    """Prints a reply as JSON, or as `render` shows the reply to people."""
    if as_json:
        print_json(reply)
    else:
        console.print(render(reply))


def print_page(
    page: Any,  # any reply with a field next_page_token
    as_json: bool,
    render: Callable[[Any], Table],
) -> None:
    """Prints a page of a list, and for people the option to get the following page."""
    print_reply(page, as_json, render)
    if not as_json:
        print_next(page.next_page_token)


def facts_table(title: str) -> Table:
    """Returns a table without a heading, for rows of a name and a value."""
    return Table(title=title, show_header=False, box=None, title_justify="left")


def add_number_columns(table: Table, *headings: str) -> None:
    """Adds columns aligned right, in which no number is folded or cut short."""
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)


def enum_text(enum: EnumTypeWrapper, number: int) -> str:
    """Returns an enum's value as people type the value: lower case, with hyphens."""
    return typed(enum.Name(number))


def money_or(absent: str, message: Message, field: str) -> str:
    """Returns the credits in a field of nanos; `absent` if the field is not set."""
    if not message.HasField(field):
        return absent
    return money(getattr(message, field))


def when_or(absent: str, message: Message, field: str) -> str:
    """Returns the UTC time in a field; `absent` if the field is not set."""
    if not message.HasField(field):
        return absent
    return when(getattr(message, field))
