"""Checks of the fields of an administrator's requests, and conversions to the ledger's types.

Each check raises InvalidField with a message that tells the client the allowed values.
"""

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

# From a model and an account id ("": no account) to "provider/model"; raises UnknownModel.
Canonical = Callable[[str, str], str]

_NAME = re.compile(r"[a-z0-9_.-]{1,64}")


def new_request_id() -> str:
    """Returns a request id for a change without a client's own request id."""
    return f"auto-{uuid.uuid4().hex}"


def check_request_id(request_id: str, *, required: bool) -> None:
    """Checks a request id; only a `required` request id must not be empty."""
    if request_id or required:
        check_id("request_id", request_id)


def check_name(field: str, name: str) -> None:
    """Checks the id of a budget, voucher batch or threshold."""
    if not _NAME.fullmatch(name):
        raise InvalidField(field, 'must be 1 to 64 of a-z, 0-9, "_", "-" and "."')


def check_names(
    field: str,
    name_field: str,
    names: Sequence[str],
    most: int,
) -> None:
    """Checks the ids in a repeated field: at most `most`, each valid, none twice.

    `name_field` is the name of the item's field for the id.
    """
    if len(names) > most:
        raise InvalidField(field, f"at most {most}; there are {len(names)}")
    for index, name in enumerate(names):
        item_field = f"{field}[{index}].{name_field}"
        check_name(item_field, name)
        if name in names[:index]:
            raise InvalidField(item_field, f"{name} is there twice")


def check_setting(field: str, nanos: int, least: int = 0) -> None:
    """Checks an amount of an account's settings."""
    if not least <= nanos <= SETTING_MAX:
        raise InvalidField(field, f"must be {least} to {SETTING_MAX} nanos; it is {nanos}")


def check_amount(field: str, nanos: int) -> None:
    """Checks an amount of credits to add or to take back."""
    if nanos <= 0:
        raise InvalidField(field, f"must be above 0; it is {nanos}")


def check_choice(field: str, number: int, enum: EnumTypeWrapper) -> None:
    """Checks that the enum has the number; 0 (unspecified) passes, for the caller's default."""
    if number not in enum.values():
        raise InvalidField(field, f"must be one of {', '.join(enum.keys()[1:])}")


def priority_of(field: str, priority: int) -> int:
    """Returns a grant's priority, the default for 0."""
    if not 0 <= priority <= MAX_PRIORITY:
        raise InvalidField(field, f"must be 0 to {MAX_PRIORITY}")
    return priority or DEFAULT_PRIORITY


def optional_ms(field: str, message: Message) -> int | None:
    """Returns the time in `field`, in UTC milliseconds; None if the field is absent.

    `field` is the path for error messages; the last part is the name of the message's field.
    """
    name = field.rpartition(".")[2]
    if not message.HasField(name):
        return None
    return exact_ms(field, getattr(message, name))


def labels_of(
    field: str,
    scope: Scope,
    canonical: Canonical,
    account_id: str = "",
) -> tuple[str, ...]:
    """Returns a grant's scope as sorted labels, "model=provider/model" or "service=name"."""
    if len(scope.models) + len(scope.services) > MAX_SCOPE:
        raise InvalidField(field, f"at most {MAX_SCOPE} models and services")
    labels = set()
    for model in scope.models:
        name = _canonical_model(f"{field}.models", model, canonical, account_id)
        labels.add(f"model={name}")
    for service in scope.services:
        if not 1 <= len(service) <= MAX_DIMENSION_VALUE or not service.isprintable():
            raise InvalidField(
                f"{field}.services",
                f"must be 1 to {MAX_DIMENSION_VALUE} printable characters",
            )
        labels.add(f"service={service}")
    return tuple(sorted(labels))


def _canonical_model(
    field: str,
    model: str,
    canonical: Canonical,
    account_id: str,
) -> str:
    try:
        return canonical(model, account_id)
    except UnknownModel as error:
        raise InvalidField(field, str(error), "UNKNOWN_MODEL") from None
