"""The state of a call, from the moment the call is made until the caller has the reply."""

import asyncio
from dataclasses import dataclass
from typing import Any

from gate.client.errors import CallFailed, Failure, NotSent, OutcomeUnknown
from gate.v1.gate_pb2 import (
    AuthorizeRequest,
    DebitRequest,
    ExtendRequest,
    GetBalanceRequest,
    ReleaseRequest,
)

Request = AuthorizeRequest | DebitRequest | ExtendRequest | GetBalanceRequest | ReleaseRequest

# With these statuses the call may have taken effect. With any other status the gate itself says
# that nothing was done.
_UNDECIDED = {"UNAVAILABLE", "CANCELLED", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN"}

_LATE = Failure("DEADLINE_EXCEEDED", "", "no answer within timeout_s")


@dataclass(slots=True, eq=False)
class Call:
    """Holds a request and the future of the reply, for the caller to wait for."""

    method: str  # as the field of BatchItem and BatchResult is named
    request: Request
    reply: asyncio.Future[Any]
    deadline_s: float  # by the loop's clock
    attempts: int = 0
    failure: Failure | None = None  # of the last attempt
    is_single: bool = False  # sent by itself, in no batch

    @property
    def is_over(self) -> bool:
        """Tells whether nobody waits for the reply any more."""
        return self.reply.done()

    def succeed(self, reply: object) -> None:
        """Ends the call with a reply."""
        if not self.is_over:
            self.reply.set_result(reply)

    def fail(self, failure: Failure) -> None:
        """Ends the call with an error; the error's class tells whether the call took effect."""
        if not self.is_over:
            self.reply.set_exception(self._error(failure))

    def expire(self) -> None:
        """Ends the call because the call's time is over."""
        self.fail(self.failure or _LATE)

    def _error(self, failure: Failure) -> CallFailed:
        request_id = self._request_id()
        if not self.attempts:
            return NotSent(failure, request_id)
        if failure.code in _UNDECIDED:
            return OutcomeUnknown(failure, request_id)
        return CallFailed(failure, request_id)

    def _request_id(self) -> str:
        if isinstance(self.request, GetBalanceRequest):
            return ""
        return self.request.request_id
