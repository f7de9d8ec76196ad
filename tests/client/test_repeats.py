"""What the client sends again: only what may not have been heard, under the same request id, so
that it takes effect once.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from gate.client import AsyncClient, CallFailed, OutcomeUnknown, connect
from gate.client.sender import MAX_RPCS
from gate.client.waiting import MAX_BATCH_BYTES, MAX_ITEMS
from gate.server.status import status_of
from gate.v1.gate_pb2 import BatchResult, DebitRequest, DebitResponse
from meter.errors import Unavailable
from support.client_gates import counting_gate, in_a_loop, some_turns, told_gate, until
from support.customer import CREDIT, Customer, silent_redis
from support.stack import Stack, free_port

pytest_plugins = ("support.running_stack",)
pytestmark = pytest.mark.every_transport

Open = Callable[..., Customer]

UNAVAILABLE = BatchResult(error=status_of(Unavailable("SHARD_CLOSED", "not yet")))


def charged(request: DebitRequest) -> BatchResult:
    return BatchResult(debit=DebitResponse(charged_nanos=request.amount_nanos))


async def charge(requests: list[DebitRequest], context: Any) -> list[BatchResult]:
    return [charged(request) for request in requests]


def ids(asked: list[list[DebitRequest]]) -> list[list[str]]:
    """Request ids, by RPC."""
    return [[request.request_id for request in requests] for requests in asked]


async def debits(client: AsyncClient, *request_ids: str, **fields: Any) -> list[Any]:
    """Debits made at once, each of an account of its own; their replies or errors."""
    calls = (
        client.debit(account_id=f"of-{each}", request_id=each, amount_nanos=1, **fields)
        for each in request_ids
    )
    return await asyncio.gather(*calls, return_exceptions=True)


@in_a_loop
async def test_a_call_under_way_when_the_gate_is_killed_takes_effect_once(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")
    with counting_gate(stack) as gate:
        async with connect(gate.target, timeout_s=30) as client:
            with silent_redis(stack):
                call = asyncio.create_task(
                    client.debit(account_id=customer.account_id, amount_nanos=CREDIT)
                )
                await until(lambda: gate.in_flight() == 1)
                gate.process.kill()
            await asyncio.to_thread(gate.process.start)
            assert (await call).charged_nanos == CREDIT
    assert customer.balance().remaining_nanos == 9 * CREDIT
    assert len(customer.entries()) == 2


@in_a_loop
async def test_a_batch_under_way_when_the_gate_is_killed_takes_effect_once(
    open_account: Open, stack: Stack
) -> None:
    customers = [open_account("10") for _ in range(4)]
    with counting_gate(stack) as gate:
        async with connect(gate.target, timeout_s=30) as client:
            with silent_redis(stack):
                calls = asyncio.gather(
                    *(
                        client.debit(account_id=customers[n % 4].account_id, amount_nanos=n)
                        for n in range(100)
                    )
                )
                await until(lambda: gate.in_flight() == 1)
                gate.process.kill()
            await asyncio.to_thread(gate.process.start)
            assert [reply.charged_nanos for reply in await calls] == list(range(100))
    assert sum(customer.balance().remaining_nanos for customer in customers) == 40 * CREDIT - sum(
        range(100)
    )
    assert [len(customer.entries()) for customer in customers] == [26] * 4


@in_a_loop
async def test_items_that_were_unavailable_are_repeated_until_the_store_answers(
    open_account: Open, stack: Stack
) -> None:
    customer = open_account("10")
    with counting_gate(stack, redis_timeout_ms="50") as gate:
        async with connect(gate.target, timeout_s=30) as client:
            with silent_redis(stack):
                calls = asyncio.gather(
                    *(
                        client.debit(account_id=customer.account_id, amount_nanos=1)
                        for _ in range(20)
                    )
                )
                await until(lambda: gate.calls("Batch") >= 2)
            assert [reply.charged_nanos for reply in await calls] == [1] * 20
    assert customer.balance().remaining_nanos == 10 * CREDIT - 20


@in_a_loop
async def test_a_gate_that_is_not_there_is_told_when_the_time_is_over() -> None:
    async with connect(f"127.0.0.1:{free_port()}", timeout_s=0.3) as client:
        with pytest.raises(OutcomeUnknown) as unknown:
            await client.debit(account_id="acme", request_id="r-1", amount_nanos=1)
    assert (unknown.value.code, unknown.value.reason, unknown.value.request_id) == (
        "UNAVAILABLE",
        "",
        "r-1",
    )


@in_a_loop
async def test_only_the_items_that_were_unavailable_are_repeated_and_as_they_were() -> None:
    async def answer(requests: list[DebitRequest], context: Any) -> list[BatchResult]:
        first = len(asked) == 1
        return [
            UNAVAILABLE if first and request.request_id in ("b", "d") else charged(request)
            for request in requests
        ]

    async with told_gate(answer) as (target, asked), connect(target) as client:
        replies = await debits(client, "a", "b", "c", "d", dimensions={"user": "ada"})
    assert [reply.charged_nanos for reply in replies] == [1] * 4
    assert ids(asked[:1]) == [["a", "b", "c", "d"]]
    assert len(asked) == 2
    assert sorted(asked[1], key=lambda request: request.request_id) == [asked[0][1], asked[0][3]]


@in_a_loop
async def test_an_account_whose_call_must_be_repeated_keeps_its_order_and_holds_up_no_other() -> (
    None
):
    async def answer(requests: list[DebitRequest], context: Any) -> list[BatchResult]:
        first = len(asked) == 1
        return [UNAVAILABLE if first else charged(request) for request in requests]

    async with (
        told_gate(answer) as (target, asked),
        connect(target) as client,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(client.debit(account_id="slow", request_id="1", amount_nanos=1))
        await until(lambda: asked)
        tasks.create_task(client.debit(account_id="slow", request_id="2", amount_nanos=1))
        await client.debit(account_id="other", request_id="3", amount_nanos=1)
    assert [request for requests in ids(asked) for request in requests] == ["1", "3", "1", "2"]


@in_a_loop
async def test_what_is_not_unavailable_is_not_repeated() -> None:
    async def answer(requests: list[DebitRequest], context: Any) -> list[BatchResult]:
        await context.abort(getattr(grpc.StatusCode, requests[0].request_id), "no")
        raise AssertionError("abort raises")

    async with told_gate(answer) as (target, asked), connect(target) as client:
        for code in ("INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED"):
            [error] = await debits(client, code)
            assert isinstance(error, OutcomeUnknown)
        for code in ("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"):
            [error] = await debits(client, code)
            assert isinstance(error, CallFailed)
            assert not isinstance(error, OutcomeUnknown)
            assert error.code == code
    assert len(asked) == 6


@in_a_loop
async def test_a_batch_that_fails_as_a_whole_is_asked_one_by_one() -> None:
    async def answer(requests: list[DebitRequest], context: Any) -> list[BatchResult]:
        if any(request.request_id == "b" for request in requests):
            await context.abort(grpc.StatusCode.INTERNAL, "a fault")
        return [charged(request) for request in requests]

    async with told_gate(answer) as (target, asked), connect(target) as client:
        first, wrong, last = await debits(client, "a", "b", "c")
    assert (first.charged_nanos, last.charged_nanos) == (1, 1)
    assert (wrong.code, wrong.request_id) == ("INTERNAL", "b")
    assert sorted(ids(asked)) == [["a"], ["a", "b", "c"], ["b"], ["c"]]


@in_a_loop
async def test_batches_are_bounded_in_items_and_in_bytes() -> None:
    async with told_gate(charge) as (target, asked), connect(target) as client:
        await debits(client, *(f"r-{number}" for number in range(2500)))
        assert sorted(len(requests) for requests in asked) == [500, MAX_ITEMS, MAX_ITEMS]
        asked.clear()
        await debits(client, *(f"s-{number}" for number in range(100)), description="d" * 50_000)
    sizes = [sum(request.ByteSize() for request in requests) for requests in asked]
    assert len(sizes) == 5
    assert max(sizes) <= MAX_BATCH_BYTES


@in_a_loop
async def test_only_so_many_rpcs_are_under_way_at_once() -> None:
    may_answer = asyncio.Event()
    at_once = [0]

    async def answer(requests: list[DebitRequest], context: Any) -> list[BatchResult]:
        at_once.append(at_once[-1] + 1)
        await may_answer.wait()
        at_once.append(at_once[-1] - 1)
        return [charged(request) for request in requests]

    async with (
        told_gate(answer) as (target, asked),
        connect(target) as client,
        asyncio.TaskGroup() as tasks,
    ):
        for number in range(20):
            tasks.create_task(debits(client, f"r-{number}"))
            await some_turns()
        await until(lambda: at_once[-1] == MAX_RPCS)
        may_answer.set()
    assert [len(requests) for requests in asked] == [1, 1, 1, 1, 16]

    may_answer.clear()
    async with (
        told_gate(answer) as (target, asked),
        connect(target) as client,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(debits(client, *(f"r-{number}" for number in range(6 * MAX_ITEMS))))
        await until(lambda: at_once[-1] == MAX_RPCS)
        await asyncio.sleep(0.1)  # one too many would come now
        may_answer.set()
    assert max(at_once) == MAX_RPCS
