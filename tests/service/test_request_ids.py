"""Request ids: one takes effect once, whichever call it came by, and stands for one
content only.
"""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from gate.v1.gate_pb2 import AuthorizeRequest, DebitRequest, ExtendRequest, ReleaseRequest, Usage
from support.customer import CREDIT, Customer, another_gate, new_id, refusal
from support.servers import wait_until
from support.stack import Stack

pytest_plugins = ("support.running_stack",)

Open = Callable[..., Customer]

TINY = Usage(model="tiny", input_tokens=5)


def is_reused(call: Callable[[Any], Any], request: Any) -> bool:
    """Whether the call is refused for the sake of its id, and nothing else."""
    refused = refusal(call, request)
    return (refused.code, refused.reason, refused.field) == (
        "ALREADY_EXISTS",
        "REQUEST_ID_REUSED",
        "request_id",
    )


@pytest.mark.parametrize(
    "change",
    [
        {"amount_nanos": 2},
        {"amount_nanos": None, "usage": TINY},
        {"dimensions": {"user": "bob"}},
        {"dimensions": {}},
        {"min_amount_nanos": 1},
        {"hold_ttl_ms": 5000},
        {"traffic_class": "batch"},
    ],
    ids=str,
)
def test_an_authorize_of_other_content_is_refused_its_id(
    open_account: Open, change: dict[str, Any]
) -> None:
    customer = open_account("10")
    request = customer.asks(AuthorizeRequest, 1, dimensions={"user": "ada"})
    customer.client.gate.Authorize(request)
    fields = {
        "amount_nanos": 1,
        "dimensions": {"user": "ada"},
        "request_id": request.request_id,
        **change,
    }
    assert is_reused(customer.client.gate.Authorize, customer.asks(AuthorizeRequest, **fields))
    assert customer.balance().held_nanos == 1


@pytest.mark.parametrize(
    "change",
    [
        {"amount_nanos": 2},
        {"incurred": True},
        {"description": "more"},
        {"dimensions": {"user": "bob"}},
    ],
    ids=str,
)
def test_a_debit_of_other_content_is_refused_its_id(
    open_account: Open, change: dict[str, Any]
) -> None:
    customer = open_account("10")
    request = customer.asks(DebitRequest, 1)
    customer.client.gate.Debit(request)
    fields = {"amount_nanos": 1, "request_id": request.request_id, **change}
    assert is_reused(customer.client.gate.Debit, customer.asks(DebitRequest, **fields))
    assert customer.balance().remaining_nanos == 10 * CREDIT - 1


def test_an_id_belongs_to_one_call_whatever_the_method(open_account: Open) -> None:
    customer = open_account("10")
    gate = customer.client.gate
    hold_id = customer.authorize(CREDIT).hold_id
    calls = {
        gate.Authorize: (AuthorizeRequest, {"amount_nanos": 1}),
        gate.Debit: (DebitRequest, {"amount_nanos": 1}),
        gate.Extend: (ExtendRequest, {"amount_nanos": 1, "hold_id": hold_id}),
        gate.Release: (ReleaseRequest, {"hold_id": hold_id}),
    }
    ids = {call: new_id() for call in calls}
    for call, (kind, fields) in calls.items():
        call(customer.asks(kind, request_id=ids[call], **fields))
    after = customer.balance()
    for call, (kind, fields) in calls.items():
        for other in ids.keys() - {call}:
            assert is_reused(call, customer.asks(kind, request_id=ids[other], **fields))
    assert customer.balance() == after


def test_a_grant_s_id_is_used_up_for_calls(open_account: Open) -> None:
    customer = open_account("10")
    request_id = new_id()
    customer.client.grant(customer.account_id, CREDIT, request_id)
    assert is_reused(
        customer.client.gate.Debit, customer.asks(DebitRequest, 1, request_id=request_id)
    )
    assert customer.balance().remaining_nanos == 11 * CREDIT


def test_accounts_do_not_share_their_ids(open_account: Open) -> None:
    one = open_account("1")
    other = open_account("1")
    request_id = new_id()
    assert one.debit(1, request_id=request_id).balance.remaining_nanos == CREDIT - 1
    assert other.debit(2, request_id=request_id).balance.remaining_nanos == CREDIT - 2


def test_the_order_in_which_dimensions_were_put_in_makes_no_other_content(
    open_account: Open,
) -> None:
    customer = open_account("1")
    request_id = new_id()
    names = [f"key-{n}" for n in range(16)]
    customer.debit(1, request_id=request_id, dimensions=dict.fromkeys(names, "value"))
    for _ in range(20):
        names = Random(names[0]).sample(names, 16)
        assert customer.debit(
            1, request_id=request_id, dimensions=dict.fromkeys(names, "value")
        ).replayed


def test_an_error_does_not_use_an_id_up(open_account: Open) -> None:
    customer = open_account("1")
    request_id = new_id()
    request = customer.asks(DebitRequest, 1, request_id=request_id, hold_id="none-such")
    assert refusal(customer.client.gate.Debit, request).reason == "HOLD_NOT_FOUND"
    assert not customer.debit(1, request_id=request_id).replayed


def test_a_replay_comes_from_whichever_gate_is_asked(open_account: Open, other_client: Any) -> None:
    customer = open_account("1")
    request_id = new_id()
    first = customer.debit(1, request_id=request_id)
    again = customer.at(other_client).debit(1, request_id=request_id)
    assert (first.replayed, again.replayed, again.balance) == (False, True, first.balance)


def test_a_debit_repeated_after_its_replay_was_forgotten_is_given_back(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")
    request = customer.asks(DebitRequest, CREDIT)
    with (
        another_gate(stack, replay_window_ms="1000") as (_, client),
        stack.valkey.client() as redis,
    ):
        client.gate.Debit(request)
        record = f"cg:*:r:{customer.account_id} {request.request_id}"
        wait_until(lambda: not redis.keys(record))
        assert not client.gate.Debit(request).replayed
        wait_until(lambda: customer.balance().remaining_nanos == 9 * CREDIT)
    balance = customer.balance()
    assert (balance.period_usage_nanos, balance.daily_used_nanos) == (CREDIT, CREDIT)
    assert customer.invoice().total_nanos == CREDIT
    assert sum(bucket.amount_nanos for bucket in customer.usage()) == CREDIT
    assert [entry.amount_nanos for entry in customer.entries()] == [
        CREDIT,
        -CREDIT,
        -CREDIT,
        10 * CREDIT,
    ]
