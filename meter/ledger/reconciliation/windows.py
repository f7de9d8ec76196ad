"""Takes over what budgets count: the windows that the store has, and what holds keep in others."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from sqlalchemy import Connection, Insert, select

from meter.database.engine import upsert, write_many
from meter.database.schema import budget_windows
from meter.journal.account_sums import ABSENT
from meter.journal.counter_names import split_name
from meter.ledger.projections.snapshot import AccountSnapshot
from meter.ledger.reconciliation.difference import FoundAccount
from meter.ledger.reconciliation.taken_over import BudgetWindow

_Counter = tuple[int, int, str]  # budget's number, first hour of the window, value


def take_windows(connection: Connection, found: FoundAccount) -> tuple[BudgetWindow, ...]:
    """Sets the windows of the account's budgets to what the store has, and returns that.

    The store has each budget's newest window alone. What was used in an earlier one since the
    backup is lost; what is held there is told by the holds.
    """
    account_id = found.account_id
    held = _held(found)
    known = _known(connection, account_id, held)
    windows = (
        *_newest(found.snapshot),
        *_earlier(found.snapshot, held, known),
    )
    statement = _set_window(connection.dialect.name)
    write_many(connection, statement, [_row(account_id, window) for window in windows])
    return windows


def _newest(wanted: AccountSnapshot) -> Iterator[BudgetWindow]:
    for budget in wanted.budgets:
        for value, sums in budget.counters.items():
            yield BudgetWindow(budget.number, budget.start_hour, value, *sums)


def _earlier(
    wanted: AccountSnapshot,
    held: Mapping[_Counter, int],
    known: Mapping[_Counter, BudgetWindow],
) -> Iterator[BudgetWindow]:
    """Yields the counters of earlier windows in which something is held, or was by the ledger."""
    newest = {budget.number: budget.start_hour for budget in wanted.budgets}
    for counter in sorted(held.keys() | known.keys()):
        number, start_hour, _ = counter
        if start_hour < newest.get(number, 0):
            window = known.get(counter, BudgetWindow(*counter, 0, 0))
            yield window._replace(held=held.get(counter, 0))


def _held(found: FoundAccount) -> dict[_Counter, int]:
    """Returns the nanos that the open holds keep in each counter."""
    held: defaultdict[_Counter, int] = defaultdict(int)
    for hold in found.holds:
        if hold.budgets == ABSENT:
            continue
        for window in hold.budgets.split(";"):
            name, start_hour, number = window.split(",")
            _, value = split_name(name)
            held[int(number), int(start_hour), value] += hold.amount_nanos
    return held


def _known(
    connection: Connection,
    account_id: str,
    held: Iterable[_Counter],
) -> dict[_Counter, BudgetWindow]:
    """Returns the ledger's counters that have something held, and all of the windows of holds."""
    table = budget_windows.c
    columns = (table.number, table.start_hour, table.value, table.used_nanos, table.held_nanos)
    hours = sorted({start_hour for _, start_hour, _ in held})
    is_held = (table.held_nanos != 0) | table.start_hour.in_(hours)
    query = select(*columns).where(table.account_id == account_id, is_held)
    windows = {}
    for row in connection.execute(query):
        window = BudgetWindow(*row)
        windows[window.number, window.start_hour, window.value] = window
    return windows


@cache
def _set_window(dialect: str) -> Insert:
    insert = upsert(dialect, budget_windows)
    return insert.on_conflict_do_update(
        index_elements=["account_id", "number", "start_hour", "value"],
        set_={name: insert.excluded[name] for name in ("used_nanos", "held_nanos")},
    )


def _row(account_id: str, window: BudgetWindow) -> dict[str, object]:
    return {
        "account_id": account_id,
        "number": window.number,
        "start_hour": window.start_hour,
        "value": window.value,
        "used_nanos": window.used,
        "held_nanos": window.held,
    }
