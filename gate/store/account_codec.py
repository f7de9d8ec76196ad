"""The codec of an account's stored forms: the fields of the hashes in Redis, and their text.

Each form below is a NamedTuple, whose fields, in order, are the layout of the text. No other module
of Python spells a form, but for gate/store/budget_codec.py; the scripts have the same layouts in
gate/lua/lib. An absent value is "-". Amounts are nanos, days are UTC day numbers.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from gate.store.stored_text import joined, optional_number, pairs, tokens
from meter.journal.operations import Grace, Level
from meter.money import SETTING_MAX

OVERAGE = 0  # the number of overage among the grants
UNCHANGED = "="  # in place of thresholds that a grant leaves as they are


class AccountField(StrEnum):
    """Names the fields of an account's hash.

    Values that change seldom stand in SETTINGS, so that the usual call reads few fields.
    """

    SETTINGS = "s"  # `Settings`
    LEFT_OF_CURRENT = "gl"  # left of the current grant, which is the first in burn order
    HELD_OF_CURRENT = "gh"  # held from the current grant
    META_OF_CURRENT = "gm"  # the current grant's `StoredGrant`; absent for overage
    LEFT_OF_OTHERS = "ol"  # left of the other effective, unscoped grants and of overage
    HELD_OF_OTHERS = "oh"  # held from all other grants
    USED = "used"  # credits ever used
    DAY_REMAINING = "room"  # daily limit (0 if none) - used today - held today
    THRESHOLDS = "lv"  # `StoredThreshold`s; absent: none
    GRACES = "gr"  # `StoredGrace`s; absent: none


class AccountFlag(StrEnum):
    """Names the letters of `Settings.flags`."""

    BUDGETS = "b"
    GRACES = "g"
    MANAGEMENT_OFF = "o"  # spend management is off
    SCOPED_GRANTS = "s"
    THRESHOLDS = "t"


class Settings(NamedTuple):
    """Lays out an account's settings: one token each, between spaces.

    With the flag BUDGETS a second part follows, from the first newline on: for each scope of
    budgets one or two keys, a line each, and a tab between scopes. An equals sign follows a key
    whose values have a budget each.
    """

    epoch: int  # in which the settings were written; of another epoch the account is missing
    status: str  # active or suspended
    test_clock_ms: int | None
    day: int  # that DAY_REMAINING and day_base are of
    due_ms: int | None  # nothing is decided from then on before process_due_grants
    flags: str | None
    current_grant: int  # number of the grant that is burned first
    operation_number: int  # of the last operation applied
    currency: str
    total: int  # credits ever granted
    daily_limit: int | None
    overage: int
    expired: int  # of `total`: expired or voided
    day_base: int  # of USED: not counted as used today
    month_base: int  # USED as the month began
    yesterday_base: int  # of USED: counted as used neither today nor yesterday

    def encode(self) -> str:
        """Returns the settings as stored."""
        return joined(" ", self)


def epoch_of(settings: bytes | None) -> int | None:
    """Returns the epoch in which settings were written; None if Redis has no settings."""
    if settings is None:
        return None
    epoch, _, _ = settings.partition(b" ")
    return int(epoch)


def encode_flags(
    *,
    spend_management: bool,
    thresholds: tuple[Level, ...],
    graces: tuple[Grace, ...],
) -> str:
    """Returns the flags of an account's settings; empty if no flag is set."""
    flags = ""
    if not spend_management:
        flags += AccountFlag.MANAGEMENT_OFF
    if thresholds:
        flags += AccountFlag.THRESHOLDS
    if graces:
        flags += AccountFlag.GRACES
    return flags


class StoredThreshold(NamedTuple):
    """Lays out a threshold: tokens between commas, and semicolons between thresholds."""

    threshold_id: str
    subject: str  # daily_use or low_balance
    nanos: int


def encode_thresholds(levels: Iterable[Level]) -> str:
    """Returns thresholds as stored: for each subject, the first to be crossed comes first."""
    ordered = sorted(levels, key=_crossing_order)
    stored = (StoredThreshold(level.threshold_id, level.subject, level.nanos) for level in ordered)
    return ";".join(joined(",", threshold) for threshold in stored)


def _crossing_order(level: Level) -> int:
    if level.subject == "daily_use":
        return level.nanos
    return -level.nanos


