"""The projector: runs all projections of accounts over a transaction's records."""

from collections.abc import Collection, Sequence

import structlog
from sqlalchemy import Connection

from meter.admin.recording import recorded_operation
from meter.journal.allocation import Part
from meter.journal.effect import Effect
from meter.journal.kinds import Kind
from meter.journal.operations import DeleteBudget, Operation, SetBudget
from meter.ledger.journal_records import JournalRecord, continues
from meter.ledger.projections.accounts import AccountProjection, AppliedAccount
from meter.ledger.projections.budgets import BudgetProjection
from meter.ledger.projections.events import EventProjection
from meter.ledger.projections.grants import GrantBalance, GrantProjection, debt_of
from meter.ledger.projections.holds import HoldProjection
from meter.ledger.projections.projection import Projection
from meter.ledger.rebase import rebased, taken_from

log = structlog.get_logger()


class Projector:
    """Applies a transaction's records, in the journal's order, to all projections of accounts."""

    def __init__(
        self,
        connection: Connection,
        records: Sequence[JournalRecord],
        lossy: Collection[tuple[int, int]] = frozenset(),
    ) -> None:
        """Loads what the records concern; `lossy` names shards and epochs that lost entries.

        Raises UnknownAccount.
        """
        self._connection = connection
        self._lossy = lossy
        self._accounts = AccountProjection(connection, records)
        self._grants = GrantProjection(connection)
        self._budgets = BudgetProjection(connection, records)
        self._holds = HoldProjection(connection, records, self._budgets)
        self._projections: tuple[Projection, ...] = (
            self._grants,
            self._budgets,
            self._holds,
            self._accounts,
            EventProjection(connection, self._budgets),  # last: see meter.ledger.events
        )
        self.drifts = 0
        self.lost: list[Operation] = []  # Redis had applied them, and their entries were lost

    def apply(self, record: JournalRecord) -> JournalRecord:
        """Applies the record, and returns the record as it counts in the ledger."""
        record = self._as_it_counts(record)
        for projection in self._projections:
            projection.apply(record)
        return record

    def save(self) -> None:
        """Writes all changes."""
        for projection in self._projections:
            projection.save()

    def used_in(self, record: JournalRecord) -> str:
        """Returns the budgets' counters in which the usage of an applied debit counts."""
        return self._budgets.used_in(record)

    def accounts_on_test_clock(self) -> set[str]:
        return self._accounts.on_test_clock()

    def _as_it_counts(self, record: JournalRecord) -> JournalRecord:
        account = self._accounts.get(record.account_id)
        operation = record.operation
        if operation is not None:
            if operation.seq <= account.applied_op:
                # Redis had lost the operation and applied it again; here it has counted already.
                self._note_drift(account, record)
                return self._rebased(account, record.without_change())
            self._pass_over(account, operation.seq)
        return self._continued(account, record)

    def _continued(self, account: AppliedAccount, record: JournalRecord) -> JournalRecord:
        """Returns the record as it is if it goes on from what the ledger has; else rebased."""
        if not continues(account.state, record.effect.before):
            self._note_drift(account, record)
            return self._rebased(account, record)
        if self._lossy and self._is_lossy(record):
            # The sums may agree by chance (a hold lost, another of the same size placed); grants
            # and holds then do not.
            return self._rebased(account, record)
        return record

    def _is_lossy(self, record: JournalRecord) -> bool:
        """Says whether the record's shard lost entries in the record's epoch."""
        place = (record.shard, record.position.epoch)
        return place in self._lossy

    def _pass_over(self, account: AppliedAccount, seq: int) -> None:
        """Applies the operations before `seq` whose entries were lost.

        The settings of a lost operation hold; credits are lost with the entry.
        """
        for lost_seq in range(account.applied_op + 1, seq):
            lost = recorded_operation(
                self._connection,
                account.account_id,
                lost_seq,
            )
            self.lost.append(lost)
            self._apply_lost(account, lost)

    def _apply_lost(self, account: AppliedAccount, lost: Operation) -> None:
        change = lost.change
        name = type(change).__name__
        log.error("operation_lost", account_operation=lost.seq, change=name)
        account.apply_change(change)
        if isinstance(change, SetBudget | DeleteBudget):
            self._budgets.apply_change(lost.account_id, lost.seq, change)

    def _note_drift(self, account: AppliedAccount, record: JournalRecord) -> None:
        self.drifts += 1
        log.error(
            "account_drift",
            entry=record.entry_id,
            found=record.effect.before.encode(),
            kept=account.state.encode(),
        )

    def _rebased(self, account: AppliedAccount, record: JournalRecord) -> JournalRecord:
        """Returns the record on top of what the ledger has."""
        effect = record.effect
        grants = self._grants.balances(record.account_id)
        pins = self._pins(record)
        debt = debt_of(account.state, grants.values())
        taken = taken_from(effect, pins, grants, debt)
        given = _given(record, grants)
        on_top = rebased(effect, account.state, taken, pins, given)
        return record.with_effect(on_top)

    def _pins(self, record: JournalRecord) -> tuple[Part, ...]:
        if not record.effect.hold_id:
            return ()
        return self._holds.pins(record)


def _given(
    record: JournalRecord,
    grants: dict[int, GrantBalance],
) -> tuple[Part, ...]:
    """Returns the credits that a grant, or the start of a grant, gives."""
    effect = record.effect
    if effect.kind is Kind.GRANT and record.operation is not None:
        return _granted(record.operation.seq, effect)
    if effect.kind is Kind.GRANT_STARTED:
        return _of_scheduled(effect.returned, grants)
    return ()


def _granted(number: int, effect: Effect) -> tuple[Part, ...]:
    if not effect.amount:
        return ()
    scoped = any(part.scoped for part in effect.returned)
    return (Part(number, effect.amount, scoped),)


def _of_scheduled(
    parts: tuple[Part, ...],
    grants: dict[int, GrantBalance],
) -> tuple[Part, ...]:
    """Returns the parts whose grants have not begun."""
    return tuple(part for part in parts if _is_scheduled(grants.get(part.grant)))


def _is_scheduled(grant: GrantBalance | None) -> bool:
    return grant is not None and grant.is_scheduled
