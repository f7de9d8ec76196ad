"""One call, from the moment it was made until its caller has the reply."""

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

# No answer, or one that decides nothing. Of all other statuses the gate itself says that nothing
# was done.
_UNDECIDED = {"UNAVAILABLE", "CANCELLED", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN"}

_LATE = Failure("DEADLINE_EXCEEDED", "", "no answer within timeout_s")


@dataclass(slots=True, eq=False)
class Call:
    """`method` as BatchItem and BatchResult name it; `deadline_s` by the loop's clock."""

    method: str
    request: Request
    reply: asyncio.Future[Any]
    deadline_s: float
    attempts: int = 0
    failure: Failure | None = None  # of the last attempt
    is_single: bool = False  # goes in no batch

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for the reply any more."""
        return self.reply.done()

    def succeed(self, reply: object) -> None:
        """Ends it with its reply."""
        if not self.is_over:
            self.reply.set_result(reply)

    def fail(self, failure: Failure) -> None:
        """Ends it with the error that says what is known of its effect."""
        if not self.is_over:
            self.reply.set_exception(self._error(failure))

    def expire(self) -> None:
        """Ends it because its time is over."""
        self.fail(self.failure or _LATE)

    def _error(self, failure: Failure) -> CallFailed:
        request_id = "" if isinstance(self.request, GetBalanceRequest) else self.request.request_id
        if not self.attempts:
            return NotSent(failure, request_id)
        kind = OutcomeUnknown if failure.code in _UNDECIDED else CallFailed
        return kind(failure, request_id)
