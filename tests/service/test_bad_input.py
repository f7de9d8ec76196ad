"""Bad input to the gate: each mistake has a status, a reason, and the name of the field that is to
blame.
"""

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from gate.v1.gate_pb2 import (
    AuthorizeRequest,
    DebitRequest,
    ExtendRequest,
    GetBalanceRequest,
    ReleaseRequest,
    Usage,
)
from support.customer import CREDIT, Customer, at, new_customer, refusal
from support.stack import Client

pytest_plugins = ("support.running_stack",)
pytestmark = pytest.mark.every_transport

Open = Callable[..., Customer]

REQUESTS = {
    "Authorize": AuthorizeRequest,
    "Debit": DebitRequest,
    "Release": ReleaseRequest,
    "Extend": ExtendRequest,
    "GetBalance": GetBalanceRequest,
}
MAX = 2**63 - 1
PLENTY = 10**12 + 1  # more than a quantity may be
LONG = "x" * 129
TINY = Usage(model="tiny", input_tokens=1)

# Each row: what is wrong with the request, and with which field.
AMOUNTS = [
    ("Authorize", {"amount_nanos": 0}, "amount_nanos"),
    ("Authorize", {"amount_nanos": -1}, "amount_nanos"),
    ("Authorize", {"amount_nanos": -(2**63)}, "amount_nanos"),
    ("Authorize", {}, "amount_nanos"),
    ("Authorize", {"amount_nanos": 1, "usage": TINY}, "amount_nanos"),
    ("Authorize", {"amount_nanos": 1, "min_amount_nanos": 2}, "min_amount_nanos"),
    ("Authorize", {"amount_nanos": 1, "min_amount_nanos": -1}, "min_amount_nanos"),
    ("Authorize", {"usage": TINY, "min_amount_nanos": -1}, "min_amount_nanos"),
    ("Debit", {"amount_nanos": -1}, "amount_nanos"),
    ("Debit", {}, "amount_nanos"),
    ("Debit", {"amount_nanos": 1, "usage": TINY}, "amount_nanos"),
    ("Extend", {"hold_id": "h", "amount_nanos": -1}, "amount_nanos"),
    ("Extend", {"hold_id": "h", "amount_nanos": 1, "usage": TINY}, "amount_nanos"),
    ("Extend", {"hold_id": "h"}, "amount_nanos"),
]
USAGES = [
    ("Authorize", {"usage": Usage(model="tiny")}, "usage"),
    ("Authorize", {"usage": Usage(input_tokens=1)}, "usage.model"),
    ("Debit", {"usage": Usage(input_tokens=1)}, "usage.model"),
    ("Debit", {"usage": Usage(model="x" * 201, input_tokens=1)}, "usage.model"),
    ("Debit", {"usage": Usage(model="a\nb", input_tokens=1)}, "usage.model"),
    ("Debit", {"usage": Usage(model="tiny", service_tier="x" * 65)}, "usage.service_tier"),
    ("Extend", {"hold_id": "h", "usage": Usage(input_tokens=1)}, "usage.model"),
    ("Debit", {"usage": Usage(model="tiny", input_tokens=-1)}, "usage.input_tokens"),
    ("Debit", {"usage": Usage(model="tiny", cached_input_tokens=-1)}, "usage.cached_input_tokens"),
    ("Debit", {"usage": Usage(model="tiny", cache_write_tokens=-1)}, "usage.cache_write_tokens"),
    ("Debit", {"usage": Usage(model="tiny", output_tokens=-1)}, "usage.output_tokens"),
    ("Debit", {"usage": Usage(model="tiny", output_tokens=PLENTY)}, "usage.output_tokens"),
    ("Debit", {"usage": Usage(model="tiny", units={"requests": -1})}, "usage.units[requests]"),
    ("Debit", {"usage": Usage(model="tiny", units={"requests": PLENTY})}, "usage.units[requests]"),
    ("Debit", {"usage": Usage(model="tiny", units={"input_tokens": 1})}, "usage.units"),
    ("Debit", {"usage": Usage(model="tiny", units={f"u{n}": 0 for n in range(33)})}, "usage.units"),
    ("Debit", {"usage": Usage(model="tiny", units={"": 1})}, "usage.units"),
    ("Debit", {"usage": Usage(model="tiny", units={"a b\0": 1})}, "usage.units"),
    ("Debit", {"usage": Usage(model="tiny", units={"u" * 65: 1})}, "usage.units"),
]
OTHERS = [
    ("Debit", {"amount_nanos": 1, "dimensions": {f"k{n}": "" for n in range(17)}}, "dimensions"),
    ("Debit", {"amount_nanos": 1, "dimensions": {"": "v"}}, "dimensions"),
    ("Debit", {"amount_nanos": 1, "dimensions": {"k" * 65: "v"}}, "dimensions"),
    ("Debit", {"amount_nanos": 1, "dimensions": {"k": "v" * 257}}, "dimensions"),
    ("Debit", {"amount_nanos": 1, "dimensions": {"k": "a\0b"}}, "dimensions"),
    (
        "Authorize",
        {"amount_nanos": 1, "dimensions": {f"k{n}": "" for n in range(17)}},
        "dimensions",
    ),
    ("Authorize", {"amount_nanos": 1, "hold_ttl_ms": -1}, "hold_ttl_ms"),
    ("Authorize", {"amount_nanos": 1, "hold_ttl_ms": 86_400_001}, "hold_ttl_ms"),
    ("Extend", {"hold_id": "h", "hold_ttl_ms": -1}, "hold_ttl_ms"),
    ("Extend", {"hold_id": "h", "hold_ttl_ms": 86_400_001}, "hold_ttl_ms"),
    ("Authorize", {"amount_nanos": 1, "traffic_class": "x" * 65}, "traffic_class"),
    ("Debit", {"amount_nanos": 1, "description": "x" * 513}, "description"),
    ("Debit", {"amount_nanos": 1, "description": "a\nb"}, "description"),
    ("Debit", {"amount_nanos": 1, "hold_id": "a b"}, "hold_id"),
    ("Debit", {"amount_nanos": 1, "hold_id": LONG}, "hold_id"),
    ("Release", {}, "hold_id"),
    ("Extend", {"amount_nanos": 1}, "hold_id"),
]
BAD_IDS = [
    "",
    "a b",
    " ",
    "a\tb",
    "a\nb",
    "\0",
    "\x7f",
    "zero\u200bwidth",
    "\u00a0",
    LONG,
    "\u00e9" * 65,
]
IDS = [
    (method, {"amount_nanos": 1, field: bad}, field)
    for method, field in (("Authorize", "account_id"), ("Debit", "request_id"))
    for bad in BAD_IDS
] + [
    (method, {"hold_id": "h", **({"amount_nanos": 1} if method == "Extend" else {}), field: bad}, field)
    for method in ("Release", "Extend")
    for field in ("account_id", "request_id", "hold_id")
    for bad in ("", "a b", LONG)
] + [("GetBalance", {"account_id": bad}, "account_id") for bad in ("", "a b", LONG)]  # fmt: skip


