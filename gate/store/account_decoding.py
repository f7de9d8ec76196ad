"""Decodes a whole account, as its hashes in Redis have it, into the form that the ledger keeps."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from gate.store.account_codec import (
    OVERAGE,
    AccountField,
    AccountFlag,
    GrantField,
    GrantTerms,
    Settings,
    StoredGrace,
    StoredGrant,
    StoredThreshold,
    decode_graces,
)
from gate.store.budget_codec import (
    BudgetField,
    StoredBudget,
    budget_field,
    counters_in,
    decode_labels,
    definitions_in,
)
from gate.store.stored_text import optional_number, tokens
from meter.journal.account_sums import ABSENT, AccountSums
from meter.journal.counter_names import NO_VALUE, is_for_each_value
from meter.journal.operations import Grace, Level
from meter.ledger.projections.budgets import BudgetState, CounterSums
from meter.ledger.projections.snapshot import AccountSnapshot, GrantLeft, OpenHold, still_counted
from meter.ledger.reconciliation.difference import FoundAccount
from meter.money import SETTING_MAX
from meter.times import MS_PER_DAY

Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """Holds an account's hashes and its holds, as Redis has them."""

    account_id: str
    account: Fields
    grants: Fields
    budgets: Fields
    counters: Mapping[str, Fields]  # of the budgets for each value, by id
    holds: Mapping[str, str]  # by id


class StoredHold(NamedTuple):
    """Lays out a hold: tokens between spaces; the budgets are left out where there are none."""

    epoch: str  # with an x behind, the hold has expired
    amount: str
    days: str  # from the day on which the hold counts to that of its expiry
    expires_ms: str
    pins: str  # the grant alone, where the whole amount is of one grant
    budgets: str = ABSENT


def decode_account(stored: StoredAccount) -> FoundAccount:
    """Returns the account. Raises ValueError or KeyError for what no script wrote."""
    settings = decode_settings(stored.account)
    grants = _grants(stored, settings.current_grant)
    overage_left, overage_held = grants.pop(OVERAGE)
    holds = list(_holds(stored, settings.epoch))
    budgets = tuple(_budgets(stored))
    numbers = {budget.budget_id: str(budget.number) for budget in budgets}
    graces = decode_graces(stored.account.get(AccountField.GRACES, ""))
    began = {each.traffic_class: each.began_ms for each in graces if each.began_ms is not None}
    snapshot = AccountSnapshot(
        account_id=stored.account_id,
        applied_op=settings.operation_number,
        status=settings.status,
        currency=settings.currency,
        test_clock_ms=settings.test_clock_ms,
        day=settings.day,
        state=_sums(stored.account, settings),
        holds=tuple(replace(hold, budgets=still_counted(hold.budgets, numbers)) for hold in holds),
        grants=tuple(_grant(number, stored, *sums) for number, sums in sorted(grants.items())),
        overage_left=overage_left,
        overage_held=overage_held,
        budgets=budgets,
        spend_management=AccountFlag.MANAGEMENT_OFF not in (settings.flags or ""),
        levels=tuple(_levels(stored.account.get(AccountField.THRESHOLDS, ""))),
        graces=tuple(_grace(each) for each in graces),
        graces_begun=began,
    )
    return FoundAccount(snapshot, {hold.hold_id: hold.budgets for hold in holds})


def decode_settings(account: Fields) -> Settings:
    """Returns the settings of an account's hash."""
    text, _, _ = account[AccountField.SETTINGS].partition("\n")
    epoch, status, clock, day, due, flags, current, operation, currency, total, *packed = tokens(
        " ", text, Settings._fields
    )
    daily_limit, *others = packed
    return Settings(
        int(epoch),
        status,
        optional_number(clock),
        int(day),
        optional_number(due),
        flags,
        int(current),
        int(operation),
        currency,
        int(total),
        optional_number(daily_limit),
        *map(int, others),
    )


def _sums(account: Fields, settings: Settings) -> AccountSums:
    left_of_current = int(account[AccountField.LEFT_OF_CURRENT])
    held_of_current = int(account[AccountField.HELD_OF_CURRENT])
    return AccountSums(
        spendable=left_of_current + int(account[AccountField.LEFT_OF_OTHERS]),
        held=held_of_current + int(account[AccountField.HELD_OF_OTHERS]),
        overage=settings.overage,
        total=settings.total,
        used=int(account[AccountField.USED]),
        day_remaining=int(account[AccountField.DAY_REMAINING]),
        daily_limit=settings.daily_limit,
        day_base=settings.day_base,
        month_base=settings.month_base,
        expired=settings.expired,
        yesterday_base=settings.yesterday_base,
    )


