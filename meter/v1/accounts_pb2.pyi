import datetime

from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AccountStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACCOUNT_STATUS_UNSPECIFIED: _ClassVar[AccountStatus]
    ACTIVE: _ClassVar[AccountStatus]
    SUSPENDED: _ClassVar[AccountStatus]

class OveragePolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OVERAGE_POLICY_UNSPECIFIED: _ClassVar[OveragePolicy]
    NEXT_INVOICE: _ClassVar[OveragePolicy]
    NEXT_PURCHASE: _ClassVar[OveragePolicy]

class GrantType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GRANT_TYPE_UNSPECIFIED: _ClassVar[GrantType]
    TOP_UP: _ClassVar[GrantType]
    VOUCHER: _ClassVar[GrantType]
    PROMOTION: _ClassVar[GrantType]
    REFUND: _ClassVar[GrantType]
    ADJUSTMENT: _ClassVar[GrantType]

class VoidType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VOID_TYPE_UNSPECIFIED: _ClassVar[VoidType]
    VOID: _ClassVar[VoidType]
    MONEY_BACK: _ClassVar[VoidType]
    CORRECTION: _ClassVar[VoidType]

class TopUpStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TOP_UP_STATUS_UNSPECIFIED: _ClassVar[TopUpStatus]
    PENDING: _ClassVar[TopUpStatus]
    SUCCEEDED: _ClassVar[TopUpStatus]
    FAILED: _ClassVar[TopUpStatus]

class TopUpOrigin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TOP_UP_ORIGIN_UNSPECIFIED: _ClassVar[TopUpOrigin]
    RECORDED: _ClassVar[TopUpOrigin]
    BOUGHT: _ClassVar[TopUpOrigin]
    AUTO: _ClassVar[TopUpOrigin]

class BudgetWindow(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BUDGET_WINDOW_UNSPECIFIED: _ClassVar[BudgetWindow]
    DAILY: _ClassVar[BudgetWindow]
    WEEKLY: _ClassVar[BudgetWindow]
    MONTHLY: _ClassVar[BudgetWindow]
    LIFETIME: _ClassVar[BudgetWindow]
    HOURLY: _ClassVar[BudgetWindow]
ACCOUNT_STATUS_UNSPECIFIED: AccountStatus
ACTIVE: AccountStatus
SUSPENDED: AccountStatus
OVERAGE_POLICY_UNSPECIFIED: OveragePolicy
NEXT_INVOICE: OveragePolicy
NEXT_PURCHASE: OveragePolicy
GRANT_TYPE_UNSPECIFIED: GrantType
TOP_UP: GrantType
VOUCHER: GrantType
PROMOTION: GrantType
REFUND: GrantType
ADJUSTMENT: GrantType
VOID_TYPE_UNSPECIFIED: VoidType
VOID: VoidType
MONEY_BACK: VoidType
CORRECTION: VoidType
TOP_UP_STATUS_UNSPECIFIED: TopUpStatus
PENDING: TopUpStatus
SUCCEEDED: TopUpStatus
FAILED: TopUpStatus
TOP_UP_ORIGIN_UNSPECIFIED: TopUpOrigin
RECORDED: TopUpOrigin
BOUGHT: TopUpOrigin
AUTO: TopUpOrigin
BUDGET_WINDOW_UNSPECIFIED: BudgetWindow
DAILY: BudgetWindow
WEEKLY: BudgetWindow
MONTHLY: BudgetWindow
LIFETIME: BudgetWindow
HOURLY: BudgetWindow

class Account(_message.Message):
    __slots__ = ("account_id", "currency", "status", "overage_protection_nanos", "daily_limit_nanos", "test_clock_time", "create_time", "overage_policy", "spend_management_off", "thresholds", "graces", "billing_emails", "alert_emails")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OVERAGE_PROTECTION_NANOS_FIELD_NUMBER: _ClassVar[int]
    DAILY_LIMIT_NANOS_FIELD_NUMBER: _ClassVar[int]
    TEST_CLOCK_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    OVERAGE_POLICY_FIELD_NUMBER: _ClassVar[int]
    SPEND_MANAGEMENT_OFF_FIELD_NUMBER: _ClassVar[int]
    THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    GRACES_FIELD_NUMBER: _ClassVar[int]
    BILLING_EMAILS_FIELD_NUMBER: _ClassVar[int]
    ALERT_EMAILS_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    currency: str
    status: AccountStatus
    overage_protection_nanos: int
    daily_limit_nanos: int
    test_clock_time: _timestamp_pb2.Timestamp
    create_time: _timestamp_pb2.Timestamp
    overage_policy: OveragePolicy
    spend_management_off: bool
    thresholds: _containers.RepeatedCompositeFieldContainer[Threshold]
    graces: _containers.RepeatedCompositeFieldContainer[Grace]
    billing_emails: _containers.RepeatedScalarFieldContainer[str]
    alert_emails: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, account_id: _Optional[str] = ..., currency: _Optional[str] = ..., status: _Optional[_Union[AccountStatus, str]] = ..., overage_protection_nanos: _Optional[int] = ..., daily_limit_nanos: _Optional[int] = ..., test_clock_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., overage_policy: _Optional[_Union[OveragePolicy, str]] = ..., spend_management_off: _Optional[bool] = ..., thresholds: _Optional[_Iterable[_Union[Threshold, _Mapping]]] = ..., graces: _Optional[_Iterable[_Union[Grace, _Mapping]]] = ..., billing_emails: _Optional[_Iterable[str]] = ..., alert_emails: _Optional[_Iterable[str]] = ...) -> None: ...

