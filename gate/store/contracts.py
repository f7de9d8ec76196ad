"""The contracts of the scripts: the KEYS and ARGV of each, by name and in order.

The header of each script in gate/lua says the same in words; tests hold the two to each other.
All scripts take their keys in one order, each a part of `KEY_ORDER`. Amounts are nanos, an absent
value is "-", flags are "1" or "0", unless a comment says otherwise.
"""

from collections.abc import Mapping
from typing import NamedTuple

KEY_ORDER = (
    "account",
    "replay",
    "journal",
    "grants",
    "budgets",
    "hold",
    "holds_by_expiry",
    "accounts_by_due",
    "shard",
)

_ACCOUNT_KEYS = ("account", "replay", "journal", "grants", "budgets")
_HOLD_KEYS = ("hold", "holds_by_expiry")

KEYS: Mapping[str, tuple[str, ...]] = {
    "authorize": (*_ACCOUNT_KEYS, *_HOLD_KEYS),
    "debit": _ACCOUNT_KEYS,
    "release": (*_ACCOUNT_KEYS, *_HOLD_KEYS),
    "extend": (*_ACCOUNT_KEYS, *_HOLD_KEYS),
    "get_balance": ("account", "grants"),
    "expire": ("account", "journal", "grants", "budgets", *_HOLD_KEYS),
    "process_due_grants": ("account", "journal", "grants", "accounts_by_due"),
    "inspect_account": (  # followed by the key of each hold
        "account",
        "journal",
        "grants",
        "budgets",
        "holds_by_expiry",
        "accounts_by_due",
    ),
    "load_account": (  # followed by the key of each hold
        "account",
        "journal",
        "grants",
        "budgets",
        "holds_by_expiry",
        "accounts_by_due",
    ),
    "open_epoch": ("journal", "shard"),
    "create_account": _ACCOUNT_KEYS,
    "update_account": ("account", "replay", "journal", "grants"),
    "grant_credits": ("account", "replay", "journal", "grants", "budgets", "accounts_by_due"),
    "void_grant": ("account", "replay", "journal", "grants", "accounts_by_due"),
    "set_budget": _ACCOUNT_KEYS,
    "delete_budget": _ACCOUNT_KEYS,
    "advance_clock": ("account", "replay", "journal"),
}

# Keys that follow those of KEYS when the debit settles a hold.
DEBIT_HOLD_KEYS = _HOLD_KEYS


class AuthorizeArguments(NamedTuple):
    epoch: int
    fingerprint: bytes  # of the request's content
    replay_ttl_ms: int
    amount_nanos: int
    min_amount_nanos: int  # 0: all or nothing
    currency: str  # of the price, or "-" for a plain amount
    labels: str  # "\nkey=value\n...", sorted, or empty
    traffic_class: str  # or empty
    hold_id: str
    hold_ttl_ms: int
    hold_member: str  # of the hold in holds_by_expiry
    method: str
    request: bytes  # as received
    pricing: str  # or empty


class DebitArguments(NamedTuple):
    epoch: int
    fingerprint: bytes
    replay_ttl_ms: int
    amount_nanos: int
    currency: str
    labels: str
    traffic_class: str
    method: str
    request: bytes
    pricing: str


class UndeniableDebitArguments(NamedTuple):
    """Follows DebitArguments when the debit settles a hold or reports incurred usage."""

    hold_id: str  # or "-"
    hold_member: str  # or "-"
    incurred: int | str  # 1, 0, or "lost"
    spendable_floor_nanos: int  # the least that may be left before the amount is taken
    used_ceiling_nanos: int  # the most that may be used before the amount is taken


class ReleaseArguments(NamedTuple):
    epoch: int
    fingerprint: bytes
    replay_ttl_ms: int
    hold_id: str
    hold_member: str
    method: str
    request: bytes


class ExtendArguments(NamedTuple):
    epoch: int
    fingerprint: bytes
    replay_ttl_ms: int
    amount_nanos: int  # to add
    currency: str
    labels: str
    traffic_class: str
    hold_ttl_ms: int  # from now on; 0 leaves the expiry as it is
    hold_id: str
    hold_member: str
    method: str
    request: bytes
    pricing: str


class GetBalanceArguments(NamedTuple):
    epoch: int


class ExpireArguments(NamedTuple):
    epoch: int
    hold_id: str
    hold_member: str
    late_ttl_ms: int  # how long a late debit still finds the hold
    method: str
    request: bytes


