"""Carries the calls of many tasks to one gate, in few RPCs.

Calls made in one turn of the event loop, or while `MAX_RPCS` are under way, go together as one
Batch; a call that nothing else is made with goes at once, by itself. An account is in one RPC at a
time, so its calls are sent in the order in which they were made, those that must be repeated
included.

What was UNAVAILABLE is sent again, unchanged, after a growing pause and for as long as its caller
waits. No other status is repeated; but one that ends a whole Batch is no call's own, and each of
its calls is then sent by itself.
"""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf.message import Message

from gate.client.call import Call, Request
from gate.client.errors import Failure, failure_of, failure_of_rpc
from gate.client.waiting import Waiting
from gate.v1.gate_pb2 import BatchRequest, BatchResult
from gate.v1.gate_pb2_grpc import GateStub

MAX_RPCS = (
    4  # more make smaller batches, which cost more; fewer let one slow account hold up the others
)
MAX_QUEUED = 10_000
_FIRST_PAUSE_S = 0.02
_MOST_PAUSE_S = 1.0
_MOST_DOUBLINGS = 6

# A gate that ends cancels what it cannot finish. Nothing is cancelled from here before the client
# closes.
_REPEATED = {"UNAVAILABLE", "CANCELLED"}
_WHOLE = {
    *_REPEATED,
    "DEADLINE_EXCEEDED",
}  # what a batch fails with as a whole, whatever its items are

_FULL = Failure("RESOURCE_EXHAUSTED", "QUEUE_FULL", f"{MAX_QUEUED} calls are waiting already")
CLOSED = Failure("CANCELLED", "CLIENT_CLOSED", "the client was closed")


class Sender:
    """For one event loop, the one that runs when it is made."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        stub: Any = GateStub(channel)  # the generated stubs have no types
        self._methods = {
            "authorize": stub.Authorize,
            "debit": stub.Debit,
            "release": stub.Release,
            "extend": stub.Extend,
            "get_balance": stub.GetBalance,
        }
        self._batch = stub.Batch
        self._loop = asyncio.get_running_loop()
        self._waiting = Waiting()
        self._tasks: set[asyncio.Task[None]] = set()
        self._rpcs = 0
        self._is_woken = self._is_closed = False

    async def send(self, method: str, request: Request, timeout_s: float) -> Any:
        """The reply.

        CallFailed otherwise; a caller that is cancelled leaves the call's outcome unknown.
        """
        call = Call(method, request, self._loop.create_future(), self._loop.time() + timeout_s)
        self._accept(call)
        timer = self._loop.call_at(call.deadline_s, call.expire)
        try:
            return await call.reply
        finally:
            timer.cancel()

    async def close(self, timeout_s: float) -> None:
        """Fails what waits, lets what is under way end, and leaves it after `timeout_s`."""
        self._is_closed = True
        for call in self._waiting.clear():
            call.fail(CLOSED)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _accept(self, call: Call) -> None:
        if self._is_closed:
            call.fail(CLOSED)
        elif self._waiting.size >= MAX_QUEUED:
            call.fail(_FULL)
        else:
            self._waiting.put(call)
            self._wake()

    def _wake(self) -> None:
        """Sends what may be sent, once all that is made in this turn of the loop has been made."""
        if self._waiting.is_ready and self._rpcs < MAX_RPCS and not self._is_woken:
            self._is_woken = True
            self._loop.call_soon(self._send_waiting)

    def _send_waiting(self) -> None:
        self._is_woken = False
        while self._rpcs < MAX_RPCS and (calls := self._waiting.take()):
            self._rpcs += 1
            task = self._loop.create_task(self._carry(calls))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, calls: Sequence[Call]) -> None:
        """One RPC and, if some of its calls must be repeated, the pause before that.

        Their accounts are busy meanwhile.
        """
        busy = _accounts(calls)
        try:
            repeated = await self._ask(calls)
            self._free(busy - _accounts(repeated))
            busy = _accounts(repeated)
            await self._repeat(repeated)
        except asyncio.CancelledError:
            for call in calls:
                call.fail(CLOSED)
            raise
        finally:
            self._free(busy)

    async def _ask(self, calls: Sequence[Call]) -> list[Call]:
        """Sends them and ends those that were answered; the others."""
        for call in calls:
            call.attempts += 1
        outcomes: Sequence[Message | Failure]
        try:
            outcomes = await self._rpc(calls)
        except grpc.aio.AioRpcError as error:
            failure = failure_of_rpc(error)
            if len(calls) > 1 and failure.code not in _WHOLE:
                return _singled(calls)
            outcomes = [failure] * len(calls)
        finally:
            self._rpcs -= 1
        return [
            call for call, outcome in zip(calls, outcomes, strict=True) if not _end(call, outcome)
        ]

    async def _rpc(self, calls: Sequence[Call]) -> Sequence[Message | Failure]:
        timeout_s = max(call.deadline_s for call in calls) - self._loop.time()
        if len(calls) == 1:
            return [await self._methods[calls[0].method](calls[0].request, timeout=timeout_s)]
        request = BatchRequest()
        for call in calls:
            getattr(request.items.add(), call.method).CopyFrom(call.request)
        response = await self._batch(request, timeout=timeout_s)
        return [_outcome(result) for result in response.results]

    async def _repeat(self, calls: Sequence[Call]) -> None:
        """Puts them back after a pause; those that are over by then are never sent."""
        if not calls:
            return
        doublings = min(max(call.attempts for call in calls) - 1, _MOST_DOUBLINGS)
        await asyncio.sleep(
            min(_MOST_PAUSE_S, _FIRST_PAUSE_S * 2**doublings) * random.uniform(0.5, 1.0)
        )
        if self._is_closed:
            for call in calls:
                call.fail(call.failure or CLOSED)
        else:
            self._waiting.put_back(calls)

    def _free(self, account_ids: set[str]) -> None:
        self._waiting.free(account_ids)
        self._wake()


def _accounts(calls: Sequence[Call]) -> set[str]:
    return {call.request.account_id for call in calls}


def _singled(calls: Sequence[Call]) -> list[Call]:
    """The calls of a batch that failed as a whole, by the fault of one of them perhaps: each is to be
    answered by itself.
    """
    for call in calls:
        call.is_single = True
    return list(calls)


def _end(call: Call, outcome: Message | Failure) -> bool:
    """Ends a call, unless it is one to repeat; whether it did."""
    if isinstance(outcome, Message):
        call.succeed(outcome)
    elif outcome.code in _REPEATED:
        call.failure = outcome
        return False
    else:
        call.fail(outcome)
    return True


def _outcome(result: BatchResult) -> Message | Failure:
    """What a batch came to for one call, as a message of its own: a part of another keeps all of that
    in memory.
    """
    kind = result.WhichOneof("result")
    if kind == "error":
        return failure_of(result.error)
    part: Message = getattr(result, kind)
    reply = type(part)()
    reply.CopyFrom(part)
    return reply
