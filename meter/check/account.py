"""Checks one account: reads its history once, and lets every rule see each entry."""

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from meter.check import sums, walk
from meter.check.findings import Findings, Invariant
from meter.check.invoices import check_invoices
from meter.check.line import Line, history
from meter.check.redis_view import Sighting
from meter.ledger.accounts import AccountRow


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
        self._chain, self._overage, self._holds = walk.Chain(), walk.Overage(), walk.Holds()
        self._as_seen = walk.AsOf(sighting.position if sighting else None)
        self._sums, self._aggregates, self._duplicates = sums.Sums(), sums.Aggregates(), sums.Duplicates()
        self._operations = sums.Operations.of(connection, account)

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
        self._found(Invariant.CHAIN, *self._chain.see(line))
        effect, state = self._chain.posted
        if effect is not line.effect:
            line = replace(line, effect=effect)
        self._found(Invariant.ENTRY, *walk.columns(line), *walk.place(line, self._account.shard))
        self._found(Invariant.ADMISSION, *walk.admission(line))
        self._found(Invariant.OVERAGE, *self._overage.see(line))
        self._found(Invariant.HOLDS, *self._holds.see(line))
        self._found(Invariant.OPERATIONS, *self._operations.see(line))
        self._as_seen.see(line, state)
        self._sums.see(line)
        self._aggregates.see(line)
        self._duplicates.see(line)

    def _compare(self) -> None:
        connection, account_id = self._connection, self._account.account_id
        self._found(Invariant.ACCOUNT, *self._sums.compare(connection, account_id))
        if self._chain.last is not None:
            effect, state = self._chain.posted
            self._found(Invariant.ACCOUNT, *sums.last_state(connection, account_id, effect.day, state))
        self._found(Invariant.ACCOUNT, *sums.grants_kept(connection, account_id, self._sums.granted))
        self._found(Invariant.HOLDS, *sums.holds_open(connection, account_id, self._holds.open))
        self._found(Invariant.OPERATIONS, *self._operations.compare())
        self._found(Invariant.DUPLICATES, *self._duplicates.compare(self._operations.recorded))
        self._found(Invariant.AGGREGATES, *self._aggregates.compare(connection, account_id))
        self._compare_with_redis()

    def _compare_with_redis(self) -> None:
        seen, ledger = self._sighting, self._as_seen
        if seen is None:
            return
        if ledger.state is None:
            self._found(Invariant.REDIS, f"has an account at {seen.position} of which the ledger has no entry")
        elif (seen.day, seen.state) != (ledger.day, ledger.state):
            self._found(
                Invariant.REDIS,
                f"at {seen.position} Redis has day {seen.day} and [{seen.state.tokens()}],"
                f" the ledger day {ledger.day} and [{ledger.state.tokens()}]",
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
