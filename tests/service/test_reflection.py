"""What is served can be asked for by tools that have no protos, on every transport."""

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionRequest,
    ServerReflectionResponse,
)

from support.stack import Stack

pytest_plugins = ("support.running_stack",)
pytestmark = pytest.mark.every_transport

GATE_FILE = "gate/v1/gate.proto"


@pytest.fixture(params=["v1", "v1alpha"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def channel(stack: Stack) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(stack.targets[0]) as channel:
        yield channel


def answer(channel: grpc.Channel, version: str, **question: str) -> ServerReflectionResponse:
    ask = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        ServerReflectionRequest.SerializeToString,
        ServerReflectionResponse.FromString,
    )
    [reply] = ask(iter([ServerReflectionRequest(**question)]), timeout=10)
    return reply


def files(reply: ServerReflectionResponse) -> list[str]:
    found = reply.file_descriptor_response.file_descriptor_proto
    return [FileDescriptorProto.FromString(each).name for each in found]


def test_the_services_are_listed(channel: grpc.Channel, version: str) -> None:
    listed = answer(channel, version, list_services="").list_services_response.service
    assert [service.name for service in listed] == [
        "envoy.service.auth.v3.Authorization",
        "envoy.service.ratelimit.v3.RateLimitService",
        "gate.v1.Gate",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "meter.v1.Accounts",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "gate.v1.Gate",
        "gate.v1.Gate.Debit",
        "gate.v1.DebitRequest",
        "gate.v1.DebitRequest.account_id",
        "gate.v1.BatchResult.result",
        "gate.v1.Decision",
        "gate.v1.DENIED",
    ],
)
def test_the_file_of_a_name_is_told(channel: grpc.Channel, version: str, name: str) -> None:
    assert GATE_FILE in files(answer(channel, version, file_containing_symbol=name))


@pytest.mark.parametrize("service", ["v1", "v1alpha"])
def test_reflection_describes_itself(channel: grpc.Channel, version: str, service: str) -> None:
    name = f"grpc.reflection.{service}.ServerReflection.ServerReflectionInfo"
    [file] = files(answer(channel, version, file_containing_symbol=name))
    assert f"/{service}/" in file


@pytest.mark.parametrize("name", ["gate.v1.Gate.Refund", "gate.v1.Nobody", "Debit", ""])
def test_a_name_that_does_not_exist_is_not_found(
    channel: grpc.Channel, version: str, name: str
) -> None:
    error = answer(channel, version, file_containing_symbol=name).error_response
    assert error.error_code == grpc.StatusCode.NOT_FOUND.value[0]
