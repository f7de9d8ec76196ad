"""Defines arguments and options that several commands have, and reads their texts."""

import re
import uuid
from collections.abc import Iterable
from typing import Annotated

import typer
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from meter.v1.accounts_pb2 import Scope

AccountId = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Account id.")]
Credits = Annotated[
    str, typer.Argument(metavar="CREDITS", help="Exact decimal, such as 25 or 0.5.")
]
RequestId = Annotated[str, typer.Option(help="Makes a repeat of the command take effect once.")]
OnlyAccount = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Only this account's.")]
Limit = Annotated[int, typer.Option(help="How many, at most 1,000.")]
PageToken = Annotated[str, typer.Option(help="From the page before.")]
Priority = Annotated[
    int,
    typer.Option(
        min=0,
        max=1000,
        help="Lower is burned first; 0: the default, 50.",
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", help="May be spent on this model only; repeat for more."),
]
Services = Annotated[
    list[str] | None,
    typer.Option("--service", help="May be spent by this service only; repeat for more."),
]

_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(rf"(\d+)({'|'.join(_UNITS_MS)})")


def request_id_or_new(request_id: str) -> str:
    return request_id or f"cli-{uuid.uuid4().hex}"


def typed(name: str) -> str:
    """Returns a name of an enum, or of a kind of credits, as people type the name."""
    return name.lower().replace("_", "-")


def choices(enum: "EnumTypeWrapper") -> list[str]:
    """Returns an enum's names as people type the names."""
    names = enum.keys()[1:]
    return [typed(name) for name in names]


def choice(option: str, text: str, names: Iterable[str]) -> str:
    """Returns the enum's name for a typed text; BadParameter if the text is none of `names`."""
    if text not in names:
        raise typer.BadParameter(f"{option} is one of {', '.join(names)}")
    return text.upper().replace("-", "_")


def is_duration(text: str) -> bool:
    return _DURATION.fullmatch(text) is not None


def parse_duration_ms(option: str, text: str) -> int:
    """Returns the milliseconds of a text such as 10m; 0 for no text."""
    if not text:
        return 0
    match = _DURATION.fullmatch(text)
    if match is None:
        raise typer.BadParameter(
            f"{option} is a number and one of {', '.join(_UNITS_MS)}, such as 10m or 30d"
        )
    return int(match[1]) * _UNITS_MS[match[2]]


def duration(ms: int) -> str:
    """Returns a time as people would type it: in the largest unit without a remainder."""
    whole = [name for name, size in _UNITS_MS.items() if ms % size == 0]
    unit = whole[-1]
    return f"{ms // _UNITS_MS[unit]}{unit}"


def is_whole_number(text: str, most_digits: int) -> bool:
    """Tells whether a text consists of the digits 0 to 9 alone, at most `most_digits`."""
    return text.isascii() and text.isdigit() and len(text) <= most_digits


def pair(option: str, text: str, form: str) -> tuple[str, str]:
    """Splits a text at the first equals sign; BadParameter tells the form."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise typer.BadParameter(f"{option} is written {form}")
    return name, value


def scope(models: list[str] | None, services: list[str] | None) -> Scope | None:
    if not models and not services:
        return None
    return Scope(models=models, services=services)


def scope_text(of: Scope) -> str:
    """Tells for a table what credits may be spent on."""
    names = list(of.models)
    names += [f"service {service}" for service in of.services]
    return ", ".join(names)
