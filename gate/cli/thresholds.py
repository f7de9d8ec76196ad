"""The options for thresholds and graces: how each is typed and shown."""

from typing import Annotated

import typer

from gate.cli.connection import money, parse_amount
from gate.cli.options import duration, is_duration, is_whole_number, pair, parse_duration_ms
from meter.v1.accounts_pb2 import BudgetThreshold, Grace, Threshold

_THRESHOLD_FORM = "ID=SUBJECT:LEVEL, such as half=daily-use:50% or low=low-balance:10"
_GRACE_FORM = "CLASS=TIME, CLASS=CREDITS or CLASS=TIME,CREDITS, such as inbound=10m,5"
_SUBJECTS = {
    "daily-use": Threshold.DAILY_USE,
    "low-balance": Threshold.LOW_BALANCE,
}
_SUBJECT_NAMES = {number: name for name, number in _SUBJECTS.items()}

Thresholds = Annotated[
    list[str] | None,
    typer.Option(
        "--threshold",
        metavar="ID=SUBJECT:LEVEL",
        help="Raise an event: half=daily-use:50%, low=low-balance:10. "
        "Repeat for more; these replace all there are.",
    ),
]
Graces = Annotated[
    list[str] | None,
    typer.Option(
        "--grace",
        metavar="CLASS=BOUNDS",
        help="Let traffic of a class go on without credits: inbound=10m,5. "
        "Repeat for more; these replace all there are.",
    ),
]


def parse_threshold(text: str) -> Threshold:
    """Returns a typed threshold; raises BadParameter or CallFailed."""
    threshold_id, about = pair("--threshold", text, _THRESHOLD_FORM)
    subject, colon, level = about.partition(":")
    if subject not in _SUBJECTS or not colon:
        raise typer.BadParameter(f"--threshold is written {_THRESHOLD_FORM}")
    threshold = Threshold(threshold_id=threshold_id, subject=_SUBJECTS[subject])
    if level.endswith("%"):
        threshold.percent = parse_percent("--threshold", level)
    else:
        threshold.amount_nanos = parse_amount("--threshold", level)
    return threshold


def parse_percent(option: str, text: str) -> int:
    """Returns the number of a text such as 50%; raises BadParameter."""
    number = text.removesuffix("%")
    if not is_whole_number(number, most_digits=3):
        raise typer.BadParameter(f"{option} takes whole percents, such as 50%")
    return int(number)


def parse_grace(text: str) -> Grace:
    """Returns a typed grace; raises BadParameter or CallFailed."""
    traffic_class, bounds = pair("--grace", text, _GRACE_FORM)
    grace = Grace(traffic_class=traffic_class)
    for bound in bounds.split(","):
        if is_duration(bound):
            grace.duration_ms = parse_duration_ms("--grace", bound)
        else:
            grace.amount_nanos = parse_amount("--grace", bound)
    return grace


def threshold_text(threshold: Threshold) -> str:
    """Returns the threshold as people type thresholds."""
    subject = _SUBJECT_NAMES[threshold.subject]
    return f"{threshold.threshold_id}={subject}:{level_text(threshold)}"


def level_text(threshold: Threshold | BudgetThreshold) -> str:
    """Returns a threshold's level: a percentage, or credits."""
    if threshold.HasField("percent"):
        return f"{threshold.percent}%"
    return money(threshold.amount_nanos)


def grace_text(grace: Grace) -> str:
    """Returns the grace as people type graces."""
    bounds = []
    if grace.HasField("duration_ms"):
        bounds.append(duration(grace.duration_ms))
    if grace.HasField("amount_nanos"):
        bounds.append(money(grace.amount_nanos))
    return f"{grace.traffic_class}={','.join(bounds)}"
