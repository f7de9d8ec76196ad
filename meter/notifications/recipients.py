"""Says who is told of an event by mail, and what counts as telling the same again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meter.times import MS_PER_DAY

# Types of events that are mailed to the account's alert addresses, and to its billing addresses.
ALERTS = ("threshold.crossed", "credits.exhausted", "grant.expiring")
BILLING = (
    "top_up.action_required",
    "payment.failed",
    "payment_method.expiring",
    "auto_recharge.succeeded",
    "auto_recharge.suspended",
    "auto_recharge.capped",
    "webhook_endpoint.failing",
    "webhook_endpoint.disabled",
)
_THRESHOLD = "threshold.crossed"
_PAYMENT_FAILED = "payment.failed"


@dataclass(frozen=True, slots=True)
class Contacts:
    """Holds the addresses of an account."""

    billing: Sequence[str] = ()
    alert: Sequence[str] = ()


def recipients_of(type_: str, contacts: Contacts, operator: str) -> Sequence[str]:
    """Returns whom to mail an event of the type; events of the operator's have no contacts."""
    if type_ in ALERTS:
        return contacts.alert
    if type_ not in BILLING and type_ != "operator.attention":
        return ()
    if contacts.billing:
        return contacts.billing
    if operator and type_.startswith(("operator.", "webhook_endpoint.")):
        return (operator,)
    return ()


def once_key_of(
    event_id: str,
    account_id: str,
    type_: str,
    occurred_at_ms: int,
    data: Mapping[str, Any],
    recipient: str,
) -> str:
    """Returns the key under which a mail is sent once.

    A threshold is told once a UTC day, for each value of a budget that is for each; and of a
    payment the first attempt that failed.
    """
    if type_ == _PAYMENT_FAILED:
        return f"{type_} {account_id} {data['payment_id']} {recipient}"
    if type_ != _THRESHOLD:
        return f"{event_id} {recipient}"
    day = occurred_at_ms // MS_PER_DAY
    budget = json.dumps([data["budget_id"], *data["budget_values"]])
    threshold = f"{data['subject']} {budget} {data['threshold_id']}"
    return f"{type_} {account_id} {threshold} {day} {recipient}"
