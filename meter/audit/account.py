"""The check of one account: reads the account's history once, and lets every rule follow."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row

from meter.admin.accounts import AccountRow
from meter.audit.admission import check_admission
from meter.audit.aggregates import AggregateRule
from meter.audit.applied_operations import OperationRule
from meter.audit.budgets import BudgetRule
from meter.audit.chain import ChainRule
from meter.audit.denials import check_denials
from meter.audit.due_grants import DueGrantRule
from meter.audit.duplicates import DuplicateRule
from meter.audit.entry import LedgerEntry, history
from meter.audit.entry_columns import check_columns, check_shard
from meter.audit.events import EventRule
from meter.audit.findings import Findings, Invariant
from meter.audit.grants import GrantRule
from meter.audit.holds import HoldRule
from meter.audit.invoices import check_invoices
from meter.audit.money_in import check_payments, check_recharges, check_reversals
from meter.audit.overage import OverageRule
from meter.audit.redis import RedisRule
from meter.audit.stored_projections import (
    check_budgets,
    check_grants,
    check_open_holds,
    check_settings,
)
from meter.audit.thresholds import ThresholdRule
from meter.audit.totals import TotalsRule, check_last_state
from meter.journal.kinds import Kind
from meter.journal.redis_snapshot import RedisSnapshot
from meter.ledger.positions import lossy_epochs
from meter.ledger.reconciliation.taken_over import taken_over_by
from meter.windows import hour_of


@dataclass(frozen=True, slots=True)
class Checked:
    """Says how much was read."""

    entries: int
    invoices: int


class AccountCheck:
    """Runs all rules over one account."""

    def __init__(
        self,
        connection: Connection,
        account: AccountRow,
        snapshot: RedisSnapshot | None,
        findings: Findings,
    ) -> None:
        self._connection = connection
        self._account = account
        self._findings = findings
        lossy = {epoch for _, epoch in lossy_epochs(connection, [account.shard])}
        self._operations = OperationRule.load(connection, account)
        self._grants = GrantRule(self._operations.grant)
        self._due_grants = DueGrantRule(self._grants)
        self._budgets = BudgetRule()
        self._holds = HoldRule()
        self._thresholds = ThresholdRule()
        self._events = EventRule()
        self._chain = ChainRule(self._grants.is_scoped, lossy)
        self._overage = OverageRule()
        self._redis = RedisRule(
            snapshot,
            self._grants,
            self._budgets,
            self._holds,
        )
        self._totals = TotalsRule()
        self._aggregates = AggregateRule()
        self._duplicates = DuplicateRule()

    def run(self) -> Checked:
        """Follows the whole history, then compares the results with the ledger's other tables."""
        entries = 0
        for row in history(self._connection, self._account.account_id):
            entries += 1
            self._follow_row(row)
        self._compare()
        self._check_money_in()
        invoices = self._check_invoices()
        return Checked(entries, invoices)

    def _follow_row(self, row: Row[Any]) -> None:
        try:
            entry = LedgerEntry.of(row)
        except (ValueError, TypeError) as error:
            detail = f"{row.shard}-{row.epoch}-{row.seq}: cannot be read: {error}"
            self._report(Invariant.ENTRY, [detail])
        else:
            self._follow(entry)

    def _follow(self, entry: LedgerEntry) -> None:
        """Lets every rule follow by one entry.

        The order matters: later rules ask earlier rules what the entry did.
        """
        report = self._report
        report(Invariant.REDIS, self._redis.check_before(entry))
        if entry.effect.flags.reconciled:
            self._follow_reconciled(entry)
            return
        hold_id = entry.effect.hold_id
        hold_windows = self._holds.windows(hold_id)
        entry = self._follow_chain(entry)
        self._check_alone(entry)
        report(Invariant.OPERATIONS, self._operations.check(entry))
        self._follow_credits(entry, hold_windows)
        self._follow_thresholds(entry)
        self._apply(entry)

    def _follow_reconciled(self, entry: LedgerEntry) -> None:
        """Follows by an entry of a reconciliation, whose last takes over what the store had.

        In between, grants, budgets and holds are not what any call would have left.
        """
        report = self._report
        report(Invariant.CHAIN, self._chain.check_reconciled(entry))
        report(Invariant.ENTRY, check_columns(entry))
        report(Invariant.ENTRY, check_shard(entry, self._account.shard))
        report(Invariant.OPERATIONS, self._operations.check(entry))
        hour = hour_of(entry.effect.day, entry.effect.at_ms)
        self._budgets.apply_changes(self._operations.changes, hour)
        self._events.check(entry, self._budgets)
        if entry.effect.kind is Kind.RECONCILED:
            self._take_over(entry)
        self._apply(entry)

    def _take_over(self, entry: LedgerEntry) -> None:
        taken_over = taken_over_by(self._connection, entry.shard, entry.position)
        if taken_over is None:
            self._report(Invariant.ENTRY, [f"{entry.id}: nothing says what it took over"])
            return
        self._report(Invariant.GRANTS, self._grants.take_over(entry, taken_over))
        self._due_grants.take_over()
        self._budgets.take_over(taken_over)
        self._holds.take_over(taken_over)
        self._operations.take_over(taken_over)
        self._thresholds.take_over()
        self._overage.take_over(entry)

    def _follow_chain(self, entry: LedgerEntry) -> LedgerEntry:
        """Returns the entry with its effect as posted."""
        pins = self._holds.pins(entry.effect.hold_id)
        self._report(Invariant.CHAIN, self._chain.check(entry, pins))
        effect, _ = self._chain.posted
        if effect is entry.effect:
            return entry
        return replace(entry, effect=effect)

    def _check_alone(self, entry: LedgerEntry) -> None:
        """Checks the entry before its operation takes effect."""
        report = self._report
        report(Invariant.ENTRY, check_columns(entry))
        report(Invariant.ENTRY, check_shard(entry, self._account.shard))
        report(Invariant.GRANTS, self._due_grants.check(entry))
        self._check_admission(entry)
        report(Invariant.OVERAGE, self._overage.check(entry))

    def _check_admission(self, entry: LedgerEntry) -> None:
        settings = self._operations.settings
        scoped = self._grants.scoped_for(entry)
        self._report(Invariant.ADMISSION, check_admission(entry, settings, scoped))

    def _follow_credits(self, entry: LedgerEntry, hold_windows: str) -> None:
        """Follows the grants, budgets and holds, which the entry's operation may have changed."""
        report = self._report
        changes = self._operations.changes
        report(Invariant.GRANTS, self._grants.check(entry, changes))
        budget_details = self._budgets.check(entry, changes, hold_windows)
        report(Invariant.BUDGETS, budget_details)
        report(Invariant.HOLDS, self._holds.check(entry, self._budgets.counted))

    def _follow_thresholds(self, entry: LedgerEntry) -> None:
        settings = self._operations.settings
        details = self._thresholds.check(
            entry,
            settings,
            self._budgets,
        )
        self._report(Invariant.THRESHOLDS, details)
        self._events.check(entry, self._budgets)

    def _apply(self, entry: LedgerEntry) -> None:
        _, state = self._chain.posted
        self._due_grants.apply(entry)
        self._redis.apply(entry, state)
        self._totals.apply(entry)
        self._aggregates.apply(entry)
        self._duplicates.apply(entry, self._budgets.counted)

    def _compare(self) -> None:
        self._report(Invariant.REDIS, self._redis.compare())
        self._compare_sums()
        self._compare_operations()
        self._compare_aggregates()
        self._compare_projections()

    def _compare_sums(self) -> None:
        totals = self._totals.compare(self._connection, self._account.account_id)
        self._report(Invariant.ACCOUNT, totals)
        self._report(Invariant.ACCOUNT, self._compare_last_state())

    def _compare_last_state(self) -> Iterable[str]:
        if self._chain.last is None:
            return ()
        effect, state = self._chain.posted
        return check_last_state(
            self._connection,
            self._account.account_id,
            effect.day,
            state,
        )

    def _compare_operations(self) -> None:
        self._report(Invariant.OPERATIONS, self._operations.compare())
        recorded = self._operations.recorded
        self._report(Invariant.DUPLICATES, self._duplicates.compare(recorded))

    def _compare_aggregates(self) -> None:
        aggregates = self._aggregates.compare(self._connection, self._account.account_id)
        self._report(Invariant.AGGREGATES, aggregates)

    def _compare_projections(self) -> None:
        self._compare_grants()
        self._compare_holds()
        self._compare_budgets()
        self._compare_events()
        self._compare_settings()

    def _compare_grants(self) -> None:
        grants = check_grants(
            self._connection,
            self._account.account_id,
            self._grants.known,
        )
        self._report(Invariant.GRANTS, grants)

    def _compare_holds(self) -> None:
        holds = check_open_holds(
            self._connection,
            self._account.account_id,
            self._holds.open,
        )
        self._report(Invariant.HOLDS, holds)

    def _compare_budgets(self) -> None:
        budgets = check_budgets(
            self._connection,
            self._account.account_id,
            self._budgets,
        )
        self._report(Invariant.BUDGETS, budgets)

    def _compare_events(self) -> None:
        events = self._events.compare(self._connection, self._account.account_id)
        self._report(Invariant.EVENTS, events)
        changes = [operation.change for operation in self._operations.recorded.values()]
        denials = check_denials(
            self._connection,
            self._account.account_id,
            changes,
        )
        self._report(Invariant.EVENTS, denials)

    def _compare_settings(self) -> None:
        settings = check_settings(
            self._connection,
            self._account.account_id,
            self._operations.settings,
        )
        self._report(Invariant.OPERATIONS, settings)

    def _check_money_in(self) -> None:
        checks = (self._connection, self._account)
        self._report(Invariant.PAYMENTS, check_payments(*checks))
        self._report(Invariant.RECHARGES, check_recharges(*checks))
        self._report(Invariant.REVERSALS, check_reversals(*checks))

    def _check_invoices(self) -> int:
        count = 0
        for details in check_invoices(self._connection, self._account.account_id):
            count += 1
            self._report(Invariant.INVOICES, details)
        return count

    def _report(self, invariant: Invariant, details: Iterable[str]) -> None:
        for detail in details:
            self._findings.add(
                invariant,
                detail,
                self._account.account_id,
                self._account.shard,
            )
