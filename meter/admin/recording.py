"""Recording: an account's next operation, once for a request id.

The caller's transaction holds the account's lock.
"""

import time
from collections.abc import Callable

from sqlalchemy import Connection, insert, select, update

from meter.admin.accounts import AccountRow
from meter.database.errors import RequestIdReused
from meter.database.schema import accounts, entries, operations
from meter.journal.operations import Change, Operation

Same = Callable[[Change], bool]  # whether a recorded change is the one now asked for


def recorded(
    connection: Connection, account: AccountRow, request_id: str, same: Same
) -> Operation | None:
    """The operation recorded under this request id, if any.

    RequestIdReused if it is another, or a call's.
    """
    operation = operation_named(connection, account.account_id, request_id)
    if operation is None:
        _refuse_calls(connection, account.account_id, request_id)
    elif not same(operation.change):
        raise RequestIdReused(request_id)
    return operation


def refuse_used(connection: Connection, account: AccountRow, request_id: str) -> None:
    """RequestIdReused if any operation or call has had the id."""
    if operation_named(connection, account.account_id, request_id) is not None:
        raise RequestIdReused(request_id)
    _refuse_calls(connection, account.account_id, request_id)


def operation_named(connection: Connection, account_id: str, request_id: str) -> Operation | None:
    """The operation recorded under a request id."""
    own = (operations.c.account_id == account_id) & (operations.c.request_id == request_id)
    body = connection.scalar(select(operations.c.body).where(own))
    return None if body is None else Operation.from_json(body)


def record(
    connection: Connection, account: AccountRow, request_id: str, change: Change, **values: object
) -> Operation:
    """Records the account's next operation, and sets what it changes of the account's row."""
    operation = Operation(account.account_id, account.recorded_op + 1, request_id, change)
    own = accounts.c.account_id == account.account_id
    connection.execute(update(accounts).where(own).values(recorded_op=operation.seq, **values))
    insert_operation(connection, operation)
    return operation


def insert_operation(connection: Connection, operation: Operation) -> None:
    row = {
        "account_id": operation.account_id,
        "seq": operation.seq,
        "request_id": operation.request_id,
        "body": operation.to_json(),
        "recorded_at_ms": now_ms(),
    }
    connection.execute(insert(operations), row)


def recorded_operation(connection: Connection, account_id: str, seq: int) -> Operation:
    """An account's operation of this number, which must exist."""
    place = (operations.c.account_id == account_id) & (operations.c.seq == seq)
    return Operation.from_json(connection.scalars(select(operations.c.body).where(place)).one())


def now_of(account: AccountRow) -> int:
    """The time that the account lives by, in ms."""
    return now_ms() if account.test_clock_ms is None else account.test_clock_ms


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _refuse_calls(connection: Connection, account_id: str, request_id: str) -> None:
    called = (entries.c.account_id == account_id) & (entries.c.request_id == request_id)
    if connection.scalar(select(entries.c.seq).where(called)) is not None:
        raise RequestIdReused(request_id)
