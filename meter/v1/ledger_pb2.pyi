import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from meter.v1 import accounts_pb2 as _accounts_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EntryKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENTRY_KIND_UNSPECIFIED: _ClassVar[EntryKind]
    DEBIT: _ClassVar[EntryKind]
    GRANT: _ClassVar[EntryKind]
    AUTHORIZE: _ClassVar[EntryKind]
    EXTEND: _ClassVar[EntryKind]
    RELEASE: _ClassVar[EntryKind]
    EXPIRE: _ClassVar[EntryKind]
    CREATE: _ClassVar[EntryKind]
    UPDATE: _ClassVar[EntryKind]
    CLOCK: _ClassVar[EntryKind]
    GRANT_EXPIRED: _ClassVar[EntryKind]
    GRANT_STARTED: _ClassVar[EntryKind]
    GRANT_EXHAUSTED: _ClassVar[EntryKind]
    GRANT_VOIDED: _ClassVar[EntryKind]
    DEBT_PAID: _ClassVar[EntryKind]
    THRESHOLD: _ClassVar[EntryKind]
    RECONCILED: _ClassVar[EntryKind]

class Granularity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GRANULARITY_UNSPECIFIED: _ClassVar[Granularity]
    HOUR: _ClassVar[Granularity]
    DAY: _ClassVar[Granularity]

class InvoiceStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INVOICE_STATUS_UNSPECIFIED: _ClassVar[InvoiceStatus]
    DRAFT: _ClassVar[InvoiceStatus]
    FINAL: _ClassVar[InvoiceStatus]

class GrantState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GRANT_STATE_UNSPECIFIED: _ClassVar[GrantState]
    SCHEDULED: _ClassVar[GrantState]
    LIVE: _ClassVar[GrantState]
    EXHAUSTED: _ClassVar[GrantState]
    EXPIRED: _ClassVar[GrantState]
    VOIDED: _ClassVar[GrantState]
ENTRY_KIND_UNSPECIFIED: EntryKind
DEBIT: EntryKind
GRANT: EntryKind
AUTHORIZE: EntryKind
EXTEND: EntryKind
RELEASE: EntryKind
EXPIRE: EntryKind
CREATE: EntryKind
UPDATE: EntryKind
CLOCK: EntryKind
GRANT_EXPIRED: EntryKind
GRANT_STARTED: EntryKind
GRANT_EXHAUSTED: EntryKind
GRANT_VOIDED: EntryKind
DEBT_PAID: EntryKind
THRESHOLD: EntryKind
RECONCILED: EntryKind
GRANULARITY_UNSPECIFIED: Granularity
HOUR: Granularity
DAY: Granularity
INVOICE_STATUS_UNSPECIFIED: InvoiceStatus
DRAFT: InvoiceStatus
FINAL: InvoiceStatus
GRANT_STATE_UNSPECIFIED: GrantState
SCHEDULED: GrantState
LIVE: GrantState
EXHAUSTED: GrantState
EXPIRED: GrantState
VOIDED: GrantState

