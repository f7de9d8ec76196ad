"""Operations: changes by an administrator.

An operation is recorded in the ledger first, then applied to Redis by a script, in each account's
own order.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from meter.journal.account_sums import ABSENT
from meter.journal.entry import Method

# Subjects of thresholds.
DAILY_USE = "daily_use"
LOW_BALANCE = "low_balance"

# Overage policies: what pays for overage in use.
NEXT_INVOICE = "next_invoice"
NEXT_PURCHASE = "next_purchase"


@dataclass(frozen=True, slots=True)
class Level:
    """Holds a threshold in nanos."""

    threshold_id: str
    subject: str  # daily_use or low_balance
    nanos: int


@dataclass(frozen=True, slots=True)
class Threshold:
    """Holds a threshold as given: an amount, or a percentage of a limit or grant that changes."""

    threshold_id: str
    subject: str  # daily_use or low_balance
    amount_nanos: int | None = None
    percent: int | None = None

    @property
    def moves_with_grants(self) -> bool:
        """Says whether each grant gives the threshold another level."""
        return self.subject == LOW_BALANCE and self.percent is not None

    def level(self, daily_limit_nanos: int | None, newest_grant_nanos: int | None) -> Level | None:
        """Returns the threshold in nanos, rounded down.

        None: there is nothing to take a percentage of, or no use can reach the threshold.
        """
        whole_nanos = newest_grant_nanos
        if self.subject == DAILY_USE:
            whole_nanos = daily_limit_nanos
        nanos = self._nanos(whole_nanos)
        if nanos is None or (nanos == 0 and self.subject == DAILY_USE):
            return None
        return Level(self.threshold_id, self.subject, nanos)

    def _nanos(self, whole_nanos: int | None) -> int | None:
        if self.percent is None:
            return self.amount_nanos
        if whole_nanos is None:
            return None
        return whole_nanos * self.percent // 100


@dataclass(frozen=True, slots=True)
class Grace:
    """Says what a class of traffic may do after credits have run out; None: no such bound."""

    traffic_class: str
    duration_ms: int | None
    amount_nanos: int | None


@dataclass(frozen=True, slots=True)
class Create:
    """Creates the account: the first operation."""

    currency: str
    overage_protection_nanos: int
    daily_limit_nanos: int | None
    test_clock_ms: int | None
    spend_management: bool = True
    levels: tuple[Level, ...] = ()
    graces: tuple[Grace, ...] = ()
    overage_policy: str = NEXT_INVOICE
    thresholds: tuple[Threshold, ...] = ()  # what `levels` come from
    billing_emails: tuple[str, ...] = ()
    alert_emails: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Update:
    """Sets all settings, changed or not.

    The gate goes by all settings but the last four, which only the recording of operations needs.
    """

    status: str  # active or suspended
    overage_protection_nanos: int
    daily_limit_nanos: int | None
    spend_management: bool = True
    levels: tuple[Level, ...] = ()
    graces: tuple[Grace, ...] = ()
    overage_policy: str = NEXT_INVOICE
    thresholds: tuple[Threshold, ...] = ()
    billing_emails: tuple[str, ...] = ()
    alert_emails: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GrantCredits:
    """Adds credits.

    `refund_of` names the entry that the grant gives back, where the ledger found a duplicate; what
    the duplicate counted as used is taken back as well.
    """

    grant_id: str
    type: str  # a name of meter.v1.GrantType
    amount_nanos: int
    priority: int
    effective_at_ms: int | None
    expires_at_ms: int | None
    description: str
    refund_of: str = ""
    scope: tuple[str, ...] = ()  # labels, such as "model=openai/gpt-4o" or "service=chat"
    pays_debt: bool = False  # overage in use is paid from it at once
    non_refundable: bool = False
    # the account's levels from here on, where the grant changes them
    levels: tuple[Level, ...] | None = None
    refund_day: int | None = None  # on which the duplicate counts as used
    refund_charged_day: int | None = None  # on which the duplicate was charged
    # in which the duplicate counts: "counter's name,first hour of the window,budget's number;..."
    refund_budgets: str = ABSENT


@dataclass(frozen=True, slots=True)
class VoidGrant:
    """Takes back unspent credits of the grant that operation `number` made.

    At most `amount_nanos` are taken back; all unspent credits, if None.
    """

    number: int
    grant_id: str
    amount_nanos: int | None
    type: str  # a name of meter.v1.VoidType
    reason: str


@dataclass(frozen=True, slots=True)
class SetBudget:
    """Sets a budget; `anew`: the budget is new, or has another scope or window than before."""

    budget_id: str
    labels: tuple[str, ...]  # one or two, such as "api_key=k1", sorted
    window: str  # day, week, month or lifetime
    hard: bool
    limit_nanos: int
    levels: tuple[tuple[str, int], ...]  # (threshold id, nanos used), ascending
    anew: bool
    replaces: tuple[str, ...] = ()  # the labels before, where the labels change


@dataclass(frozen=True, slots=True)
class DeleteBudget:
    """Deletes a budget."""

    budget_id: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AdvanceClock:
    """Sets the test clock's time."""

    time_ms: int


