"""The client for programs without an event loop: the one for asyncio, on a loop in a thread of its
own.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from gate.client.asynchronous import TIMEOUT_S, AsyncClient, Hold, connect
from gate.client.errors import NotSent
from gate.client.fields import AuthorizeFields, DebitFields, ExtendFields, SettleFields
from gate.client.sender import CLOSED
from gate.v1.gate_pb2 import (
    AuthorizeResponse,
    DebitResponse,
    ExtendResponse,
    GetBalanceResponse,
    ReleaseResponse,
)

_Reply = TypeVar("_Reply")


class Client:
    """What `connect` and AsyncClient are for tasks, for threads: `with Client("127.0.0.1:50051") as
    client`.
    """

    _client: AsyncClient

    def __init__(self, target: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._scope = connect(target, timeout_s=timeout_s)
        self._lock = threading.Lock()
        self._is_open = False

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="creditgate-client")
        self._thread.start()
        self._is_open = True
        try:
            self._client = self._wait(self._scope.__aenter__())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:  # what was asked before is on the loop before the end of the client is
            self._is_open = False
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
        """Sets credits aside for `amount_nanos` or `usage`."""
        return self._wait(
            self._client.authorize(
                account_id=account_id, request_id=request_id, timeout_s=timeout_s, **fields
            )
        )

    def debit(
        self,
        *,
        account_id: str,
        request_id: str = "",
        timeout_s: float | None = None,
        **fields: Unpack[DebitFields],
    ) -> DebitResponse:
        """Charges `amount_nanos` or `usage`; with `hold_id` it settles that hold."""
        return self._wait(
            self._client.debit(
                account_id=account_id, request_id=request_id, timeout_s=timeout_s, **fields
            )
        )

    def release(
        self, *, account_id: str, hold_id: str, request_id: str = "", timeout_s: float | None = None
    ) -> ReleaseResponse:
        """Gives a hold back."""
        return self._wait(
            self._client.release(
                account_id=account_id, hold_id=hold_id, request_id=request_id, timeout_s=timeout_s
            )
        )

    def extend(
        self,
        *,
        account_id: str,
        hold_id: str,
        request_id: str = "",
        timeout_s: float | None = None,
        **fields: Unpack[ExtendFields],
    ) -> ExtendResponse:
        """Adds to a hold's amount, its time, or both."""
        return self._wait(
            self._client.extend(
                account_id=account_id,
                hold_id=hold_id,
                request_id=request_id,
                timeout_s=timeout_s,
                **fields,
            )
        )

    def get_balance(self, *, account_id: str, timeout_s: float | None = None) -> GetBalanceResponse:
        """The account's overview."""
        return self._wait(self._client.get_balance(account_id=account_id, timeout_s=timeout_s))

    @contextmanager
    def authorized(
        self,
        *,
        account_id: str,
        request_id: str = "",
        timeout_s: float | None = None,
        **fields: Unpack[AuthorizeFields],
    ) -> Iterator["BlockingHold"]:
        """A hold for the block, as AsyncClient.authorized has it."""
        scope = self._client.authorized(
            account_id=account_id, request_id=request_id, timeout_s=timeout_s, **fields
        )
        hold = self._wait(scope.__aenter__())
        try:
            yield BlockingHold(hold, self._wait)
        finally:
            self._wait(scope.__aexit__(None, None, None))

    def _wait(self, work: Coroutine[Any, Any, _Reply]) -> _Reply:
        """What the work returns or raises.

        It is cancelled if this thread is interrupted meanwhile.
        """
        with self._lock:
            if not self._is_open:
                work.close()
                raise NotSent(CLOSED, "")
            pending = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return pending.result()
        finally:
            pending.cancel()

    async def _close(self) -> None:
        await self._scope.__aexit__(None, None, None)
        # All calls have ended; the threads that made them are to hear of it before the loop stops.
        waiting = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*waiting, return_exceptions=True)

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class BlockingHold:
    """A Hold, for threads."""

    def __init__(self, hold: Hold, wait: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._hold = hold
        self._wait = wait
        self.account_id = hold.account_id
        self.request_id = hold.request_id
        self.reply = hold.reply

    @property
    def hold_id(self) -> str:
        return self._hold.hold_id

    def settle(
        self, *, timeout_s: float | None = None, **fields: Unpack[SettleFields]
    ) -> DebitResponse:
        """Charges what was used; the rest of the hold goes back."""
        reply: DebitResponse = self._wait(self._hold.settle(timeout_s=timeout_s, **fields))
        return reply

    def extend(
        self, *, timeout_s: float | None = None, **fields: Unpack[ExtendFields]
    ) -> ExtendResponse:
        """Adds to the hold. DENIED leaves it as it is."""
        reply: ExtendResponse = self._wait(self._hold.extend(timeout_s=timeout_s, **fields))
        return reply
