"""The gate's refusals: the word that a script returns, as the error that the client sees."""

from meter.errors import AlreadyExists, FailedPrecondition, NotFound, OutOfRange, ServiceError

_REFUSALS: dict[str, tuple[type[ServiceError], str, str]] = {
    "REQUEST_ID_REUSED": (AlreadyExists, "request_id", "was used before with other content; every call needs an id of its own"),
    "ACCOUNT_NOT_FOUND": (NotFound, "account_id", "no such account; create it with Accounts.CreateAccount"),
    "HOLD_NOT_FOUND": (NotFound, "hold_id", "this account has no such hold; it is unknown, or already settled or released"),
    "HOLD_EXPIRED": (FailedPrecondition, "hold_id", "the hold has expired and its credits have gone back; debit without it, as incurred"),
    "CURRENCY_MISMATCH": (FailedPrecondition, "usage.model", "is priced in another currency than the account's; add one in it to the override file"),
    "AMOUNT_OUT_OF_RANGE": (OutOfRange, "amount_nanos", "the account's sums would leave the range of int64; nothing was written"),
}  # fmt: skip


def refusal(reason: str) -> ServiceError:
    """The error for a reason of gate.v1.Reason that is no denial."""
    kind, field, message = _REFUSALS[reason]
    return kind(reason, f"{field}: {message}", field)
