from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class JournaledRequest(_message.Message):
    __slots__ = ("account_id", "request_id", "dimensions", "hold_id", "traffic_class", "description")
    class DimensionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    TRAFFIC_CLASS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    request_id: str
    dimensions: _containers.ScalarMap[str, str]
    hold_id: str
    traffic_class: str
    description: str
    def __init__(self, account_id: _Optional[str] = ..., request_id: _Optional[str] = ..., dimensions: _Optional[_Mapping[str, str]] = ..., hold_id: _Optional[str] = ..., traffic_class: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...