@pytest.fixture(scope="module")
def customer(client: Client) -> Customer:
    return new_customer(client, "10")


def request_of(customer: Customer, method: str, fields: dict[str, Any]) -> Any:
    if method == "GetBalance":
        return GetBalanceRequest(**{"account_id": customer.account_id, **fields})
    return customer.asks(REQUESTS[method], **fields)


@pytest.mark.parametrize(("method", "fields", "field"), [*AMOUNTS, *USAGES, *OTHERS, *IDS])
def test_a_malformed_request_is_refused_naming_its_field(
    customer: Customer, method: str, fields: dict[str, Any], field: str
) -> None:
    before = customer.balance()
    refused = refusal(getattr(customer.client.gate, method), request_of(customer, method, fields))
    assert (refused.code, refused.reason, refused.field) == (
        "INVALID_ARGUMENT",
        "INVALID_FIELD",
        field,
    )
    assert refused.message.startswith(f"{field}: "), "people read which field it was"
    assert len(refused.message) < 300
    assert customer.balance() == before


@pytest.mark.parametrize(
    ("method", "fields", "code", "reason", "field"),
    [
        ("GetBalance", {"account_id": "nobody"}, "NOT_FOUND", "ACCOUNT_NOT_FOUND", "account_id"),
        ("Authorize", {"account_id": "nobody", "amount_nanos": 1}, "NOT_FOUND", "ACCOUNT_NOT_FOUND", "account_id"),
        ("Debit", {"account_id": "nobody", "amount_nanos": 1}, "NOT_FOUND", "ACCOUNT_NOT_FOUND", "account_id"),
        ("Release", {"account_id": "nobody", "hold_id": "h"}, "NOT_FOUND", "ACCOUNT_NOT_FOUND", "account_id"),
        ("Extend", {"account_id": "nobody", "hold_id": "h", "amount_nanos": 1}, "NOT_FOUND", "ACCOUNT_NOT_FOUND", "account_id"),
        ("Debit", {"hold_id": "none", "amount_nanos": 1}, "NOT_FOUND", "HOLD_NOT_FOUND", "hold_id"),
        ("Release", {"hold_id": "none"}, "NOT_FOUND", "HOLD_NOT_FOUND", "hold_id"),
        ("Extend", {"hold_id": "none", "amount_nanos": 1}, "NOT_FOUND", "HOLD_NOT_FOUND", "hold_id"),
        ("Debit", {"hold_id": "none.0123456789ab", "usage": TINY}, "NOT_FOUND", "HOLD_NOT_FOUND", "hold_id"),
        ("Authorize", {"usage": Usage(model="no-such", input_tokens=1)}, "INVALID_ARGUMENT", "UNKNOWN_MODEL", "usage.model"),
        ("Debit", {"usage": Usage(model="no-such", input_tokens=1)}, "INVALID_ARGUMENT", "UNKNOWN_MODEL", "usage.model"),
        ("Debit", {"usage": Usage(model="tiny", units={"widgets": 1})}, "INVALID_ARGUMENT", "UNPRICED_UNIT", "usage"),
        ("Authorize", {"usage": Usage(model="tiny", units={"requests": 1})}, "INVALID_ARGUMENT", "UNPRICED_UNIT", "usage"),
        ("Debit", {"usage": Usage(model="tiny", input_tokens=1, service_tier="flex")}, "INVALID_ARGUMENT", "UNPRICED_SERVICE_TIER", "usage.service_tier"),
        ("Authorize", {"usage": Usage(model="dust", input_tokens=1, service_tier="batch")}, "INVALID_ARGUMENT", "UNPRICED_SERVICE_TIER", "usage.service_tier"),
        ("Debit", {"amount_nanos": MAX, "incurred": True}, "OUT_OF_RANGE", "AMOUNT_OUT_OF_RANGE", "amount_nanos"),
    ],
)  # fmt: skip
def test_what_does_not_exist_or_cannot_be_is_refused(
    customer: Customer, method: str, fields: dict[str, Any], code: str, reason: str, field: str
) -> None:
    before = customer.balance()
    refused = refusal(getattr(customer.client.gate, method), request_of(customer, method, fields))
    assert (refused.code, refused.reason, refused.field) == (code, reason, field)
    assert customer.balance() == before


