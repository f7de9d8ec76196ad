"""Operations: changes by an administrator.

Recorded in the ledger first, then applied to Redis by a script, in each account's own order.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from meter.journal.entry import Method

DAILY_USE = "daily_use"
LOW_BALANCE = "low_balance"  # what a threshold may be about
NEXT_INVOICE = "next_invoice"
NEXT_PURCHASE = "next_purchase"  # who pays for overage in use


@dataclass(frozen=True, slots=True)
class Level:
    """A threshold in nanos, whatever it was given as."""

    threshold_id: str
    subject: str  # daily_use or low_balance
    nanos: int


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold as it was given: an amount, or a percentage of what changes."""

    threshold_id: str
    subject: str  # daily_use or low_balance
    amount_nanos: int | None = None
    percent: int | None = None

    @property
    def moves_with_grants(self) -> bool:
        """Each grant gives it another level."""
        return self.subject == LOW_BALANCE and self.percent is not None

    def level(self, daily_limit_nanos: int | None, newest_grant_nanos: int | None) -> Level | None:
        """In nanos, rounded down; None where there is nothing to take a percentage of, or no use could
        reach it.
        """
        nanos = self.amount_nanos
        if self.percent is not None:
            whole = daily_limit_nanos if self.subject == DAILY_USE else newest_grant_nanos
            nanos = None if whole is None else whole * self.percent // 100
        if nanos is None or (nanos == 0 and self.subject == DAILY_USE):
            return None
        return Level(self.threshold_id, self.subject, nanos)


@dataclass(frozen=True, slots=True)
class Grace:
    """What a class of traffic may do after credits have run out; None: no bound of this kind."""

    traffic_class: str
    duration_ms: int | None
    amount_nanos: int | None


@dataclass(frozen=True, slots=True)
class Create:
    """The account's first operation."""

    currency: str
    overage_protection_nanos: int
    daily_limit_nanos: int | None
    test_clock_ms: int | None
    spend_management: bool = True
    levels: tuple[Level, ...] = ()
    graces: tuple[Grace, ...] = ()
    overage_policy: str = NEXT_INVOICE
    thresholds: tuple[Threshold, ...] = ()  # what `levels` come from


@dataclass(frozen=True, slots=True)
class Update:
    """All settings as they are to be, changed or not.

    The gate goes by all but the last two, which whoever records operations goes by.
    """

    status: str  # active or suspended
    overage_protection_nanos: int
    daily_limit_nanos: int | None
    spend_management: bool = True
    levels: tuple[Level, ...] = ()
    graces: tuple[Grace, ...] = ()
    overage_policy: str = NEXT_INVOICE
    thresholds: tuple[Threshold, ...] = ()


@dataclass(frozen=True, slots=True)
class GrantCredits:
    """Credits added; `refund_of` names the entry that this gives back, when the ledger itself found a
    duplicate.
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
    levels: tuple[Level, ...] | None = (
        None  # the account's levels from here on, where this grant changes them
    )


@dataclass(frozen=True, slots=True)
class VoidGrant:
    """Unspent credits of the grant that operation `number` made taken back: so much of them at most,
    or all.
    """

    number: int
    grant_id: str
    amount_nanos: int | None
    type: str  # a name of meter.v1.VoidType
    reason: str


@dataclass(frozen=True, slots=True)
class SetBudget:
    """A budget as it is to be. `anew`: its scope or window is another than before, or it is new."""

    budget_id: str
    labels: tuple[str, ...]  # one or two, such as "api_key=k1", sorted
    window: str  # day, week, month or lifetime
    hard: bool
    limit_nanos: int
    levels: tuple[tuple[str, int], ...]  # (threshold id, nanos used), ascending
    anew: bool
    replaces: tuple[str, ...] = ()  # the labels it had before, where they were others


@dataclass(frozen=True, slots=True)
class DeleteBudget:
    """A budget gone."""

    budget_id: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AdvanceClock:
    """The test clock's new time."""

    time_ms: int


def levels_of(
    thresholds: Iterable[Threshold], daily_limit_nanos: int | None, newest_grant_nanos: int | None
) -> tuple[Level, ...]:
    """The thresholds' levels, where they have one now."""
    levels = (threshold.level(daily_limit_nanos, newest_grant_nanos) for threshold in thresholds)
    return tuple(level for level in levels if level is not None)


# How the request ids of duplicates' refunds begin: the ledger makes them, and clients' ids have no
# space.
REFUND = "refund "

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
    """One change, with its place among the account's own: dense from 1."""

    account_id: str
    seq: int
    request_id: str
    change: Change

    @property
    def method(self) -> Method:
        return _METHOD[type(self.change)]

    def to_json(self) -> str:
        """As recorded in the ledger and carried by the journal; equal operations give
        equal text.
        """
        record = {
            "account_id": self.account_id,
            "seq": self.seq,
            "request_id": self.request_id,
            "method": self.method,
            "change": asdict(self.change),
        }
        return json.dumps(record, separators=(",", ":"), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Operation":
        record = json.loads(text)
        change = _CHANGE[Method(record["method"])](**_tuples(record["change"]))
        return cls(record["account_id"], record["seq"], record["request_id"], change)


_ITEMS: dict[str, Callable[[Any], Any]] = {
    "levels": lambda item: Level(**item) if isinstance(item, dict) else tuple(item),
    "graces": lambda item: Grace(**item),
    "thresholds": lambda item: Threshold(**item),
}


def _tuples(change: dict[str, Any]) -> dict[str, Any]:
    """JSON's lists as the tuples that they were."""
    return {
        name: tuple(map(_ITEMS.get(name, str), value)) if isinstance(value, list) else value
        for name, value in change.items()
    }