class Threshold(_message.Message):
    __slots__ = ("threshold_id", "subject", "amount_nanos", "percent")
    class Subject(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SUBJECT_UNSPECIFIED: _ClassVar[Threshold.Subject]
        DAILY_USE: _ClassVar[Threshold.Subject]
        LOW_BALANCE: _ClassVar[Threshold.Subject]
    SUBJECT_UNSPECIFIED: Threshold.Subject
    DAILY_USE: Threshold.Subject
    LOW_BALANCE: Threshold.Subject
    THRESHOLD_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    threshold_id: str
    subject: Threshold.Subject
    amount_nanos: int
    percent: int
    def __init__(self, threshold_id: _Optional[str] = ..., subject: _Optional[_Union[Threshold.Subject, str]] = ..., amount_nanos: _Optional[int] = ..., percent: _Optional[int] = ...) -> None: ...

class Grace(_message.Message):
    __slots__ = ("traffic_class", "duration_ms", "amount_nanos")
    TRAFFIC_CLASS_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    traffic_class: str
    duration_ms: int
    amount_nanos: int
    def __init__(self, traffic_class: _Optional[str] = ..., duration_ms: _Optional[int] = ..., amount_nanos: _Optional[int] = ...) -> None: ...

class CreateAccountRequest(_message.Message):
    __slots__ = ("account", "request_id")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    account: Account
    request_id: str
    def __init__(self, account: _Optional[_Union[Account, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class GetAccountRequest(_message.Message):
    __slots__ = ("account_id",)
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    def __init__(self, account_id: _Optional[str] = ...) -> None: ...

class ListAccountsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAccountsResponse(_message.Message):
    __slots__ = ("accounts", "next_page_token")
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedCompositeFieldContainer[Account]
    next_page_token: str
    def __init__(self, accounts: _Optional[_Iterable[_Union[Account, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateAccountRequest(_message.Message):
    __slots__ = ("account", "update_mask", "request_id")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    account: Account
    update_mask: _field_mask_pb2.FieldMask
    request_id: str
    def __init__(self, account: _Optional[_Union[Account, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class Grant(_message.Message):
    __slots__ = ("grant_id", "account_id", "type", "amount_nanos", "priority", "effective_at", "expires_at", "description", "scope", "non_refundable")
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    NON_REFUNDABLE_FIELD_NUMBER: _ClassVar[int]
    grant_id: str
    account_id: str
    type: GrantType
    amount_nanos: int
    priority: int
    effective_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    description: str
    scope: Scope
    non_refundable: bool
    def __init__(self, grant_id: _Optional[str] = ..., account_id: _Optional[str] = ..., type: _Optional[_Union[GrantType, str]] = ..., amount_nanos: _Optional[int] = ..., priority: _Optional[int] = ..., effective_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., description: _Optional[str] = ..., scope: _Optional[_Union[Scope, _Mapping]] = ..., non_refundable: _Optional[bool] = ...) -> None: ...

class Scope(_message.Message):
    __slots__ = ("models", "services")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedScalarFieldContainer[str]
    services: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, models: _Optional[_Iterable[str]] = ..., services: _Optional[_Iterable[str]] = ...) -> None: ...

class VoidGrantRequest(_message.Message):
    __slots__ = ("account_id", "request_id", "grant_id", "amount_nanos", "type", "reason")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    request_id: str
    grant_id: str
    amount_nanos: int
    type: VoidType
    reason: str
    def __init__(self, account_id: _Optional[str] = ..., request_id: _Optional[str] = ..., grant_id: _Optional[str] = ..., amount_nanos: _Optional[int] = ..., type: _Optional[_Union[VoidType, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class VoidGrantResponse(_message.Message):
    __slots__ = ("voided_nanos",)
    VOIDED_NANOS_FIELD_NUMBER: _ClassVar[int]
    voided_nanos: int
    def __init__(self, voided_nanos: _Optional[int] = ...) -> None: ...

class TopUp(_message.Message):
    __slots__ = ("top_up_id", "account_id", "amount_nanos", "currency", "payment_reference", "payment_method", "status", "expires_at", "non_refundable", "grant_id", "create_time", "origin", "refunded_nanos")
    TOP_UP_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_METHOD_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    NON_REFUNDABLE_FIELD_NUMBER: _ClassVar[int]
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    REFUNDED_NANOS_FIELD_NUMBER: _ClassVar[int]
    top_up_id: str
    account_id: str
    amount_nanos: int
    currency: str
    payment_reference: str
    payment_method: str
    status: TopUpStatus
    expires_at: _timestamp_pb2.Timestamp
    non_refundable: bool
    grant_id: str
    create_time: _timestamp_pb2.Timestamp
    origin: TopUpOrigin
    refunded_nanos: int
    def __init__(self, top_up_id: _Optional[str] = ..., account_id: _Optional[str] = ..., amount_nanos: _Optional[int] = ..., currency: _Optional[str] = ..., payment_reference: _Optional[str] = ..., payment_method: _Optional[str] = ..., status: _Optional[_Union[TopUpStatus, str]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., non_refundable: _Optional[bool] = ..., grant_id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., origin: _Optional[_Union[TopUpOrigin, str]] = ..., refunded_nanos: _Optional[int] = ...) -> None: ...

class CreateTopUpRequest(_message.Message):
    __slots__ = ("request_id", "top_up")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TOP_UP_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    top_up: TopUp
    def __init__(self, request_id: _Optional[str] = ..., top_up: _Optional[_Union[TopUp, _Mapping]] = ...) -> None: ...

class CompleteTopUpRequest(_message.Message):
    __slots__ = ("account_id", "top_up_id", "status")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    TOP_UP_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    top_up_id: str
    status: TopUpStatus
    def __init__(self, account_id: _Optional[str] = ..., top_up_id: _Optional[str] = ..., status: _Optional[_Union[TopUpStatus, str]] = ...) -> None: ...

class ListTopUpsRequest(_message.Message):
    __slots__ = ("account_id", "page_size", "page_token")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    page_size: int
    page_token: str
    def __init__(self, account_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTopUpsResponse(_message.Message):
    __slots__ = ("top_ups", "next_page_token")
    TOP_UPS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    top_ups: _containers.RepeatedCompositeFieldContainer[TopUp]
    next_page_token: str
    def __init__(self, top_ups: _Optional[_Iterable[_Union[TopUp, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class VoucherBatch(_message.Message):
    __slots__ = ("batch_id", "amount_nanos", "currency", "type", "expires_at", "credits_live_ms", "codes", "uses_per_code", "uses_per_account", "priority", "description", "redeemed", "create_time", "scope")
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    CREDITS_LIVE_MS_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    USES_PER_CODE_FIELD_NUMBER: _ClassVar[int]
    USES_PER_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    REDEEMED_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    batch_id: str
    amount_nanos: int
    currency: str
    type: GrantType
    expires_at: _timestamp_pb2.Timestamp
    credits_live_ms: int
    codes: int
    uses_per_code: int
    uses_per_account: int
    priority: int
    description: str
    redeemed: int
    create_time: _timestamp_pb2.Timestamp
    scope: Scope
    def __init__(self, batch_id: _Optional[str] = ..., amount_nanos: _Optional[int] = ..., currency: _Optional[str] = ..., type: _Optional[_Union[GrantType, str]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., credits_live_ms: _Optional[int] = ..., codes: _Optional[int] = ..., uses_per_code: _Optional[int] = ..., uses_per_account: _Optional[int] = ..., priority: _Optional[int] = ..., description: _Optional[str] = ..., redeemed: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., scope: _Optional[_Union[Scope, _Mapping]] = ...) -> None: ...

class CreateVouchersRequest(_message.Message):
    __slots__ = ("request_id", "batch")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    batch: VoucherBatch
    def __init__(self, request_id: _Optional[str] = ..., batch: _Optional[_Union[VoucherBatch, _Mapping]] = ...) -> None: ...

class CreateVouchersResponse(_message.Message):
    __slots__ = ("batch", "codes")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    batch: VoucherBatch
    codes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, batch: _Optional[_Union[VoucherBatch, _Mapping]] = ..., codes: _Optional[_Iterable[str]] = ...) -> None: ...

class RedeemVoucherRequest(_message.Message):
    __slots__ = ("account_id", "request_id", "code")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    request_id: str
    code: str
    def __init__(self, account_id: _Optional[str] = ..., request_id: _Optional[str] = ..., code: _Optional[str] = ...) -> None: ...

class ListVoucherBatchesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListVoucherBatchesResponse(_message.Message):
    __slots__ = ("batches", "next_page_token")
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    batches: _containers.RepeatedCompositeFieldContainer[VoucherBatch]
    next_page_token: str
    def __init__(self, batches: _Optional[_Iterable[_Union[VoucherBatch, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Budget(_message.Message):
    __slots__ = ("budget_id", "scope", "window", "soft", "limit_nanos", "thresholds", "used_nanos", "held_nanos", "resets_at", "value_count", "warnings")
    class ScopeEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    BUDGET_ID_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    SOFT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_NANOS_FIELD_NUMBER: _ClassVar[int]
    THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    USED_NANOS_FIELD_NUMBER: _ClassVar[int]
    HELD_NANOS_FIELD_NUMBER: _ClassVar[int]
    RESETS_AT_FIELD_NUMBER: _ClassVar[int]
    VALUE_COUNT_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    budget_id: str
    scope: _containers.ScalarMap[str, str]
    window: BudgetWindow
    soft: bool
    limit_nanos: int
    thresholds: _containers.RepeatedCompositeFieldContainer[BudgetThreshold]
    used_nanos: int
    held_nanos: int
    resets_at: _timestamp_pb2.Timestamp
    value_count: int
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, budget_id: _Optional[str] = ..., scope: _Optional[_Mapping[str, str]] = ..., window: _Optional[_Union[BudgetWindow, str]] = ..., soft: _Optional[bool] = ..., limit_nanos: _Optional[int] = ..., thresholds: _Optional[_Iterable[_Union[BudgetThreshold, _Mapping]]] = ..., used_nanos: _Optional[int] = ..., held_nanos: _Optional[int] = ..., resets_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., value_count: _Optional[int] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class BudgetThreshold(_message.Message):
    __slots__ = ("threshold_id", "amount_nanos", "percent")
    THRESHOLD_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOS_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    threshold_id: str
    amount_nanos: int
    percent: int
    def __init__(self, threshold_id: _Optional[str] = ..., amount_nanos: _Optional[int] = ..., percent: _Optional[int] = ...) -> None: ...

class SetBudgetRequest(_message.Message):
    __slots__ = ("account_id", "request_id", "budget")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    request_id: str
    budget: Budget
    def __init__(self, account_id: _Optional[str] = ..., request_id: _Optional[str] = ..., budget: _Optional[_Union[Budget, _Mapping]] = ...) -> None: ...

class DeleteBudgetRequest(_message.Message):
    __slots__ = ("account_id", "request_id", "budget_id")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    BUDGET_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    request_id: str
    budget_id: str
    def __init__(self, account_id: _Optional[str] = ..., request_id: _Optional[str] = ..., budget_id: _Optional[str] = ...) -> None: ...

class ListBudgetsRequest(_message.Message):
    __slots__ = ("account_id", "page_size", "page_token")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    page_size: int
    page_token: str
    def __init__(self, account_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListBudgetsResponse(_message.Message):
    __slots__ = ("budgets", "next_page_token")
    BUDGETS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    budgets: _containers.RepeatedCompositeFieldContainer[Budget]
    next_page_token: str
    def __init__(self, budgets: _Optional[_Iterable[_Union[Budget, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListBudgetValuesRequest(_message.Message):
    __slots__ = ("account_id", "budget_id", "page_size", "page_token")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    BUDGET_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    budget_id: str
    page_size: int
    page_token: str
    def __init__(self, account_id: _Optional[str] = ..., budget_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListBudgetValuesResponse(_message.Message):
    __slots__ = ("budget", "values", "next_page_token")
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    budget: Budget
    values: _containers.RepeatedCompositeFieldContainer[BudgetValue]
    next_page_token: str
    def __init__(self, budget: _Optional[_Union[Budget, _Mapping]] = ..., values: _Optional[_Iterable[_Union[BudgetValue, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class BudgetValue(_message.Message):
    __slots__ = ("scope", "used_nanos", "held_nanos")
    class ScopeEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    USED_NANOS_FIELD_NUMBER: _ClassVar[int]
    HELD_NANOS_FIELD_NUMBER: _ClassVar[int]
    scope: _containers.ScalarMap[str, str]
    used_nanos: int
    held_nanos: int
    def __init__(self, scope: _Optional[_Mapping[str, str]] = ..., used_nanos: _Optional[int] = ..., held_nanos: _Optional[int] = ...) -> None: ...

class GrantCreditsRequest(_message.Message):
    __slots__ = ("account_id", "request_id", "grant")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    request_id: str
    grant: Grant
    def __init__(self, account_id: _Optional[str] = ..., request_id: _Optional[str] = ..., grant: _Optional[_Union[Grant, _Mapping]] = ...) -> None: ...

class AdvanceTestClockRequest(_message.Message):
    __slots__ = ("account_id", "request_id", "time")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    request_id: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, account_id: _Optional[str] = ..., request_id: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
