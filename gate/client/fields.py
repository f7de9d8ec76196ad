"""What each call takes besides its ids: the fields of its request, as proto/gate/v1/gate.proto
describes them.
"""

from collections.abc import Mapping
from typing import TypedDict

from gate.v1.gate_pb2 import Usage


class _Cost(TypedDict, total=False):
    amount_nanos: int
    usage: Usage


class AuthorizeFields(_Cost, total=False):
    """Of an Authorize."""

    dimensions: Mapping[str, str]
    min_amount_nanos: int
    hold_ttl_ms: int
    traffic_class: str


class SettleFields(_Cost, total=False):
    """Of a Debit that settles a hold."""

    dimensions: Mapping[str, str]
    description: str


class DebitFields(SettleFields, total=False):
    """Of any Debit."""

    hold_id: str
    incurred: bool
    traffic_class: str


class ExtendFields(_Cost, total=False):
    """Of an Extend."""

    hold_ttl_ms: int
    traffic_class: str
