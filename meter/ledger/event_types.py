"""Reads the types of events that somebody asks for: a type, or a family of types such as grant.*"""

import re
from collections.abc import Collection

from sqlalchemy import ColumnElement, or_

from meter.errors import InvalidField

MAX_TYPES = 50
_FAMILY = ".*"
_FORM = re.compile(r"[a-z_]{1,30}\.(\*|[a-z_]{1,30})")


def check_types(field: str, types: Collection[str]) -> None:
    """Raises InvalidField unless there are at most 50 types, each in the form of a type."""
    if len(types) > MAX_TYPES:
        raise InvalidField(field, f"at most {MAX_TYPES}; there are {len(types)}")
    for type_ in types:
        if not _FORM.fullmatch(type_):
            message = f"{type_[:64]!r} is no type: use one such as threshold.crossed, or grant.*"
            raise InvalidField(field, message)


def is_wanted(type_: str, wanted: Collection[str]) -> bool:
    """Says whether an event's type is among the wanted types; no wanted types stand for all."""
    return not wanted or any(_matches(type_, each) for each in wanted)


def of_types(column: ColumnElement[str], types: Collection[str]) -> ColumnElement[bool]:
    """Returns the condition that the type in the column is among the types."""
    return or_(*(_of_type(column, type_) for type_ in types))


def _of_type(column: ColumnElement[str], type_: str) -> ColumnElement[bool]:
    prefix = _prefix_of(type_)
    if prefix is None:
        return column == type_
    return column.startswith(prefix, autoescape=True)


def _matches(type_: str, wanted: str) -> bool:
    prefix = _prefix_of(wanted)
    if prefix is None:
        return type_ == wanted
    return type_.startswith(prefix)


def _prefix_of(type_: str) -> str | None:
    """Returns what the types of a family begin with; None for a type of its own."""
    if type_.endswith(_FAMILY):
        return type_.removesuffix("*")
    return None