class ProcessDueGrantsArguments(NamedTuple):
    epoch: int
    due_member: str  # of the account in accounts_by_due


class InspectAccountArguments(NamedTuple):
    """Followed by the member of each hold in the holds by expiry."""

    epoch: int
    due_member: str


class OpenEpochArguments(NamedTuple):
    epoch: int
    method: str
    reason: str
    owner: str  # meter.journal.owner.Owner
    flushed: str  # the ledger's position


class LoadAccountArguments(NamedTuple):
    """Followed by a LoadedGrant for each grant, by the number of budgets and a LoadedBudget for
    each, and by a LoadedHold for each hold.
    """

    epoch: int
    settings: str  # the account's field `s`, with overage as the current grant and no due time
    left_of_current: int
    held_of_current: int
    left_of_others: int
    held_of_others: int
    used: int
    day_remaining: int
    thresholds: str
    graces: str
    due_member: str
    grant_count: int


class LoadedGrant(NamedTuple):
    number: int
    left_nanos: int
    held_nanos: int
    meta: str


class LoadedBudget(NamedTuple):
    budget_id: str
    hard: int
    window: str
    limit_nanos: int
    start_hour: int
    number: int  # of the operation that made the budget
    thresholds: str
    labels: str
    remaining_nanos: int
    held_nanos: int
    counters: str


class LoadedHold(NamedTuple):
    hold_id: str
    amount_nanos: int
    day: int
    expires_ms: int
    pins: str
    budgets: str
    hold_member: str


class CreateAccountArguments(NamedTuple):
    epoch: int
    operation_number: int
    method: str
    operation: str  # as recorded
    replay_ttl_ms: int
    currency: str
    overage_protection_nanos: int
    daily_limit_nanos: int | str
    test_clock_ms: int | str
    flags: str  # or "-"
    thresholds: str  # or empty
    graces: str  # or empty


class UpdateAccountArguments(NamedTuple):
    epoch: int
    operation_number: int
    method: str
    operation: str
    replay_ttl_ms: int
    status: str
    overage_protection_nanos: int
    daily_limit_nanos: int | str
    flags: str
    thresholds: str
    graces: str


class GrantCreditsArguments(NamedTuple):
    epoch: int
    operation_number: int
    method: str
    operation: str
    replay_ttl_ms: int
    amount_nanos: int
    grant_terms: str  # "pays_debt type priority expires_ms effective_ms scope"
    thresholds: str  # "=" leaves the account's as they are
    due_member: str
    used_day: int | str  # on which a refunded duplicate counts, or "-"
    charged_day: int | str  # on which the duplicate was charged, or "-"
    counted_in: str  # budgets, as a hold's, or "-"


class VoidGrantArguments(NamedTuple):
    epoch: int
    operation_number: int
    method: str
    operation: str
    replay_ttl_ms: int
    grant_number: int
    amount_nanos: int | str  # the most to take back, or "-" for all
    due_member: str


class SetBudgetArguments(NamedTuple):
    epoch: int
    operation_number: int
    method: str
    operation: str
    replay_ttl_ms: int
    budget_id: str
    hard: int
    window: str
    limit_nanos: int
    thresholds: str
    labels: str
    anew: int
    replaced_labels: str  # those of the budget before, if others; or empty


class DeleteBudgetArguments(NamedTuple):
    epoch: int
    operation_number: int
    method: str
    operation: str
    replay_ttl_ms: int
    budget_id: str
    labels: str


class AdvanceClockArguments(NamedTuple):
    epoch: int
    operation_number: int
    method: str
    operation: str
    replay_ttl_ms: int
    time_ms: int


ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "authorize": AuthorizeArguments._fields,
    "debit": (*DebitArguments._fields, *UndeniableDebitArguments._fields),
    "release": ReleaseArguments._fields,
    "extend": ExtendArguments._fields,
    "get_balance": GetBalanceArguments._fields,
    "expire": ExpireArguments._fields,
    "process_due_grants": ProcessDueGrantsArguments._fields,
    "inspect_account": InspectAccountArguments._fields,
    "load_account": LoadAccountArguments._fields,
    "open_epoch": OpenEpochArguments._fields,
    "create_account": CreateAccountArguments._fields,
    "update_account": UpdateAccountArguments._fields,
    "grant_credits": GrantCreditsArguments._fields,
    "void_grant": VoidGrantArguments._fields,
    "set_budget": SetBudgetArguments._fields,
    "delete_budget": DeleteBudgetArguments._fields,
    "advance_clock": AdvanceClockArguments._fields,
}
