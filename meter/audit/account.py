"""Checks one account: reads its history once, and lets every rule see each entry."""

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from meter.admin.accounts import AccountRow
from meter.audit import entry_rules, stored_projections, sums
from meter.audit.budgets import Budgets
from meter.audit.chain import Chain
from meter.audit.derived_entries import Thresholds, Turns
from meter.audit.entry import LedgerEntry, history
from meter.audit.findings import Findings, Invariant
from meter.audit.grants import Grants
from meter.audit.holds import Holds
from meter.audit.invoices import check_invoices
from meter.audit.operations import Applied
from meter.journal.account_sums import ABSENT
from meter.journal.redis_snapshot import RedisSnapshot
from meter.ledger.positions import lossy_epochs


@dataclass(frozen=True, slots=True)
class Checked:
    """How much was read."""

    entries: int
    invoices: int


class AccountCheck:
    """The rules of one account, and where they stand in its history."""

    def __init__(
        self,
        connection: Connection,
        account: AccountRow,
        snapshot: RedisSnapshot | None,
        findings: Findings,
    ) -> None:
        self._connection = connection
        self._account = account
        self._sighting = snapshot
        self._findings = findings
        self._applied = Applied.of(connection, account)
        self._grants = Grants(self._applied.grant)
        self._budgets = Budgets()
        self._holds = Holds()
        self._turns = Turns(self._grants)
        self._thresholds = Thresholds()
        lossy = {epoch for _, epoch in lossy_epochs(connection, [account.shard])}
        self._chain = Chain(self._grants.is_scoped, lossy)
        self._overage = entry_rules.Overage()
        self._as_seen = entry_rules.AsOf(snapshot.position if snapshot else None)
        self._sums = sums.Sums()
        self._aggregates = sums.Aggregates()
        self._duplicates = sums.Duplicates()
        self._compared = snapshot is None

    def run(self) -> Checked:
        """Reads the whole history, then compares what it comes to."""
        entries = 0
        for row in history(self._connection, self._account.account_id):
            entries += 1
            try:
                entry = LedgerEntry.of(row)
            except (ValueError, TypeError) as error:
                self._found(
                    Invariant.ENTRY, f"{row.shard}-{row.epoch}-{row.seq}: cannot be read: {error}"
                )
                continue
            self._see(entry)
        self._compare()
        return Checked(entries, self._check_invoices())

    def _see(self, entry: LedgerEntry) -> None:
        if not self._as_seen.is_up_to(entry):
            self._compare_with_redis()
        pins = self._holds.pins(entry.effect.hold_id)
        hold = self._holds.open.get(entry.effect.hold_id)
        self._found(Invariant.CHAIN, *self._chain.see(entry, pins))
        effect, state = self._chain.posted
        if effect is not entry.effect:
            entry = replace(entry, effect=effect)
        self._found(
            Invariant.ENTRY,
            *entry_rules.columns(entry),
            *entry_rules.place(entry, self._account.shard),
        )
        self._found(Invariant.GRANTS, *self._turns.see_next(entry))
        self._found(
            Invariant.ADMISSION,
            *entry_rules.admission(entry, self._applied.settings, self._grants.usable(entry)),
        )
        self._found(Invariant.OVERAGE, *self._overage.see(entry))
        self._found(Invariant.OPERATIONS, *self._applied.see(entry))
        self._found(Invariant.GRANTS, *self._grants.see(entry, self._applied.changes))
        self._found(
            Invariant.BUDGETS,
            *self._budgets.see(entry, self._applied.changes, hold.budgets if hold else ABSENT),
        )
        self._found(Invariant.HOLDS, *self._holds.see(entry, self._budgets.counted))
        self._found(
            Invariant.THRESHOLDS,
            *self._thresholds.see(entry, self._applied.settings, self._budgets),
        )
        self._turns.see(entry)
        self._as_seen.see(entry, state)
        self._sums.see(entry)
        self._aggregates.see(entry)
        self._duplicates.see(entry)

    def _compare(self) -> None:
        connection = self._connection
        account_id = self._account.account_id
        self._compare_with_redis()
        self._found(Invariant.ACCOUNT, *self._sums.compare(connection, account_id))
        if self._chain.last is not None:
            effect, state = self._chain.posted
            self._found(
                Invariant.ACCOUNT, *sums.last_state(connection, account_id, effect.day, state)
            )
        self._found(
            Invariant.GRANTS, *stored_projections.grants_kept(connection, account_id, self._grants)
        )
        self._found(
            Invariant.HOLDS,
            *stored_projections.holds_open(connection, account_id, self._holds.open),
        )
        self._found(
            Invariant.BUDGETS,
            *stored_projections.budgets_kept(connection, account_id, self._budgets),
        )
        self._found(
            Invariant.THRESHOLDS,
            *stored_projections.events_kept(connection, account_id, self._thresholds),
        )
        self._found(Invariant.OPERATIONS, *self._applied.compare())
        self._found(
            Invariant.OPERATIONS,
            *stored_projections.settings_kept(connection, account_id, self._applied.settings),
        )
        self._found(Invariant.DUPLICATES, *self._duplicates.compare(self._applied.recorded))
        self._found(Invariant.AGGREGATES, *self._aggregates.compare(connection, account_id))

    def _compare_with_redis(self) -> None:
        """Once, when the history has been read as far as Redis was seen."""
        seen = self._sighting
        ledger = self._as_seen
        if seen is None or self._compared:
            return
        self._compared = True
        if ledger.state is None:
            self._found(
                Invariant.REDIS,
                f"has an account at {seen.position} of which the ledger has no entry",
            )
            return
        if (seen.day, seen.state) != (ledger.day, ledger.state):
            self._found(
                Invariant.REDIS,
                f"at {seen.position} Redis has day {seen.day} and [{seen.state.tokens()}],"
                f" the ledger day {ledger.day} and [{ledger.state.tokens()}]",
            )
        grants = {number: pair for number, pair in seen.grants.items() if pair != (0, 0)}
        if grants != self._grants.sums():
            self._found(
                Invariant.REDIS,
                f"at {seen.position} Redis has grants {grants}, the ledger {self._grants.sums()}",
            )
        for budget_id in sorted(seen.budgets.keys() | self._budgets.known.keys()):
            found = seen.budgets.get(budget_id)
            due = self._budgets.seen(budget_id, found[0]) if found else None
            if found is None or found != due:
                self._found(
                    Invariant.REDIS,
                    f"at {seen.position} Redis has budget {budget_id} at {found}, the ledger at {due}",
                )

    def _check_invoices(self) -> int:
        number = 0
        for details in check_invoices(self._connection, self._account.account_id):
            number += 1
            self._found(Invariant.INVOICES, *details)
        return number

    def _found(self, invariant: Invariant, *details: str) -> None:
        for detail in details:
            self._findings.add(invariant, detail, self._account.account_id, self._account.shard)
