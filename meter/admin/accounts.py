"""Accounts as recorded. As flushed they are in snapshot.py."""

import json
from dataclasses import astuple, dataclass

from sqlalchemy import Connection, RowMapping, select

from meter.database.errors import AccountNotFound
from meter.database.schema import accounts
from meter.journal.operations import Create, Grace, Threshold, Update


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account's settings as recorded, whether or not the gate has applied them yet."""

    account_id: str
    shard: int
    currency: str
    status: str  # active or suspended
    overage_protection_nanos: int
    daily_limit_nanos: int | None
    test_clock_ms: int | None
    create_time_ms: int
    granted_nanos: int
    recorded_op: int
    applied_op: int
    overage_policy: str
    spend_management: bool
    thresholds: tuple[Threshold, ...]
    graces: tuple[Grace, ...]


def find_account(
    connection: Connection, account_id: str, for_update: bool = False
) -> AccountRow | None:
    """The account, if it exists; locked until the transaction ends, if it is to be changed."""
    query = select(*_ROW).where(accounts.c.account_id == account_id)
    row = connection.execute(query.with_for_update() if for_update else query).mappings().first()
    return None if row is None else _account(row)


def lock_account(connection: Connection, account_id: str) -> AccountRow:
    """The account, locked; AccountNotFound."""
    account = find_account(connection, account_id, for_update=True)
    if account is None:
        raise AccountNotFound(account_id)
    return account


def require_account(connection: Connection, account_id: str) -> None:
    """AccountNotFound unless the account exists."""
    if (
        connection.scalar(select(accounts.c.account_id).where(accounts.c.account_id == account_id))
        is None
    ):
        raise AccountNotFound(account_id)


def list_accounts(connection: Connection, after: str, limit: int) -> list[AccountRow]:
    """Up to `limit` accounts by id, from the one behind `after` on."""
    query = (
        select(*_ROW)
        .where(accounts.c.account_id > after)
        .order_by(accounts.c.account_id)
        .limit(limit)
    )
    return [_account(row) for row in connection.execute(query).mappings()]


def settings_columns(change: Create | Update) -> dict[str, object]:
    """What a row of `accounts` keeps of the settings that an operation sets."""
    return {
        **({"status": change.status} if isinstance(change, Update) else {}),
        "overage_protection_nanos": change.overage_protection_nanos,
        "daily_limit_nanos": change.daily_limit_nanos,
        "overage_policy": change.overage_policy,
        "spend_management": change.spend_management,
        "thresholds": json.dumps([astuple(threshold) for threshold in change.thresholds]),
        "graces": json.dumps([astuple(grace) for grace in change.graces]),
    }


def _account(row: RowMapping) -> AccountRow:
    lists = {
        "thresholds": tuple(Threshold(*each) for each in json.loads(row["thresholds"])),
        "graces": tuple(Grace(*each) for each in json.loads(row["graces"])),
    }
    return AccountRow(**{**row, **lists})


_ROW = [accounts.c[name] for name in AccountRow.__dataclass_fields__]
