"""Opens accounts: the first row of an account, and the operation that created the account."""

from dataclasses import fields, replace
from functools import partial
from operator import eq

from sqlalchemy import Connection

from meter.admin.accounts import AccountRow, settings_columns
from meter.admin.recording import insert_operation, recorded, recorded_operation
from meter.database.engine import insert_or_ignore
from meter.database.errors import AccountExists
from meter.database.schema import accounts
from meter.journal.account_sums import AccountSums
from meter.journal.applied_settings import Settings
from meter.journal.operations import Create, Operation
from meter.times import MS_PER_DAY, now_ms

FIRST_SEQ = 1  # of an account's operations: its creation


def open_account(
    connection: Connection,
    operation: Operation,
    change: Create,
    shard: int,
) -> bool:
    """Records the account and its creation; returns False if the account is there already."""
    row = _new_account(operation, change, shard)
    is_new = insert_or_ignore(connection, accounts, [row]) == 1
    if is_new:
        insert_operation(connection, operation)
    return is_new


def _new_account(
    operation: Operation,
    change: Create,
    shard: int,
) -> dict[str, object]:
    """Returns the row of a new account: the settings as recorded, the sums as of no entry."""
    now = now_ms()
    account_ms = now
    if change.test_clock_ms is not None:
        account_ms = change.test_clock_ms
    return settings_columns(change) | {
        "account_id": operation.account_id,
        "shard": shard,
        "currency": change.currency,
        "status": "active",
        "test_clock_ms": change.test_clock_ms,
        "create_time_ms": now,
        "granted_nanos": 0,
        "recorded_op": operation.seq,
        "applied_op": 0,
        "applied_status": "active",
        "applied_clock_ms": change.test_clock_ms,
        "applied_settings": Settings().to_json(),
        "remaining_nanos": 0,
        "held_nanos": 0,
        "day": account_ms // MS_PER_DAY,
        "state": _first_sums(change).encode(),
    }


def _first_sums(change: Create) -> AccountSums:
    return AccountSums(
        spendable=change.overage_protection_nanos,
        overage=change.overage_protection_nanos,
        day_remaining=change.daily_limit_nanos or 0,
        daily_limit=change.daily_limit_nanos,
    )


def creation(
    connection: Connection,
    account: AccountRow,
    change: Create,
    request_id: str,
) -> Operation:
    """Returns the operation that created the account; raises AccountExists for another account."""
    operation = None
    if request_id:
        operation = recorded(connection, account, request_id, partial(eq, change))
    elif _has_settings(account, change):
        operation = recorded_operation(connection, account.account_id, FIRST_SEQ)
    if operation is None:
        raise AccountExists(account.account_id)
    return operation


def _has_settings(account: AccountRow, change: Create) -> bool:
    """Returns whether the account has the settings that the change would give it."""
    names = [field.name for field in fields(change) if field.name != "levels"]
    present = {name: getattr(account, name) for name in names}
    return replace(change, **present) == change