def test_an_unknown_model_is_named(customer: Customer) -> None:
    request = customer.asks(DebitRequest, usage=Usage(model="gpt-999", input_tokens=1))
    assert "gpt-999" in refusal(customer.client.gate.Debit, request).message


def test_a_debit_of_zero_settles_a_hold_where_an_authorize_of_zero_is_refused(
    open_account: Open,
) -> None:
    customer = open_account("10")
    hold = customer.authorize(4 * CREDIT)
    assert customer.debit(0, hold_id=hold.hold_id).charged_nanos == 0
    assert (customer.balance().held_nanos, customer.balance().remaining_nanos) == (0, 10 * CREDIT)


def test_the_longest_ids_and_fields_are_accepted(open_account: Open) -> None:
    customer = open_account("10", test_clock_time=at("2026-03-15T12:00:00Z"))
    hold = customer.authorize(
        1,
        request_id="é" * 64,
        dimensions={f"{n:064}": "v" * 256 for n in range(16)},
        hold_ttl_ms=86_400_000,
    )
    assert hold.expires_at == at("2026-03-16T12:00:00Z")
    customer.debit(1, request_id="x" * 128, description="x" * 512, hold_id=hold.hold_id)
    most = Usage(model="dust", input_tokens=10**12)
    assert customer.debit(usage=most, incurred=True).charged_nanos == 500 * CREDIT


def test_a_message_of_five_megabytes_is_refused(customer: Customer) -> None:
    request = customer.asks(DebitRequest, 1, description="x" * 5_000_000)
    with pytest.raises(grpc.RpcError) as caught:
        customer.client.gate.Debit(request)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in caught.value.details()
    assert customer.debit(1).charged_nanos == 1, "and the connection goes on"
