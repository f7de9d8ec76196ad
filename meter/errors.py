"""Defines the errors of service methods: a shallow tree, made a status at the transport's edge."""


class ServiceError(Exception):
    """No decision was made.

    `code` is a gRPC status name, `reason` a word for machines, and `field` the request's field to
    blame.
    """

    code = "INTERNAL"

    def __init__(
        self,
        reason: str,
        message: str,
        field: str = "",
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field


class InvalidField(ServiceError):
    """A field's value cannot be used; the message says which values can."""

    code = "INVALID_ARGUMENT"

    def __init__(
        self,
        field: str,
        message: str,
        reason: str = "INVALID_FIELD",
    ) -> None:
        super().__init__(reason, f"{field}: {message}", field)


class NotFound(ServiceError):
    code = "NOT_FOUND"


class AlreadyExists(ServiceError):
    code = "ALREADY_EXISTS"


class FailedPrecondition(ServiceError):
    code = "FAILED_PRECONDITION"


class OutOfRange(ServiceError):
    code = "OUT_OF_RANGE"


class ResourceExhausted(ServiceError):
    """The caller asked too often, and may ask again after `retry_after_ms`."""

    code = "RESOURCE_EXHAUSTED"

    def __init__(
        self,
        reason: str,
        message: str,
        field: str,
        retry_after_ms: int,
    ) -> None:
        super().__init__(reason, message, field)
        self.retry_after_ms = retry_after_ms


class Unavailable(ServiceError):
    """The request may or may not have taken effect: repeat the request with the same request id."""

    code = "UNAVAILABLE"


class Unauthenticated(ServiceError):
    """Nobody knows who calls."""

    code = "UNAUTHENTICATED"


class PermissionDenied(ServiceError):
    """The caller is known, and may not make this call."""

    code = "PERMISSION_DENIED"
