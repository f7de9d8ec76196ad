"""The client for programs with asyncio."""

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar, Unpack
from uuid import uuid4

from gate.client.call import Request
from gate.client.errors import CallFailed, Denied, OutcomeUnknown
from gate.client.fields import AuthorizeFields, DebitFields, ExtendFields, SettleFields
from gate.client.metered import MeteredStream
from gate.client.reported import json_of, usage_of
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
    Usage,
)

_Chunk = TypeVar("_Chunk")
_Reply = TypeVar("_Reply")

log = logging.getLogger(__name__)


class AsyncClient:
    """Makes the gate's calls for the tasks of an event loop; `connect` opens a client.

    The methods take and return the fields and messages of proto/gate/v1/gate.proto. A denial is a
    reply, whose `decision` is DENIED. Any method may raise CallFailed: the gate refused the call,
    which took no effect. Two kinds of CallFailed tell otherwise: after OutcomeUnknown the call may
    have taken effect, so repeat the call with the error's `request_id`; after NotSent the call has
    not left this process. A `request_id` that is not given is made up. A task that is cancelled
    leaves the outcome of its own call unknown, and disturbs no other call. A client belongs to the
    event loop and the process in which the client was opened; elsewhere its calls raise
    RuntimeError.
    """

    def __init__(self, sender: Sender, timeout_s: float) -> None:
        self._sender = sender
        self._timeout_s = timeout_s
        self._background: set[asyncio.Task[Any]] = set()

    async def authorize(
        self,
        *,
        account_id: str,
        request_id: str = "",
        timeout_s: float | None = None,
        **fields: Unpack[AuthorizeFields],
    ) -> AuthorizeResponse:
        """Sets credits aside for `amount_nanos` or `usage`.

        The reply's `decision` is ALLOWED with a `hold_id` and `held_nanos`, or DENIED with a
        `denial`. Settlement, release or the time to live ends a hold. A repeat under the same
        `request_id` returns the first hold. Raises CallFailed.
        """
        request = AuthorizeRequest(
            account_id=account_id,
            request_id=request_id or _new_id(),
            **fields,
        )
        reply: AuthorizeResponse = await self._send(
            "authorize",
            request,
            timeout_s,
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
        """Charges `amount_nanos` or `usage`; with `hold_id`, settles that hold.

        Without a hold, the reply's `decision` may be DENIED. Settling is never denied: unused
        credits of the hold go back to the account, and usage beyond the hold is charged as well. A
        repeat under the same `request_id` charges nothing more and returns the first reply. Raises
        CallFailed.
        """
        request = DebitRequest(
            account_id=account_id,
            request_id=request_id or _new_id(),
            **fields,
        )
        reply: DebitResponse = await self._send("debit", request, timeout_s)
        return reply

    async def release(
        self,
        *,
        account_id: str,
        hold_id: str,
        request_id: str = "",
        timeout_s: float | None = None,
    ) -> ReleaseResponse:
        """Gives a hold's credits back to the account, without a charge.

        A repeat under the same `request_id` returns the first reply. Raises CallFailed, with the
        reason HOLD_NOT_FOUND for a hold that was settled or released before.
        """
        request = ReleaseRequest(
            account_id=account_id,
            request_id=request_id or _new_id(),
            hold_id=hold_id,
        )
        reply: ReleaseResponse = await self._send("release", request, timeout_s)
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
        """Adds an amount to a hold, extends the hold's time to live, or both.

        DENIED leaves the hold as it is. A repeat under the same `request_id` adds nothing more and
        returns the first reply. Raises CallFailed.
        """
        request = ExtendRequest(
            account_id=account_id,
            request_id=request_id or _new_id(),
            hold_id=hold_id,
            **fields,
        )
        reply: ExtendResponse = await self._send("extend", request, timeout_s)
        return reply

    async def get_balance(
        self,
        *,
        account_id: str,
        timeout_s: float | None = None,
    ) -> GetBalanceResponse:
        """Returns what the account has, has used, and may still spend, in nanos.

        Raises CallFailed.
        """
        request = GetBalanceRequest(account_id=account_id)
        reply: GetBalanceResponse = await self._send("get_balance", request, timeout_s)
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
        """Places a hold for the length of a block, in which the caller settles the hold.

        A block that ends, fails or is cancelled without having settled gives the hold back. The
        ids of the block's calls begin with `request_id`, so a block that is repeated with the same
        `request_id` takes effect once. Raises Denied if the account may not spend this much, and
        CallFailed; after OutcomeUnknown a hold may stand, and ends with its time to live.
        """
        block_id = request_id or _new_id()
        authorize = self.authorize(
            account_id=account_id,
            request_id=f"{block_id}/authorize",
            timeout_s=timeout_s,
            **fields,
        )
        authorizing = self._go_on_with(authorize)
        try:
            reply = await asyncio.shield(authorizing)
        except asyncio.CancelledError:
            forgoing = self._forgo(account_id, block_id, fields, authorizing)
            self._go_on_with(forgoing)
            raise
        if reply.decision != ALLOWED:
            raise Denied(reply)
        hold = Hold(self, account_id, block_id, fields, reply)
        try:
            yield hold
        finally:
            await asyncio.shield(self._go_on_with(hold.end()))

    async def close(self) -> None:
        """Ends the client as `connect` tells, after the holds still to be given back."""
        if self._background:
            await asyncio.wait(self._background, timeout=self._timeout_s)
        await self._sender.close(self._timeout_s)

    async def _send(
        self,
        method: str,
        request: Request,
        timeout_s: float | None,
    ) -> Any:
        if timeout_s is None:
            timeout_s = self._timeout_s
        return await self._sender.send(method, request, timeout_s)

    def _go_on_with(self, work: Coroutine[Any, Any, _Reply]) -> asyncio.Task[_Reply]:
        """Starts work, to go on even if the caller is cancelled; `close` awaits the work."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._let_go)
        return task

    def _let_go(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled():
            # Marked as seen: without a caller that still waits there is nobody to tell.
            task.exception()

    async def _forgo(
        self,
        account_id: str,
        block_id: str,
        fields: AuthorizeFields,
        authorizing: asyncio.Task[AuthorizeResponse],
    ) -> None:
        """Gives back the hold of an Authorize after the caller was cancelled."""
        with suppress(CallFailed):
            reply = await authorizing
            if reply.decision == ALLOWED:
                await Hold(self, account_id, block_id, fields, reply).end()


class Hold:
    """Holds credits set aside for a request; `AsyncClient.authorized` makes a Hold.

    `reply` is the gate's reply to the Authorize, with `held_nanos`, `expires_at`, and with a model
    named `affordable_output_tokens`.
    """

    def __init__(
        self,
        client: AsyncClient,
        account_id: str,
        request_id: str,
        authorized: AuthorizeFields,
        reply: AuthorizeResponse,
    ) -> None:
        self._client = client
        self._authorized = authorized
        self.account_id = account_id
        self.request_id = request_id
        self.reply = reply
        self._settlements: list[asyncio.Task[DebitResponse]] = []
        self._extensions = 0
        self._stream: MeteredStream | None = None

    @property
    def hold_id(self) -> str:
        return self.reply.hold_id

    async def settle(
        self,
        *,
        reported: object = None,
        timeout_s: float | None = None,
        **fields: Unpack[SettleFields],
    ) -> DebitResponse:
        """Charges `amount_nanos` or `usage`; the rest of the hold goes back to the account.

        `reported` is the provider's response, or the usage object of the response, as a mapping,
        JSON text, or an object of the provider's SDK: the gate reads the counts. A `usage` beside
        it may name model and service tier. The dimensions of the Authorize apply unless others are
        given. A repeat returns the first reply; with other content it fails with the reason
        REQUEST_ID_REUSED. The settlement goes on if its caller is cancelled, because the usage has
        to be paid. Raises CallFailed, and TypeError for a `reported` of another kind.
        """
        settled: SettleFields = {
            "dimensions": self._authorized.get("dimensions", {}),
            **fields,
        }
        if reported is not None:
            settled["usage"] = _with_reported(fields.get("usage"), reported)
        debit = self._client.debit(
            account_id=self.account_id,
            request_id=f"{self.request_id}/debit",
            timeout_s=timeout_s,
            hold_id=self.hold_id,
            **settled,
        )
        settlement = self._client._go_on_with(debit)
        self._settlements.append(settlement)
        return await asyncio.shield(settlement)

    async def metered(self, stream: AsyncIterable[_Chunk]) -> AsyncIterator[_Chunk]:
        """Passes on the chunks of a provider's stream, and settles the hold when the stream ends.

        The chunks' usage objects tell what was used. A stream that is left, or that breaks, is
        settled at the end of the hold's block. Without a usage object, the input that was
        authorized is charged, and a token of output a chunk; for a hold of an amount, the amount.
        Raises what the stream and `settle` raise.
        """
        metered = self.begin_metering()
        async for chunk in stream:
            metered.see(chunk)
            yield chunk
        metered.end()
        await self.settle_metered()

    def begin_metering(self) -> MeteredStream:
        """Returns what is to see the chunks of the hold's stream."""
        self._stream = MeteredStream(self._authorized.get("usage"), self.reply)
        return self._stream

    async def settle_metered(self) -> None:
        """Settles the hold by the stream, unless it never began or the hold was settled."""
        stream = self._stream
        if stream is not None and stream.has_begun and not self._settlements:
            await self.settle(**stream.settlement())

    async def extend(
        self, *, timeout_s: float | None = None, **fields: Unpack[ExtendFields]
    ) -> ExtendResponse:
        """Adds an amount to the hold, extends the hold's time to live, or both.

        The traffic class of the Authorize applies unless another is given. DENIED leaves the hold
        as it is. Each call extends anew. Raises CallFailed.
        """
        extended: ExtendFields = {
            "traffic_class": self._authorized.get("traffic_class", ""),
            **fields,
        }
        self._extensions += 1
        return await self._client.extend(
            account_id=self.account_id,
            request_id=f"{self.request_id}/extend-{self._extensions}",
            hold_id=self.hold_id,
            timeout_s=timeout_s,
            **extended,
        )

    async def end(self) -> None:
        """Gives the hold back, unless a settlement took effect or may have taken effect.

        A stream that was left is settled first. If ending fails, the time to live ends the hold.
        """
        try:
            await self.settle_metered()
        except CallFailed as error:
            log.warning("hold %s of %s was not settled: %s", self.hold_id, self.account_id, error)
            return
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
            log.warning(
                "hold %s of %s was not released: %s",
                self.hold_id,
                self.account_id,
                error,
            )


def _with_reported(usage: Usage | None, reported: object) -> Usage:
    """Returns the usage with the provider's usage object in it."""
    told = Usage(reported_json=json_of(usage_of(reported)))
    if usage is not None:
        told.MergeFrom(usage)
    return told


def _may_have_settled(settlement: asyncio.Task[DebitResponse]) -> bool:
    if settlement.cancelled():
        return True
    error = settlement.exception()
    return error is None or isinstance(error, OutcomeUnknown)


def _new_id() -> str:
    return uuid4().hex
