"""The client for asyncio."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar, Unpack
from uuid import uuid4

import grpc

from gate.address import parse_address
from gate.client.errors import CallFailed, Denied, OutcomeUnknown
from gate.client.fields import AuthorizeFields, DebitFields, ExtendFields, SettleFields
from gate.client.sender import Sender
from gate.v1.gate_pb2 import (
    ALLOWED,
    AuthorizeRequest,
    AuthorizeResponse,
    DebitRequest,
    DebitResponse,
    ExtendRequest,
    ExtendResponse,
    GetBalanceRequest,
    GetBalanceResponse,
    ReleaseRequest,
    ReleaseResponse,
)

TIMEOUT_S = 5.0
_OPTIONS = [
    ("grpc.enable_retries", 0),  # the sender's own repeats are the only ones
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 1000),  # also what one attempt to connect may take
    ("grpc.max_reconnect_backoff_ms", 1000),
]

_Reply = TypeVar("_Reply")

log = logging.getLogger(__name__)


@asynccontextmanager
async def connect(target: str, *, timeout_s: float = TIMEOUT_S) -> AsyncIterator["AsyncClient"]:
    """A client of the gate at `host:port` or `unix:/path`; ValueError says how to write it. Connects
    with the first call.

    `timeout_s` holds for every call that is given none of its own, its repeats included. Leaving
    the block waits as long for what is under way; calls that have not been sent by then fail with
    NotSent.
    """
    async with grpc.aio.insecure_channel(
        parse_address(target).grpc_target, options=_OPTIONS
    ) as channel:
        client = AsyncClient(Sender(channel), timeout_s)
        try:
            yield client
        finally:
            await client.close()


class AsyncClient:
    """The gate's calls, for the tasks of one event loop. What each field means stands in
    proto/gate/v1/gate.proto.

    A denial is a reply, whose `decision` is DENIED. CallFailed: the gate refused the call;
    OutcomeUnknown: it may have taken effect, so repeat it with the error's `request_id`; NotSent:
    it has not. A `request_id` that is not given is made up. A task that is cancelled leaves its
    call's outcome unknown, and no other call is touched.
    """

    def __init__(self, sender: Sender, timeout_s: float) -> None:
        self._sender = sender
        self._timeout_s = timeout_s
        self._kept: set[asyncio.Task[Any]] = set()

    async def authorize(
        self,
        *,
        account_id: str,
        request_id: str = "",
        timeout_s: float | None = None,
        **fields: Unpack[AuthorizeFields],
    ) -> AuthorizeResponse:
        """Sets credits aside for `amount_nanos` or `usage`."""
        request = AuthorizeRequest(
            account_id=account_id, request_id=request_id or _new_id(), **fields
        )
        reply: AuthorizeResponse = await self._sender.send(
            "authorize", request, self._time(timeout_s)
        )
        return reply

    async def debit(
        self,
        *,
        account_id: str,
        request_id: str = "",
        timeout_s: float | None = None,
        **fields: Unpack[DebitFields],
    ) -> DebitResponse:
        """Charges `amount_nanos` or `usage`; with `hold_id` it settles that hold."""
        request = DebitRequest(account_id=account_id, request_id=request_id or _new_id(), **fields)
        reply: DebitResponse = await self._sender.send("debit", request, self._time(timeout_s))
        return reply

    async def release(
        self, *, account_id: str, hold_id: str, request_id: str = "", timeout_s: float | None = None
    ) -> ReleaseResponse:
        """Gives a hold back."""
        request = ReleaseRequest(
            account_id=account_id, request_id=request_id or _new_id(), hold_id=hold_id
        )
        reply: ReleaseResponse = await self._sender.send("release", request, self._time(timeout_s))
        return reply

    async def extend(
        self,
        *,
        account_id: str,
        hold_id: str,
        request_id: str = "",
        timeout_s: float | None = None,
        **fields: Unpack[ExtendFields],
    ) -> ExtendResponse:
        """Adds to a hold's amount, its time, or both."""
        request = ExtendRequest(
            account_id=account_id, request_id=request_id or _new_id(), hold_id=hold_id, **fields
        )
        reply: ExtendResponse = await self._sender.send("extend", request, self._time(timeout_s))
        return reply

    async def get_balance(
        self, *, account_id: str, timeout_s: float | None = None
    ) -> GetBalanceResponse:
        """The account's overview."""
        request = GetBalanceRequest(account_id=account_id)
        reply: GetBalanceResponse = await self._sender.send(
            "get_balance", request, self._time(timeout_s)
        )
        return reply

    @asynccontextmanager
    async def authorized(
        self,
        *,
        account_id: str,
        request_id: str = "",
        timeout_s: float | None = None,
        **fields: Unpack[AuthorizeFields],
    ) -> AsyncIterator["Hold"]:
        """A hold for the block, which is to settle it; a block that does not, or that fails or is
        cancelled, gives it back.

        Raises Denied if there is none to be had. `request_id` is what the ids of the block's calls
        begin with, so that a block repeated with the same one takes effect once. After
        OutcomeUnknown a hold may stand; it ends with its time to live.
        """
        work_id = request_id or _new_id()
        asked = self._keep(
            self.authorize(
                account_id=account_id,
                request_id=f"{work_id}/authorize",
                timeout_s=timeout_s,
                **fields,
            )
        )
        try:
            hold = Hold(self, account_id, work_id, fields, await asyncio.shield(asked))
        except asyncio.CancelledError:
            self._keep(self._forgo(account_id, work_id, fields, asked))
            raise
        if hold.reply.decision != ALLOWED:
            raise Denied(hold.reply)
        try:
            yield hold
        finally:
            await asyncio.shield(self._keep(hold.end()))

    async def close(self) -> None:
        """Ends the client, as `connect` says; holds that are being given back go first."""
        if self._kept:
            await asyncio.wait(self._kept, timeout=self._timeout_s)
        await self._sender.close(self._timeout_s)

    def _time(self, timeout_s: float | None) -> float:
        return self._timeout_s if timeout_s is None else timeout_s

    def _keep(self, work: Coroutine[Any, Any, _Reply]) -> asyncio.Task[_Reply]:
        """Work that goes on when its caller is cancelled."""
        task = asyncio.create_task(work)
        self._kept.add(task)
        task.add_done_callback(self._let_go)
        return task

    def _let_go(self, task: asyncio.Task[Any]) -> None:
        self._kept.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits has it; if nobody does, nobody is to be told

    async def _forgo(
        self,
        account_id: str,
        work_id: str,
        fields: AuthorizeFields,
        asked: asyncio.Task[AuthorizeResponse],
    ) -> None:
        """Gives back what was being authorized when its caller was cancelled."""
        with suppress(CallFailed):
            reply = await asked
            if reply.decision == ALLOWED:
                await Hold(self, account_id, work_id, fields, reply).end()


