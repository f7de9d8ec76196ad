"""The fields of each call besides the ids, named as in proto/gate/v1/gate.proto."""

from collections.abc import Mapping
from typing import TypedDict

from gate.v1.gate_pb2 import Usage


class _Cost(TypedDict, total=False):
    """Names the cost of a call: exactly one of the fields is given."""

    amount_nanos: int
    usage: Usage  # priced by the gate


class AuthorizeFields(_Cost, total=False):
    """Names the fields of an Authorize."""

    dimensions: Mapping[str, str]  # api_key, user, ...: for budgets, scoped grants and reports
    min_amount_nanos: int  # 0: all or nothing; else a smaller hold will do, down to this amount
    hold_ttl_ms: int  # 0: 10 minutes; at most 24 hours
    traffic_class: str  # selects the account's grace, such as "inbound"


class SettleFields(_Cost, total=False):
    """Names the fields of a Debit to settle a hold."""

    dimensions: Mapping[str, str]
    description: str  # shown in the balance history; at most 512 bytes
    reported_cost_nanos: int  # by the provider, along with `usage`; where the price file trusts it


class DebitFields(SettleFields, total=False):
    """Names the fields of any Debit."""

    hold_id: str  # the hold to settle
    incurred: bool  # the usage has happened: never denied, and what does not fit is shortfall
    traffic_class: str  # for a Debit without a hold, as in AuthorizeFields


class ExtendFields(_Cost, total=False):
    """Names the fields of an Extend. Without an amount or a usage only the time is extended."""

    hold_ttl_ms: int  # new time to live from now, if later than the present expiry
    traffic_class: str
