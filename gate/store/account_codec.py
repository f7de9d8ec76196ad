"""The codec of an account's stored forms: the fields of the hashes in Redis, and their text.

Each form below is a NamedTuple, whose fields, in order, are the layout of the text. No other module
of Python spells a form; the scripts have the same layouts in gate/lua/lib. An absent value is "-".
Amounts are nanos, days are UTC day numbers.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from meter.journal.account_sums import ABSENT
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
    budgets one or two keys, a line each, and a tab between scopes.
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
        return _joined(" ", self)


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
    return ";".join(_joined(",", threshold) for threshold in stored)


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
    return _joined(" ", stored)


def _decode_grace(line: str) -> StoredGrace:
    duration_ms, amount_nanos, began_ms, traffic_class = tokens_of(" ", line, StoredGrace._fields)
    return StoredGrace(
        number_or_none(duration_ms),
        int(amount_nanos),
        number_or_none(began_ms),
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
        return _joined(" ", self)


class StoredGrant(NamedTuple):
    """Lays out a grant: its state, a space, and its terms."""

    state: str  # p scheduled, a effective, x over but held
    terms: str  # `GrantTerms`

    def encode(self) -> str:
        """Returns the grant as stored."""
        return _joined(" ", self)


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
    values = pairs_of(fields)
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
    state, terms = tokens_of(" ", stored, StoredGrant._fields)
    _, grant_type, *_ = tokens_of(" ", terms, GrantTerms._fields)
    return StoredBalance(state, grant_type, left, held)


class BudgetField(StrEnum):
    """Begins the name of a budgets' field.

    A space and the budgets' labels follow ("key=value", one or two, sorted, a line each); behind
    LABELS, a space and the budget's id.
    """

    BUDGETS = "d"  # the `StoredBudget`s of these labels, by id, a line each
    LABELS = "f"  # the budget's labels
    REMAINING = "r"  # of the first budget of BUDGETS: limit - used - held in the window
    HELD = "h"  # of the first budget: held in the window; absent: 0
    # The second budget has r2 and h2, and so on.


class StoredBudget(NamedTuple):
    """Lays out a budget: parts between spaces, and commas within a part."""

    window: tuple[str, int, int | None]  # id, first day, first day behind the window
    limit: tuple[int, str]  # nanos, h hard or s soft
    thresholds: str | None  # `StoredBudgetThreshold`s
    number: int  # of the operation that made the budget
    period: str  # day, week, month or lifetime


class StoredBudgetThreshold(NamedTuple):
    """Lays out a budget's threshold: tokens around a colon, and bars between thresholds."""

    threshold_id: str
    nanos: int


def encode_budget_thresholds(levels: Iterable[tuple[str, int]]) -> str:
    """Returns the thresholds of a budget as stored."""
    stored = (StoredBudgetThreshold(threshold_id, nanos) for threshold_id, nanos in levels)
    return "|".join(_joined(":", threshold) for threshold in stored) or ABSENT


def encode_labels(labels: Sequence[str]) -> str:
    """Returns a budget's labels as stored: a line each."""
    return "\n".join(labels)


def decode_budgets(fields: Sequence[bytes]) -> dict[str, tuple[int, int, int]]:
    """Returns the first day of each budget's window, and the nanos remaining and held, by id.

    `fields` are the names and values of the budgets' hash in turn.
    """
    values = pairs_of(fields)
    prefix = f"{BudgetField.BUDGETS} "
    budgets = {}
    for name, lines in values.items():
        if not name.startswith(prefix):
            continue
        labels = name.removeprefix(prefix)
        for place, line in enumerate(lines.split("\n"), 1):
            window, *_ = tokens_of(" ", line, StoredBudget._fields)
            budget_id, start_day, _ = window.split(",")
            remaining = values[
                budget_field(
                    BudgetField.REMAINING,
                    place,
                    labels,
                )
            ]
            held = values.get(
                budget_field(
                    BudgetField.HELD,
                    place,
                    labels,
                ),
                "0",
            )
            budgets[budget_id] = (int(start_day), int(remaining), int(held))
    return budgets


def budget_field(field: BudgetField, place: int, labels: str) -> str:
    """Returns the name of the field of the budget at this place among those of the labels."""
    if place == 1:
        return f"{field} {labels}"
    return f"{field}{place} {labels}"


class HeldBudget(NamedTuple):
    """Lays out a budget counted in by a hold: tokens between commas, semicolons between budgets."""

    budget_id: str
    start_day: str  # of the window
    number: str  # of the operation that made the budget


def encode_held_budgets(budgets: str, numbers: Mapping[str, int]) -> str:
    """Returns the budgets counted in by a hold, as stored; budgets without a number are left out.

    `budgets` has the id and the first day of each budget, in the form of the ledger.
    """
    found = []
    for text in budgets.split(";"):
        budget_id, _, start_day = text.partition(",")
        if budget_id in numbers:
            found.append(
                HeldBudget(
                    budget_id,
                    start_day,
                    str(numbers[budget_id]),
                )
            )
    return ";".join(_joined(",", budget) for budget in found) or ABSENT


def or_absent(value: str | int | None) -> str | int:
    """Returns the value; "-" for None."""
    if value is None:
        return ABSENT
    return value


def _joined(separator: str, values: Iterable[str | int | None]) -> str:
    return separator.join(str(or_absent(value)) for value in values)


def tokens_of(separator: str, text: str, fields: tuple[str, ...]) -> list[str]:
    """Splits a text into the tokens of a layout; the last token may contain separators."""
    tokens = text.split(separator, len(fields) - 1)
    assert len(tokens) == len(fields), f"{text!r} does not have the tokens {fields}"
    return tokens


def number_or_none(text: str) -> int | None:
    """Returns the number; None for "-"."""
    if text == ABSENT:
        return None
    return int(text)


def pairs_of(fields: Sequence[bytes]) -> dict[str, str]:
    """Returns the fields and values of a hash, which Redis lists in turn, as a mapping."""
    texts = [field.decode() for field in fields]
    return dict(zip(texts[::2], texts[1::2], strict=True))
