"""Tells tools such as grpcurl what is served: reflection in its versions v1 and v1alpha."""

from collections.abc import Callable, Iterable

import grpc
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import Message
from grpc_reflection.v1alpha import reflection, reflection_pb2

_V1ALPHA = reflection.SERVICE_NAME
_V1 = _V1ALPHA.replace("v1alpha", "v1")

_Find = Callable[[str], object]


def add_reflection(names: Iterable[str], server: grpc.aio.Server) -> None:
    """Serves reflection of the named services, and of itself."""
    _define_v1()
    servicer = _Reflection([*names, _V1, _V1ALPHA])
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    # The versions differ in their name alone.
    for service in (_V1, _V1ALPHA):
        methods = {"ServerReflectionInfo": handler}
        handlers = grpc.method_handlers_generic_handler(service, methods)
        server.add_generic_rpc_handlers((handlers,))


class _Reflection(reflection.aio.ReflectionServicer):
    """Finds methods, fields and values by their own names too, as the protocol asks."""

    def _file_containing_symbol(self, request: Message, name: str) -> Message:
        # The stubs know the public methods alone.
        reply: Message = super()._file_containing_symbol(  # type: ignore[misc]
            request, _top_level(name)
        )
        return reply


def _top_level(name: str) -> str:
    """Returns the service, message or enum in which a name is defined; else the name itself."""
    pool = descriptor_pool.Default()
    parent = name.rpartition(".")[0]
    members: list[tuple[_Find, str]] = [
        (pool.FindServiceByName, "methods_by_name"),
        (pool.FindMessageTypeByName, "fields_by_name"),
        (pool.FindMessageTypeByName, "oneofs_by_name"),
    ]
    for find, kind in members:
        try:
            holder = find(parent)
        except KeyError:
            continue
        if name.rpartition(".")[2] in getattr(holder, kind):
            return parent
    return name


def _define_v1() -> None:
    """Makes v1's own description, which no Python package has, out of v1alpha's."""
    proto = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(proto)
    text = text_format.MessageToString(proto).replace("v1alpha", "v1")
    v1 = text_format.Parse(text, FileDescriptorProto())
    descriptor_pool.Default().AddSerializedFile(v1.SerializeToString())
