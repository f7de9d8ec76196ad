"""Accounts as flushed: all that it takes to put one back into Redis."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, select

from meter.database.schema import accounts, grants, open_holds
from meter.journal.account_sums import ABSENT, AccountSums
from meter.journal.operations import Grace, Level
from meter.ledger.projections.budgets import BudgetState, budgets_of
from meter.ledger.projections.settings import Settings

_STATES = {"SCHEDULED": "p", "LIVE": "a"}


@dataclass(frozen=True, slots=True)
class OpenHold:
    """`pins` and `budgets` as Redis has them, but for the budgets' numbers: those that have ended, or
    were made anew, are left out.
    """

    hold_id: str
    amount_nanos: int
    day: int  # on which it was authorized
    expires_ms: int
    pins: str = ABSENT  # "7:30,9s:10"
    budgets: str = ABSENT  # "id,first day of the window;..."


@dataclass(frozen=True, slots=True)
class GrantLeft:
    """A grant that is scheduled, or of which something is left, or held."""

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
        """Whether any request may take of it."""
        return self.state == "a" and not self.scope


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """All that it takes to put the account back into Redis, as of the flushed position.

    `applied_op` 0: nothing was ever flushed of it; it is to be created by its first operation, not
    loaded.
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


def snapshot(connection: Connection, account_id: str) -> AccountSnapshot | None:
    """The account as flushed, with its grants, budgets and open holds; None if it does not
    exist.
    """
    row = (
        connection.execute(select(accounts).where(accounts.c.account_id == account_id))
        .mappings()
        .first()
    )
    if row is None:
        return None
    left = tuple(_grant(each) for each in _grants(connection, account_id))
    budgets = budgets_of(connection, account_id, row["day"])
    numbers = {budget.budget_id: str(budget.number) for budget in budgets}
    holds = tuple(_hold(each, numbers) for each in _holds(connection, account_id))
    return _snapshot(row, left, budgets, holds)


def _snapshot(
    row: RowMapping,
    left: tuple[GrantLeft, ...],
    budgets: tuple[BudgetState, ...],
    holds: tuple[OpenHold, ...],
) -> AccountSnapshot:
    state = AccountSums.from_tokens(row["state"])
    settings = Settings.from_json(row["applied_settings"])
    return AccountSnapshot(
        account_id=row["account_id"],
        applied_op=row["applied_op"],
        status=row["applied_status"],
        currency=row["currency"],
        test_clock_ms=row["applied_clock_ms"],
        day=row["day"],
        state=state,
        holds=holds,
        grants=left,
        overage_left=state.spendable - sum(grant.left for grant in left if grant.is_spendable),
        overage_held=state.held - sum(grant.held for grant in left),
        budgets=budgets,
        spend_management=settings.spend_management,
        levels=settings.levels,
        graces=settings.graces,
        graces_begun=settings.graces_begun,
    )


def _grants(connection: Connection, account_id: str) -> list[RowMapping]:
    has_some = (grants.c.left_nanos != 0) | (grants.c.held_nanos != 0)
    wanted = (
        select(grants).where(grants.c.account_id == account_id, has_some).order_by(grants.c.number)
    )
    return list(connection.execute(wanted).mappings())


def _grant(row: RowMapping) -> GrantLeft:
    # Over, and something is left: only where entries were lost. It is effective once more, until an
    # entry of its own ends it.
    state = _STATES.get(row["state"], "a" if row["left_nanos"] else "x")
    return GrantLeft(
        number=row["number"],
        left=row["left_nanos"],
        held=row["held_nanos"],
        state=state,
        priority=row["priority"],
        expires_ms=row["expires_at_ms"],
        effective_ms=row["effective_at_ms"],
        type=row["type"],
        scope=tuple(json.loads(row["scope"])),
        pays_debt=row["pays_debt"],
    )


def _holds(connection: Connection, account_id: str) -> list[RowMapping]:
    columns = (open_holds.c[name] for name in OpenHold.__dataclass_fields__)
    query = (
        select(*columns).where(open_holds.c.account_id == account_id).order_by(open_holds.c.hold_id)
    )
    return list(connection.execute(query).mappings())


def _hold(row: RowMapping, numbers: Mapping[str, str]) -> OpenHold:
    matched = [each.split(",") for each in row["budgets"].split(";") if each != ABSENT]
    counted = ";".join(
        f"{budget_id},{start}"
        for budget_id, start, number in matched
        if numbers.get(budget_id) == number
    )
    return OpenHold(**{**row, "budgets": counted or ABSENT})
