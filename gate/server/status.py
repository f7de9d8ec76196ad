"""Turns an exception into a status; nothing else does."""

import grpc
import structlog
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from gate.store.errors import CommandFailed
from meter.database.errors import LedgerUnavailable
from meter.errors import ResourceExhausted, ServiceError, Unavailable

DOMAIN = "creditgate"

log = structlog.get_logger()


def as_service_error(error: Exception) -> ServiceError:
    """Returns all that the client may know of an exception; the rest is logged."""
    if isinstance(error, LedgerUnavailable):
        log.error("ledger_unavailable", error=str(error))
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, CommandFailed):
        log.error("store_refused", error=str(error))
        return Unavailable(
            "STORE_REFUSED", f"the store refused the call ({error}); nothing was written"
        )
    log.error("internal_error", exc_info=error)
    return ServiceError(
        "INTERNAL",
        (
            "internal error; whether the call took effect is unknown:"
            " repeat it with the same request_id"
        ),
    )


def status_of(error: ServiceError) -> Status:
    """Returns the rich status of an error.

    ErrorInfo is always there, BadRequest where a field is to blame, RetryInfo where waiting helps.
    """
    status = Status(code=code_of(error).value[0], message=error.message)
    status.details.append(_packed(ErrorInfo(reason=error.reason, domain=DOMAIN)))
    if error.field:
        violation = BadRequest.FieldViolation(
            field=error.field,
            description=error.message,
            reason=error.reason,
        )
        status.details.append(_packed(BadRequest(field_violations=[violation])))
    if isinstance(error, ResourceExhausted):
        retry = RetryInfo()
        retry.retry_delay.FromMilliseconds(error.retry_after_ms)
        status.details.append(_packed(retry))
    return status


def code_of(error: ServiceError) -> grpc.StatusCode:
    return grpc.StatusCode[error.code]


def _packed(detail: ErrorInfo | BadRequest | RetryInfo) -> Any:
    packed = Any()
    packed.Pack(detail)
    return packed
