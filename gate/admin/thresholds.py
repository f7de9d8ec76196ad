"""An account's thresholds and graces: from the messages, and back."""

import re
from collections.abc import Sequence

from gate.admin.fields import check_names, check_setting
from meter.errors import InvalidField
from meter.journal.operations import DAILY_USE, LOW_BALANCE, Grace, Threshold
from meter.v1 import accounts_pb2 as pb

MAX_THRESHOLDS = 50
MAX_GRACES = 8
MAX_GRACE_MS = 10 * 366 * 86_400_000  # ten years: a longer one is a mistake, or none

_CLASS = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SUBJECTS = {pb.Threshold.DAILY_USE: DAILY_USE, pb.Threshold.LOW_BALANCE: LOW_BALANCE}


def thresholds_of(messages: Sequence[pb.Threshold]) -> tuple[Threshold, ...]:
    """An account's thresholds; InvalidField says what is wrong with one."""
    check_names(
        "account.thresholds",
        "threshold_id",
        [each.threshold_id for each in messages],
        MAX_THRESHOLDS,
    )
    return tuple(
        _threshold(f"account.thresholds[{number}]", each) for number, each in enumerate(messages)
    )


def check_percent(field: str, percent: int) -> None:
    if not 1 <= percent <= 100:
        raise InvalidField(field, f"must be 1 to 100; it is {percent}")


def threshold_message(threshold: Threshold) -> pb.Threshold:
    subject = next(number for number, name in _SUBJECTS.items() if name == threshold.subject)
    return pb.Threshold(
        threshold_id=threshold.threshold_id,
        subject=subject,
        amount_nanos=threshold.amount_nanos,
        percent=threshold.percent,
    )


def graces_of(messages: Sequence[pb.Grace]) -> tuple[Grace, ...]:
    """An account's graces; InvalidField says what is wrong with one."""
    if len(messages) > MAX_GRACES:
        raise InvalidField("account.graces", f"at most {MAX_GRACES}; there are {len(messages)}")
    graces = tuple(
        _grace(f"account.graces[{number}]", each) for number, each in enumerate(messages)
    )
    classes = [grace.traffic_class for grace in graces]
    for number, name in enumerate(classes):
        if name in classes[:number]:
            raise InvalidField(
                f"account.graces[{number}].traffic_class", f"{name} has a grace already"
            )
    return graces


def grace_message(grace: Grace) -> pb.Grace:
    return pb.Grace(
        traffic_class=grace.traffic_class,
        duration_ms=grace.duration_ms,
        amount_nanos=grace.amount_nanos,
    )


def _threshold(field: str, message: pb.Threshold) -> Threshold:
    if message.subject not in _SUBJECTS:
        raise InvalidField(f"{field}.subject", "must be DAILY_USE or LOW_BALANCE")
    subject = _SUBJECTS[message.subject]
    level = message.WhichOneof("level")
    if level == "percent":
        check_percent(f"{field}.percent", message.percent)
        return Threshold(message.threshold_id, subject, None, message.percent)
    if level is None:
        raise InvalidField(f"{field}.amount_nanos", "one of amount_nanos and percent is required")
    check_setting(
        f"{field}.amount_nanos", message.amount_nanos, least=1 if subject == DAILY_USE else 0
    )
    return Threshold(message.threshold_id, subject, message.amount_nanos, None)


def _grace(field: str, message: pb.Grace) -> Grace:
    if not _CLASS.fullmatch(message.traffic_class):
        raise InvalidField(
            f"{field}.traffic_class", 'must be 1 to 64 letters, digits, "_", "-" and "."'
        )
    has_time = message.HasField("duration_ms")
    has_amount = message.HasField("amount_nanos")
    if not has_time and not has_amount:
        raise InvalidField(
            f"{field}.duration_ms", "one of duration_ms and amount_nanos is required, or both"
        )
    if has_time and not 1 <= message.duration_ms <= MAX_GRACE_MS:
        raise InvalidField(
            f"{field}.duration_ms", f"must be 1 to {MAX_GRACE_MS} ms; it is {message.duration_ms}"
        )
    if has_amount:
        check_setting(f"{field}.amount_nanos", message.amount_nanos, least=1)
    return Grace(
        message.traffic_class,
        message.duration_ms if has_time else None,
        message.amount_nanos if has_amount else None,
    )
