"""Checks one account: reads its history once, and lets every rule see each entry."""

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from meter.check import kept, sums, walk
from meter.check.applied import Applied
from meter.check.budgets import Budgets
from meter.check.chain import Chain
from meter.check.consequences import Thresholds, Turns
from meter.check.findings import Findings, Invariant
from meter.check.grants import Grants
from meter.check.holds import Holds
from meter.check.invoices import check_invoices
from meter.check.line import Line, history
from meter.check.redis_view import Sighting
from meter.ledger.accounts import AccountRow
from meter.ledger.positions import lossy_epochs
from meter.state import ABSENT


@dataclass(frozen=True, slots=True)
class Checked:
    """How much was read."""

    entries: int
    invoices: int


class AccountCheck:
    """The rules of one account, and where they stand in its history."""

    def __init__(
        self, connection: Connection, account: AccountRow, sighting: Sighting | None, findings: Findings
    ) -> None:
        self._connection, self._account, self._sighting, self._findings = connection, account, sighting, findings
        self._applied = Applied.of(connection, account)
        self._grants, self._budgets, self._holds = Grants(self._applied.grant), Budgets(), Holds()
        self._turns, self._thresholds = Turns(self._grants), Thresholds()
        lossy = {epoch for _, epoch in lossy_epochs(connection, [account.shard])}
        self._chain, self._overage = Chain(self._grants.is_scoped, lossy), walk.Overage()
        self._as_seen = walk.AsOf(sighting.position if sighting else None)
        self._sums, self._aggregates, self._duplicates = sums.Sums(), sums.Aggregates(), sums.Duplicates()
        self._compared = sighting is None

    def run(self) -> Checked:
        """Reads the whole history, then compares what it comes to."""
        entries = 0
        for row in history(self._connection, self._account.account_id):
            entries += 1
            try:
                line = Line.of(row)
            except (ValueError, TypeError) as error:
                self._found(Invariant.ENTRY, f"{row.shard}-{row.epoch}-{row.seq}: cannot be read: {error}")
                continue
            self._see(line)
        self._compare()
        return Checked(entries, self._check_invoices())

    def _see(self, line: Line) -> None:
        if not self._as_seen.is_up_to(line):
            self._compare_with_redis()
        pins, hold = self._holds.pins(line.effect.hold_id), self._holds.open.get(line.effect.hold_id)
        self._found(Invariant.CHAIN, *self._chain.see(line, pins))
        effect, state = self._chain.posted
        if effect is not line.effect:
            line = replace(line, effect=effect)
        self._found(Invariant.ENTRY, *walk.columns(line), *walk.place(line, self._account.shard))
        self._found(Invariant.GRANTS, *self._turns.see_next(line))
        self._found(Invariant.ADMISSION, *walk.admission(line, self._applied.settings, self._grants.usable(line)))
        self._found(Invariant.OVERAGE, *self._overage.see(line))
        self._found(Invariant.OPERATIONS, *self._applied.see(line))
        self._found(Invariant.GRANTS, *self._grants.see(line, self._applied.changes))
        self._found(
            Invariant.BUDGETS, *self._budgets.see(line, self._applied.changes, hold.budgets if hold else ABSENT)
        )
        self._found(Invariant.HOLDS, *self._holds.see(line, self._budgets.counted))
        self._found(Invariant.THRESHOLDS, *self._thresholds.see(line, self._applied.settings, self._budgets))
        self._turns.see(line)
        self._as_seen.see(line, state)
        self._sums.see(line)
        self._aggregates.see(line)
        self._duplicates.see(line)

    def _compare(self) -> None:
        connection, account_id = self._connection, self._account.account_id
        self._compare_with_redis()
        self._found(Invariant.ACCOUNT, *self._sums.compare(connection, account_id))
        if self._chain.last is not None:
            effect, state = self._chain.posted
            self._found(Invariant.ACCOUNT, *sums.last_state(connection, account_id, effect.day, state))
        self._found(Invariant.GRANTS, *kept.grants_kept(connection, account_id, self._grants))
        self._found(Invariant.HOLDS, *kept.holds_open(connection, account_id, self._holds.open))
        self._found(Invariant.BUDGETS, *kept.budgets_kept(connection, account_id, self._budgets))
        self._found(Invariant.THRESHOLDS, *kept.events_kept(connection, account_id, self._thresholds))
        self._found(Invariant.OPERATIONS, *self._applied.compare())
        self._found(Invariant.OPERATIONS, *kept.settings_kept(connection, account_id, self._applied.settings))
        self._found(Invariant.DUPLICATES, *self._duplicates.compare(self._applied.recorded))
        self._found(Invariant.AGGREGATES, *self._aggregates.compare(connection, account_id))

    def _compare_with_redis(self) -> None:
        """Once, when the history has been read as far as Redis was seen."""
        seen, ledger = self._sighting, self._as_seen
        if seen is None or self._compared:
            return
        self._compared = True
        if ledger.state is None:
            self._found(Invariant.REDIS, f"has an account at {seen.position} of which the ledger has no entry")
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
                Invariant.REDIS, f"at {seen.position} Redis has grants {grants}, the ledger {self._grants.sums()}"
            )
        for budget_id in sorted(seen.budgets.keys() | self._budgets.known.keys()):
            found = seen.budgets.get(budget_id)
            due = self._budgets.seen(budget_id, found[0]) if found else None
            if found is None or found != due:
                self._found(
                    Invariant.REDIS, f"at {seen.position} Redis has budget {budget_id} at {found}, the ledger at {due}"
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
