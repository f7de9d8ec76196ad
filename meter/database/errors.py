"""What the ledger refuses, in the vocabulary of the services (meter/errors.py)."""

from meter.errors import AlreadyExists, FailedPrecondition, NotFound, OutOfRange, Unavailable


class LedgerError(Exception):
    """The ledger cannot be opened as it is: a wrong URL, another schema, another number of shards.

    For an operator to mend.
    """


class LedgerUnavailable(Unavailable):
    """The database did not answer.

    What was being written may or may not have been: repeat it with the same request id.
    """

    def __init__(self, message: str) -> None:
        super().__init__("LEDGER_UNAVAILABLE", message)


class AccountNotFound(NotFound):
    def __init__(self, account_id: str) -> None:
        super().__init__(
            "ACCOUNT_NOT_FOUND",
            f"account_id: no account {account_id}; create it with Accounts.CreateAccount",
            "account_id",
        )


class AccountExists(AlreadyExists):
    """By another request, or with other settings."""

    def __init__(self, account_id: str) -> None:
        super().__init__(
            "ACCOUNT_EXISTS", f"account_id: there is an account {account_id} already", "account_id"
        )


class RequestIdReused(AlreadyExists):
    """Nothing was recorded: the id stands for something else."""

    def __init__(self, request_id: str) -> None:
        super().__init__(
            "REQUEST_ID_REUSED",
            f"request_id: {request_id} was used with other content",
            "request_id",
        )


class AmountOutOfRange(OutOfRange):
    """Nothing was recorded: a sum of the account's would leave int64."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__("AMOUNT_OUT_OF_RANGE", f"{field}: {message}", field)


class TestClockError(FailedPrecondition):
    """Nothing was recorded: the account lives by the real clock, or its test clock has passed that
    time.
    """

    __test__ = False  # not a test, whatever its name makes pytest think

    def __init__(self, message: str) -> None:
        super().__init__("TEST_CLOCK", f"time: {message}", "time")
