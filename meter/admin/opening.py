"""Opens accounts: the first row of an account, and the operation that created the account."""

from dataclasses import fields, replace

from sqlalchemy import Connection

from meter.admin.accounts import AccountRow, settings_columns
from meter.admin.recording import now_ms, recorded, recorded_operation
from meter.database.errors import AccountExists
from meter.journal.account_sums import AccountSums
from meter.journal.applied_settings import Settings
from meter.journal.operations import Create, Operation
from meter.times import MS_PER_DAY

FIRST_SEQ = 1  # of an account's operations: its creation


def new_account(
    operation: Operation,
    change: Create,
    shard: int,
) -> dict[str, object]:
    """Returns the row of a new account: the settings as recorded, the sums as of no entry."""
    now = now_ms()
    account_ms = now
    if change.test_clock_ms is not None:
        account_ms = change.test_clock_ms
    sums = AccountSums(
        spendable=change.overage_protection_nanos,
        overage=change.overage_protection_nanos,
        day_remaining=change.daily_limit_nanos or 0,
        daily_limit=change.daily_limit_nanos,
    )
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
        "state": sums.encode(),
    }


def creation(
    connection: Connection,
    account: AccountRow,
    change: Create,
    request_id: str,
) -> Operation:
    """Returns the operation that created the account; raises AccountExists for another account."""
    if request_id:
        operation = recorded(
            connection,
            account,
            request_id,
            lambda was: was == change,
        )
        if operation is None:
            raise AccountExists(account.account_id)
        return operation
    names = [field.name for field in fields(change) if field.name != "levels"]
    present = {name: getattr(account, name) for name in names}
    if replace(change, **present) != change:
        raise AccountExists(account.account_id)
    return recorded_operation(connection, account.account_id, FIRST_SEQ)
