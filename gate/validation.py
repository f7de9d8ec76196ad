"""Checks the form of each request before the store is asked for anything.

A check raises InvalidField for the first bad field. Whether the account's state allows the request
is for the scripts to decide.
"""

from collections.abc import Mapping

from gate.v1 import gate_pb2
from meter.errors import InvalidField
from meter.ids import check_description, check_id

MAX_DIMENSIONS = 16
MAX_DIMENSION_KEY = 64
MAX_DIMENSION_VALUE = 256
MAX_MODEL = 200
MAX_QUANTITY = 10**12  # of one unit in one request: every sum of quantities fits into int64
MAX_UNITS = 32
MAX_UNIT_NAME = 64
MAX_SERVICE_TIER = 64
MAX_REPORTED_JSON = 16_384  # bytes; a usage object has some hundred, and the journal keeps it
MAX_HOLD_TTL_MS = 86_400_000
MAX_BATCH = 1000

_TOKEN_FIELDS = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")


def check_authorize(request: gate_pb2.AuthorizeRequest) -> None:
    """Checks the form of an Authorize."""
    _check_ids(request)
    _check_cost(request)
    _check_dimensions(request.dimensions)
    if request.HasField("amount_nanos"):
        if request.amount_nanos == 0:
            raise InvalidField(
                "amount_nanos",
                "must be at least 1: a hold of nothing authorizes nothing",
            )
        if request.min_amount_nanos > request.amount_nanos:
            raise InvalidField("min_amount_nanos", "must not exceed amount_nanos")
    elif request.usage.reported_json:
        raise InvalidField(
            "usage.reported_json",
            "tells what was used: estimate a hold by token counts or by amount_nanos",
        )
    elif not _uses_something(request.usage):
        raise InvalidField(
            "usage",
            "at least one count must be above 0: a hold of nothing authorizes nothing",
        )
    if request.min_amount_nanos < 0:
        raise InvalidField("min_amount_nanos", "must not be negative; 0 means all or nothing")
    _check_ttl(request.hold_ttl_ms)
    check_traffic_class(request.traffic_class)


def check_debit(request: gate_pb2.DebitRequest) -> None:
    """Checks the form of a Debit."""
    _check_ids(request)
    _check_cost(request)
    if request.HasField("reported_cost_nanos"):
        _check_reported_cost(request)
    _check_dimensions(request.dimensions)
    if request.hold_id:
        check_id("hold_id", request.hold_id)
    check_traffic_class(request.traffic_class)
    check_description("description", request.description)


def check_release(request: gate_pb2.ReleaseRequest) -> None:
    """Checks the form of a Release."""
    _check_ids(request)
    check_id("hold_id", request.hold_id)


def check_extend(request: gate_pb2.ExtendRequest) -> None:
    """Checks the form of an Extend."""
    _check_ids(request)
    check_id("hold_id", request.hold_id)
    check_traffic_class(request.traffic_class)
    _check_ttl(request.hold_ttl_ms)
    adds_amount = request.HasField("amount_nanos") or request.HasField("usage")
    if not adds_amount and not request.hold_ttl_ms:
        raise InvalidField(
            "amount_nanos",
            "an Extend adds an amount, a usage or a hold_ttl_ms; this one has none of them",
        )
    if adds_amount:
        _check_cost(request)
    if request.usage.reported_json:
        raise InvalidField(
            "usage.reported_json",
            "tells what was used: add to a hold by token counts or by amount_nanos",
        )


def check_estimate(request: gate_pb2.EstimateCostRequest) -> None:
    """Checks the form of an EstimateCost."""
    if request.account_id:
        check_id("account_id", request.account_id)
    if not request.HasField("usage"):
        raise InvalidField(
            "usage",
            "is required: the model, and the quantities of a typical request",
        )
    _require_model(request.usage)
    _check_usage(request.usage)
    if request.amount_nanos < 0:
        raise InvalidField("amount_nanos", "must not be negative")


def check_traffic_class(traffic_class: str, field: str = "traffic_class") -> None:
    """Checks a class of traffic; empty means no class."""
    if not traffic_class:
        return
    if len(traffic_class) > MAX_DIMENSION_KEY or not traffic_class.isprintable():
        raise InvalidField(field, f"at most {MAX_DIMENSION_KEY} printable characters")


def check_batch(request: gate_pb2.BatchRequest) -> None:
    """Checks the size of a Batch; each item is checked as a call of its own."""
    if not 1 <= len(request.items) <= MAX_BATCH:
        raise InvalidField("items", f"1 to {MAX_BATCH} items; this batch has {len(request.items)}")


def _check_ids(
    request: gate_pb2.AuthorizeRequest
    | gate_pb2.DebitRequest
    | gate_pb2.ReleaseRequest
    | gate_pb2.ExtendRequest,
) -> None:
    check_id("account_id", request.account_id)
    check_id("request_id", request.request_id)


