"""Debits by the provider's own usage object."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gate.v1.gate_pb2 import (
    AuthorizeRequest,
    BatchItem,
    BatchRequest,
    DebitRequest,
    EstimateCostRequest,
    ExtendRequest,
    Usage,
)
from meter.v1.ledger_pb2 import UsageLine
from support.customer import Customer, refusal

pytest_plugins = ("support.running_stack",)
# A usage object is read before any transport matters.
pytestmark = pytest.mark.parametrize("stack", ["native"], indirect=True)

Open = Callable[..., Customer]

USED = json.dumps(
    {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 40},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
)
COST = 60 * 2_500 + 40 * 1_250 + 20 * 10_000


def test_a_hold_is_settled_by_the_usage_object_as_it_came(open_account: Open) -> None:
    customer = open_account("1")
    hold = customer.authorize(usage=Usage(model="gpt-4o", output_tokens=1000))
    used = Usage(reported_json=USED)
    request = customer.asks(DebitRequest, usage=used, hold_id=hold.hold_id)
    reply = customer.client.gate.Debit(request)
    assert reply.charged_nanos == COST
    assert customer.client.gate.Debit(request).replayed
    [entry] = [entry for entry in customer.entries() if entry.usage]
    assert list(entry.usage) == [
        UsageLine(unit="input_tokens", quantity=60, amount_nanos=150_000),
        UsageLine(unit="cached_input_tokens", quantity=40, amount_nanos=50_000),
        UsageLine(unit="output_tokens", quantity=15, amount_nanos=150_000),
        UsageLine(unit="output_reasoning_tokens", quantity=5, amount_nanos=50_000),
    ]


def test_units_that_the_object_does_not_count_stand_beside_it(open_account: Open) -> None:
    customer = open_account("1")
    plain = customer.debit(usage=Usage(model="gpt-4o", reported_json=USED))
    used = Usage(model="gpt-4o", reported_json=USED, units={"web_searches": 1})
    assert customer.debit(usage=used).charged_nanos > plain.charged_nanos
    estimate = EstimateCostRequest(usage=used)
    lines = customer.client.gate.EstimateCost(estimate).lines
    assert [line.unit for line in lines if line.quantity == 1] == ["web_searches"]


def test_an_item_of_a_batch_may_carry_a_usage_object(open_account: Open) -> None:
    customer = open_account("1")
    debits = [
        customer.asks(DebitRequest, usage=Usage(model="gpt-4o", reported_json=text))
        for text in (USED, "{}")
    ]
    batch = BatchRequest(items=[BatchItem(debit=debit) for debit in debits])
    charged, refused = customer.client.gate.Batch(batch).results
    assert charged.debit.charged_nanos == COST
    assert "usage.reported_json" in refused.error.message


@pytest.mark.parametrize(
    ("kind", "usage", "field"),
    [
        (DebitRequest, {"reported_json": "{}"}, "usage.reported_json"),
        (DebitRequest, {"reported_json": USED, "input_tokens": 1}, "usage.reported_json"),
        (DebitRequest, {"reported_json": USED + " " * 16_384}, "usage.reported_json"),
        (
            DebitRequest,
            {"reported_json": '{"prompt_tokens": 1000000000001}'},
            "usage.reported_json",
        ),
        (
            DebitRequest,
            {"reported_json": USED, "units": {"output_reasoning_tokens": 1}},
            "usage.units",
        ),
        (AuthorizeRequest, {"reported_json": USED}, "usage.reported_json"),
        (ExtendRequest, {"reported_json": USED}, "usage.reported_json"),
    ],
)
def test_a_usage_object_that_cannot_be_is_refused_with_its_field(
    open_account: Open, kind: Any, usage: dict[str, Any], field: str
) -> None:
    customer = open_account("1")
    fields = {"usage": Usage(model="gpt-4o", **usage)}
    if kind is ExtendRequest:
        fields["hold_id"] = "h"
    call = getattr(customer.client.gate, kind.DESCRIPTOR.name.removesuffix("Request"))
    refused = refusal(call, customer.asks(kind, **fields))
    assert (refused.code, refused.field) == ("INVALID_ARGUMENT", field)
