import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PaymentPurpose(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PAYMENT_PURPOSE_UNSPECIFIED: _ClassVar[PaymentPurpose]
    PURCHASE: _ClassVar[PaymentPurpose]
    RECHARGE: _ClassVar[PaymentPurpose]

class PaymentState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PAYMENT_STATE_UNSPECIFIED: _ClassVar[PaymentState]
    CREATED: _ClassVar[PaymentState]
    READY: _ClassVar[PaymentState]
    PROCESSING: _ClassVar[PaymentState]
    ACTION_REQUIRED: _ClassVar[PaymentState]
    PAID: _ClassVar[PaymentState]
    CANCELLED: _ClassVar[PaymentState]
PAYMENT_PURPOSE_UNSPECIFIED: PaymentPurpose
PURCHASE: PaymentPurpose
RECHARGE: PaymentPurpose
PAYMENT_STATE_UNSPECIFIED: PaymentState
CREATED: PaymentState
READY: PaymentState
PROCESSING: PaymentState
ACTION_REQUIRED: PaymentState
PAID: PaymentState
CANCELLED: PaymentState

class Money(_message.Message):
    __slots__ = ("currency", "minor_units")
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    currency: str
    minor_units: int
    def __init__(self, currency: _Optional[str] = ..., minor_units: _Optional[int] = ...) -> None: ...

class PaymentMethod(_message.Message):
    __slots__ = ("method_id", "provider", "kind", "brand", "last4", "holder", "exp_month", "exp_year", "is_default", "added_at", "expired")
    METHOD_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    BRAND_FIELD_NUMBER: _ClassVar[int]
    LAST4_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    EXP_MONTH_FIELD_NUMBER: _ClassVar[int]
    EXP_YEAR_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    ADDED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    method_id: str
    provider: str
    kind: str
    brand: str
    last4: str
    holder: str
    exp_month: int
    exp_year: int
    is_default: bool
    added_at: _timestamp_pb2.Timestamp
    expired: bool
    def __init__(self, method_id: _Optional[str] = ..., provider: _Optional[str] = ..., kind: _Optional[str] = ..., brand: _Optional[str] = ..., last4: _Optional[str] = ..., holder: _Optional[str] = ..., exp_month: _Optional[int] = ..., exp_year: _Optional[int] = ..., is_default: _Optional[bool] = ..., added_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expired: _Optional[bool] = ...) -> None: ...

class AddPaymentMethodRequest(_message.Message):
    __slots__ = ("account_id", "make_default", "test_method")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    MAKE_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    TEST_METHOD_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    make_default: bool
    test_method: str
    def __init__(self, account_id: _Optional[str] = ..., make_default: _Optional[bool] = ..., test_method: _Optional[str] = ...) -> None: ...

class PaymentMethodSetup(_message.Message):
    __slots__ = ("setup_id", "url", "expires_at", "method")
    SETUP_ID_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    setup_id: str
    url: str
    expires_at: _timestamp_pb2.Timestamp
    method: PaymentMethod
    def __init__(self, setup_id: _Optional[str] = ..., url: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., method: _Optional[_Union[PaymentMethod, _Mapping]] = ...) -> None: ...

class ListPaymentMethodsRequest(_message.Message):
    __slots__ = ("account_id",)
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    def __init__(self, account_id: _Optional[str] = ...) -> None: ...

class ListPaymentMethodsResponse(_message.Message):
    __slots__ = ("methods",)
    METHODS_FIELD_NUMBER: _ClassVar[int]
    methods: _containers.RepeatedCompositeFieldContainer[PaymentMethod]
    def __init__(self, methods: _Optional[_Iterable[_Union[PaymentMethod, _Mapping]]] = ...) -> None: ...

class SetDefaultPaymentMethodRequest(_message.Message):
    __slots__ = ("account_id", "method_id")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    method_id: str
    def __init__(self, account_id: _Optional[str] = ..., method_id: _Optional[str] = ...) -> None: ...

class RemovePaymentMethodRequest(_message.Message):
    __slots__ = ("account_id", "method_id")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    method_id: str
    def __init__(self, account_id: _Optional[str] = ..., method_id: _Optional[str] = ...) -> None: ...

class Payment(_message.Message):
    __slots__ = ("payment_id", "account_id", "purpose", "top_up_id", "total", "state", "provider", "provider_reference", "method_id", "method", "failure_class", "failure_code", "failure_text", "attempts", "next_attempt_at", "action_url", "action_expires_at", "create_time", "settled_at", "instructions", "refunded_nanos", "uncollected_nanos")
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    TOP_UP_ID_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    METHOD_ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    FAILURE_CLASS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_CODE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_TEXT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_AT_FIELD_NUMBER: _ClassVar[int]
    ACTION_URL_FIELD_NUMBER: _ClassVar[int]
    ACTION_EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    SETTLED_AT_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTIONS_FIELD_NUMBER: _ClassVar[int]
    REFUNDED_NANOS_FIELD_NUMBER: _ClassVar[int]
    UNCOLLECTED_NANOS_FIELD_NUMBER: _ClassVar[int]
    payment_id: str
    account_id: str
    purpose: PaymentPurpose
    top_up_id: str
    total: Money
    state: PaymentState
    provider: str
    provider_reference: str
    method_id: str
    method: str
    failure_class: str
    failure_code: str
    failure_text: str
    attempts: int
    next_attempt_at: _timestamp_pb2.Timestamp
    action_url: str
    action_expires_at: _timestamp_pb2.Timestamp
    create_time: _timestamp_pb2.Timestamp
    settled_at: _timestamp_pb2.Timestamp
    instructions: str
    refunded_nanos: int
    uncollected_nanos: int
    def __init__(self, payment_id: _Optional[str] = ..., account_id: _Optional[str] = ..., purpose: _Optional[_Union[PaymentPurpose, str]] = ..., top_up_id: _Optional[str] = ..., total: _Optional[_Union[Money, _Mapping]] = ..., state: _Optional[_Union[PaymentState, str]] = ..., provider: _Optional[str] = ..., provider_reference: _Optional[str] = ..., method_id: _Optional[str] = ..., method: _Optional[str] = ..., failure_class: _Optional[str] = ..., failure_code: _Optional[str] = ..., failure_text: _Optional[str] = ..., attempts: _Optional[int] = ..., next_attempt_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., action_url: _Optional[str] = ..., action_expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., settled_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., instructions: _Optional[str] = ..., refunded_nanos: _Optional[int] = ..., uncollected_nanos: _Optional[int] = ...) -> None: ...

class BuyCreditsRequest(_message.Message):
    __slots__ = ("account_id", "request_id", "amount_nanos", "method_id", "default_method", "hosted_page", "expires_at", "non_refundable", "validate_only")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    METHOD_ID_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_METHOD_FIELD_NUMBER: _ClassVar[int]
    HOSTED_PAGE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    NON_REFUNDABLE_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    request_id: str
    amount_nanos: int
    method_id: str
    default_method: bool
    hosted_page: bool
    expires_at: _timestamp_pb2.Timestamp
    non_refundable: bool
    validate_only: bool
    def __init__(self, account_id: _Optional[str] = ..., request_id: _Optional[str] = ..., amount_nanos: _Optional[int] = ..., method_id: _Optional[str] = ..., default_method: _Optional[bool] = ..., hosted_page: _Optional[bool] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., non_refundable: _Optional[bool] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class RefundTopUpRequest(_message.Message):
    __slots__ = ("account_id", "request_id", "top_up_id", "amount_nanos", "reason")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TOP_UP_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    request_id: str
    top_up_id: str
    amount_nanos: int
    reason: str
    def __init__(self, account_id: _Optional[str] = ..., request_id: _Optional[str] = ..., top_up_id: _Optional[str] = ..., amount_nanos: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Refund(_message.Message):
    __slots__ = ("refund_id", "account_id", "top_up_id", "payment_id", "state", "voided_nanos", "paid")
    REFUND_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    TOP_UP_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    VOIDED_NANOS_FIELD_NUMBER: _ClassVar[int]
    PAID_FIELD_NUMBER: _ClassVar[int]
    refund_id: str
    account_id: str
    top_up_id: str
    payment_id: str
    state: str
    voided_nanos: int
    paid: Money
    def __init__(self, refund_id: _Optional[str] = ..., account_id: _Optional[str] = ..., top_up_id: _Optional[str] = ..., payment_id: _Optional[str] = ..., state: _Optional[str] = ..., voided_nanos: _Optional[int] = ..., paid: _Optional[_Union[Money, _Mapping]] = ...) -> None: ...

class GetPaymentRequest(_message.Message):
    __slots__ = ("account_id", "payment_id")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    payment_id: str
    def __init__(self, account_id: _Optional[str] = ..., payment_id: _Optional[str] = ...) -> None: ...

class ListPaymentsRequest(_message.Message):
    __slots__ = ("account_id", "page_size", "page_token")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    page_size: int
    page_token: str
    def __init__(self, account_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPaymentsResponse(_message.Message):
    __slots__ = ("payments", "next_page_token")
    PAYMENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    payments: _containers.RepeatedCompositeFieldContainer[Payment]
    next_page_token: str
    def __init__(self, payments: _Optional[_Iterable[_Union[Payment, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CompletePaymentRequest(_message.Message):
    __slots__ = ("account_id", "payment_id", "failed")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    payment_id: str
    failed: bool
    def __init__(self, account_id: _Optional[str] = ..., payment_id: _Optional[str] = ..., failed: _Optional[bool] = ...) -> None: ...

class AutoRecharge(_message.Message):
    __slots__ = ("account_id", "enabled", "threshold_nanos", "amount_nanos", "target_nanos", "monthly_limit_nanos", "no_monthly_limit", "method_id", "state", "reason", "next_attempt_at", "spent_this_month_nanos", "version", "set_by", "set_at")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[AutoRecharge.State]
        OFF: _ClassVar[AutoRecharge.State]
        ARMED: _ClassVar[AutoRecharge.State]
        CHARGING: _ClassVar[AutoRecharge.State]
        WAITING: _ClassVar[AutoRecharge.State]
        CONFIRMING: _ClassVar[AutoRecharge.State]
        CAPPED: _ClassVar[AutoRecharge.State]
        SUSPENDED: _ClassVar[AutoRecharge.State]
    STATE_UNSPECIFIED: AutoRecharge.State
    OFF: AutoRecharge.State
    ARMED: AutoRecharge.State
    CHARGING: AutoRecharge.State
    WAITING: AutoRecharge.State
    CONFIRMING: AutoRecharge.State
    CAPPED: AutoRecharge.State
    SUSPENDED: AutoRecharge.State
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_NANOS_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    TARGET_NANOS_FIELD_NUMBER: _ClassVar[int]
    MONTHLY_LIMIT_NANOS_FIELD_NUMBER: _ClassVar[int]
    NO_MONTHLY_LIMIT_FIELD_NUMBER: _ClassVar[int]
    METHOD_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_AT_FIELD_NUMBER: _ClassVar[int]
    SPENT_THIS_MONTH_NANOS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SET_BY_FIELD_NUMBER: _ClassVar[int]
    SET_AT_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    enabled: bool
    threshold_nanos: int
    amount_nanos: int
    target_nanos: int
    monthly_limit_nanos: int
    no_monthly_limit: bool
    method_id: str
    state: AutoRecharge.State
    reason: str
    next_attempt_at: _timestamp_pb2.Timestamp
    spent_this_month_nanos: int
    version: int
    set_by: str
    set_at: _timestamp_pb2.Timestamp
    def __init__(self, account_id: _Optional[str] = ..., enabled: _Optional[bool] = ..., threshold_nanos: _Optional[int] = ..., amount_nanos: _Optional[int] = ..., target_nanos: _Optional[int] = ..., monthly_limit_nanos: _Optional[int] = ..., no_monthly_limit: _Optional[bool] = ..., method_id: _Optional[str] = ..., state: _Optional[_Union[AutoRecharge.State, str]] = ..., reason: _Optional[str] = ..., next_attempt_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., spent_this_month_nanos: _Optional[int] = ..., version: _Optional[int] = ..., set_by: _Optional[str] = ..., set_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SetAutoRechargeRequest(_message.Message):
    __slots__ = ("rule",)
    RULE_FIELD_NUMBER: _ClassVar[int]
    rule: AutoRecharge
    def __init__(self, rule: _Optional[_Union[AutoRecharge, _Mapping]] = ...) -> None: ...

class SetAutoRechargeResponse(_message.Message):
    __slots__ = ("rule", "charging")
    RULE_FIELD_NUMBER: _ClassVar[int]
    CHARGING_FIELD_NUMBER: _ClassVar[int]
    rule: AutoRecharge
    charging: Payment
    def __init__(self, rule: _Optional[_Union[AutoRecharge, _Mapping]] = ..., charging: _Optional[_Union[Payment, _Mapping]] = ...) -> None: ...

class GetAutoRechargeRequest(_message.Message):
    __slots__ = ("account_id",)
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    def __init__(self, account_id: _Optional[str] = ...) -> None: ...

class ListRechargesRequest(_message.Message):
    __slots__ = ("account_id", "page_size", "page_token")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    page_size: int
    page_token: str
    def __init__(self, account_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class Recharge(_message.Message):
    __slots__ = ("recharge_id", "account_id", "rule_version", "remaining_nanos", "amount_nanos", "top_up_id", "payment_id", "state", "opened_at", "closed_at")
    RECHARGE_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    RULE_VERSION_FIELD_NUMBER: _ClassVar[int]
    REMAINING_NANOS_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    TOP_UP_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    OPENED_AT_FIELD_NUMBER: _ClassVar[int]
    CLOSED_AT_FIELD_NUMBER: _ClassVar[int]
    recharge_id: str
    account_id: str
    rule_version: int
    remaining_nanos: int
    amount_nanos: int
    top_up_id: str
    payment_id: str
    state: str
    opened_at: _timestamp_pb2.Timestamp
    closed_at: _timestamp_pb2.Timestamp
    def __init__(self, recharge_id: _Optional[str] = ..., account_id: _Optional[str] = ..., rule_version: _Optional[int] = ..., remaining_nanos: _Optional[int] = ..., amount_nanos: _Optional[int] = ..., top_up_id: _Optional[str] = ..., payment_id: _Optional[str] = ..., state: _Optional[str] = ..., opened_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., closed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListRechargesResponse(_message.Message):
    __slots__ = ("recharges", "next_page_token")
    RECHARGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    recharges: _containers.RepeatedCompositeFieldContainer[Recharge]
    next_page_token: str
    def __init__(self, recharges: _Optional[_Iterable[_Union[Recharge, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CheckPaymentsRequest(_message.Message):
    __slots__ = ("account_id",)
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    def __init__(self, account_id: _Optional[str] = ...) -> None: ...

class PaymentFinding(_message.Message):
    __slots__ = ("account_id", "payment_id", "detail")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    payment_id: str
    detail: str
    def __init__(self, account_id: _Optional[str] = ..., payment_id: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class CheckPaymentsResponse(_message.Message):
    __slots__ = ("payments_checked", "findings")
    PAYMENTS_CHECKED_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    payments_checked: int
    findings: _containers.RepeatedCompositeFieldContainer[PaymentFinding]
    def __init__(self, payments_checked: _Optional[int] = ..., findings: _Optional[_Iterable[_Union[PaymentFinding, _Mapping]]] = ...) -> None: ...
