"""Operations: changes by an administrator. Recorded in the ledger first, then applied to Redis by a script, in each account's own order."""

import json
from dataclasses import asdict, dataclass

from meter.journal import Method


@dataclass(frozen=True, slots=True)
class Create:
    """The account's first operation."""

    currency: str
    overage_protection_nanos: int
    daily_limit_nanos: int | None
    test_clock_ms: int | None


@dataclass(frozen=True, slots=True)
class Update:
    """All settings as they are to be, changed or not."""

    status: str  # active or suspended
    overage_protection_nanos: int
    daily_limit_nanos: int | None


@dataclass(frozen=True, slots=True)
class GrantCredits:
    """Credits added; `refund_of` names the entry that this gives back, when the ledger itself found a duplicate."""

    grant_id: str
    type: str  # a name of meter.v1.GrantType
    amount_nanos: int
    priority: int
    effective_at_ms: int | None
    expires_at_ms: int | None
    description: str
    refund_of: str = ""


@dataclass(frozen=True, slots=True)
class AdvanceClock:
    """The test clock's new time."""

    time_ms: int


# How the request ids of duplicates' refunds begin: the ledger makes them, and clients' ids have no space.
REFUND = "refund "

Change = Create | Update | GrantCredits | AdvanceClock

_METHOD = {Create: Method.CREATE, Update: Method.UPDATE, GrantCredits: Method.GRANT, AdvanceClock: Method.CLOCK}
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
        """As recorded in the ledger and carried by the journal; equal operations give equal text."""
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
        change = _CHANGE[Method(record["method"])](**record["change"])
        return cls(record["account_id"], record["seq"], record["request_id"], change)
