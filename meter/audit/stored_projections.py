"""The projections that the ledger keeps are what the account's history comes to."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from sqlalchemy import Connection, select

from meter.audit.budgets import Budgets
from meter.audit.derived_entries import Thresholds
from meter.audit.grants import Grant, Grants
from meter.database.schema import accounts, budget_windows, events, grants, open_holds
from meter.ledger.projections.budgets import AppliedBudget, budgets_of
from meter.ledger.projections.settings import Settings
from meter.ledger.projections.snapshot import OpenHold

_GRANT = (
    "grant_id",
    "type",
    "amount_nanos",
    "priority",
    "effective_at_ms",
    "expires_at_ms",
    "pays_debt",
    "non_refundable",
)
_SUMS = ("left", "held", "spent", "expired", "voided")

Key = TypeVar("Key", str, int, tuple[int, int])


def holds_open(
    connection: Connection, account_id: str, due: Mapping[str, OpenHold]
) -> Iterator[str]:
    """The open holds are those that the entries leave open."""
    columns = (open_holds.c[name] for name in OpenHold.__dataclass_fields__)
    rows = connection.execute(select(*columns).where(open_holds.c.account_id == account_id))
    yield from _differences("hold", {row.hold_id: OpenHold(*row) for row in rows}, due)


def grants_kept(connection: Connection, account_id: str, walked: Grants) -> Iterator[str]:
    """The grants are those that took effect, and their sums are those of the entries."""
    rows = connection.execute(select(grants).where(grants.c.account_id == account_id)).mappings()
    kept: dict[int, object] = {
        row["number"]: (
            tuple(row[name] for name in _GRANT),
            *_summed(row["state"], tuple(row[f"{name}_nanos"] for name in _SUMS)),
        )
        for row in rows
    }
    yield from _differences(
        "grant", kept, {number: _due(grant) for number, grant in walked.known.items()}
    )


def budgets_kept(connection: Connection, account_id: str, walked: Budgets) -> Iterator[str]:
    """The budgets are those set, and their windows' sums are those of the entries."""
    kept = {
        budget.budget_id: _definition(budget) for budget in budgets_of(connection, account_id, 0)
    }
    yield from _differences(
        "budget", kept, {name: _definition(budget) for name, budget in walked.known.items()}
    )
    table = budget_windows.c
    wanted = select(table.number, table.start_day, table.used_nanos, table.held_nanos)
    rows = connection.execute(wanted.where(table.account_id == account_id))
    sums = {(row.number, row.start_day): (row.used_nanos, row.held_nanos) for row in rows}
    yield from _differences("budget's window (its number, first day)", sums, walked.windows)


def events_kept(connection: Connection, account_id: str, walked: Thresholds) -> Iterator[str]:
    """The events are the crossings told, each once."""
    rows = connection.execute(select(events).where(events.c.account_id == account_id))
    kept = {
        row.entry_id: (
            row.subject.lower(),
            row.budget_id,
            row.threshold_id,
            row.period,
            row.level_nanos,
            row.value_nanos,
        )
        for row in rows
    }
    due = {}
    told = set()
    for entry_id, number, crossing in walked.told:
        key = (number, *crossing[:-1])
        if key not in told:
            due[entry_id] = tuple(crossing)
        told.add(key)
    yield from _differences("event of entry", kept, due)


def settings_kept(connection: Connection, account_id: str, settings: Settings) -> Iterator[str]:
    """The settings as flushed are those that the operations flushed have set."""
    wanted = select(accounts.c.applied_settings).where(accounts.c.account_id == account_id)
    kept = connection.execute(wanted).scalar_one()
    due = settings.to_json()
    if kept != due:
        yield f"applied_settings are {kept}, the entries come to {due}"


def _due(grant: Grant) -> object:
    terms = tuple(getattr(grant.terms, name) for name in _GRANT)
    return terms, *_summed(grant.state, tuple(getattr(grant, name) for name in _SUMS))


def _summed(state: str, sums: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """What was used up before there were entries for that is used up all the same."""
    return ("EXHAUSTED" if state == "LIVE" and sums[:2] == (0, 0) else state), sums


def _definition(budget: AppliedBudget) -> tuple[object, ...]:
    return tuple(getattr(budget, name) for name in AppliedBudget.__dataclass_fields__)


def _differences(what: str, kept: Mapping[Key, object], due: Mapping[Key, object]) -> Iterator[str]:
    for key in sorted(kept.keys() | due.keys()):
        if kept.get(key) != due.get(key):
            yield f"{what} {key} is recorded as {kept.get(key)}, the entries say {due.get(key)}"
