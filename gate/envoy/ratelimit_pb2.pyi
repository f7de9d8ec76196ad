from gate.envoy import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RateLimitRequest(_message.Message):
    __slots__ = ("domain", "descriptors")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTORS_FIELD_NUMBER: _ClassVar[int]
    domain: str
    descriptors: _containers.RepeatedCompositeFieldContainer[_descriptor_pb2.RateLimitDescriptor]
    def __init__(self, domain: _Optional[str] = ..., descriptors: _Optional[_Iterable[_Union[_descriptor_pb2.RateLimitDescriptor, _Mapping]]] = ...) -> None: ...

class RateLimitResponse(_message.Message):
    __slots__ = ("overall_code",)
    class Code(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNKNOWN: _ClassVar[RateLimitResponse.Code]
        OK: _ClassVar[RateLimitResponse.Code]
        OVER_LIMIT: _ClassVar[RateLimitResponse.Code]
    UNKNOWN: RateLimitResponse.Code
    OK: RateLimitResponse.Code
    OVER_LIMIT: RateLimitResponse.Code
    OVERALL_CODE_FIELD_NUMBER: _ClassVar[int]
    overall_code: RateLimitResponse.Code
    def __init__(self, overall_code: _Optional[_Union[RateLimitResponse.Code, str]] = ...) -> None: ...
