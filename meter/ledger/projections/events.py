"""The projection of events: what journal entries tell of, each fact once."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection

from meter.journal.allocation import OVERAGE
from meter.journal.counter_names import values_of
from meter.journal.effect import Crossing, Effect
from meter.journal.kinds import Kind
from meter.journal.operations import DAILY_USE, LOW_BALANCE
from meter.ledger.events import Event, record_events
from meter.ledger.journal_records import JournalRecord
from meter.ledger.projections.budgets import BudgetProjection
from meter.ledger.projections.grants import names_of
from meter.times import beginning_of, date_of

THRESHOLD_CROSSED = "threshold.crossed"
CREDITS_EXHAUSTED = "credits.exhausted"
GRANT_EXPIRED = "grant.expired"


@dataclass(frozen=True, slots=True)
class _CrossedThreshold:
    record: JournalRecord
    crossing: Crossing
    budget_number: int  # 0: the threshold is of no budget


class EventProjection:
    """Collects what a transaction's records tell of."""

    def __init__(self, connection: Connection, budgets: BudgetProjection) -> None:
        self._connection = connection
        self._budgets = budgets
        self._crossed: list[_CrossedThreshold] = []
        self._exhausting: list[JournalRecord] = []
        self._expired: list[JournalRecord] = []

    def apply(self, record: JournalRecord) -> None:
        """Notes what the record tells of, if anything."""
        effect = record.effect
        if effect.crossing is not None:
            number = self._budgets.number(record.account_id, effect.crossing.budget_id)
            self._crossed.append(_CrossedThreshold(record, effect.crossing, number))
        if effect.kind is Kind.GRANT_EXPIRED and effect.amount:
            self._expired.append(record)
        if exhausts_credits(effect):
            self._exhausting.append(record)

    def save(self) -> None:
        """Records new events; a fact that Redis lost and told again is known."""
        record_events(self._connection, [*self._events()])

    def _events(self) -> Iterator[Event]:
        yield from map(_crossing_event, self._crossed)
        yield from map(_exhausted_event, self._exhausting)
        for record in self._expired:
            yield from self._expiry_events(record)

    def _expiry_events(self, record: JournalRecord) -> Iterator[Event]:
        """Yields the event of each grant that the record takes credits from."""
        taken = [part for part in record.effect.taken if part.grant != OVERAGE]
        names = names_of(self._connection, record.account_id, {part.grant for part in taken})
        for part in taken:
            grant_id, grant_type = names[part.grant]
            yield Event(
                account_id=record.account_id,
                type=GRANT_EXPIRED,
                once_key=grant_id,
                occurred_at_ms=record.effect.at_ms,
                data={
                    "grant_id": grant_id,
                    "grant_type": grant_type,
                    "expired_nanos": part.amount,
                    "entry_id": record.entry_id,
                },
            )


def exhausts_credits(effect: Effect) -> bool:
    """Says whether the effect takes the last of the remaining credits."""
    delta = effect.balance_delta
    if delta >= 0:
        return False
    remaining = effect.before.remaining
    return remaining > 0 >= remaining + delta


def _crossing_event(crossed: _CrossedThreshold) -> Event:
    record = crossed.record
    crossing = crossed.crossing
    own_key = (
        crossing.subject,
        f"{crossing.budget_id}{crossing.value}",
        str(crossed.budget_number),
        crossing.threshold_id,
        crossing.window,
        str(crossing.level),
    )
    return Event(
        account_id=record.account_id,
        type=THRESHOLD_CROSSED,
        once_key=" ".join(own_key),
        occurred_at_ms=record.effect.at_ms,
        data={
            "subject": crossing.subject.upper(),
            "budget_id": crossing.budget_id,
            "budget_values": values_of(crossing.value),
            "threshold_id": crossing.threshold_id,
            "window": _window_text(crossing),
            "level_nanos": crossing.level,
            "value_nanos": crossing.reached,
            "entry_id": record.entry_id,
        },
    )


def _window_text(crossing: Crossing) -> str:
    """Returns the window's name: its beginning as an ISO time, except for a low balance."""
    if crossing.subject == LOW_BALANCE:
        return crossing.window
    if crossing.subject == DAILY_USE:
        return date_of(int(crossing.window))
    return beginning_of(int(crossing.window))


def _exhausted_event(record: JournalRecord) -> Event:
    """Returns the event that credits ran out: once between two grants."""
    after = record.effect.after()
    return Event(
        account_id=record.account_id,
        type=CREDITS_EXHAUSTED,
        once_key=str(after.total),
        occurred_at_ms=record.effect.at_ms,
        data={
            "remaining_nanos": after.remaining,
            "overage_protection_nanos": after.overage,
            "entry_id": record.entry_id,
        },
    )
