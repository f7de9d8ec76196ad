"""The accounts' projections in one transaction: loaded for the lines that are to be posted, moved line by line, stored at once."""

from collections.abc import Collection, Sequence

import structlog
from sqlalchemy import Connection

from meter.effect import Kind
from meter.ledger.applied_budgets import BudgetMoves
from meter.ledger.events import CrossedLine, insert_events
from meter.ledger.grants import GrantMoves, debt_of
from meter.ledger.holds import HoldMoves
from meter.ledger.lines import Line, continues
from meter.ledger.recording import recorded_operation
from meter.ledger.recount import recounted, taken_from
from meter.ledger.standing import Standing, load_standings, store_standings
from meter.operations import DeleteBudget, Operation, SetBudget
from meter.parts import Part
from meter.state import ABSENT

log = structlog.get_logger()


class Projections:
    """What the lines' accounts come to. The order of the lines is the journal's."""

    def __init__(
        self, connection: Connection, lines: Sequence[Line], lossy: Collection[tuple[int, int]] = frozenset()
    ) -> None:
        """`lossy`: shard and epoch wherever entries were lost. Raises UnknownAccount."""
        self._connection, self._lossy = connection, lossy
        self.standings = load_standings(connection, lines)
        self.drifts = 0
        self.lost: list[Operation] = []  # passed over: recorded, and their entries lost
        self._grants, self._holds = GrantMoves(connection), HoldMoves(connection, lines)
        self._budgets = BudgetMoves(connection, lines)
        self._crossed: list[CrossedLine] = []

    def take(self, line: Line) -> Line:
        """Moves on by one line; the line as it counts here."""
        standing = self.standings[line.account_id]
        is_again = False
        if line.operation is not None:
            is_again = line.operation.seq <= standing.applied_op  # Redis had lost it; here it has counted already
            if not is_again:
                self._put_into_effect(standing, line.operation)
        if is_again or not continues(standing.state, line.effect.before):
            self._note_drift(standing, line)
            line = self._recounted(standing, line.of_nothing() if is_again else line)
        elif self._lossy and (line.shard, line.position.epoch) in self._lossy:
            # The sums may agree by chance (a hold lost, another one of the same size); grants and holds then do not.
            line = self._recounted(standing, line)
        self._grants.see(line)
        self._holds.see(line, self._budgets.see(line))
        effect = line.effect
        if effect.flags != ABSENT:
            standing.note_graces(line)
        if effect.kind is Kind.THRESHOLD:
            number = self._budgets.number(line.account_id, effect.crossing.budget_id)
            self._crossed.append(CrossedLine(line, number))
        standing.state, standing.day = effect.after(), effect.day
        return line

    def store(self) -> None:
        """Writes what it all came to."""
        self._grants.store()
        self._holds.store()
        self._budgets.store()
        insert_events(self._connection, self._crossed)
        store_standings(self._connection, self.standings.values())

    def _put_into_effect(self, standing: Standing, operation: Operation) -> None:
        for seq in range(standing.applied_op + 1, operation.seq):
            self._pass_over(standing, recorded_operation(self._connection, operation.account_id, seq))
        standing.applied_op = operation.seq
        standing.put_into_effect(operation.change)

    def _pass_over(self, standing: Standing, lost: Operation) -> None:
        """Redis had put it into effect; its entry was lost. What it set holds; what it did to credits is lost with the entry."""
        log.error("operation_lost", account_operation=lost.seq, change=type(lost.change).__name__)
        self.lost.append(lost)
        standing.put_into_effect(lost.change)
        if isinstance(lost.change, SetBudget | DeleteBudget):
            self._budgets.settle(lost.account_id, lost.seq, lost.change)

    def _note_drift(self, standing: Standing, line: Line) -> None:
        self.drifts += 1
        log.error(
            "account_drift",
            entry=line.entry_id,
            found=line.effect.before.tokens(),
            kept=standing.state.tokens(),
        )

    def _recounted(self, standing: Standing, line: Line) -> Line:
        """The line on top of what the books have."""
        effect = line.effect
        funds = self._grants.funds(line.account_id)
        pins = self._holds.pins(line) if effect.hold_id else ()
        given: tuple[Part, ...] = ()
        if effect.kind is Kind.GRANT and line.operation is not None and effect.amount:
            given = (Part(line.operation.seq, effect.amount, any(part.scoped for part in effect.returned)),)
        elif effect.kind is Kind.GRANT_STARTED:
            given = tuple(
                part for part in effect.returned if part.grant in funds and funds[part.grant].state == "SCHEDULED"
            )
        taken = taken_from(effect, pins, funds, debt_of(standing.state, funds.values()))
        return line.with_effect(recounted(effect, standing.state, taken, pins, given))
