import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Decision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DECISION_UNSPECIFIED: _ClassVar[Decision]
    ALLOWED: _ClassVar[Decision]
    DENIED: _ClassVar[Decision]

class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASON_UNSPECIFIED: _ClassVar[Reason]
    REQUEST_ID_REUSED: _ClassVar[Reason]
    ACCOUNT_NOT_FOUND: _ClassVar[Reason]
    HOLD_NOT_FOUND: _ClassVar[Reason]
    HOLD_EXPIRED: _ClassVar[Reason]
    CURRENCY_MISMATCH: _ClassVar[Reason]
    AMOUNT_OUT_OF_RANGE: _ClassVar[Reason]
    ACCOUNT_SUSPENDED: _ClassVar[Reason]
    INSUFFICIENT_CREDITS: _ClassVar[Reason]
    DAILY_LIMIT_EXCEEDED: _ClassVar[Reason]
    BUDGET_EXCEEDED: _ClassVar[Reason]
DECISION_UNSPECIFIED: Decision
ALLOWED: Decision
DENIED: Decision
REASON_UNSPECIFIED: Reason
REQUEST_ID_REUSED: Reason
ACCOUNT_NOT_FOUND: Reason
HOLD_NOT_FOUND: Reason
HOLD_EXPIRED: Reason
CURRENCY_MISMATCH: Reason
AMOUNT_OUT_OF_RANGE: Reason
ACCOUNT_SUSPENDED: Reason
INSUFFICIENT_CREDITS: Reason
DAILY_LIMIT_EXCEEDED: Reason
BUDGET_EXCEEDED: Reason

class Usage(_message.Message):
    __slots__ = ("model", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "units", "service_tier", "reported_json")
    class UnitsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHED_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    SERVICE_TIER_FIELD_NUMBER: _ClassVar[int]
    REPORTED_JSON_FIELD_NUMBER: _ClassVar[int]
    model: str
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    units: _containers.ScalarMap[str, int]
    service_tier: str
    reported_json: str
    def __init__(self, model: _Optional[str] = ..., input_tokens: _Optional[int] = ..., cached_input_tokens: _Optional[int] = ..., cache_write_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., units: _Optional[_Mapping[str, int]] = ..., service_tier: _Optional[str] = ..., reported_json: _Optional[str] = ...) -> None: ...

class Balance(_message.Message):
    __slots__ = ("total_credits_nanos", "period_usage_nanos", "remaining_nanos", "overage_protection_nanos", "held_nanos", "daily_limit_nanos", "daily_used_nanos", "available_nanos", "daily_used_yesterday_nanos", "scoped_nanos", "expired_nanos")
    TOTAL_CREDITS_NANOS_FIELD_NUMBER: _ClassVar[int]
    PERIOD_USAGE_NANOS_FIELD_NUMBER: _ClassVar[int]
    REMAINING_NANOS_FIELD_NUMBER: _ClassVar[int]
    OVERAGE_PROTECTION_NANOS_FIELD_NUMBER: _ClassVar[int]
    HELD_NANOS_FIELD_NUMBER: _ClassVar[int]
    DAILY_LIMIT_NANOS_FIELD_NUMBER: _ClassVar[int]
    DAILY_USED_NANOS_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_NANOS_FIELD_NUMBER: _ClassVar[int]
    DAILY_USED_YESTERDAY_NANOS_FIELD_NUMBER: _ClassVar[int]
    SCOPED_NANOS_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_NANOS_FIELD_NUMBER: _ClassVar[int]
    total_credits_nanos: int
    period_usage_nanos: int
    remaining_nanos: int
    overage_protection_nanos: int
    held_nanos: int
    daily_limit_nanos: int
    daily_used_nanos: int
    available_nanos: int
    daily_used_yesterday_nanos: int
    scoped_nanos: int
    expired_nanos: int
    def __init__(self, total_credits_nanos: _Optional[int] = ..., period_usage_nanos: _Optional[int] = ..., remaining_nanos: _Optional[int] = ..., overage_protection_nanos: _Optional[int] = ..., held_nanos: _Optional[int] = ..., daily_limit_nanos: _Optional[int] = ..., daily_used_nanos: _Optional[int] = ..., available_nanos: _Optional[int] = ..., daily_used_yesterday_nanos: _Optional[int] = ..., scoped_nanos: _Optional[int] = ..., expired_nanos: _Optional[int] = ...) -> None: ...

