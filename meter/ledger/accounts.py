"""Accounts as the books have them: settings as recorded, sums as flushed."""

from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, select

from meter.effect import State
from meter.ledger.errors import AccountNotFound
from meter.ledger.schema import accounts, open_holds


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


@dataclass(frozen=True, slots=True)
class OpenHold:
    hold_id: str
    amount_nanos: int
    day: int  # on which it was authorized
    expires_ms: int


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """All that it takes to put the account back into Redis, as of the flushed position.

    `applied_op` 0: nothing was ever flushed of it; it is to be created by its first operation, not loaded.
    """

    account_id: str
    applied_op: int
    status: str
    currency: str
    test_clock_ms: int | None
    day: int
    state: State
    holds: tuple[OpenHold, ...]


def find_account(connection: Connection, account_id: str, for_update: bool = False) -> AccountRow | None:
    """The account, if it exists; locked until the transaction ends, if it is to be changed."""
    query = select(*_ROW).where(accounts.c.account_id == account_id)
    row = connection.execute(query.with_for_update() if for_update else query).mappings().first()
    return None if row is None else AccountRow(**row)


def lock_account(connection: Connection, account_id: str) -> AccountRow:
    """The account, locked; AccountNotFound."""
    account = find_account(connection, account_id, for_update=True)
    if account is None:
        raise AccountNotFound(account_id)
    return account


def list_accounts(connection: Connection, after: str, limit: int) -> list[AccountRow]:
    """Up to `limit` accounts by id, from the one behind `after` on."""
    query = select(*_ROW).where(accounts.c.account_id > after).order_by(accounts.c.account_id).limit(limit)
    return [AccountRow(**row) for row in connection.execute(query).mappings()]


def snapshot(connection: Connection, account_id: str) -> AccountSnapshot | None:
    """The account as flushed, with its open holds; None if it does not exist."""
    row = connection.execute(select(accounts).where(accounts.c.account_id == account_id)).mappings().first()
    return None if row is None else _snapshot(row, _holds(connection, account_id))


def _snapshot(row: RowMapping, holds: tuple[OpenHold, ...]) -> AccountSnapshot:
    return AccountSnapshot(
        account_id=row["account_id"],
        applied_op=row["applied_op"],
        status=row["applied_status"],
        currency=row["currency"],
        test_clock_ms=row["applied_clock_ms"],
        day=row["day"],
        state=State.from_tokens(row["state"].split(" ")),
        holds=holds,
    )


def _holds(connection: Connection, account_id: str) -> tuple[OpenHold, ...]:
    columns = (open_holds.c[name] for name in OpenHold.__dataclass_fields__)
    query = select(*columns).where(open_holds.c.account_id == account_id).order_by(open_holds.c.hold_id)
    return tuple(OpenHold(**row) for row in connection.execute(query).mappings())


_ROW = [accounts.c[name] for name in AccountRow.__dataclass_fields__]
