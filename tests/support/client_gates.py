"""Serves tests of the client: a gate whose calls are counted, a server that answers as told, and
tests that run in an event loop.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from gate.v1.gate_pb2 import BatchRequest, BatchResponse, BatchResult, DebitRequest, DebitResponse
from support.customer import another_gate
from support.scraping import Metrics
from support.stack import Process, Stack, free_port


def in_a_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs an async test, which must leave no task behind."""

    async def run(*arguments: Any, **fixtures: Any) -> None:
        await test(*arguments, **fixtures)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    @functools.wraps(test)
    def wrapped(*arguments: Any, **fixtures: Any) -> None:
        asyncio.run(run(*arguments, **fixtures))

    return wrapped


async def until(condition: Callable[[], object]) -> None:
    """Returns once `condition` is true."""
    async with asyncio.timeout(10):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


async def some_turns() -> None:
    """Lets every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


@dataclass
class Gate:
    """Holds a gate for a single test."""

    process: Process
    target: str
    metrics: Metrics

    def calls(self, method: str) -> float:
        """Counts the RPCs of a method that have ended, however they did."""
        return sum(
            value
            for (name, labels), value in self.metrics.samples().items()
            if name == "creditgate_requests_total" and ("method", method) in labels
        )

    def in_flight(self) -> float:
        return self.metrics.value("creditgate_in_flight")


@contextmanager
def counting_gate(stack: Stack, target: str = "", **settings: str) -> Iterator[Gate]:
    target = target or f"127.0.0.1:{free_port()}"
    metrics = Metrics(free_port())
    with another_gate(stack, listen=target, metrics_listen=metrics.address, **settings) as (
        process,
        _,
    ):
        yield Gate(process, target, metrics)


Answer = Callable[[list[DebitRequest], Any], Awaitable[list[BatchResult]]]


@asynccontextmanager
async def told_gate(answer: Answer) -> AsyncIterator[tuple[str, list[list[DebitRequest]]]]:
    """Runs a server for answers that no sound gate gives.

    Yields the server's target, and the debits of each RPC that the server was asked.
    """
    asked: list[list[DebitRequest]] = []

    async def debit(request: DebitRequest, context: Any) -> DebitResponse:
        asked.append([request])
        [result] = await answer([request], context)
        if result.HasField("error"):
            await context.abort(grpc.StatusCode.UNAVAILABLE, result.error.message)
        return result.debit

    async def batch(request: BatchRequest, context: Any) -> BatchResponse:
        asked.append([item.debit for item in request.items])
        return BatchResponse(results=await answer(asked[-1], context))

    methods: list[tuple[str, Any, Any, Any]] = [
        ("Debit", debit, DebitRequest, DebitResponse),
        ("Batch", batch, BatchRequest, BatchResponse),
    ]
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            method, request.FromString, reply.SerializeToString
        )
        for name, method, request, reply in methods
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("gate.v1.Gate", handlers),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}", asked
    finally:
        await server.stop(None)