class Burn(_message.Message):
    __slots__ = ("grant_id", "type", "amount_nanos")
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    grant_id: str
    type: str
    amount_nanos: int
    def __init__(self, grant_id: _Optional[str] = ..., type: _Optional[str] = ..., amount_nanos: _Optional[int] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("entry_id", "account_id", "request_id", "kind", "occurred_at", "usage_date", "amount_nanos", "balance_nanos", "held_nanos", "hold_id", "shortfall_nanos", "model", "price_version", "usage", "dimensions", "description", "late", "incurred", "burned", "grace_nanos", "actor")
    class DimensionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    USAGE_DATE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    BALANCE_NANOS_FIELD_NUMBER: _ClassVar[int]
    HELD_NANOS_FIELD_NUMBER: _ClassVar[int]
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    SHORTFALL_NANOS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PRICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    INCURRED_FIELD_NUMBER: _ClassVar[int]
    BURNED_FIELD_NUMBER: _ClassVar[int]
    GRACE_NANOS_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    entry_id: str
    account_id: str
    request_id: str
    kind: EntryKind
    occurred_at: _timestamp_pb2.Timestamp
    usage_date: str
    amount_nanos: int
    balance_nanos: int
    held_nanos: int
    hold_id: str
    shortfall_nanos: int
    model: str
    price_version: str
    usage: _containers.RepeatedCompositeFieldContainer[UsageLine]
    dimensions: _containers.ScalarMap[str, str]
    description: str
    late: bool
    incurred: bool
    burned: _containers.RepeatedCompositeFieldContainer[Burn]
    grace_nanos: int
    actor: str
    def __init__(self, entry_id: _Optional[str] = ..., account_id: _Optional[str] = ..., request_id: _Optional[str] = ..., kind: _Optional[_Union[EntryKind, str]] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., usage_date: _Optional[str] = ..., amount_nanos: _Optional[int] = ..., balance_nanos: _Optional[int] = ..., held_nanos: _Optional[int] = ..., hold_id: _Optional[str] = ..., shortfall_nanos: _Optional[int] = ..., model: _Optional[str] = ..., price_version: _Optional[str] = ..., usage: _Optional[_Iterable[_Union[UsageLine, _Mapping]]] = ..., dimensions: _Optional[_Mapping[str, str]] = ..., description: _Optional[str] = ..., late: _Optional[bool] = ..., incurred: _Optional[bool] = ..., burned: _Optional[_Iterable[_Union[Burn, _Mapping]]] = ..., grace_nanos: _Optional[int] = ..., actor: _Optional[str] = ...) -> None: ...

class UsageLine(_message.Message):
    __slots__ = ("unit", "quantity", "amount_nanos")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    unit: str
    quantity: int
    amount_nanos: int
    def __init__(self, unit: _Optional[str] = ..., quantity: _Optional[int] = ..., amount_nanos: _Optional[int] = ...) -> None: ...

class ListEntriesRequest(_message.Message):
    __slots__ = ("account_id", "start_time", "end_time", "kinds", "model", "page_size", "page_token")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    kinds: _containers.RepeatedScalarFieldContainer[EntryKind]
    model: str
    page_size: int
    page_token: str
    def __init__(self, account_id: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., kinds: _Optional[_Iterable[_Union[EntryKind, str]]] = ..., model: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListEntriesResponse(_message.Message):
    __slots__ = ("entries", "next_page_token")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    next_page_token: str
    def __init__(self, entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class QueryUsageRequest(_message.Message):
    __slots__ = ("account_id", "start_time", "end_time", "granularity", "model", "dimension", "page_size", "page_token")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    GRANULARITY_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    granularity: Granularity
    model: str
    dimension: str
    page_size: int
    page_token: str
    def __init__(self, account_id: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., granularity: _Optional[_Union[Granularity, str]] = ..., model: _Optional[str] = ..., dimension: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class UsageBucket(_message.Message):
    __slots__ = ("start_time", "model", "unit", "dimension_value", "quantity", "amount_nanos", "requests")
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_VALUE_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    start_time: _timestamp_pb2.Timestamp
    model: str
    unit: str
    dimension_value: str
    quantity: int
    amount_nanos: int
    requests: int
    def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., model: _Optional[str] = ..., unit: _Optional[str] = ..., dimension_value: _Optional[str] = ..., quantity: _Optional[int] = ..., amount_nanos: _Optional[int] = ..., requests: _Optional[int] = ...) -> None: ...

class QueryUsageResponse(_message.Message):
    __slots__ = ("buckets", "next_page_token")
    BUCKETS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    buckets: _containers.RepeatedCompositeFieldContainer[UsageBucket]
    next_page_token: str
    def __init__(self, buckets: _Optional[_Iterable[_Union[UsageBucket, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class InvoicePayment(_message.Message):
    __slots__ = ("type", "amount_nanos")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    type: str
    amount_nanos: int
    def __init__(self, type: _Optional[str] = ..., amount_nanos: _Optional[int] = ...) -> None: ...

class InvoiceLine(_message.Message):
    __slots__ = ("model", "unit", "price_version", "quantity", "unit_price", "amount_nanos")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    PRICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    UNIT_PRICE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    model: str
    unit: str
    price_version: str
    quantity: int
    unit_price: str
    amount_nanos: int
    def __init__(self, model: _Optional[str] = ..., unit: _Optional[str] = ..., price_version: _Optional[str] = ..., quantity: _Optional[int] = ..., unit_price: _Optional[str] = ..., amount_nanos: _Optional[int] = ...) -> None: ...

class Invoice(_message.Message):
    __slots__ = ("invoice_number", "account_id", "currency", "status", "period_start", "period_end", "lines", "total_nanos", "credits_applied_nanos", "overage_due_nanos", "opening_balance_nanos", "credits_granted_nanos", "closing_balance_nanos", "entry_count", "payments", "overage_used_nanos", "debt_paid_nanos", "overage_carried_nanos", "credits_expired_nanos")
    INVOICE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PERIOD_START_FIELD_NUMBER: _ClassVar[int]
    PERIOD_END_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_NANOS_FIELD_NUMBER: _ClassVar[int]
    CREDITS_APPLIED_NANOS_FIELD_NUMBER: _ClassVar[int]
    OVERAGE_DUE_NANOS_FIELD_NUMBER: _ClassVar[int]
    OPENING_BALANCE_NANOS_FIELD_NUMBER: _ClassVar[int]
    CREDITS_GRANTED_NANOS_FIELD_NUMBER: _ClassVar[int]
    CLOSING_BALANCE_NANOS_FIELD_NUMBER: _ClassVar[int]
    ENTRY_COUNT_FIELD_NUMBER: _ClassVar[int]
    PAYMENTS_FIELD_NUMBER: _ClassVar[int]
    OVERAGE_USED_NANOS_FIELD_NUMBER: _ClassVar[int]
    DEBT_PAID_NANOS_FIELD_NUMBER: _ClassVar[int]
    OVERAGE_CARRIED_NANOS_FIELD_NUMBER: _ClassVar[int]
    CREDITS_EXPIRED_NANOS_FIELD_NUMBER: _ClassVar[int]
    invoice_number: str
    account_id: str
    currency: str
    status: InvoiceStatus
    period_start: _timestamp_pb2.Timestamp
    period_end: _timestamp_pb2.Timestamp
    lines: _containers.RepeatedCompositeFieldContainer[InvoiceLine]
    total_nanos: int
    credits_applied_nanos: int
    overage_due_nanos: int
    opening_balance_nanos: int
    credits_granted_nanos: int
    closing_balance_nanos: int
    entry_count: int
    payments: _containers.RepeatedCompositeFieldContainer[InvoicePayment]
    overage_used_nanos: int
    debt_paid_nanos: int
    overage_carried_nanos: int
    credits_expired_nanos: int
    def __init__(self, invoice_number: _Optional[str] = ..., account_id: _Optional[str] = ..., currency: _Optional[str] = ..., status: _Optional[_Union[InvoiceStatus, str]] = ..., period_start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., period_end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., lines: _Optional[_Iterable[_Union[InvoiceLine, _Mapping]]] = ..., total_nanos: _Optional[int] = ..., credits_applied_nanos: _Optional[int] = ..., overage_due_nanos: _Optional[int] = ..., opening_balance_nanos: _Optional[int] = ..., credits_granted_nanos: _Optional[int] = ..., closing_balance_nanos: _Optional[int] = ..., entry_count: _Optional[int] = ..., payments: _Optional[_Iterable[_Union[InvoicePayment, _Mapping]]] = ..., overage_used_nanos: _Optional[int] = ..., debt_paid_nanos: _Optional[int] = ..., overage_carried_nanos: _Optional[int] = ..., credits_expired_nanos: _Optional[int] = ...) -> None: ...

class CreateInvoiceRequest(_message.Message):
    __slots__ = ("account_id", "period_start", "period_end", "preview")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PERIOD_START_FIELD_NUMBER: _ClassVar[int]
    PERIOD_END_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    period_start: _timestamp_pb2.Timestamp
    period_end: _timestamp_pb2.Timestamp
    preview: bool
    def __init__(self, account_id: _Optional[str] = ..., period_start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., period_end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., preview: _Optional[bool] = ...) -> None: ...

class GetInvoiceRequest(_message.Message):
    __slots__ = ("invoice_number",)
    INVOICE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    invoice_number: str
    def __init__(self, invoice_number: _Optional[str] = ...) -> None: ...

class ListInvoicesRequest(_message.Message):
    __slots__ = ("account_id", "page_size", "page_token")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    page_size: int
    page_token: str
    def __init__(self, account_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListInvoicesResponse(_message.Message):
    __slots__ = ("invoices", "next_page_token")
    INVOICES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    invoices: _containers.RepeatedCompositeFieldContainer[Invoice]
    next_page_token: str
    def __init__(self, invoices: _Optional[_Iterable[_Union[Invoice, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListGrantsRequest(_message.Message):
    __slots__ = ("account_id", "include_ended", "page_size", "page_token")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_ENDED_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    include_ended: bool
    page_size: int
    page_token: str
    def __init__(self, account_id: _Optional[str] = ..., include_ended: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class GrantSummary(_message.Message):
    __slots__ = ("grant", "state", "granted_nanos", "spent_nanos", "held_nanos", "expired_nanos", "remaining_nanos", "voided_nanos")
    GRANT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    GRANTED_NANOS_FIELD_NUMBER: _ClassVar[int]
    SPENT_NANOS_FIELD_NUMBER: _ClassVar[int]
    HELD_NANOS_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_NANOS_FIELD_NUMBER: _ClassVar[int]
    REMAINING_NANOS_FIELD_NUMBER: _ClassVar[int]
    VOIDED_NANOS_FIELD_NUMBER: _ClassVar[int]
    grant: _accounts_pb2.Grant
    state: GrantState
    granted_nanos: int
    spent_nanos: int
    held_nanos: int
    expired_nanos: int
    remaining_nanos: int
    voided_nanos: int
    def __init__(self, grant: _Optional[_Union[_accounts_pb2.Grant, _Mapping]] = ..., state: _Optional[_Union[GrantState, str]] = ..., granted_nanos: _Optional[int] = ..., spent_nanos: _Optional[int] = ..., held_nanos: _Optional[int] = ..., expired_nanos: _Optional[int] = ..., remaining_nanos: _Optional[int] = ..., voided_nanos: _Optional[int] = ...) -> None: ...

class ListGrantsResponse(_message.Message):
    __slots__ = ("grants", "next_page_token")
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    grants: _containers.RepeatedCompositeFieldContainer[GrantSummary]
    next_page_token: str
    def __init__(self, grants: _Optional[_Iterable[_Union[GrantSummary, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Hold(_message.Message):
    __slots__ = ("hold_id", "account_id", "amount_nanos", "authorized_at", "expires_at")
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    AUTHORIZED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    hold_id: str
    account_id: str
    amount_nanos: int
    authorized_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, hold_id: _Optional[str] = ..., account_id: _Optional[str] = ..., amount_nanos: _Optional[int] = ..., authorized_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListHoldsRequest(_message.Message):
    __slots__ = ("account_id", "page_size", "page_token")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    page_size: int
    page_token: str
    def __init__(self, account_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListHoldsResponse(_message.Message):
    __slots__ = ("holds", "next_page_token")
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    holds: _containers.RepeatedCompositeFieldContainer[Hold]
    next_page_token: str
    def __init__(self, holds: _Optional[_Iterable[_Union[Hold, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("event_id", "sequence", "type", "account_id", "occurred_at", "recorded_at", "data")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    sequence: int
    type: str
    account_id: str
    occurred_at: _timestamp_pb2.Timestamp
    recorded_at: _timestamp_pb2.Timestamp
    data: _struct_pb2.Struct
    def __init__(self, event_id: _Optional[str] = ..., sequence: _Optional[int] = ..., type: _Optional[str] = ..., account_id: _Optional[str] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., recorded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., data: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class ListEventsRequest(_message.Message):
    __slots__ = ("account_id", "page_size", "page_token", "types", "start_time", "end_time", "newest_first")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    page_size: int
    page_token: str
    types: _containers.RepeatedScalarFieldContainer[str]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    newest_first: bool
    def __init__(self, account_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., types: _Optional[_Iterable[str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., newest_first: _Optional[bool] = ...) -> None: ...

class ListEventsResponse(_message.Message):
    __slots__ = ("events", "next_page_token")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CheckBooksRequest(_message.Message):
    __slots__ = ("account_id",)
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    def __init__(self, account_id: _Optional[str] = ...) -> None: ...

class Finding(_message.Message):
    __slots__ = ("invariant", "account_id", "shard", "detail")
    INVARIANT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    invariant: str
    account_id: str
    shard: str
    detail: str
    def __init__(self, invariant: _Optional[str] = ..., account_id: _Optional[str] = ..., shard: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class CheckBooksResponse(_message.Message):
    __slots__ = ("findings", "accounts_checked", "entries_checked", "invoices_checked")
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_CHECKED_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_CHECKED_FIELD_NUMBER: _ClassVar[int]
    INVOICES_CHECKED_FIELD_NUMBER: _ClassVar[int]
    findings: _containers.RepeatedCompositeFieldContainer[Finding]
    accounts_checked: int
    entries_checked: int
    invoices_checked: int
    def __init__(self, findings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ..., accounts_checked: _Optional[int] = ..., entries_checked: _Optional[int] = ..., invoices_checked: _Optional[int] = ...) -> None: ...
