"""Converts an account's thresholds and graces between messages and the ledger's types."""

import re
from collections.abc import Sequence

from gate.admin.fields import check_names, check_setting
from meter.errors import InvalidField
from meter.journal.operations import DAILY_USE, LOW_BALANCE, Grace, Threshold
from meter.v1 import accounts_pb2 as pb

MAX_THRESHOLDS = 50
MAX_GRACES = 8
MAX_GRACE_MS = 10 * 366 * 86_400_000  # ten years: a longer one is a mistake, or none

_TRAFFIC_CLASS = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SUBJECTS = {
    pb.Threshold.DAILY_USE: DAILY_USE,
    pb.Threshold.LOW_BALANCE: LOW_BALANCE,
}
_SUBJECT_NUMBERS = {subject: number for number, subject in _SUBJECTS.items()}


def thresholds_of(messages: Sequence[pb.Threshold]) -> tuple[Threshold, ...]:
    """Returns the account's thresholds; raises InvalidField for the first bad field."""
    field = "account.thresholds"
    ids = [message.threshold_id for message in messages]
    check_names(field, "threshold_id", ids, MAX_THRESHOLDS)
    return tuple(
        _threshold_of(f"{field}[{index}]", message) for index, message in enumerate(messages)
    )


def threshold_message(threshold: Threshold) -> pb.Threshold:
    """Returns the message for a threshold."""
    return pb.Threshold(
        threshold_id=threshold.threshold_id,
        subject=_SUBJECT_NUMBERS[threshold.subject],
        amount_nanos=threshold.amount_nanos,
        percent=threshold.percent,
    )


def check_percent(field: str, percent: int) -> None:
    """Raises InvalidField unless the percentage is 1 to 100."""
    if not 1 <= percent <= 100:
        raise InvalidField(field, f"must be 1 to 100; it is {percent}")


def graces_of(messages: Sequence[pb.Grace]) -> tuple[Grace, ...]:
    """Returns the account's graces; raises InvalidField for the first bad field."""
    field = "account.graces"
    if len(messages) > MAX_GRACES:
        raise InvalidField(field, f"at most {MAX_GRACES}; there are {len(messages)}")
    graces = tuple(_grace_of(f"{field}[{index}]", each) for index, each in enumerate(messages))
    classes = [grace.traffic_class for grace in graces]
    for index, name in enumerate(classes):
        if name in classes[:index]:
            raise InvalidField(f"{field}[{index}].traffic_class", f"{name} has a grace already")
    return graces


def grace_message(grace: Grace) -> pb.Grace:
    """Returns the message for a grace."""
    return pb.Grace(
        traffic_class=grace.traffic_class,
        duration_ms=grace.duration_ms,
        amount_nanos=grace.amount_nanos,
    )


def _threshold_of(field: str, message: pb.Threshold) -> Threshold:
    if message.subject not in _SUBJECTS:
        raise InvalidField(f"{field}.subject", "must be DAILY_USE or LOW_BALANCE")
    subject = _SUBJECTS[message.subject]
    level = message.WhichOneof("level")
    if level == "percent":
        check_percent(f"{field}.percent", message.percent)
        return Threshold(message.threshold_id, subject, None, message.percent)
    if level is None:
        raise InvalidField(f"{field}.amount_nanos", "one of amount_nanos and percent is required")
    least = 1 if subject == DAILY_USE else 0
    check_setting(f"{field}.amount_nanos", message.amount_nanos, least)
    return Threshold(message.threshold_id, subject, message.amount_nanos, None)


def _grace_of(field: str, message: pb.Grace) -> Grace:
    if not _TRAFFIC_CLASS.fullmatch(message.traffic_class):
        raise InvalidField(
            f"{field}.traffic_class",
            'must be 1 to 64 letters, digits, "_", "-" and "."',
        )
    has_duration = message.HasField("duration_ms")
    has_amount = message.HasField("amount_nanos")
    if not has_duration and not has_amount:
        raise InvalidField(
            f"{field}.duration_ms",
            "one of duration_ms and amount_nanos is required, or both",
        )
    duration_ms = None
    if has_duration:
        duration_ms = message.duration_ms
        if not 1 <= duration_ms <= MAX_GRACE_MS:
            raise InvalidField(
                f"{field}.duration_ms",
                f"must be 1 to {MAX_GRACE_MS} ms; it is {duration_ms}",
            )
    amount_nanos = None
    if has_amount:
        amount_nanos = message.amount_nanos
        check_setting(f"{field}.amount_nanos", amount_nanos, least=1)
    return Grace(message.traffic_class, duration_ms, amount_nanos)
