"""What the fields of an administrator's request must look like, and how they are told again."""

import re
import uuid
from collections.abc import Callable, Sequence

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message

from gate.validation import MAX_DIMENSION_VALUE
from meter.errors import InvalidField
from meter.ids import check_id
from meter.money import SETTING_MAX
from meter.prices import UnknownModel
from meter.times import exact_ms
from meter.v1.accounts_pb2 import Scope

MAX_SCOPE = 50  # models and services of one grant
DEFAULT_PRIORITY = 50
MAX_PRIORITY = 1000

Canonical = Callable[
    [str, str], str
]  # model and account ("": none) to "provider/model"; meter.prices.UnknownModel

_NAME = re.compile(r"[a-z0-9_.-]{1,64}")
_CURRENCY = re.compile(r"[A-Z]{3}")


def new_request_id() -> str:
    """For a change that the client did not name."""
    return f"auto-{uuid.uuid4().hex}"


def check_request_id(request_id: str, *, required: bool) -> None:
    if request_id or required:
        check_id("request_id", request_id)


def check_name(field: str, name: str) -> None:
    """InvalidField unless it is an id of a budget, batch or threshold."""
    if not _NAME.fullmatch(name):
        raise InvalidField(field, 'must be 1 to 64 of a-z, 0-9, "_", "-" and "."')


def check_names(field: str, name: str, values: Sequence[str], most: int) -> None:
    """The same for those of a list, which may have so many, each once."""
    if len(values) > most:
        raise InvalidField(field, f"at most {most}; there are {len(values)}")
    for number, value in enumerate(values):
        check_name(f"{field}[{number}].{name}", value)
        if value in values[:number]:
            raise InvalidField(f"{field}[{number}].{name}", f"{value} is there twice")


def check_currency(field: str, currency: str) -> None:
    if not _CURRENCY.fullmatch(currency):
        raise InvalidField(field, "three capital letters of ISO 4217, such as USD")


def check_setting(field: str, nanos: int, least: int = 0) -> None:
    if not least <= nanos <= SETTING_MAX:
        raise InvalidField(field, f"must be {least} to {SETTING_MAX} nanos; it is {nanos}")


def check_amount(field: str, nanos: int) -> None:
    if nanos <= 0:
        raise InvalidField(field, f"must be above 0; it is {nanos}")


def priority_of(field: str, priority: int) -> int:
    if not 0 <= priority <= MAX_PRIORITY:
        raise InvalidField(field, f"must be 0 to {MAX_PRIORITY}")
    return priority or DEFAULT_PRIORITY


def check_choice(field: str, number: int, enum: EnumTypeWrapper) -> None:
    """InvalidField unless the enum has it; 0 is for whom it may concern."""
    if number not in enum.values():
        raise InvalidField(field, f"must be one of {', '.join(enum.keys()[1:])}")


def optional_ms(field: str, message: Message) -> int | None:
    """The time in the field of that name; None: absent."""
    name = field.rpartition(".")[2]
    return exact_ms(field, getattr(message, name)) if message.HasField(name) else None


def labels_of(
    field: str, scope: Scope, canonical: Canonical, account_id: str = ""
) -> tuple[str, ...]:
    """The scope of a grant as labels, models under their canonical names.

    InvalidField for an unknown model.
    """
    if len(scope.models) + len(scope.services) > MAX_SCOPE:
        raise InvalidField(field, f"at most {MAX_SCOPE} models and services")
    models = {
        f"model={_canonical(f'{field}.models', model, canonical, account_id)}"
        for model in scope.models
    }
    for service in scope.services:
        if not 1 <= len(service) <= MAX_DIMENSION_VALUE or not service.isprintable():
            raise InvalidField(
                f"{field}.services", f"must be 1 to {MAX_DIMENSION_VALUE} printable characters"
            )
    return tuple(sorted(models | {f"service={service}" for service in scope.services}))


def _canonical(field: str, model: str, canonical: Canonical, account_id: str) -> str:
    try:
        return canonical(model, account_id)
    except UnknownModel as error:
        raise InvalidField(field, str(error), "UNKNOWN_MODEL") from None
