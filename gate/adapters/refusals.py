"""Says as which HTTP error a gateway's client hears of a denial, or of an error of the gate."""

from gate.adapters.dialects import Refused
from gate.v1.gate_pb2 import Denial, Reason
from meter.errors import ServiceError, Unavailable
from meter.times import now_ms

_NO_ACCOUNT = Refused(
    401, "authentication_error", "account_not_found", "no account is known for this request"
)
_MESSAGES = {
    "INSUFFICIENT_CREDITS": "the account has too few credits for this request",
    "ACCOUNT_SUSPENDED": "the account is suspended",
    "DAILY_LIMIT_EXCEEDED": "this request exceeds the account's daily limit",
    "BUDGET_EXCEEDED": "this request exceeds a budget of the account",
}
_QUOTA = "insufficient_quota"


def no_account() -> Refused:
    """Returns the refusal of a request without an account."""
    return _NO_ACCOUNT


def bad_body(why: str) -> Refused:
    """Returns the refusal of a body that is no model call."""
    return Refused(400, "invalid_request_error", "invalid_body", why)


def of_denial(denial: Denial) -> Refused:
    """Returns the refusal for a denial; where time heals the denial, when to come again."""
    reason = Reason.Name(denial.reason)
    code, message = reason.lower(), _MESSAGES[reason]
    if reason == "ACCOUNT_SUSPENDED":
        return Refused(403, "permission_error", code, message, is_final=True)
    if not denial.HasField("resets_at"):
        return Refused(402, _QUOTA, code, message, is_final=True)
    wait_ms = denial.resets_at.ToMilliseconds() - now_ms()
    wait_s = max(1, -(-wait_ms // 1000))
    return Refused(429, _QUOTA, code, message, retry_after_s=wait_s, is_final=True)


def of_error(error: ServiceError) -> Refused:
    """Returns the refusal for an error that the request itself is to blame for.

    Raises the error again if nobody knows the outcome, or nothing was decided.
    """
    if isinstance(error, Unavailable) or error.code == "INTERNAL":
        raise error
    if error.reason == "ACCOUNT_NOT_FOUND" or error.field == "account_id":
        return _NO_ACCOUNT
    if error.reason == "UNKNOWN_MODEL":
        return Refused(404, "invalid_request_error", "model_not_found", error.message)
    return Refused(400, "invalid_request_error", error.reason.lower(), error.message)
