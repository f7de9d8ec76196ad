"""The client for programs without an event loop: runs an AsyncClient in a thread of its own."""

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, Unpack

from gate.address import parse_address
from gate.client.asynchronous import AsyncClient, Hold
from gate.client.connection import TIMEOUT_S, connect
from gate.client.credentials import Credentials
from gate.client.errors import NotSent
from gate.client.fields import AuthorizeFields, DebitFields, ExtendFields, SettleFields
from gate.client.process import require_unforked
from gate.client.sender import CLOSED
from gate.client.tls import Tls
from gate.v1.gate_pb2 import (
    AuthorizeResponse,
    DebitResponse,
    ExtendResponse,
    GetBalanceResponse,
    ReleaseResponse,
)

_Chunk = TypeVar("_Chunk")
_Reply = TypeVar("_Reply")


class Client:
    """Makes the gate's calls for any number of threads.

    Use `with Client("127.0.0.1:50051") as client`, or call `close` at the end; both close the
    client as `connect` tells, and so does the end of the program. `target` is `host:port` or
    `unix:/path`, and `timeout_s` the time that a call may take unless the call is given a time of
    its own. The methods take, return and raise the same as those of AsyncClient. An interrupted
    thread leaves its call's outcome unknown. A client opens with its first call. In a process
    that is forked after any client has opened, calls raise RuntimeError. `token`, `token_file` and
    `tls` are those of `connect`. Raises ValueError for a target or a token of another form, and
    OSError for a token file that cannot be read.
    """

    def __init__(
        self,
        target: str,
        *,
        timeout_s: float = TIMEOUT_S,
        token: str = "",
        token_file: str | Path = "",
        tls: Tls | None = None,
    ) -> None:
        parse_address(target)
        Credentials(token, token_file)  # so that a wrong token is told here, and not by a call
        self._scope = connect(
            target,
            timeout_s=timeout_s,
            token=token,
            token_file=token_file,
            tls=tls,
        )
        self._lock = threading.Lock()
        self._client: AsyncClient | None = None
        self._is_closed = False
        self._pid = 0  # of the process in which the client was opened

    def __enter__(self) -> Self:
        """Raises RuntimeError if the client was closed before."""
        if self._is_closed:
            raise RuntimeError("this client was closed; make another Client")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the client as `connect` tells; a client that is closed, or never opened, too.

        In a process that was forked from the client's own, there is nothing to close.
        """
        if self._pid and os.getpid() != self._pid:
            return
        with self._lock:  # so that calls made before are on the loop before the close is
            was_closed = self._is_closed
            self._is_closed = True
            if was_closed or self._client is None:
                return
            closed = asyncio.run_coroutine_threadsafe(self._close(), self._loop)
        try:
            closed.result()
        finally:
            self._stop()

    def authorize(
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
        authorize = self._opened().authorize(
            account_id=account_id,
            request_id=request_id,
            timeout_s=timeout_s,
            **fields,
        )
        return self._wait(authorize)

    def debit(
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
        debit = self._opened().debit(
            account_id=account_id,
            request_id=request_id,
            timeout_s=timeout_s,
            **fields,
        )
        return self._wait(debit)

    def release(
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
        release = self._opened().release(
            account_id=account_id,
            hold_id=hold_id,
            request_id=request_id,
            timeout_s=timeout_s,
        )
        return self._wait(release)

    def extend(
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
        extend = self._opened().extend(
            account_id=account_id,
            hold_id=hold_id,
            request_id=request_id,
            timeout_s=timeout_s,
            **fields,
        )
        return self._wait(extend)

    def get_balance(
        self,
        *,
        account_id: str,
        timeout_s: float | None = None,
    ) -> GetBalanceResponse:
        """Returns what the account has, has used, and may still spend, in nanos.

        Raises CallFailed.
        """
        get_balance = self._opened().get_balance(account_id=account_id, timeout_s=timeout_s)
        return self._wait(get_balance)

    @contextmanager
    def authorized(
        self,
        *,
        account_id: str,
        request_id: str = "",
        timeout_s: float | None = None,
        **fields: Unpack[AuthorizeFields],
    ) -> Iterator["BlockingHold"]:
        """Places a hold for the length of a block, in which the caller settles the hold.

        A block that ends or fails without having settled gives the hold back. The ids of the
        block's calls begin with `request_id`, so a block that is repeated with the same
        `request_id` takes effect once. Raises Denied if the account may not spend this much, and
        CallFailed; after OutcomeUnknown a hold may stand, and ends with its time to live.
        """
        block = self._opened().authorized(
            account_id=account_id,
            request_id=request_id,
            timeout_s=timeout_s,
            **fields,
        )
        hold = self._wait(block.__aenter__())
        try:
            yield BlockingHold(hold, self._wait)
        finally:
            self._wait(block.__aexit__(None, None, None))

    def _start(self, work: Coroutine[Any, Any, _Reply]) -> Future[_Reply]:
        require_unforked()  # before the lock, which nobody may be left to release
        with self._lock:
            if self._is_closed:
                raise NotSent(CLOSED, "")
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _opened(self) -> AsyncClient:
        """Returns the client on the loop; opens the client with the first call."""
        require_unforked()
        with self._lock:
            if self._is_closed:
                raise NotSent(CLOSED, "")
            if self._client is None:
                self._client = self._open()
            return self._client

    def _open(self) -> AsyncClient:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever,
            name="creditgate-client",
            daemon=True,  # or a client that nobody closed would keep the program from ending
        )
        self._thread.start()
        self._pid = os.getpid()
        atexit.register(self.close)
        return asyncio.run_coroutine_threadsafe(self._scope.__aenter__(), self._loop).result()

    def _wait(self, work: Coroutine[Any, Any, _Reply]) -> _Reply:
        """Runs the work on the loop, and returns the result or raises the error.

        The work is cancelled if this thread is interrupted meanwhile.
        """
        try:
            pending = self._start(work)
        except BaseException:
            work.close()
            raise
        try:
            return pending.result()
        finally:
            pending.cancel()

    async def _close(self) -> None:
        await self._scope.__aexit__(None, None, None)
        # All calls have ended; their threads must hear of the outcome before the loop stops.
        waiting = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*waiting, return_exceptions=True)

    def _stop(self) -> None:
        atexit.unregister(self.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Wait(Protocol):
    """Waits for work on the client's event loop, and returns the result."""

    def __call__(self, work: Coroutine[Any, Any, _Reply], /) -> _Reply: ...


