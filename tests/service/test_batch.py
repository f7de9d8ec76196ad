"""Batch: many calls in one, each with the result that it would have had alone."""

from collections.abc import Callable
from typing import Any

import pytest

from gate.v1.gate_pb2 import (
    ALLOWED,
    DENIED,
    AuthorizeRequest,
    BatchItem,
    BatchRequest,
    DebitRequest,
    ExtendRequest,
    GetBalanceRequest,
    ReleaseRequest,
    Usage,
)
from support.customer import CREDIT, Customer, another_gate, at, new_id, refusal, refusal_of
from support.stack import Stack

pytest_plugins = ("support.running_stack",)
pytestmark = pytest.mark.every_transport

Open = Callable[..., Customer]


def batch(customer: Customer, *items: BatchItem) -> list[Any]:
    """The results, taken out of their wrapping."""
    results = customer.client.gate.Batch(BatchRequest(items=items)).results
    return [getattr(result, result.WhichOneof("result")) for result in results]


def debit(customer: Customer, nanos: int | None = None, **fields: Any) -> BatchItem:
    return BatchItem(debit=customer.asks(DebitRequest, nanos, **fields))


def look(customer: Customer) -> BatchItem:
    return BatchItem(get_balance=GetBalanceRequest(account_id=customer.account_id))


def test_every_call_can_be_an_item_and_its_result_stands_at_its_place(open_account: Open) -> None:
    customer = open_account("10")
    kept = customer.authorize(CREDIT).hold_id
    given_back = customer.authorize(CREDIT).hold_id
    items = [
        BatchItem(authorize=customer.asks(AuthorizeRequest, CREDIT)),
        debit(customer, 2 * CREDIT),
        BatchItem(extend=customer.asks(ExtendRequest, CREDIT, hold_id=kept)),
        BatchItem(release=customer.asks(ReleaseRequest, hold_id=given_back)),
        look(customer),
    ]
    results = customer.client.gate.Batch(BatchRequest(items=items)).results
    assert [result.WhichOneof("result") for result in results] == [
        "authorize", "debit", "extend", "release", "get_balance",
    ]  # fmt: skip
    assert results[0].authorize.held_nanos == CREDIT
    assert results[1].debit.charged_nanos == 2 * CREDIT
    assert results[2].extend.held_nanos == 2 * CREDIT
    assert results[3].release.released_nanos == CREDIT
    assert results[4].get_balance.balance == customer.balance()
    assert (customer.balance().held_nanos, customer.balance().remaining_nanos) == (
        3 * CREDIT,
        8 * CREDIT,
    )


def test_items_of_an_account_take_effect_in_their_order(open_account: Open) -> None:
    customer = open_account("10")
    items = [each for _ in range(10) for each in (debit(customer, CREDIT), look(customer))]
    results = batch(customer, *items, debit(customer, CREDIT))
    remaining = [result.balance.remaining_nanos for result in results[:20]]
    assert remaining == [left * CREDIT for left in range(9, -1, -1) for _ in range(2)]
    assert results[20].decision == DENIED


def test_items_keep_their_order_even_when_a_price_is_used_for_the_first_time(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")
    with another_gate(stack) as (_, client):
        usage = Usage(model="anthropic/claude-3-haiku-20240307", input_tokens=1000)
        charged, seen = batch(customer.at(client), debit(customer, usage=usage), look(customer))
    assert charged.charged_nanos == 250_000
    assert seen.balance.remaining_nanos == 10 * CREDIT - 250_000


def test_items_keep_their_order_even_when_their_account_must_be_restored(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")
    with stack.valkey.client() as redis:
        redis.delete(*redis.keys(f"cg:*:a:{customer.account_id}"))
    charged, seen, denied = batch(
        customer, debit(customer, 9 * CREDIT), look(customer), debit(customer, 2 * CREDIT)
    )
    assert (charged.decision, seen.balance.remaining_nanos, denied.decision) == (
        ALLOWED,
        CREDIT,
        DENIED,
    )


def test_an_item_fails_alone_with_the_status_of_the_single_call(open_account: Open) -> None:
    customer = open_account("10")
    wrong = [
        debit(customer, -1),
        debit(customer, 1, account_id="nobody"),
        debit(customer, 1, hold_id="none-such"),
        debit(customer, usage=Usage(model="no-such-model", input_tokens=1)),
        debit(customer, 1, request_id=""),
    ]
    results = batch(customer, debit(customer, 1), *wrong, debit(customer, 1))
    assert (results[0].charged_nanos, results[-1].charged_nanos) == (1, 1)
    alone = [refusal(customer.client.gate.Debit, item.debit) for item in wrong]
    assert [refusal_of(status) for status in results[1:-1]] == alone
    assert customer.balance().remaining_nanos == 10 * CREDIT - 2


def test_an_item_of_nothing_is_refused_alone(open_account: Open) -> None:
    customer = open_account("10")
    status, overview = batch(customer, BatchItem(), look(customer))
    assert (refusal_of(status).code, refusal_of(status).field) == ("INVALID_ARGUMENT", "items")
    assert overview.account_id == customer.account_id


def test_a_denial_is_no_error_of_the_batch(open_account: Open) -> None:
    customer = open_account("1")
    denied, allowed = batch(customer, debit(customer, 2 * CREDIT), debit(customer, CREDIT))
    assert (denied.decision, denied.denial.affordable_nanos, allowed.decision) == (
        DENIED,
        CREDIT,
        ALLOWED,
    )


def test_a_request_id_takes_effect_once_within_a_batch(open_account: Open) -> None:
    customer = open_account("10")
    request_id = new_id()
    same = debit(customer, CREDIT, request_id=request_id)
    first, again, other = batch(customer, same, same, debit(customer, 1, request_id=request_id))
    assert (first.replayed, again.replayed) == (False, True)
    assert refusal_of(other).reason == "REQUEST_ID_REUSED"
    assert customer.balance().remaining_nanos == 9 * CREDIT


def test_a_batch_repeated_whole_takes_effect_once(open_account: Open) -> None:
    customer = open_account("10", test_clock_time=at("2026-03-15T12:00:00Z"))
    hold = customer.authorize(CREDIT).hold_id
    items = [debit(customer, 1), BatchItem(release=customer.asks(ReleaseRequest, hold_id=hold))]
    first = batch(customer, *items)
    second = batch(customer, *items)
    assert [reply.replayed for reply in second] == [True, True]
    assert [reply.balance for reply in first] == [reply.balance for reply in second]
    assert customer.balance().remaining_nanos == 10 * CREDIT - 1


def test_a_thousand_items_of_several_accounts_are_one_call(open_account: Open) -> None:
    customers = [open_account("1") for _ in range(4)]
    items = [debit(customers[number % 4], 1_000_000) for number in range(1000)]
    results = batch(customers[0], *items)
    assert {reply.decision for reply in results} == {ALLOWED}
    assert [customer.balance().remaining_nanos for customer in customers] == [750_000_000] * 4


def test_a_batch_of_none_or_of_too_many_is_refused_whole(open_account: Open) -> None:
    customer = open_account("10")
    call = customer.client.gate.Batch
    for size in (0, 1001):
        refused = refusal(call, BatchRequest(items=[debit(customer, 1)] * size))
        assert (refused.code, refused.reason, refused.field) == (
            "INVALID_ARGUMENT",
            "INVALID_FIELD",
            "items",
        )
    assert customer.balance().remaining_nanos == 10 * CREDIT
