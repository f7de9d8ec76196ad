"""Defines how Redis fails."""

from meter.errors import Unavailable


class RedisUnavailable(Unavailable):
    """Redis did not answer; the call may or may not have taken effect."""

    def __init__(self, why: str) -> None:
        super().__init__(
            "REDIS_UNAVAILABLE",
            f"the store cannot be reached ({why}); repeat the call with the same request_id",
        )


class ReplicasLag(Unavailable):
    """The call took effect, and too few replicas have it."""

    def __init__(self, found: object, wanted: int) -> None:
        super().__init__(
            "REPLICAS_LAG",
            f"replicas that have the call: {found}, CREDITGATE_REDIS_REPLICAS wants {wanted};"
            " repeat the call with the same request_id",
        )


class CommandFailed(Exception):
    """Redis answered a command with an error; `str()` is its text."""


class UnfitRedis(Exception):
    """The Redis must not hold credits: the server may drop or refuse data."""


class NoRedis(Exception):
    """No Redis can be used at start; the text names address, setting and cause."""

    def __init__(self, url: str, error: Exception) -> None:
        """Tells of `error`, met at `url`, in which passwords are masked."""
        cause = str(error) or "it does not answer"
        super().__init__(f"no Redis can be used at {url} (CREDITGATE_REDIS_URL): {cause}")