def levels_of(
    thresholds: Iterable[Threshold],
    daily_limit_nanos: int | None,
    newest_grant_nanos: int | None,
) -> tuple[Level, ...]:
    """Returns the levels of the thresholds that have a level now."""
    levels = (threshold.level(daily_limit_nanos, newest_grant_nanos) for threshold in thresholds)
    return tuple(level for level in levels if level is not None)


# How the request ids of duplicates' refunds begin: the ledger makes them, and clients' ids have no
# space.
REFUND_REQUEST_PREFIX = "refund "

Change = Create | Update | GrantCredits | VoidGrant | SetBudget | DeleteBudget | AdvanceClock

_METHOD = {
    Create: Method.CREATE,
    Update: Method.UPDATE,
    GrantCredits: Method.GRANT,
    VoidGrant: Method.VOID,
    SetBudget: Method.BUDGET,
    DeleteBudget: Method.UNBUDGET,
    AdvanceClock: Method.CLOCK,
}
_CHANGE: dict[Method, type[Change]] = {method: change for change, method in _METHOD.items()}


@dataclass(frozen=True, slots=True)
class Operation:
    """Holds one change, and the change's number in its account: dense from 1."""

    account_id: str
    seq: int
    request_id: str
    change: Change

    @property
    def method(self) -> Method:
        return _METHOD[type(self.change)]

    def to_json(self) -> str:
        """Returns the operation as the ledger records it and the journal carries it.

        Equal operations give equal text.
        """
        record = {
            "account_id": self.account_id,
            "seq": self.seq,
            "request_id": self.request_id,
            "method": self.method,
            "change": asdict(self.change),
        }
        return json.dumps(
            record,
            separators=(",", ":"),
            sort_keys=True,
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> "Operation":
        record = json.loads(text)
        change_type = _CHANGE[Method(record["method"])]
        change = change_type(**_tuples(record["change"]))
        return cls(
            record["account_id"],
            record["seq"],
            record["request_id"],
            change,
        )


def _tuples(change: dict[str, Any]) -> dict[str, Any]:
    """Returns the change's fields with JSON's lists as tuples of the fields' types."""
    fields = {}
    for name, value in change.items():
        if isinstance(value, list):
            decode = _ITEMS.get(name, str)
            fields[name] = tuple(decode(item) for item in value)
        else:
            fields[name] = value
    return fields


def _level(item: Any) -> Any:
    """Returns an account's Level, or a budget's pair of threshold id and nanos."""
    return Level(**item) if isinstance(item, dict) else tuple(item)


_ITEMS: dict[str, Callable[[Any], Any]] = {
    "levels": _level,
    "graces": lambda item: Grace(**item),
    "thresholds": lambda item: Threshold(**item),
}
