"""Generates gate/web/openapi.json, the description of /v1, from the protos and their comments.

`make proto` runs it; --check tells whether the file is up to date.
"""

import json
import sys
import sysconfig
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet, SourceCodeInfo
from grpc_tools import protoc

from gate.v1 import gate_pb2
from gate.web.v1 import BALANCE_ENDPOINT, ENDPOINTS, KEY

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "gate/web/openapi.json"
_INT64 = {"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"}
_WELL_KNOWN = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.rpc.Status": {"type": "object"},
}
_SCALARS = {
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_INT64: _INT64,
    FieldDescriptor.TYPE_INT32: {"type": "integer", "format": "int32"},
}
_PROBLEMS = {
    "400": "The request is malformed; `field` names the field to blame.",
    "401": "The call needs a token.",
    "402": "Denied: the credits or a lifetime budget do not suffice.",
    "403": "Denied: the account is suspended. Or the token may not make this call.",
    "404": "There is no such account or hold.",
    "409": "The request_id was used with other content.",
    "413": "The request is larger than a message may be.",
    "415": "The request is no application/json.",
    "422": "The call cannot be made in this state.",
    "429": "Denied until `Retry-After`: a limit or a budget of a window is used up.",
    "503": "No decision was made, or nobody knows: repeat the call with the same request_id.",
}


def main() -> int:
    """Exit status: 1 if --check found a difference."""
    text = json.dumps(_document(), indent=1, ensure_ascii=False) + "\n"
    if sys.argv[1:] != ["--check"]:
        TARGET.write_text(text)
        return 0
    if TARGET.read_text() == text:
        return 0
    print("not what proto/ says (run `make proto`): gate/web/openapi.json", file=sys.stderr)
    return 1


def _document() -> dict[str, Any]:
    comments = _comments()
    service = gate_pb2.DESCRIPTOR.services_by_name["Gate"]
    paths = {}
    schemas: dict[str, Any] = {"Problem": _problem()}
    for endpoint, path in ENDPOINTS.items():
        method = service.methods_by_name[path.rpartition("/")[2]]
        paths[endpoint] = {"post": _operation(method, comments, schemas)}
    balance = service.methods_by_name["GetBalance"]
    operation = _operation(balance, comments, schemas)
    del operation["requestBody"]
    operation["parameters"] = [
        {"name": "account_id", "in": "path", "required": True, "schema": {"type": "string"}}
    ]
    paths[BALANCE_ENDPOINT] = {"get": operation}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Creditgate",
            "version": "v1",
            "description": comments["gate.v1.Gate"],
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": dict(sorted(schemas.items())),
        },
    }


def _operation(
    method: Any,
    comments: dict[str, str],
    schemas: dict[str, Any],
) -> dict[str, Any]:
    """Describes a method, and adds the schemas of its messages."""
    for message in (method.input_type, method.output_type):
        _add_schema(message, comments, schemas)
    answers: dict[str, Any] = {
        "200": {
            "description": "Decided, and not denied.",
            "content": {"application/json": {"schema": _ref(method.output_type)}},
        }
    }
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status, description in _PROBLEMS.items():
        answers[status] = {"description": description, "content": problem}
    operation: dict[str, Any] = {
        "operationId": method.name,
        "summary": comments.get(method.full_name, method.name),
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _ref(method.input_type)}},
        },
        "responses": answers,
    }
    if "request_id" in method.input_type.fields_by_name:
        operation["parameters"] = [
            {
                "name": KEY,
                "in": "header",
                "description": "Stands for the body's request_id.",
                "schema": {"type": "string"},
            }
        ]
    return operation


def _add_schema(
    message: Descriptor,
    comments: dict[str, str],
    schemas: dict[str, Any],
) -> None:
    if message.name in schemas or message.full_name in _WELL_KNOWN:
        return
    properties: dict[str, Any] = {}
    schemas[message.name] = {"type": "object", "properties": properties}
    if message.full_name in comments:
        schemas[message.name]["description"] = comments[message.full_name]
    for field in message.fields:
        schema = _field_schema(field, comments, schemas)
        if field.full_name in comments:
            schema = {**schema, "description": comments[field.full_name]}
        properties[field.name] = schema


def _field_schema(
    field: FieldDescriptor,
    comments: dict[str, str],
    schemas: dict[str, Any],
) -> dict[str, Any]:
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        value = message.fields_by_name["value"]
        return {
            "type": "object",
            "additionalProperties": _field_schema(value, comments, schemas),
        }
    if message is not None:
        _add_schema(message, comments, schemas)
        single = _WELL_KNOWN.get(message.full_name, _ref(message))
    elif field.enum_type is not None:
        single = _enum(field.enum_type)
    else:
        single = _SCALARS[field.type]
    if field.is_repeated:
        return {"type": "array", "items": single}
    return dict(single)


def _enum(enum: EnumDescriptor) -> dict[str, Any]:
    return {"type": "string", "enum": [value.name for value in enum.values]}


def _ref(message: Descriptor) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{message.name}"}


def _problem() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "RFC 9457. A denial also has all fields of the reply.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "reason": {"type": "string"},
            "field": {"type": "string"},
        },
    }


def _comments() -> dict[str, str]:
    """Returns the comments of gate.proto by the full names of what they stand at."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "set"
        includes = [ROOT / "proto", files("grpc_tools") / "_proto", sysconfig.get_path("purelib")]
        arguments = [f"-I{include}" for include in includes]
        arguments += [f"--descriptor_set_out={out}", "--include_source_info"]
        assert protoc.main(["protoc", *arguments, "gate/v1/gate.proto"]) == 0
        [file] = FileDescriptorSet.FromString(out.read_bytes()).file
    found = {}
    for location in file.source_code_info.location:
        text = _text(location)
        name = _name(file, list(location.path))
        if text and name:
            found[name] = text
    return found


def _text(location: SourceCodeInfo.Location) -> str:
    return " ".join((location.leading_comments or location.trailing_comments).split())


def _name(file: Any, path: list[int]) -> str:
    """Returns the full name of a message, a field, a service or a method; else nothing."""
    holders = {4: file.message_type, 6: file.service}
    if len(path) not in (2, 4) or path[0] not in holders:
        return ""
    holder = holders[path[0]][path[1]]
    name = f"{file.package}.{holder.name}"
    if len(path) == 2:
        return name
    if path[2] != 2:  # neither a field nor a method
        return ""
    members = getattr(holder, "field" if path[0] == 4 else "method")
    return f"{name}.{members[path[3]].name}"


if __name__ == "__main__":
    sys.exit(main())