class StoredGrace(NamedTuple):
    """Lays out a grace: tokens between spaces, a line for each grace."""

    duration_ms: int | None  # None: no time bounds the grace
    amount_nanos: int
    began_ms: int | None  # None: the grace has not begun
    traffic_class: str

    def goes_on(self, at_ms: int) -> bool:
        """Returns whether the grace has begun, and is not over at a time."""
        if self.began_ms is None:
            return False
        return self.duration_ms is None or at_ms < self.began_ms + self.duration_ms


def encode_graces(graces: Iterable[Grace], began: Mapping[str, int]) -> str:
    """Returns graces as stored; `began` has the ms at which a class's grace began."""
    return "\n".join(_encode_grace(grace, began.get(grace.traffic_class)) for grace in graces)


def decode_graces(text: str) -> tuple[StoredGrace, ...]:
    """Returns the graces of GRACES."""
    return tuple(_decode_grace(line) for line in text.splitlines())


def _encode_grace(grace: Grace, began_ms: int | None) -> str:
    amount_nanos = grace.amount_nanos
    if amount_nanos is None:
        # The bound of every setting keeps the sums within int64.
        amount_nanos = SETTING_MAX
    stored = StoredGrace(
        grace.duration_ms,
        amount_nanos,
        began_ms,
        grace.traffic_class,
    )
    return joined(" ", stored)


def _decode_grace(line: str) -> StoredGrace:
    duration_ms, amount_nanos, began_ms, traffic_class = tokens(" ", line, StoredGrace._fields)
    return StoredGrace(
        optional_number(duration_ms),
        int(amount_nanos),
        optional_number(began_ms),
        traffic_class,
    )


class GrantField(StrEnum):
    """Ends the name of a grant's field, which begins with the grant's number (0: overage).

    The current grant has fields of `AccountField` instead.
    """

    LEFT = ""  # absent: 0
    HELD = " h"  # absent: 0
    GRANT = " m"  # `StoredGrant`


class GrantTerms(NamedTuple):
    """Lays out a grant's terms, fixed for good: tokens between spaces."""

    pays_debt: int  # 1: overage in use is paid from the grant at once
    type: str  # a name of meter.v1.GrantType
    priority: int
    expires_ms: int | None
    effective_ms: int | None
    scope: str | None  # labels, a line each

    def encode(self) -> str:
        """Returns the terms as stored."""
        return joined(" ", self)


class StoredGrant(NamedTuple):
    """Lays out a grant: its state, a space, and its terms."""

    state: str  # p scheduled, a effective, x over but held
    terms: str  # `GrantTerms`

    def encode(self) -> str:
        """Returns the grant as stored."""
        return joined(" ", self)


def encode_scope(scope: Sequence[str]) -> str | None:
    """Returns a scope's labels, a line each; None for a grant without a scope."""
    return "\n".join(scope) or None


class StoredBalance(NamedTuple):
    """Holds the nanos left of a grant or of overage, and the nanos pinned by holds."""

    state: str  # as in StoredGrant
    type: str  # empty: overage
    left: int
    held: int


def decode_grants(
    current: int,
    left_of_current: int,
    held_of_current: int,
    fields: Sequence[bytes],
) -> dict[int, StoredBalance]:
    """Returns the grants by number, overage included.

    `fields` are the names and values of the grants' hash in turn, with GRANT of the current grant.
    """
    values = pairs(fields)
    values[f"{current}{GrantField.LEFT}"] = str(left_of_current)
    values[f"{current}{GrantField.HELD}"] = str(held_of_current)
    numbers = {OVERAGE, current}
    for name in values:
        if name.endswith(GrantField.GRANT):
            numbers.add(int(name.removesuffix(GrantField.GRANT)))
    return {number: _decode_grant(number, values) for number in numbers}


def _decode_grant(number: int, values: Mapping[str, str]) -> StoredBalance:
    left = int(values.get(f"{number}{GrantField.LEFT}", "0"))
    held = int(values.get(f"{number}{GrantField.HELD}", "0"))
    stored = values.get(f"{number}{GrantField.GRANT}")
    if stored is None:
        return StoredBalance("a", "", left, held)
    state, terms = tokens(" ", stored, StoredGrant._fields)
    _, grant_type, *_ = tokens(" ", terms, GrantTerms._fields)
    return StoredBalance(state, grant_type, left, held)
