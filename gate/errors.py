"""Turns the word of a script into the error for the client."""

from meter.errors import AlreadyExists, FailedPrecondition, NotFound, OutOfRange, ServiceError

_REFUSALS: dict[str, tuple[type[ServiceError], str, str]] = {
    "REQUEST_ID_REUSED": (
        AlreadyExists,
        "request_id",
        "was used before with other content; each call needs its own",
    ),
    "HOLD_NOT_FOUND": (
        NotFound,
        "hold_id",
        "unknown to this account, or already settled or released",
    ),
    "HOLD_EXPIRED": (
        FailedPrecondition,
        "hold_id",
        "has expired, and its credits have gone back; debit usage as incurred",
    ),
    "CURRENCY_MISMATCH": (
        FailedPrecondition,
        "usage.model",
        (
            "is priced in another currency than the account's;"
            " give it a price in that currency in the price file"
        ),
    ),
    "AMOUNT_OUT_OF_RANGE": (
        OutOfRange,
        "amount_nanos",
        "would take the account's sums out of int64; nothing was written",
    ),
}


def refusal(reason: str) -> ServiceError:
    """Returns the error for a reason of gate.v1.Reason, except for denials."""
    kind, field, message = _REFUSALS[reason]
    return kind(reason, f"{field}: {message}", field)
