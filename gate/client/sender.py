"""Carries the calls of many tasks to one gate, in few RPCs.

Calls made in one turn of the event loop, or while `MAX_RPCS` are under way, go together as one
Batch; a lone call goes at once, by itself. An account is in one RPC at a time, so its calls are
sent in the order in which they were made, repeats included.

A call that was UNAVAILABLE is sent again, unchanged, after a growing pause and for as long as its
caller waits. No other status is repeated, but for UNAUTHENTICATED once the file of the token has
another token. A status that ends a whole Batch may be the fault of a
single call, so each call of that Batch is then sent by itself.
"""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf.message import Message

from gate.client.call import Call, Request
from gate.client.credentials import Credentials
from gate.client.errors import Failure, failure_of, failure_of_rpc
from gate.client.process import require_unforked
from gate.client.waiting import Waiting
from gate.v1.gate_pb2 import BatchRequest, BatchResult
from gate.v1.gate_pb2_grpc import GateStub

# More make smaller batches, which cost more; fewer let one slow account hold up the others.
MAX_RPCS = 4
MAX_QUEUED = 10_000
_FIRST_PAUSE_S = 0.02
_MOST_PAUSE_S = 1.0
_MOST_DOUBLINGS = 6

# What stands between client and gate may cancel calls; the client itself cancels none before the
# client closes.
_REPEATED = {"UNAVAILABLE", "CANCELLED"}
# Statuses with which a batch fails as a whole, whatever its items are.
_WHOLE = {*_REPEATED, "DEADLINE_EXCEEDED"}

_FULL = Failure("RESOURCE_EXHAUSTED", "QUEUE_FULL", f"{MAX_QUEUED} calls are waiting already")
CLOSED = Failure("CANCELLED", "CLIENT_CLOSED", "the client was closed")


class Sender:
    """Sends calls on the event loop in which the Sender is made."""

    def __init__(self, channel: grpc.aio.Channel, credentials: Credentials) -> None:
        self._credentials = credentials
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
        self._is_woken = False
        self._is_closed = False

    async def send(self, method: str, request: Request, timeout_s: float) -> Any:
        """Returns the reply, or raises CallFailed.

        A caller that is cancelled leaves the call's outcome unknown. RuntimeError in another
        process or event loop than the Sender's own.
        """
        self._require_home()
        call = Call(
            method,
            request,
            self._loop.create_future(),
            self._loop.time() + timeout_s,
        )
        self._accept(call)
        timer = self._loop.call_at(call.deadline_s, call.expire)
        try:
            return await call.reply
        finally:
            timer.cancel()

    def _require_home(self) -> None:
        require_unforked()
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError(
                "this client was opened in another event loop; open one in each loop, with connect"
            )

    async def close(self, timeout_s: float) -> None:
        """Fails the calls that wait, and cancels RPCs that have not ended after `timeout_s`."""
        self._is_closed = True
        for call in self._waiting.clear():
            call.fail(CLOSED)
        if self._tasks:
            await self._end_tasks(timeout_s)

    async def _end_tasks(self, timeout_s: float) -> None:
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
        """Sends waiting calls at the end of the loop's turn, so that a turn's calls go together."""
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
        """Sends the calls in one RPC; after a pause, puts back the calls to repeat.

        The accounts of the calls are busy meanwhile.
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
        """Sends the calls, ends the answered calls, and returns the others."""
        for call in calls:
            call.attempts += 1
        outcomes: Sequence[Message | Failure]
        try:
            outcomes = await self._rpc(calls)
        except grpc.aio.AioRpcError as error:
            failure = failure_of_rpc(error)
            if failure.code == "UNAUTHENTICATED" and self._has_new_token():
                return list(calls)
            if len(calls) > 1 and failure.code not in _WHOLE:
                return _singled(calls)
            outcomes = [failure] * len(calls)
        finally:
            self._rpcs -= 1
        unanswered = []
        for call, outcome in zip(calls, outcomes, strict=True):
            if not _end(call, outcome):
                unanswered.append(call)
        return unanswered

    async def _rpc(self, calls: Sequence[Call]) -> Sequence[Message | Failure]:
        deadline_s = max(call.deadline_s for call in calls)
        timeout_s = deadline_s - self._loop.time()
        metadata = self._credentials.metadata
        if len(calls) == 1:
            [call] = calls
            method = self._methods[call.method]
            return [await method(call.request, timeout=timeout_s, metadata=metadata)]
        response = await self._batch(
            _batch_of(calls),
            timeout=timeout_s,
            metadata=metadata,
        )
        return [_outcome(result) for result in response.results]

    def _has_new_token(self) -> bool:
        try:
            return self._credentials.renew()
        except (OSError, ValueError):  # what stands there is no better than what was refused
            return False

    async def _repeat(self, calls: Sequence[Call]) -> None:
        """Puts the calls back after a pause; calls that are over by then are never sent."""
        if not calls:
            return
        await asyncio.sleep(_pause_s(calls))
        if self._is_closed:
            for call in calls:
                call.fail(call.failure or CLOSED)
        else:
            self._waiting.put_back(calls)

    def _free(self, account_ids: set[str]) -> None:
        self._waiting.free(account_ids)
        self._wake()


def _pause_s(calls: Sequence[Call]) -> float:
    """Returns the pause before a repeat, doubled with each attempt, less up to half at random."""
    attempts = max(call.attempts for call in calls)
    doublings = min(attempts - 1, _MOST_DOUBLINGS)
    doubled_s: float = _FIRST_PAUSE_S * 2**doublings
    pause_s = min(_MOST_PAUSE_S, doubled_s)
    return pause_s * random.uniform(0.5, 1.0)


def _batch_of(calls: Sequence[Call]) -> BatchRequest:
    batch = BatchRequest()
    for call in calls:
        item = getattr(batch.items.add(), call.method)
        item.CopyFrom(call.request)
    return batch


def _accounts(calls: Sequence[Call]) -> set[str]:
    return {call.request.account_id for call in calls}


def _singled(calls: Sequence[Call]) -> list[Call]:
    """Marks the calls of a failed batch, each to be sent by itself, and returns the calls."""
    for call in calls:
        call.is_single = True
    return list(calls)


def _end(call: Call, outcome: Message | Failure) -> bool:
    """Ends a call unless the call must be repeated; tells whether the call has ended."""
    if isinstance(outcome, Message):
        call.succeed(outcome)
    elif outcome.code in _REPEATED:
        call.failure = outcome
        return False
    else:
        call.fail(outcome)
    return True


def _outcome(result: BatchResult) -> Message | Failure:
    """Returns the outcome of one call of a batch.

    A reply is copied: a part of the batch's response would keep the whole response in memory.
    """
    kind = result.WhichOneof("result")
    if kind == "error":
        return failure_of(result.error)
    part: Message = getattr(result, kind)
    reply = type(part)()
    reply.CopyFrom(part)
    return reply
