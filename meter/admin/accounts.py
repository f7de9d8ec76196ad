"""Reads accounts as recorded; accounts as flushed are in meter/ledger/projections/snapshot.py."""

import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, select

from meter.database.errors import AccountNotFound
from meter.database.schema import accounts
from meter.journal.operations import Create, Grace, Threshold, Update


@dataclass(frozen=True, slots=True)
class AccountRow:
    """Holds an account's settings as recorded, whether or not the gate has applied them yet."""

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
    billing_emails: tuple[str, ...]
    alert_emails: tuple[str, ...]


_COLUMNS = [accounts.c[name] for name in AccountRow.__dataclass_fields__]


def find_account(
    connection: Connection,
    account_id: str,
    for_update: bool = False,
) -> AccountRow | None:
    """Returns the account, or None if the account does not exist.

    With `for_update` the account stays locked until the transaction ends.
    """
    query = select(*_COLUMNS).where(accounts.c.account_id == account_id)
    if for_update:
        query = query.with_for_update()
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    return _account(row)


def lock_account(connection: Connection, account_id: str) -> AccountRow:
    """Returns the account, locked until the transaction ends; raises AccountNotFound."""
    account = find_account(connection, account_id, for_update=True)
    if account is None:
        raise AccountNotFound(account_id)
    return account


def require_account(connection: Connection, account_id: str) -> None:
    """Raises AccountNotFound unless the account exists."""
    query = select(accounts.c.account_id).where(accounts.c.account_id == account_id)
    if connection.scalar(query) is None:
        raise AccountNotFound(account_id)


def list_accounts(
    connection: Connection,
    after: str,
    limit: int,
) -> list[AccountRow]:
    """Returns up to `limit` accounts by id, behind the id `after`."""
    query = _select_behind(after).limit(limit)
    return [_account(row) for row in connection.execute(query).mappings()]


def _select_behind(after: str) -> Select[Any]:
    """Selects the accounts behind the id `after`, in order."""
    return select(*_COLUMNS).where(accounts.c.account_id > after).order_by(accounts.c.account_id)


def settings_columns(change: Create | Update) -> dict[str, object]:
    """Returns the columns of `accounts` for the settings that an operation sets."""
    columns: dict[str, object] = {
        "overage_protection_nanos": change.overage_protection_nanos,
        "daily_limit_nanos": change.daily_limit_nanos,
        "overage_policy": change.overage_policy,
        "spend_management": change.spend_management,
        "thresholds": _to_json(change.thresholds),
        "graces": _to_json(change.graces),
        "billing_emails": json.dumps(change.billing_emails),
        "alert_emails": json.dumps(change.alert_emails),
    }
    if isinstance(change, Update):
        columns["status"] = change.status
    return columns


def _to_json(items: Iterable[Threshold | Grace]) -> str:
    return json.dumps([astuple(item) for item in items])


def _account(row: RowMapping) -> AccountRow:
    thresholds = json.loads(row["thresholds"])
    graces = json.loads(row["graces"])
    columns: dict[str, Any] = dict(row)
    columns["thresholds"] = tuple(Threshold(*each) for each in thresholds)
    columns["graces"] = tuple(Grace(*each) for each in graces)
    for name in ("billing_emails", "alert_emails"):
        columns[name] = tuple(json.loads(row[name]))
    return AccountRow(**columns)
