"""The errors that a call raises instead of returning a reply.

A denial is a reply, not an error. Only `authorized` raises Denied: without a hold
its block cannot run.
"""

from dataclasses import dataclass
from typing import Any

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from gate.v1.gate_pb2 import AuthorizeResponse, Denial, Reason

_CODES: dict[int, str] = {code.value[0]: code.name for code in grpc.StatusCode}


@dataclass(frozen=True, slots=True)
class Failure:
    """Tells why a call failed.

    `code` is the name of a gRPC status, `field` the request's field to blame; empty if none is.
    """

    code: str
    reason: str
    message: str
    field: str = ""


class CallFailed(Exception):
    """Tells that the gate refused the call; the call took no effect.

    `code` is the name of a gRPC status, and `reason` a word of docs/metrics-and-reasons.md, empty
    if no gate answered. `field` is the request's field to blame, empty if none is. `request_id` is
    the call's request id, given or generated.
    """

    def __init__(
        self,
        failure: Failure,
        request_id: str,
        advice: str = "",
    ) -> None:
        super().__init__(f"{failure.message} ({failure.reason or failure.code}){advice}")
        self.code = failure.code
        self.reason = failure.reason
        self.message = failure.message
        self.field = failure.field
        self.request_id = request_id


class OutcomeUnknown(CallFailed):
    """Tells that the call may have taken effect, or may yet take effect.

    Repeat the call with the error's `request_id`: both together take effect once.
    """

    def __init__(self, failure: Failure, request_id: str) -> None:
        advice = ""
        if request_id:  # a read has no request id, and no effect
            advice = f"; outcome unknown: repeat the call with the same request_id {request_id!r}"
        super().__init__(failure, request_id, advice)


class NotSent(CallFailed):
    """Tells that the call did not leave this process, and took no effect."""

    def __init__(self, failure: Failure, request_id: str) -> None:
        super().__init__(failure, request_id, "; the call was not sent")


class Denied(Exception):
    """Tells that the account may not spend this much; nothing is held.

    `denial` has the shortfall, what would still be affordable (both in nanos) and, if time alone
    would heal the denial, when. `reason` is the reason's name, such as INSUFFICIENT_CREDITS.
    """

    def __init__(self, response: AuthorizeResponse) -> None:
        self.denial: Denial = response.denial
        self.reason: str = Reason.Name(self.denial.reason)
        super().__init__(f"{self.reason}: {self.denial.shortfall_nanos} nanos are missing")


def failure_of(status: Status) -> Failure:
    """Returns the failure told by a status with error details."""
    info = ErrorInfo()
    blame = BadRequest()
    for detail in status.details:
        if not detail.Unpack(info):
            detail.Unpack(blame)
    fields = [violation.field for violation in blame.field_violations]
    return Failure(
        _CODES.get(status.code, "UNKNOWN"),
        info.reason,
        status.message,
        " ".join(fields),
    )


def failure_of_rpc(error: Any) -> Failure:
    """Returns the failure of a whole RPC.

    `error` is an AioRpcError; the stubs do not show that an AioRpcError is a call as well.
    """
    status = rpc_status.from_call(error)
    if status is not None:
        return failure_of(status)
    message = error.details() or "no answer"
    return Failure(error.code().name, "", message)
