"""The part of Envoy's API that is kept here, and the shipped configuration, against Envoy itself."""

import mmap
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.internal.decoder import _DecodeVarint

from gate.address import parse_address
from gate.envoy import auth_pb2, core_pb2, descriptor_pb2, http_status_pb2, ratelimit_pb2
from gate.envoy_config import Gateway, Upstream, envoy_config
from support.envoy_stack import ENVOY

pytestmark = pytest.mark.skipif(not ENVOY.exists(), reason="there is no Envoy for this machine")

THEIRS = [
    "envoy/service/auth/v3/external_auth.proto",
    "envoy/service/auth/v3/attribute_context.proto",
    "envoy/service/ratelimit/v3/rls.proto",
    "envoy/extensions/common/ratelimit/v3/ratelimit.proto",
    "envoy/config/core/v3/base.proto",
    "envoy/config/core/v3/address.proto",
    "envoy/type/v3/http_status.proto",
]
OURS = (auth_pb2, core_pb2, descriptor_pb2, http_status_pb2, ratelimit_pb2)
_LAST_FIELD = 14  # of a FileDescriptorProto


def file_in(binary: mmap.mmap, name: str) -> FileDescriptorProto:
    """Finds the description of a proto file that Envoy carries in its binary."""
    begin = b"\x0a" + bytes([len(name)]) + name.encode()
    start = binary.find(begin)
    assert start > 0, name
    end = start
    while True:
        tag, place = _DecodeVarint(binary, end)
        if tag & 7 != 2 or not 1 <= tag >> 3 <= _LAST_FIELD:
            return FileDescriptorProto.FromString(binary[start:end])
        size, place = _DecodeVarint(binary, place)
        end = place + size


def numbers(messages: Any, prefix: str) -> Iterator[tuple[str, tuple[int, int, int]]]:
    """Yields number, type and label of every field, by its full name."""
    for message in messages:
        name = f"{prefix}.{message.name}"
        for field in message.field:
            yield f"{name}.{field.name}", (field.number, field.type, field.label)
        yield from numbers(message.nested_type, name)
        yield from numbers_of_enums(message.enum_type, name)


def numbers_of_enums(enums: Any, prefix: str) -> Iterator[tuple[str, tuple[int, int, int]]]:
    for enum in enums:
        for value in enum.value:
            yield f"{prefix}.{enum.name}.{value.name}", (value.number, 0, 0)


def described(file: FileDescriptorProto) -> dict[str, Any]:
    named: dict[str, Any] = dict(numbers(file.message_type, file.package))
    named |= dict(numbers_of_enums(file.enum_type, file.package))
    for service in file.service:
        for method in service.method:
            name = f"{file.package}.{service.name}.{method.name}"
            named[name] = (method.input_type, method.output_type)
    return named


def test_every_name_and_number_kept_here_is_envoys() -> None:
    spec = find_spec("envoy")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "_bin" / "envoy"
    theirs: dict[str, Any] = {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as binary:
        for name in THEIRS:
            theirs |= described(file_in(binary, name))
    ours: dict[str, Any] = {}
    for module in OURS:
        file_proto = FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file_proto)
        ours |= described(file_proto)
    assert len(ours) > 60
    assert {
        name: (told, theirs.get(name)) for name, told in ours.items() if theirs.get(name) != told
    } == {}


@pytest.mark.parametrize(
    ("upstream", "accounts", "gate"),
    [
        (Upstream("api.openai.com", 443, is_tls=True), {"k": "acme"}, "127.0.0.1:50051"),
        (Upstream("127.0.0.1", 80, is_tls=False), {}, "unix:/tmp/gate.sock"),
    ],
)
def test_envoy_takes_the_shipped_configuration_in_every_form(
    upstream: Upstream, accounts: dict[str, str], gate: str, tmp_path: Path
) -> None:
    gateway = Gateway(
        parse_address("127.0.0.1:8080"),
        parse_address(gate),
        upstream,
        accounts,
        "acme",
        {"x-api-key": "%ENVIRONMENT(KEY)%"},
    )
    config = tmp_path / "envoy.yaml"
    config.write_text(envoy_config(gateway))
    done = subprocess.run(
        [ENVOY, "--mode", "validate", "-c", config], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
