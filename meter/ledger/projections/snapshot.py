"""Account snapshots: all that is needed to put an account back into Redis."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, select

from meter.database.engine import Ledger
from meter.database.schema import accounts, grants, open_holds
from meter.journal.account_sums import ABSENT, AccountSums
from meter.journal.applied_settings import Settings
from meter.journal.counter_names import split_name
from meter.journal.operations import Grace, Level
from meter.ledger.projections.budgets import BudgetState, budgets_of


@dataclass(frozen=True, slots=True)
class OpenHold:
    """Holds an open hold, with `pins` and `budgets` as texts.

    Redis stores the same texts, except for the budgets' numbers; a budget that has ended, or was
    made anew, is left out.
    """

    hold_id: str
    amount_nanos: int
    day: int  # on which the hold was authorized
    expires_ms: int
    pins: str = ABSENT  # "7:30,9s:10"
    budgets: str = ABSENT  # "counter's name,first hour of the window;..."


@dataclass(frozen=True, slots=True)
class GrantLeft:
    """Holds a grant with credits left or held, or a scheduled grant."""

    number: int
    left: int
    held: int
    state: str  # p scheduled, a effective, x over but held
    priority: int
    expires_ms: int | None
    effective_ms: int | None
    type: str  # a name of meter.v1.GrantType
    scope: tuple[str, ...]
    pays_debt: bool

    @property
    def is_spendable(self) -> bool:
        """Says whether every request may take credits of the grant."""
        return self.state == "a" and not self.scope


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """Holds an account as of the flushed position.

    With `applied_op` 0, nothing of the account was ever flushed: the account must be created by its
    first operation, not loaded.
    """

    account_id: str
    applied_op: int
    status: str
    currency: str
    test_clock_ms: int | None
    day: int
    state: AccountSums
    holds: tuple[OpenHold, ...]
    grants: tuple[GrantLeft, ...]
    overage_left: int
    overage_held: int
    budgets: tuple[BudgetState, ...]
    spend_management: bool
    levels: tuple[Level, ...]
    graces: tuple[Grace, ...]
    graces_begun: Mapping[str, int]  # class of traffic -> ms


def load_snapshot(ledger: Ledger, account_id: str) -> AccountSnapshot | None:
    """Returns the account as flushed, with its grants, budgets and open holds, all of one moment.

    None for an unknown account. LedgerUnavailable if the ledger cannot be read.
    """
    with ledger.read() as connection:
        return snapshot_of(connection, account_id)


def snapshot_of(connection: Connection, account_id: str) -> AccountSnapshot | None:
    """Returns the same within the caller's transaction."""
    wanted = select(accounts).where(accounts.c.account_id == account_id)
    row = connection.execute(wanted).mappings().first()
    if row is None:
        return None
    return _of_row(connection, row)


def _of_row(connection: Connection, row: RowMapping) -> AccountSnapshot:
    account_id = row["account_id"]
    state = AccountSums.decode(row["state"])
    settings = Settings.from_json(row["applied_settings"])
    grants_left = _grants(connection, account_id)
    overage_left, overage_held = _overage(state, grants_left)
    budgets = budgets_of(connection, account_id, row["day"])
    return AccountSnapshot(
        account_id=account_id,
        applied_op=row["applied_op"],
        status=row["applied_status"],
        currency=row["currency"],
        test_clock_ms=row["applied_clock_ms"],
        day=row["day"],
        state=state,
        holds=_holds(connection, account_id, budgets),
        grants=grants_left,
        overage_left=overage_left,
        overage_held=overage_held,
        budgets=budgets,
        spend_management=settings.spend_management,
        levels=settings.levels,
        graces=settings.graces,
        graces_begun=settings.graces_begun,
    )


def _overage(state: AccountSums, grants_left: Iterable[GrantLeft]) -> tuple[int, int]:
    """Returns what is left and held of overage: what the grants do not have of the sums."""
    left = state.spendable
    held = state.held
    for grant in grants_left:
        held -= grant.held
        if grant.is_spendable:
            left -= grant.left
    return left, held


def _grants(connection: Connection, account_id: str) -> tuple[GrantLeft, ...]:
    has_some = (grants.c.left_nanos != 0) | (grants.c.held_nanos != 0)
    wanted = (
        select(grants).where(grants.c.account_id == account_id, has_some).order_by(grants.c.number)
    )
    return tuple(_grant(row) for row in connection.execute(wanted).mappings())


def _grant(row: RowMapping) -> GrantLeft:
    return GrantLeft(
        number=row["number"],
        left=row["left_nanos"],
        held=row["held_nanos"],
        state=_state(row["state"], row["left_nanos"]),
        priority=row["priority"],
        expires_ms=row["expires_at_ms"],
        effective_ms=row["effective_at_ms"],
        type=row["type"],
        scope=tuple(json.loads(row["scope"])),
        pays_debt=row["pays_debt"],
    )


def _state(state: str, left: int) -> str:
    if state == "SCHEDULED":
        return "p"
    # A grant that is over has something left only where entries were lost. Such a grant is
    # effective once more, until an entry of its own ends it.
    if state == "LIVE" or left:
        return "a"
    return "x"


def _holds(
    connection: Connection,
    account_id: str,
    budgets: tuple[BudgetState, ...],
) -> tuple[OpenHold, ...]:
    numbers = {budget.budget_id: str(budget.number) for budget in budgets}
    holds = []
    for row in connection.execute(_select_holds(account_id)).mappings():
        windows = still_counted(row["budgets"], numbers)
        holds.append(OpenHold(**{**row, "budgets": windows}))
    return tuple(holds)


def _select_holds(account_id: str) -> Select[Any]:
    columns = [open_holds.c[name] for name in OpenHold.__dataclass_fields__]
    of_account = select(*columns).where(open_holds.c.account_id == account_id)
    return of_account.order_by(open_holds.c.hold_id)


def still_counted(windows: str, numbers: Mapping[str, str]) -> str:
    """Returns the windows of budgets that still have the number under which the hold counted."""
    if windows == ABSENT:
        return ABSENT
    counted = []
    for window in windows.split(";"):
        name, start_hour, number = window.split(",")
        budget_id, _ = split_name(name)
        if numbers.get(budget_id) == number:
            counted.append(f"{name},{start_hour}")
    return ";".join(counted) or ABSENT
