"""The rules of stored projections: the tables have what the account's entries come to."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from sqlalchemy import Connection, RowMapping, Select, select

from meter.audit.budgets import BudgetRule, WindowKey
from meter.audit.grant import Grant
from meter.database.schema import accounts, budget_windows, grants, open_holds
from meter.journal.applied_settings import Settings
from meter.ledger.projections.budgets import AppliedBudget, budgets_of
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

Key = TypeVar("Key", str, int, tuple[int, int, str])


def check_open_holds(
    connection: Connection,
    account_id: str,
    due: Mapping[str, OpenHold],
) -> Iterator[str]:
    """Compares the open holds with the holds that the entries leave open."""
    stored = _stored_holds(connection, account_id)
    yield from differences("hold", stored, due)


def _stored_holds(connection: Connection, account_id: str) -> dict[str, OpenHold]:
    columns = [open_holds.c[name] for name in OpenHold.__dataclass_fields__]
    query = select(*columns).where(open_holds.c.account_id == account_id)
    stored = {}
    for row in connection.execute(query):
        stored[row.hold_id] = OpenHold(*row)
    return stored


def check_grants(
    connection: Connection,
    account_id: str,
    due: Mapping[int, Grant],
) -> Iterator[str]:
    """Compares the grants, and each grant's sums and state."""
    stored = _stored_grants(connection, account_id)
    yield from differences("grant", stored, _due_grants(due))


def _stored_grants(connection: Connection, account_id: str) -> dict[int, object]:
    query = select(grants).where(grants.c.account_id == account_id)
    stored: dict[int, object] = {}
    for row in connection.execute(query).mappings():
        stored[row["number"]] = _stored_grant(row)
    return stored


def _due_grants(known: Mapping[int, Grant]) -> dict[int, object]:
    due: dict[int, object] = {}
    for number, grant in known.items():
        due[number] = _due_grant(grant)
    return due


def _stored_grant(row: RowMapping) -> tuple[object, ...]:
    """Returns a grant's terms, state and sums as the table has them."""
    terms = tuple(row[name] for name in _GRANT)
    sums = tuple(row[f"{name}_nanos"] for name in _SUMS)
    state = _state(row["state"], sums)
    return (terms, state, sums)


def _due_grant(grant: Grant) -> tuple[object, ...]:
    """Returns a grant's terms, state and sums as the entries have them."""
    terms = tuple(getattr(grant.terms, name) for name in _GRANT)
    sums = tuple(getattr(grant, name) for name in _SUMS)
    state = _state(grant.state, sums)
    return (terms, state, sums)


def check_budgets(
    connection: Connection,
    account_id: str,
    due: BudgetRule,
) -> Iterator[str]:
    """Compares the budgets as set, and the sums of each budget's windows."""
    yield from _definition_differences(connection, account_id, due)
    yield from differences(
        "budget's window (its number, first hour, value)",
        _stored_windows(connection, account_id),
        due.windows,
    )


def _definition_differences(
    connection: Connection,
    account_id: str,
    due: BudgetRule,
) -> Iterator[str]:
    """Yields the budgets that are set otherwise than the entries say."""
    stored = {}
    for budget in budgets_of(connection, account_id, 0):
        stored[budget.budget_id] = _definition(budget)
    entries_say = {}
    for budget_id, known in due.known.items():
        entries_say[budget_id] = _definition(known)
    yield from differences("budget", stored, entries_say)


def _stored_windows(
    connection: Connection,
    account_id: str,
) -> dict[WindowKey, tuple[int, int]]:
    """Returns used and held nanos by budget's number, window's first hour, and value."""
    windows = {}
    for row in connection.execute(_select_windows(account_id)):
        key = (row.number, row.start_hour, row.value)
        windows[key] = (row.used_nanos, row.held_nanos)
    return windows


def _select_windows(account_id: str) -> Select[Any]:
    table = budget_windows.c
    columns = (
        table.number,
        table.start_hour,
        table.value,
        table.used_nanos,
        table.held_nanos,
    )
    return select(*columns).where(table.account_id == account_id)


def check_settings(
    connection: Connection,
    account_id: str,
    settings: Settings,
) -> Iterator[str]:
    """Compares the settings as flushed with the settings that flushed operations have set."""
    stored = _stored_settings(connection, account_id)
    due = settings.to_json()
    if stored != due:
        yield f"applied_settings are {stored}, the entries come to {due}"


def _stored_settings(connection: Connection, account_id: str) -> str:
    columns = select(accounts.c.applied_settings)
    query = columns.where(accounts.c.account_id == account_id)
    settings: str = connection.execute(query).scalar_one()
    return settings


def _state(state: str, sums: tuple[int, ...]) -> str:
    """Returns the grant's state; a live grant with nothing left and nothing held is exhausted."""
    left, held, *_ = sums
    if state == "LIVE" and left == held == 0:
        return "EXHAUSTED"
    return state


def _definition(budget: AppliedBudget) -> tuple[object, ...]:
    return tuple(getattr(budget, name) for name in AppliedBudget.__dataclass_fields__)


def differences(
    what: str,
    stored: Mapping[Key, object],
    due: Mapping[Key, object],
) -> Iterator[str]:
    """Yields the keys whose stored values are not those that the entries come to."""
    for key in sorted(stored.keys() | due.keys()):
        recorded = stored.get(key)
        expected = due.get(key)
        if recorded != expected:
            yield f"{what} {key} is recorded as {recorded}, the entries say {expected}"
