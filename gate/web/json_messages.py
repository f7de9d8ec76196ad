"""Reads and writes messages as protobuf's JSON: nothing is rounded, and nothing is guessed."""

import json
from typing import Any, NoReturn

from google.protobuf.json_format import MessageToDict, MessageToJson, ParseDict, ParseError
from google.protobuf.message import Message

from meter.errors import InvalidField

_BODY = "body"


def read_json(input_class: type[Message], body: bytes) -> Message:
    """Returns the message; InvalidField tells what is wrong with the body."""
    try:
        content = json.loads(
            body.decode(),
            parse_float=_refuse_number,
            parse_constant=_refuse_number,
            object_pairs_hook=_members,
        )
    except InvalidField:
        raise
    except (ValueError, RecursionError):
        raise InvalidField(_BODY, "is no JSON in UTF-8") from None
    if not isinstance(content, dict):
        raise InvalidField(_BODY, "must be a JSON object")
    try:
        return ParseDict(content, input_class())
    except (ParseError, ValueError) as error:
        raise InvalidField(_BODY, str(error)) from None


def write_json(message: Message) -> bytes:
    """Returns a message as Connect's clients read it: lowerCamelCase, int64 as strings."""
    return MessageToJson(message, indent=None).encode()


def fields_of(message: Message) -> dict[str, Any]:
    """Returns a message's fields under the proto's names, int64 as strings."""
    fields: dict[str, Any] = MessageToDict(
        message,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )
    return fields


def _refuse_number(text: str) -> NoReturn:
    raise InvalidField(_BODY, f"{text[:32]} is no whole number; write digits, or digits as text")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidField(_BODY, "a key is there twice; keep one")
    return members
