"""The accounts' projections in one transaction: loaded for the records that are to be posted, moved
record by record, stored at once.
"""

from collections.abc import Collection, Sequence

import structlog
from sqlalchemy import Connection

from meter.admin.recording import recorded_operation
from meter.journal.account_sums import ABSENT
from meter.journal.allocation import Part
from meter.journal.effect import Kind
from meter.journal.operations import DeleteBudget, Operation, SetBudget
from meter.ledger.journal_records import JournalRecord, continues
from meter.ledger.projections.accounts import AccountProjection, load_accounts, save_accounts
from meter.ledger.projections.budgets import BudgetProjection
from meter.ledger.projections.events import CrossedThreshold, insert_events
from meter.ledger.projections.grants import GrantProjection, debt_of
from meter.ledger.projections.holds import HoldProjection
from meter.ledger.rebase import rebased, taken_from

log = structlog.get_logger()


class Projections:
    """What the records' accounts come to. The order of the records is the journal's."""

    def __init__(
        self,
        connection: Connection,
        records: Sequence[JournalRecord],
        lossy: Collection[tuple[int, int]] = frozenset(),
    ) -> None:
        """`lossy`: shard and epoch wherever entries were lost. Raises UnknownAccount."""
        self._connection = connection
        self._lossy = lossy
        self.projected = load_accounts(connection, records)
        self.drifts = 0
        self.lost: list[Operation] = []  # passed over: recorded, and their entries lost
        self._grants = GrantProjection(connection)
        self._holds = HoldProjection(connection, records)
        self._budgets = BudgetProjection(connection, records)
        self._crossed: list[CrossedThreshold] = []

    def take(self, record: JournalRecord) -> JournalRecord:
        """Moves on by one record; the record as it counts here."""
        account = self.projected[record.account_id]
        is_again = False
        if record.operation is not None:
            is_again = (
                record.operation.seq <= account.applied_op
            )  # Redis had lost it; here it has counted already
            if not is_again:
                self._put_into_effect(account, record.operation)
        if is_again or not continues(account.state, record.effect.before):
            self._note_drift(account, record)
            record = self._rebased(account, record.of_nothing() if is_again else record)
        elif self._lossy and (record.shard, record.position.epoch) in self._lossy:
            # The sums may agree by chance (a hold lost, another one of the same size); grants and
            # holds then do not.
            record = self._rebased(account, record)
        self._grants.see(record)
        self._holds.see(record, self._budgets.see(record))
        effect = record.effect
        if effect.flags != ABSENT:
            account.note_graces(record)
        if effect.kind is Kind.THRESHOLD:
            number = self._budgets.number(record.account_id, effect.crossing.budget_id)
            self._crossed.append(CrossedThreshold(record, number))
        account.state = effect.after()
        account.day = effect.day
        return record

    def store(self) -> None:
        """Writes what it all came to."""
        self._grants.store()
        self._holds.store()
        self._budgets.store()
        insert_events(self._connection, self._crossed)
        save_accounts(self._connection, self.projected.values())

    def _put_into_effect(self, account: AccountProjection, operation: Operation) -> None:
        for seq in range(account.applied_op + 1, operation.seq):
            self._pass_over(
                account, recorded_operation(self._connection, operation.account_id, seq)
            )
        account.applied_op = operation.seq
        account.put_into_effect(operation.change)

    def _pass_over(self, account: AccountProjection, lost: Operation) -> None:
        """Redis had put it into effect; its entry was lost.

        What it set holds; what it did to credits is lost with the entry.
        """
        log.error("operation_lost", account_operation=lost.seq, change=type(lost.change).__name__)
        self.lost.append(lost)
        account.put_into_effect(lost.change)
        if isinstance(lost.change, SetBudget | DeleteBudget):
            self._budgets.settle(lost.account_id, lost.seq, lost.change)

    def _note_drift(self, account: AccountProjection, record: JournalRecord) -> None:
        self.drifts += 1
        log.error(
            "account_drift",
            entry=record.entry_id,
            found=record.effect.before.tokens(),
            kept=account.state.tokens(),
        )

    def _rebased(self, account: AccountProjection, record: JournalRecord) -> JournalRecord:
        """The record on top of what the books have."""
        effect = record.effect
        funds = self._grants.funds(record.account_id)
        pins = self._holds.pins(record) if effect.hold_id else ()
        given: tuple[Part, ...] = ()
        if effect.kind is Kind.GRANT and record.operation is not None and effect.amount:
            given = (
                Part(
                    record.operation.seq,
                    effect.amount,
                    any(part.scoped for part in effect.returned),
                ),
            )
        elif effect.kind is Kind.GRANT_STARTED:
            given = tuple(
                part
                for part in effect.returned
                if part.grant in funds and funds[part.grant].state == "SCHEDULED"
            )
        taken = taken_from(effect, pins, funds, debt_of(account.state, funds.values()))
        return record.with_effect(rebased(effect, account.state, taken, pins, given))