class BudgetState(_message.Message):
    __slots__ = ("budget_id", "scope", "limit_nanos", "left_nanos", "resets_at")
    class ScopeEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    BUDGET_ID_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_NANOS_FIELD_NUMBER: _ClassVar[int]
    LEFT_NANOS_FIELD_NUMBER: _ClassVar[int]
    RESETS_AT_FIELD_NUMBER: _ClassVar[int]
    budget_id: str
    scope: _containers.ScalarMap[str, str]
    limit_nanos: int
    left_nanos: int
    resets_at: _timestamp_pb2.Timestamp
    def __init__(self, budget_id: _Optional[str] = ..., scope: _Optional[_Mapping[str, str]] = ..., limit_nanos: _Optional[int] = ..., left_nanos: _Optional[int] = ..., resets_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Denial(_message.Message):
    __slots__ = ("reason", "shortfall_nanos", "affordable_nanos", "resets_at", "affordable_output_tokens", "budget")
    REASON_FIELD_NUMBER: _ClassVar[int]
    SHORTFALL_NANOS_FIELD_NUMBER: _ClassVar[int]
    AFFORDABLE_NANOS_FIELD_NUMBER: _ClassVar[int]
    RESETS_AT_FIELD_NUMBER: _ClassVar[int]
    AFFORDABLE_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    reason: Reason
    shortfall_nanos: int
    affordable_nanos: int
    resets_at: _timestamp_pb2.Timestamp
    affordable_output_tokens: int
    budget: BudgetState
    def __init__(self, reason: _Optional[_Union[Reason, str]] = ..., shortfall_nanos: _Optional[int] = ..., affordable_nanos: _Optional[int] = ..., resets_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., affordable_output_tokens: _Optional[int] = ..., budget: _Optional[_Union[BudgetState, _Mapping]] = ...) -> None: ...

class AuthorizeRequest(_message.Message):
    __slots__ = ("account_id", "request_id", "amount_nanos", "usage", "dimensions", "min_amount_nanos", "hold_ttl_ms", "traffic_class")
    class DimensionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    MIN_AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    HOLD_TTL_MS_FIELD_NUMBER: _ClassVar[int]
    TRAFFIC_CLASS_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    request_id: str
    amount_nanos: int
    usage: Usage
    dimensions: _containers.ScalarMap[str, str]
    min_amount_nanos: int
    hold_ttl_ms: int
    traffic_class: str
    def __init__(self, account_id: _Optional[str] = ..., request_id: _Optional[str] = ..., amount_nanos: _Optional[int] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., dimensions: _Optional[_Mapping[str, str]] = ..., min_amount_nanos: _Optional[int] = ..., hold_ttl_ms: _Optional[int] = ..., traffic_class: _Optional[str] = ...) -> None: ...

class AuthorizeResponse(_message.Message):
    __slots__ = ("decision", "hold_id", "held_nanos", "expires_at", "denial", "balance", "replayed", "affordable_output_tokens", "in_grace")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    HELD_NANOS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    DENIAL_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    AFFORDABLE_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    IN_GRACE_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    hold_id: str
    held_nanos: int
    expires_at: _timestamp_pb2.Timestamp
    denial: Denial
    balance: Balance
    replayed: bool
    affordable_output_tokens: int
    in_grace: bool
    def __init__(self, decision: _Optional[_Union[Decision, str]] = ..., hold_id: _Optional[str] = ..., held_nanos: _Optional[int] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., denial: _Optional[_Union[Denial, _Mapping]] = ..., balance: _Optional[_Union[Balance, _Mapping]] = ..., replayed: _Optional[bool] = ..., affordable_output_tokens: _Optional[int] = ..., in_grace: _Optional[bool] = ...) -> None: ...

class DebitRequest(_message.Message):
    __slots__ = ("account_id", "request_id", "amount_nanos", "usage", "dimensions", "hold_id", "traffic_class", "incurred", "description", "reported_cost_nanos")
    class DimensionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    TRAFFIC_CLASS_FIELD_NUMBER: _ClassVar[int]
    INCURRED_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    REPORTED_COST_NANOS_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    request_id: str
    amount_nanos: int
    usage: Usage
    dimensions: _containers.ScalarMap[str, str]
    hold_id: str
    traffic_class: str
    incurred: bool
    description: str
    reported_cost_nanos: int
    def __init__(self, account_id: _Optional[str] = ..., request_id: _Optional[str] = ..., amount_nanos: _Optional[int] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., dimensions: _Optional[_Mapping[str, str]] = ..., hold_id: _Optional[str] = ..., traffic_class: _Optional[str] = ..., incurred: _Optional[bool] = ..., description: _Optional[str] = ..., reported_cost_nanos: _Optional[int] = ...) -> None: ...

class DebitResponse(_message.Message):
    __slots__ = ("decision", "charged_nanos", "shortfall_nanos", "denial", "balance", "replayed", "late", "in_grace")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    CHARGED_NANOS_FIELD_NUMBER: _ClassVar[int]
    SHORTFALL_NANOS_FIELD_NUMBER: _ClassVar[int]
    DENIAL_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    IN_GRACE_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    charged_nanos: int
    shortfall_nanos: int
    denial: Denial
    balance: Balance
    replayed: bool
    late: bool
    in_grace: bool
    def __init__(self, decision: _Optional[_Union[Decision, str]] = ..., charged_nanos: _Optional[int] = ..., shortfall_nanos: _Optional[int] = ..., denial: _Optional[_Union[Denial, _Mapping]] = ..., balance: _Optional[_Union[Balance, _Mapping]] = ..., replayed: _Optional[bool] = ..., late: _Optional[bool] = ..., in_grace: _Optional[bool] = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ("account_id", "request_id", "hold_id")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    request_id: str
    hold_id: str
    def __init__(self, account_id: _Optional[str] = ..., request_id: _Optional[str] = ..., hold_id: _Optional[str] = ...) -> None: ...

class ReleaseResponse(_message.Message):
    __slots__ = ("decision", "released_nanos", "balance", "replayed")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    RELEASED_NANOS_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    released_nanos: int
    balance: Balance
    replayed: bool
    def __init__(self, decision: _Optional[_Union[Decision, str]] = ..., released_nanos: _Optional[int] = ..., balance: _Optional[_Union[Balance, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class ExtendRequest(_message.Message):
    __slots__ = ("account_id", "request_id", "hold_id", "amount_nanos", "usage", "hold_ttl_ms", "traffic_class")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    HOLD_TTL_MS_FIELD_NUMBER: _ClassVar[int]
    TRAFFIC_CLASS_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    request_id: str
    hold_id: str
    amount_nanos: int
    usage: Usage
    hold_ttl_ms: int
    traffic_class: str
    def __init__(self, account_id: _Optional[str] = ..., request_id: _Optional[str] = ..., hold_id: _Optional[str] = ..., amount_nanos: _Optional[int] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., hold_ttl_ms: _Optional[int] = ..., traffic_class: _Optional[str] = ...) -> None: ...

class ExtendResponse(_message.Message):
    __slots__ = ("decision", "held_nanos", "expires_at", "denial", "balance", "replayed", "in_grace")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    HELD_NANOS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    DENIAL_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    IN_GRACE_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    held_nanos: int
    expires_at: _timestamp_pb2.Timestamp
    denial: Denial
    balance: Balance
    replayed: bool
    in_grace: bool
    def __init__(self, decision: _Optional[_Union[Decision, str]] = ..., held_nanos: _Optional[int] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., denial: _Optional[_Union[Denial, _Mapping]] = ..., balance: _Optional[_Union[Balance, _Mapping]] = ..., replayed: _Optional[bool] = ..., in_grace: _Optional[bool] = ...) -> None: ...

class GetBalanceRequest(_message.Message):
    __slots__ = ("account_id",)
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    def __init__(self, account_id: _Optional[str] = ...) -> None: ...

class CreditsLeft(_message.Message):
    __slots__ = ("type", "remaining_nanos", "held_nanos")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    REMAINING_NANOS_FIELD_NUMBER: _ClassVar[int]
    HELD_NANOS_FIELD_NUMBER: _ClassVar[int]
    type: str
    remaining_nanos: int
    held_nanos: int
    def __init__(self, type: _Optional[str] = ..., remaining_nanos: _Optional[int] = ..., held_nanos: _Optional[int] = ...) -> None: ...

class GraceState(_message.Message):
    __slots__ = ("traffic_class", "began_at", "ends_at")
    TRAFFIC_CLASS_FIELD_NUMBER: _ClassVar[int]
    BEGAN_AT_FIELD_NUMBER: _ClassVar[int]
    ENDS_AT_FIELD_NUMBER: _ClassVar[int]
    traffic_class: str
    began_at: _timestamp_pb2.Timestamp
    ends_at: _timestamp_pb2.Timestamp
    def __init__(self, traffic_class: _Optional[str] = ..., began_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ends_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetBalanceResponse(_message.Message):
    __slots__ = ("account_id", "currency", "balance", "read_at", "breakdown", "debt_nanos", "graces", "suspended", "blocked_nanos")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    READ_AT_FIELD_NUMBER: _ClassVar[int]
    BREAKDOWN_FIELD_NUMBER: _ClassVar[int]
    DEBT_NANOS_FIELD_NUMBER: _ClassVar[int]
    GRACES_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_NANOS_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    currency: str
    balance: Balance
    read_at: _timestamp_pb2.Timestamp
    breakdown: _containers.RepeatedCompositeFieldContainer[CreditsLeft]
    debt_nanos: int
    graces: _containers.RepeatedCompositeFieldContainer[GraceState]
    suspended: bool
    blocked_nanos: int
    def __init__(self, account_id: _Optional[str] = ..., currency: _Optional[str] = ..., balance: _Optional[_Union[Balance, _Mapping]] = ..., read_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., breakdown: _Optional[_Iterable[_Union[CreditsLeft, _Mapping]]] = ..., debt_nanos: _Optional[int] = ..., graces: _Optional[_Iterable[_Union[GraceState, _Mapping]]] = ..., suspended: _Optional[bool] = ..., blocked_nanos: _Optional[int] = ...) -> None: ...

class EstimateCostRequest(_message.Message):
    __slots__ = ("account_id", "usage", "amount_nanos")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    usage: Usage
    amount_nanos: int
    def __init__(self, account_id: _Optional[str] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., amount_nanos: _Optional[int] = ...) -> None: ...

class EstimateCostResponse(_message.Message):
    __slots__ = ("model", "currency", "cost_nanos", "lines", "price_version", "amount_nanos", "affordable_requests", "affordable_output_tokens")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    COST_NANOS_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    PRICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    AFFORDABLE_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    AFFORDABLE_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    model: str
    currency: str
    cost_nanos: int
    lines: _containers.RepeatedCompositeFieldContainer[CostLine]
    price_version: str
    amount_nanos: int
    affordable_requests: int
    affordable_output_tokens: int
    def __init__(self, model: _Optional[str] = ..., currency: _Optional[str] = ..., cost_nanos: _Optional[int] = ..., lines: _Optional[_Iterable[_Union[CostLine, _Mapping]]] = ..., price_version: _Optional[str] = ..., amount_nanos: _Optional[int] = ..., affordable_requests: _Optional[int] = ..., affordable_output_tokens: _Optional[int] = ...) -> None: ...

class CostLine(_message.Message):
    __slots__ = ("unit", "quantity", "amount_nanos")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    unit: str
    quantity: int
    amount_nanos: int
    def __init__(self, unit: _Optional[str] = ..., quantity: _Optional[int] = ..., amount_nanos: _Optional[int] = ...) -> None: ...

class BatchRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[BatchItem]
    def __init__(self, items: _Optional[_Iterable[_Union[BatchItem, _Mapping]]] = ...) -> None: ...

class BatchItem(_message.Message):
    __slots__ = ("authorize", "debit", "release", "extend", "get_balance")
    AUTHORIZE_FIELD_NUMBER: _ClassVar[int]
    DEBIT_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    EXTEND_FIELD_NUMBER: _ClassVar[int]
    GET_BALANCE_FIELD_NUMBER: _ClassVar[int]
    authorize: AuthorizeRequest
    debit: DebitRequest
    release: ReleaseRequest
    extend: ExtendRequest
    get_balance: GetBalanceRequest
    def __init__(self, authorize: _Optional[_Union[AuthorizeRequest, _Mapping]] = ..., debit: _Optional[_Union[DebitRequest, _Mapping]] = ..., release: _Optional[_Union[ReleaseRequest, _Mapping]] = ..., extend: _Optional[_Union[ExtendRequest, _Mapping]] = ..., get_balance: _Optional[_Union[GetBalanceRequest, _Mapping]] = ...) -> None: ...

class BatchResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[BatchResult]
    def __init__(self, results: _Optional[_Iterable[_Union[BatchResult, _Mapping]]] = ...) -> None: ...

class BatchResult(_message.Message):
    __slots__ = ("authorize", "debit", "release", "extend", "get_balance", "error")
    AUTHORIZE_FIELD_NUMBER: _ClassVar[int]
    DEBIT_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    EXTEND_FIELD_NUMBER: _ClassVar[int]
    GET_BALANCE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    authorize: AuthorizeResponse
    debit: DebitResponse
    release: ReleaseResponse
    extend: ExtendResponse
    get_balance: GetBalanceResponse
    error: _status_pb2.Status
    def __init__(self, authorize: _Optional[_Union[AuthorizeResponse, _Mapping]] = ..., debit: _Optional[_Union[DebitResponse, _Mapping]] = ..., release: _Optional[_Union[ReleaseResponse, _Mapping]] = ..., extend: _Optional[_Union[ExtendResponse, _Mapping]] = ..., get_balance: _Optional[_Union[GetBalanceResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...
