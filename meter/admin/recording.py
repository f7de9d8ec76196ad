"""Records an account's next operation, once for a request id.

The caller's transaction holds the account's lock.
"""

from collections.abc import Callable

from sqlalchemy import Connection, insert, select, update

from meter.actor import ACTOR
from meter.admin.accounts import AccountRow
from meter.database.errors import RequestIdReused
from meter.database.schema import accounts, entries, operations
from meter.journal.operations import Change, Operation
from meter.times import now_ms

IsSame = Callable[[Change], bool]  # whether a recorded change is the change now asked for


def recorded(
    connection: Connection,
    account: AccountRow,
    request_id: str,
    is_same: IsSame,
) -> Operation | None:
    """Returns the operation recorded under the request id; None if nothing has used the id.

    Raises RequestIdReused if another operation or a call has used the id.
    """
    operation = operation_named(connection, account.account_id, request_id)
    if operation is None:
        _refuse_id_of_call(connection, account.account_id, request_id)
        return None
    if not is_same(operation.change):
        raise RequestIdReused(request_id)
    return operation


def refuse_used(
    connection: Connection,
    account: AccountRow,
    request_id: str,
) -> None:
    """Raises RequestIdReused if any operation or call has used the id."""
    if operation_named(connection, account.account_id, request_id) is not None:
        raise RequestIdReused(request_id)
    _refuse_id_of_call(connection, account.account_id, request_id)


def operation_named(
    connection: Connection,
    account_id: str,
    request_id: str,
) -> Operation | None:
    """Returns the operation recorded under a request id, or None."""
    query = select(operations.c.body).where(
        operations.c.account_id == account_id,
        operations.c.request_id == request_id,
    )
    body = connection.scalar(query)
    if body is None:
        return None
    return Operation.from_json(body)


def record(
    connection: Connection,
    account: AccountRow,
    request_id: str,
    change: Change,
    **columns: object,
) -> Operation:
    """Records the account's next operation, and sets `columns` in the account's row."""
    operation = Operation(
        account_id=account.account_id,
        seq=account.recorded_op + 1,
        request_id=request_id,
        change=change,
    )
    statement = (
        update(accounts)
        .where(accounts.c.account_id == account.account_id)
        .values(recorded_op=operation.seq, **columns)
    )
    connection.execute(statement)
    insert_operation(connection, operation)
    return operation


def insert_operation(connection: Connection, operation: Operation) -> None:
    """Inserts the operation's row; the number must be free."""
    row = {
        "account_id": operation.account_id,
        "seq": operation.seq,
        "request_id": operation.request_id,
        "body": operation.to_json(),
        "recorded_at_ms": now_ms(),
        "actor": ACTOR.get(),
    }
    connection.execute(insert(operations), row)


def recorded_operation(
    connection: Connection,
    account_id: str,
    seq: int,
) -> Operation:
    """Returns an account's operation of this number; the operation must exist."""
    query = select(operations.c.body).where(
        operations.c.account_id == account_id,
        operations.c.seq == seq,
    )
    return Operation.from_json(connection.scalars(query).one())


def now_of(account: AccountRow) -> int:
    """Returns the time that the account lives by, in ms: its test clock's, or the real time."""
    if account.test_clock_ms is None:
        return now_ms()
    return account.test_clock_ms


def _refuse_id_of_call(
    connection: Connection,
    account_id: str,
    request_id: str,
) -> None:
    query = select(entries.c.seq).where(
        entries.c.account_id == account_id,
        entries.c.request_id == request_id,
    )
    if connection.scalar(query) is not None:
        raise RequestIdReused(request_id)
