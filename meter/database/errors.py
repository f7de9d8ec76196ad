"""Defines the ledger's refusals, in the vocabulary of the services (meter/errors.py)."""

from meter.errors import AlreadyExists, FailedPrecondition, NotFound, OutOfRange, Unavailable


class LedgerError(Exception):
    """The ledger cannot be opened: a wrong URL, another schema, another number of shards.

    An operator must mend the cause.
    """


class LedgerUnavailable(Unavailable):
    """The database did not answer.

    The transaction may or may not have been committed: repeat the request with the same id. The
    text of the exception is for operators, who may know where the ledger is; `message` is what
    clients are told.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(
            "LEDGER_UNAVAILABLE",
            "the ledger cannot be reached; repeat the call with the same request_id",
        )
        self.args = (detail,)


class AccountNotFound(NotFound):
    def __init__(self, account_id: str) -> None:
        message = (
            f"account_id: no account {account_id}; create it with `creditgate account create`, or"
            " Accounts.CreateAccount"
        )
        super().__init__("ACCOUNT_NOT_FOUND", message, "account_id")


class AccountExists(AlreadyExists):
    """Another request has created the account, or the account has other settings."""

    def __init__(self, account_id: str) -> None:
        message = f"account_id: there is an account {account_id} already"
        super().__init__("ACCOUNT_EXISTS", message, "account_id")


class RequestIdReused(AlreadyExists):
    """Nothing was recorded: the request id stands for something else."""

    def __init__(self, request_id: str) -> None:
        message = f"request_id: {request_id} was used with other content"
        super().__init__("REQUEST_ID_REUSED", message, "request_id")


class AmountOutOfRange(OutOfRange):
    """Nothing was recorded: a sum of the account's would leave int64."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__("AMOUNT_OUT_OF_RANGE", f"{field}: {message}", field)


class TestClockError(FailedPrecondition):
    """Nothing was recorded: the account has no test clock, or the clock has passed the time."""

    __test__ = False  # not a test, whatever its name makes pytest think

    def __init__(self, message: str) -> None:
        super().__init__("TEST_CLOCK", f"time: {message}", "time")
