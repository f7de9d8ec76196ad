"""The rule of events that entries tell of: each fact has one event, with the fact's data.

The rule covers crossed thresholds, credits that ran out, and grants that expired.
"""

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, select

from meter.audit.budgets import BudgetRule
from meter.audit.entry import LedgerEntry
from meter.audit.stored_projections import differences
from meter.database.schema import events
from meter.journal.allocation import OVERAGE
from meter.journal.counter_names import values_of
from meter.journal.effect import Crossing
from meter.journal.kinds import Kind
from meter.ledger.projections.events import CREDITS_EXHAUSTED, GRANT_EXPIRED, THRESHOLD_CROSSED
from meter.times import HOURS_PER_DAY, hour_beginning_at

_TYPES = (THRESHOLD_CROSSED, CREDITS_EXHAUSTED, GRANT_EXPIRED)
_Told = tuple[object, ...]


class EventRule:
    """Follows what entries tell of for the first time, by type and entry id."""

    def __init__(self) -> None:
        self._known: set[_Told] = set()
        self._due: dict[str, _Told] = {}

    def check(self, entry: LedgerEntry, budgets: BudgetRule) -> None:
        """Follows by one entry."""
        effect = entry.effect
        after = effect.after()
        if effect.crossing is not None:
            number = budgets.number(effect.crossing.budget_id)
            key = (number, effect.crossing._replace(reached=0))
            self._tell(entry, THRESHOLD_CROSSED, key, _told_of_crossing(effect.crossing))
        if after.remaining <= 0 < effect.before.remaining:
            self._tell(entry, CREDITS_EXHAUSTED, (after.total,), (after.remaining,))
        if effect.kind is Kind.GRANT_EXPIRED:
            for part in effect.taken:
                if part.grant != OVERAGE and part.amount:
                    self._tell(entry, GRANT_EXPIRED, (part.grant,), (part.amount,))

    def compare(self, connection: Connection, account_id: str) -> Iterator[str]:
        """Compares the account's events with what the entries tell."""
        stored = _stored(connection, account_id)
        yield from differences("event of entry", stored, self._due)

    def _tell(self, entry: LedgerEntry, type_: str, key: _Told, told: _Told) -> None:
        if (type_, key) not in self._known:
            self._known.add((type_, key))
            self._due[f"{type_} {entry.id}"] = told


def _stored(connection: Connection, account_id: str) -> dict[str, _Told]:
    """Returns what the account's events tell, by type and entry id."""
    query = select(events.c.type, events.c.data).where(
        events.c.account_id == account_id,
        events.c.type.in_(_TYPES),
    )
    stored = {}
    for type_, text in connection.execute(query):
        data = json.loads(text)
        stored[f"{type_} {data['entry_id']}"] = _told(type_, data)
    return stored


def _told(type_: str, data: dict[str, Any]) -> _Told:
    if type_ == CREDITS_EXHAUSTED:
        return (int(data["remaining_nanos"]),)
    if type_ == GRANT_EXPIRED:
        return (int(data["expired_nanos"]),)
    return (
        data["subject"],
        data["budget_id"],
        *data["budget_values"],
        data["threshold_id"],
        _window(data["subject"], data["window"]),
        int(data["level_nanos"]),
        int(data["value_nanos"]),
    )


def _told_of_crossing(crossing: Crossing) -> _Told:
    return (
        crossing.subject.upper(),
        crossing.budget_id,
        *values_of(crossing.value),
        crossing.threshold_id,
        crossing.window,
        crossing.level,
        crossing.reached,
    )


def _window(subject: str, text: str) -> str:
    """Returns the window as entries name it: by day, by hour, or by the nanos granted so far."""
    if subject == "LOW_BALANCE":
        return text
    hour = hour_beginning_at(text)
    if subject == "DAILY_USE":
        return str(hour // HOURS_PER_DAY)
    return str(hour)
