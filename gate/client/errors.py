"""What a call can end with instead of a reply.

A denial is a reply; only a hold that cannot be placed raises one.
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
    """Why a call failed: `code` is the name of a gRPC status, `field` the request's field to blame, if
    one is.
    """

    code: str
    reason: str
    message: str
    field: str = ""


class CallFailed(Exception):
    """The gate refused the call, which took no effect.

    `reason` is a word of docs/metrics-and-reasons.md, empty if no gate answered; `request_id` is
    the call's own, given or generated.
    """

    def __init__(self, failure: Failure, request_id: str, advice: str = "") -> None:
        super().__init__(f"{failure.message} ({failure.reason or failure.code}){advice}")
        self.code = failure.code
        self.reason = failure.reason
        self.message = failure.message
        self.field = failure.field
        self.request_id = request_id


class OutcomeUnknown(CallFailed):
    """The call may have taken effect, or may yet.

    Repeated with the same `request_id` it takes effect once.
    """

    def __init__(self, failure: Failure, request_id: str) -> None:
        advice = f"; outcome unknown: repeat the call with the same request_id {request_id!r}"
        super().__init__(
            failure, request_id, advice if request_id else ""
        )  # a read has none, and no effect


class NotSent(CallFailed):
    """The call did not leave this process, and took no effect."""

    def __init__(self, failure: Failure, request_id: str) -> None:
        super().__init__(failure, request_id, "; the call was not sent")


class Denied(Exception):
    """The account may not spend this much.

    `denial` says why, what was missing, and what would still be affordable.
    """

    def __init__(self, response: AuthorizeResponse) -> None:
        self.denial: Denial = response.denial
        self.reason: str = Reason.Name(self.denial.reason)
        super().__init__(f"{self.reason}: {self.denial.shortfall_nanos} nanos are missing")


def failure_of(status: Status) -> Failure:
    """What a rich status says."""
    info = ErrorInfo()
    blame = BadRequest()
    for detail in status.details:
        if not detail.Unpack(info):
            detail.Unpack(blame)
    field = " ".join(violation.field for violation in blame.field_violations)
    return Failure(_CODES.get(status.code, "UNKNOWN"), info.reason, status.message, field)


def failure_of_rpc(error: Any) -> Failure:
    """What a whole RPC ended with.

    `error` is an AioRpcError, which the stubs do not show to be a call as well.
    """
    status = rpc_status.from_call(error)
    return (
        failure_of(status)
        if status
        else Failure(error.code().name, "", error.details() or "no answer")
    )