def _grants(stored: StoredAccount, current: int) -> dict[int, tuple[int, int]]:
    """Returns left and held by grant, overage included."""
    names = [name.partition(" ")[0] for name in stored.grants]
    sums = {}
    for number in {OVERAGE, *map(int, names)}:
        left = int(stored.grants.get(f"{number}{GrantField.LEFT}", "0"))
        held = int(stored.grants.get(f"{number}{GrantField.HELD}", "0"))
        sums[number] = (left, held)
    account = stored.account
    left = int(account[AccountField.LEFT_OF_CURRENT])
    held = int(account[AccountField.HELD_OF_CURRENT])
    sums[current] = (left, held)
    return {number: pair for number, pair in sums.items() if number == OVERAGE or any(pair)}


def _grant(
    number: int,
    stored: StoredAccount,
    left: int,
    held: int,
) -> GrantLeft:
    meta = stored.grants.get(f"{number}{GrantField.GRANT}")
    if meta is None:
        meta = stored.account[AccountField.META_OF_CURRENT]
    state, terms = tokens(" ", meta, StoredGrant._fields)
    pays_debt, kind, priority, expires, effective, scope = tokens(" ", terms, GrantTerms._fields)
    labels: tuple[str, ...] = ()
    if scope != ABSENT:
        labels = tuple(scope.split("\n"))
    return GrantLeft(
        number=number,
        left=left,
        held=held,
        state=state,
        priority=int(priority),
        expires_ms=optional_number(expires),
        effective_ms=optional_number(effective),
        type=kind,
        scope=labels,
        pays_debt=pays_debt == "1",
    )


def _levels(text: str) -> Iterator[Level]:
    for threshold in filter(None, text.split(";")):
        threshold_id, subject, nanos = tokens(",", threshold, StoredThreshold._fields)
        yield Level(threshold_id, subject, int(nanos))


def _grace(grace: StoredGrace) -> Grace:
    amount_nanos: int | None = grace.amount_nanos
    if amount_nanos == SETTING_MAX:
        amount_nanos = None
    return Grace(grace.traffic_class, grace.duration_ms, amount_nanos)


def _budgets(stored: StoredAccount) -> Iterator[BudgetState]:
    for labels, place, line in definitions_in(stored.budgets):
        yield _budget(stored, labels, place, line)


def _budget(
    stored: StoredAccount,
    stored_labels: str,
    place: int,
    line: str,
) -> BudgetState:
    window, limit, thresholds, number, period = tokens(" ", line, StoredBudget._fields)
    budget_id, start_hour, _ = window.split(",")
    limit_nanos, hardness = limit.split(",")
    labels = decode_labels(stored_labels)
    if is_for_each_value(labels):
        counters = counters_in(stored.counters[budget_id])
    else:
        counters = {NO_VALUE: _sums_of(stored.budgets, stored_labels, place, int(limit_nanos))}
    return BudgetState(
        budget_id=budget_id,
        number=int(number),
        labels=labels,
        window=period,
        hard=hardness == "h",
        limit=int(limit_nanos),
        levels=tuple(_budget_levels(thresholds)),
        start_hour=int(start_hour),
        counters=counters,
    )


def _sums_of(
    fields: Fields,
    labels: str,
    place: int,
    limit: int,
) -> CounterSums:
    remaining = int(fields[budget_field(BudgetField.REMAINING, place, labels)])
    held = int(fields.get(budget_field(BudgetField.HELD, place, labels), "0"))
    return CounterSums(limit - remaining - held, held)


def _budget_levels(text: str) -> Iterator[tuple[str, int]]:
    if text == ABSENT:
        return
    for threshold in text.split("|"):
        threshold_id, _, nanos = threshold.rpartition(":")
        yield threshold_id, int(nanos)


def _holds(stored: StoredAccount, epoch: int) -> Iterator[OpenHold]:
    """Yields the open holds, with the windows as the ledger stores them."""
    for hold_id, text in sorted(stored.holds.items()):
        hold = StoredHold(*text.split(" "))
        if hold.epoch != str(epoch):
            continue  # expired, or of an earlier epoch
        expires_ms = int(hold.expires_ms)
        pins = hold.pins
        if pins != ABSENT and ":" not in pins:
            pins = f"{pins}:{hold.amount}"
        yield OpenHold(
            hold_id=hold_id,
            amount_nanos=int(hold.amount),
            day=expires_ms // MS_PER_DAY - int(hold.days),
            expires_ms=expires_ms,
            pins=pins,
            budgets=hold.budgets,
        )