def _check_cost(
    request: gate_pb2.AuthorizeRequest | gate_pb2.DebitRequest | gate_pb2.ExtendRequest,
) -> None:
    has_amount = request.HasField("amount_nanos")
    has_usage = request.HasField("usage")
    if has_amount and has_usage:
        raise InvalidField("amount_nanos", "give either amount_nanos or usage, not both")
    if not has_amount and not has_usage:
        raise InvalidField("amount_nanos", "one of amount_nanos and usage is required")
    if has_usage:
        _check_model(request)
        _check_usage(request.usage)
    elif request.amount_nanos < 0:
        raise InvalidField("amount_nanos", "must not be negative")


def _check_reported_cost(request: gate_pb2.DebitRequest) -> None:
    if not request.HasField("usage"):
        raise InvalidField(
            "reported_cost_nanos",
            "stands along with usage; give an amount alone as amount_nanos",
        )
    if request.reported_cost_nanos < 0:
        raise InvalidField("reported_cost_nanos", "must not be negative")


def _check_model(
    request: gate_pb2.AuthorizeRequest | gate_pb2.DebitRequest | gate_pb2.ExtendRequest,
) -> None:
    """Checks that a usage names the model; a usage by a hold is of the hold's model."""
    has_hold = not isinstance(request, gate_pb2.AuthorizeRequest) and request.hold_id
    if not has_hold:
        _require_model(request.usage)


def _require_model(usage: gate_pb2.Usage) -> None:
    if not usage.model:
        raise InvalidField("usage.model", f"1 to {MAX_MODEL} printable characters")


def _check_usage(usage: gate_pb2.Usage) -> None:
    if len(usage.model) > MAX_MODEL or not usage.model.isprintable():
        raise InvalidField("usage.model", f"1 to {MAX_MODEL} printable characters")
    if len(usage.service_tier) > MAX_SERVICE_TIER or not usage.service_tier.isprintable():
        raise InvalidField(
            "usage.service_tier",
            f"at most {MAX_SERVICE_TIER} printable characters, such as batch",
        )
    for field in _TOKEN_FIELDS:
        _check_quantity(f"usage.{field}", getattr(usage, field))
    if usage.reported_json:
        _check_reported_json(usage)
    if len(usage.units) > MAX_UNITS:
        raise InvalidField("usage.units", f"at most {MAX_UNITS} units")
    for unit, quantity in usage.units.items():
        if not 1 <= len(unit) <= MAX_UNIT_NAME or not unit.isprintable():
            raise InvalidField(
                "usage.units",
                f"names are 1 to {MAX_UNIT_NAME} printable characters",
            )
        if unit in _TOKEN_FIELDS:
            raise InvalidField("usage.units", f"{unit} has a field of its own: give it there")
        _check_quantity(f"usage.units[{unit}]", quantity)


def _check_reported_json(usage: gate_pb2.Usage) -> None:
    size = len(usage.reported_json.encode())
    if size > MAX_REPORTED_JSON:
        raise InvalidField(
            "usage.reported_json",
            f"at most {MAX_REPORTED_JSON} bytes; this one has {size}: send the usage object alone,"
            " without the response around it",
        )
    if any(getattr(usage, field) for field in _TOKEN_FIELDS):
        raise InvalidField(
            "usage.reported_json",
            "stands in place of token counts: give either, not both",
        )


def _check_quantity(field: str, quantity: int) -> None:
    if not 0 <= quantity <= MAX_QUANTITY:
        raise InvalidField(field, f"must be 0 to {MAX_QUANTITY}; it is {quantity}")


def _uses_something(usage: gate_pb2.Usage) -> bool:
    has_tokens = any(getattr(usage, field) for field in _TOKEN_FIELDS)
    return has_tokens or any(usage.units.values())


def _check_dimensions(dimensions: Mapping[str, str]) -> None:
    if not dimensions:
        return
    if len(dimensions) > MAX_DIMENSIONS:
        raise InvalidField(
            "dimensions",
            f"at most {MAX_DIMENSIONS}; this request has {len(dimensions)}",
        )
    for key, value in dimensions.items():
        if not 1 <= len(key) <= MAX_DIMENSION_KEY or not key.isprintable():
            raise InvalidField(
                "dimensions",
                f"keys are 1 to {MAX_DIMENSION_KEY} printable characters",
            )
        if len(value) > MAX_DIMENSION_VALUE or not value.isprintable():
            raise InvalidField(
                "dimensions",
                f"the value of {key} must be at most {MAX_DIMENSION_VALUE} printable characters",
            )


def _check_ttl(ttl_ms: int) -> None:
    if not 0 <= ttl_ms <= MAX_HOLD_TTL_MS:
        raise InvalidField(
            "hold_ttl_ms",
            f"must be 0 (the default) to {MAX_HOLD_TTL_MS} (24 hours)",
        )