class BlockingHold:
    """Holds credits set aside for a request; `Client.authorized` makes a BlockingHold.

    `reply` is the gate's reply to the Authorize, with `held_nanos`, `expires_at`, and with a model
    named `affordable_output_tokens`.
    """

    def __init__(self, hold: Hold, wait: _Wait) -> None:
        self._hold = hold
        self._wait = wait
        self.account_id = hold.account_id
        self.request_id = hold.request_id
        self.reply = hold.reply

    @property
    def hold_id(self) -> str:
        return self._hold.hold_id

    def settle(
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
        REQUEST_ID_REUSED. Raises CallFailed, and TypeError for a `reported` of another kind.
        """
        settling = self._hold.settle(reported=reported, timeout_s=timeout_s, **fields)
        return self._wait(settling)

    def metered(self, stream: Iterable[_Chunk]) -> Iterator[_Chunk]:
        """Passes on the chunks of a provider's stream, and settles the hold when the stream ends.

        The chunks' usage objects tell what was used. A stream that is left, or that breaks, is
        settled at the end of the hold's block. Without a usage object, the input that was
        authorized is charged, and one token of output a chunk; for a hold of an amount, the amount.
        Raises what the stream and `settle` raise.
        """
        metered = self._hold.begin_metering()
        for chunk in stream:
            metered.see(chunk)
            yield chunk
        metered.end()
        self._wait(self._hold.settle_metered())

    def extend(
        self, *, timeout_s: float | None = None, **fields: Unpack[ExtendFields]
    ) -> ExtendResponse:
        """Adds an amount to the hold, extends the hold's time to live, or both.

        The traffic class of the Authorize applies unless another is given. DENIED leaves the hold
        as it is. Each call extends anew. Raises CallFailed.
        """
        extending = self._hold.extend(timeout_s=timeout_s, **fields)
        return self._wait(extending)