class Hold:
    """Credits set aside for one request.

    `reply` is the gate's, with `held_nanos`, `expires_at`, and what output tokens they buy.
    """

    def __init__(
        self,
        client: AsyncClient,
        account_id: str,
        request_id: str,
        asked: AuthorizeFields,
        reply: AuthorizeResponse,
    ) -> None:
        self._client = client
        self._asked = asked
        self.account_id = account_id
        self.request_id = request_id
        self.reply = reply
        self._settlements: list[asyncio.Task[DebitResponse]] = []
        self._extensions = 0

    @property
    def hold_id(self) -> str:
        return self.reply.hold_id

    async def settle(
        self, *, timeout_s: float | None = None, **fields: Unpack[SettleFields]
    ) -> DebitResponse:
        """Charges what was used; the rest of the hold goes back. With the dimensions of the Authorize,
        unless others are given.

        Repeated, it returns the first reply; with other content it fails with REQUEST_ID_REUSED. A
        caller that is cancelled does not stop it: what was used is to be paid.
        """
        settled: SettleFields = {"dimensions": self._asked.get("dimensions", {}), **fields}
        debit = self._client.debit(
            account_id=self.account_id,
            request_id=f"{self.request_id}/debit",
            timeout_s=timeout_s,
            hold_id=self.hold_id,
            **settled,
        )
        self._settlements.append(self._client._keep(debit))
        return await asyncio.shield(self._settlements[-1])

    async def extend(
        self, *, timeout_s: float | None = None, **fields: Unpack[ExtendFields]
    ) -> ExtendResponse:
        """Adds to the hold, in the Authorize's class of traffic, unless another is given.

        DENIED leaves it as it is.
        """
        extended: ExtendFields = {"traffic_class": self._asked.get("traffic_class", ""), **fields}
        self._extensions += 1
        return await self._client.extend(
            account_id=self.account_id,
            request_id=f"{self.request_id}/extend-{self._extensions}",
            hold_id=self.hold_id,
            timeout_s=timeout_s,
            **extended,
        )

    async def end(self) -> None:
        """Gives the hold back, unless a settlement took effect or may have.

        What cannot be given back ends with its time to live.
        """
        if self._settlements:
            await asyncio.wait(self._settlements)
        if any(_may_have_settled(settlement) for settlement in self._settlements):
            return
        try:
            await self._client.release(
                account_id=self.account_id,
                hold_id=self.hold_id,
                request_id=f"{self.request_id}/release",
            )
        except CallFailed as error:
            log.warning("hold %s of %s was not released: %s", self.hold_id, self.account_id, error)


def _may_have_settled(settlement: asyncio.Task[DebitResponse]) -> bool:
    return (
        settlement.cancelled()
        or settlement.exception() is None
        or isinstance(settlement.exception(), OutcomeUnknown)
    )


def _new_id() -> str:
    return uuid4().hex
