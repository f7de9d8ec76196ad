"""The client: each call has its own reply or error, whether it went alone or with others."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gate.client import (
    ALLOWED,
    DENIED,
    AsyncClient,
    CallFailed,
    NotSent,
    OutcomeUnknown,
    Usage,
    connect,
)
from gate.client.fields import AuthorizeFields, DebitFields, ExtendFields
from gate.client.sender import MAX_QUEUED
from gate.v1 import gate_pb2
from support.client_gates import Gate, counting_gate, in_a_loop, some_turns, until
from support.customer import CREDIT, Customer, new_id, silent_redis
from support.stack import Stack

pytest_plugins = ("support.running_stack",)
pytestmark = pytest.mark.every_transport

Open = Callable[..., Customer]


@pytest.fixture(scope="module")
def gate(stack: Stack) -> Iterator[Gate]:
    with counting_gate(stack) as gate:
        yield gate


@in_a_loop
async def test_every_call_is_there_with_its_fields(gate: Gate, open_account: Open) -> None:
    account_id = open_account("10").account_id
    usage = Usage(model="tiny", input_tokens=1000, output_tokens=1000)
    async with connect(gate.target) as client:
        hold = await client.authorize(
            account_id=account_id, usage=usage, dimensions={"user": "ada"}, hold_ttl_ms=60_000
        )
        assert (hold.decision, hold.held_nanos) == (ALLOWED, 3_000_000)
        more = await client.extend(account_id=account_id, hold_id=hold.hold_id, amount_nanos=1)
        assert more.held_nanos == 3_000_001
        spent = await client.debit(
            account_id=account_id, hold_id=hold.hold_id, amount_nanos=5, description="half"
        )
        assert spent.charged_nanos == 5
        other = await client.authorize(account_id=account_id, amount_nanos=CREDIT)
        given_back = await client.release(account_id=account_id, hold_id=other.hold_id)
        assert given_back.released_nanos == CREDIT
        overview = await client.get_balance(account_id=account_id)
        assert overview.balance.remaining_nanos == 10 * CREDIT - 5


@pytest.mark.parametrize(
    ("request_type", "fields"),
    [
        (gate_pb2.AuthorizeRequest, AuthorizeFields),
        (gate_pb2.DebitRequest, DebitFields),
        (gate_pb2.ExtendRequest, ExtendFields),
    ],
)
def test_the_client_names_every_field_of_a_request(request_type: Any, fields: Any) -> None:
    by_the_method = {"account_id", "request_id"} | (
        {"hold_id"} if fields is ExtendFields else set()
    )
    assert fields.__annotations__.keys() | by_the_method == set(
        request_type.DESCRIPTOR.fields_by_name
    )


@in_a_loop
async def test_a_lone_call_goes_by_itself(gate: Gate, open_account: Open) -> None:
    account_id = open_account("10").account_id
    debits = gate.calls("Debit")
    batches = gate.calls("Batch")
    async with connect(gate.target) as client:
        for _ in range(3):
            await client.debit(account_id=account_id, amount_nanos=1)
    assert (gate.calls("Debit") - debits, gate.calls("Batch") - batches) == (3, 0)


@in_a_loop
async def test_calls_made_together_share_few_rpcs_and_each_has_its_own_reply(
    gate: Gate, open_account: Open
) -> None:
    customers = [open_account("10") for _ in range(10)]
    debits = gate.calls("Debit")
    batches = gate.calls("Batch")
    async with connect(gate.target) as client:
        calls = [
            client.debit(account_id=customers[n % 10].account_id, amount_nanos=n + 1)
            for n in range(500)
        ]
        replies = await asyncio.gather(*calls)
    assert [reply.charged_nanos for reply in replies] == list(range(1, 501))
    assert gate.calls("Debit") - debits == 0
    assert gate.calls("Batch") - batches == 1


@in_a_loop
async def test_calls_made_while_others_are_under_way_gather_and_go_together(
    gate: Gate, open_account: Open, stack: Stack
) -> None:
    customers = [open_account("10") for _ in range(50)]
    batches = gate.calls("Batch")
    async with connect(gate.target, timeout_s=20) as client, asyncio.TaskGroup() as tasks:
        with silent_redis(stack):
            for customer in customers:
                tasks.create_task(client.debit(account_id=customer.account_id, amount_nanos=1))
                await some_turns()
            await until(lambda: gate.in_flight() == 4)
    assert gate.calls("Batch") - batches == 1
    assert {customer.balance().remaining_nanos for customer in customers} == {10 * CREDIT - 1}


@in_a_loop
async def test_the_calls_of_one_account_take_effect_in_the_order_in_which_they_were_made(
    gate: Gate, open_account: Open
) -> None:
    accounts = [open_account("10").account_id for _ in range(3)]
    left: dict[str, list[int]] = {account_id: [] for account_id in accounts}

    async def spend(client: AsyncClient, account_id: str) -> None:
        reply = await client.debit(account_id=account_id, amount_nanos=1)
        left[account_id].append(reply.balance.remaining_nanos)

    async with connect(gate.target) as client, asyncio.TaskGroup() as tasks:
        for number in range(600):
            tasks.create_task(spend(client, accounts[number % 3]))
            if number % 7 == 0:
                await asyncio.sleep(0)
    for each in left.values():
        assert each == [10 * CREDIT - spent - 1 for spent in range(200)]


@pytest.mark.parametrize("company", [0, 20], ids=["alone", "in a batch"])
@in_a_loop
async def test_an_error_says_what_the_gate_said_and_touches_no_other_call(
    gate: Gate, open_account: Open, company: int
) -> None:
    account_id = open_account("10").account_id
    async with connect(gate.target) as client:
        others = [client.debit(account_id=account_id, amount_nanos=1) for _ in range(company)]
        wrong = client.debit(
            account_id=account_id, request_id="mine", usage=Usage(model="no-such-model")
        )
        nobody = client.get_balance(account_id="nobody")
        unknown, absent, *replies = await asyncio.gather(
            wrong, nobody, *others, return_exceptions=True
        )
    assert isinstance(unknown, CallFailed)
    assert not isinstance(unknown, OutcomeUnknown | NotSent)
    assert (unknown.code, unknown.reason, unknown.field) == (
        "INVALID_ARGUMENT",
        "UNKNOWN_MODEL",
        "usage.model",
    )
    assert unknown.request_id == "mine"
    assert "no-such-model" in unknown.message
    assert isinstance(absent, CallFailed)
    assert (absent.code, absent.reason) == ("NOT_FOUND", "ACCOUNT_NOT_FOUND")
    assert [reply.charged_nanos for reply in replies] == [1] * company  # type: ignore[union-attr]


@in_a_loop
async def test_a_denial_is_a_reply(gate: Gate, open_account: Open) -> None:
    account_id = open_account("1").account_id
    async with connect(gate.target) as client:
        reply = await client.authorize(account_id=account_id, amount_nanos=2 * CREDIT)
    assert (reply.decision, reply.denial.affordable_nanos) == (DENIED, CREDIT)


@in_a_loop
async def test_request_ids_are_made_up_unless_given_and_those_given_take_effect_once(
    gate: Gate, open_account: Open
) -> None:
    customer = open_account("10")
    call = partial(AsyncClient.debit, account_id=customer.account_id, amount_nanos=1)
    async with connect(gate.target) as client:
        made_up = [await call(client) for _ in range(2)]
        given = [await call(client, request_id="r-1") for _ in range(2)]
    assert [reply.replayed for reply in (*made_up, *given)] == [False, False, False, True]
    assert customer.balance().remaining_nanos == 10 * CREDIT - 3


@in_a_loop
async def test_what_was_not_answered_in_time_can_be_repeated_under_its_request_id(
    gate: Gate, open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")
    async with connect(gate.target) as client:
        with (
            silent_redis(stack),
            pytest.raises(OutcomeUnknown, match="repeat the call with the same request_id") as late,
        ):
            await client.debit(account_id=customer.account_id, amount_nanos=CREDIT, timeout_s=0.2)
        assert late.value.code == "DEADLINE_EXCEEDED"
        again = await client.debit(
            account_id=customer.account_id, amount_nanos=CREDIT, request_id=late.value.request_id
        )
    assert again.replayed
    assert customer.balance().remaining_nanos == 9 * CREDIT


@in_a_loop
async def test_a_call_that_could_not_be_sent_in_time_took_no_effect(
    gate: Gate, open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")
    async with connect(gate.target, timeout_s=20) as client:
        with silent_redis(stack):
            first = asyncio.create_task(
                client.debit(account_id=customer.account_id, amount_nanos=1)
            )
            await until(lambda: gate.in_flight() == 1)
            with pytest.raises(NotSent) as late:
                await client.debit(
                    account_id=customer.account_id, amount_nanos=CREDIT, timeout_s=0.1
                )
        await first
    assert late.value.code == "DEADLINE_EXCEEDED"
    assert customer.balance().remaining_nanos == 10 * CREDIT - 1


@in_a_loop
async def test_a_cancelled_caller_takes_no_other_call_along(
    gate: Gate, open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")
    async with connect(gate.target, timeout_s=20) as client:
        with silent_redis(stack):
            calls = [
                asyncio.create_task(client.debit(account_id=customer.account_id, amount_nanos=1))
                for _ in range(9)
            ]
            await until(lambda: gate.in_flight() == 1)
            waiting = asyncio.create_task(
                client.debit(account_id=customer.account_id, amount_nanos=CREDIT)
            )
            await asyncio.sleep(0)
            for cancelled in (calls[4], waiting):
                cancelled.cancel()
        replies = await asyncio.gather(*calls[:4], *calls[5:])
        assert [reply.charged_nanos for reply in replies] == [1] * 8
    assert calls[4].cancelled()
    assert customer.balance().remaining_nanos == 10 * CREDIT - 9, (
        "the one under way took effect, the one that waited did not"
    )


@in_a_loop
async def test_closing_lets_what_is_under_way_end_and_fails_what_waits(
    gate: Gate, open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")

    async with connect(gate.target, timeout_s=20) as client:
        with silent_redis(stack):
            under_way = asyncio.create_task(
                client.debit(account_id=customer.account_id, amount_nanos=1)
            )
            await until(lambda: gate.in_flight() == 1)
            waiting = asyncio.create_task(
                client.debit(account_id=customer.account_id, amount_nanos=CREDIT)
            )
            await asyncio.sleep(0)
            closing = asyncio.create_task(client.close())
            with pytest.raises(NotSent) as refused:
                await waiting
        assert refused.value.reason == "CLIENT_CLOSED"
        assert (await under_way).charged_nanos == 1
        await closing
        with pytest.raises(NotSent):
            await client.debit(account_id=customer.account_id, amount_nanos=CREDIT)
    assert customer.balance().remaining_nanos == 10 * CREDIT - 1


@in_a_loop
async def test_closing_does_not_wait_for_ever(gate: Gate, open_account: Open, stack: Stack) -> None:
    customer = open_account("10")
    with silent_redis(stack):
        async with connect(gate.target, timeout_s=0.2) as client:
            call = asyncio.create_task(
                client.debit(account_id=customer.account_id, amount_nanos=1, timeout_s=60)
            )
            await until(lambda: gate.in_flight() == 1)
        with pytest.raises(OutcomeUnknown) as unknown:
            await call
    assert unknown.value.reason == "CLIENT_CLOSED"
    assert unknown.value.request_id


@in_a_loop
async def test_only_so_many_calls_wait(gate: Gate, open_account: Open, stack: Stack) -> None:
    customer = open_account("10")
    async with connect(gate.target, timeout_s=20) as client:
        with silent_redis(stack):
            first = asyncio.create_task(
                client.debit(account_id=customer.account_id, amount_nanos=1)
            )
            await until(lambda: gate.in_flight() == 1)
            reads = [
                asyncio.create_task(client.get_balance(account_id=customer.account_id))
                for _ in range(MAX_QUEUED + 1)
            ]
            with pytest.raises(NotSent) as refused:
                await reads[-1]
            for read in reads:
                read.cancel()
        await asyncio.gather(first, *reads, return_exceptions=True)
        assert (
            await client.get_balance(account_id=customer.account_id)
        ).balance.remaining_nanos == 10 * CREDIT - 1
    assert (refused.value.code, refused.value.reason) == ("RESOURCE_EXHAUSTED", "QUEUE_FULL")


@in_a_loop
async def test_a_gate_on_a_unix_socket_is_reached_too(open_account: Open, stack: Stack) -> None:
    account_id = open_account("10").account_id
    with counting_gate(stack, f"unix:{Path(stack.folder) / f'{new_id()}.sock'}") as gate:
        async with connect(gate.target) as client:
            assert (await client.debit(account_id=account_id, amount_nanos=1)).charged_nanos == 1


@in_a_loop
async def test_a_target_that_is_none_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="write host:port"):
        async with connect("localhost"):
            pass


def test_a_client_of_another_event_loop_says_so(stack: Stack) -> None:
    async def opened() -> AsyncClient:
        async with connect(stack.targets[0]) as client:
            return client

    async def used(client: AsyncClient) -> None:
        await client.get_balance(account_id="anyone")

    client = asyncio.run(opened())
    with pytest.raises(RuntimeError, match="was opened in another event loop"):
        asyncio.run(used(client))
