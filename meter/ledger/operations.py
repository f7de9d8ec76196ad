"""Changes by an administrator, recorded before they take effect in the gate; and what the gate needs to put them into effect."""

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace

from sqlalchemy import Connection, insert, select, tuple_, update

from meter.effect import MS_PER_DAY, State
from meter.ledger.accounts import (
    AccountRow,
    AccountSnapshot,
    OpenHold,
    find_account,
    list_accounts,
    lock_account,
    snapshot,
)
from meter.ledger.engine import Ledger, insert_or_ignore
from meter.ledger.errors import AccountExists, AmountOutOfRange, RequestIdReused, TestClockError
from meter.ledger.schema import accounts, entries, operations
from meter.money import INT64_MAX, SETTING_MAX
from meter.operations import AdvanceClock, Change, Create, GrantCredits, Operation, Update
from meter.times import timestamp

__all__ = ["AccountRow", "AccountSnapshot", "OpenHold", "Operations", "record_grant"]

Same = Callable[[Change], bool]  # whether a recorded change is the one now asked for


class Operations:
    """Accounts and their operations, which each account numbers densely from 1.

    A request id takes effect once: asked for again with the same content, the recorded operation is returned; with other content,
    RequestIdReused. Any of the methods may raise LedgerUnavailable.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def create_account(
        self,
        account_id: str,
        *,
        shard: int,
        currency: str,
        overage_protection_nanos: int,
        daily_limit_nanos: int | None,
        test_clock_ms: int | None,
        request_id: str = "",
    ) -> tuple[AccountRow, Operation, bool]:
        """Records a new account; whether it is new. Without a request id, one that has these settings is returned; else AccountExists."""
        change = Create(currency, overage_protection_nanos, daily_limit_nanos, test_clock_ms)
        _check_settings(change, granted_nanos=0)
        operation = Operation(account_id, 1, request_id or f"auto-{uuid.uuid4().hex}", change)
        with self._ledger.write() as connection:
            is_new = insert_or_ignore(connection, accounts, [_new_account(operation, change, shard)]) == 1
            if is_new:
                _insert(connection, operation)
            account = lock_account(connection, account_id)
            return account, _creation(connection, account, change, request_id), is_new

    def update_account(
        self, account_id: str, changes: Mapping[str, str | int | None], *, request_id: str
    ) -> tuple[AccountRow, Operation]:
        """Records new values of some of the settings (fields of `Update`). AccountNotFound; AmountOutOfRange."""
        with self._ledger.write() as connection:
            account = lock_account(connection, account_id)
            operation = _recorded(connection, account, request_id, lambda was: _same_update(was, changes))
            if operation is None:
                present = Update(account.status, account.overage_protection_nanos, account.daily_limit_nanos)
                change = replace(present, **changes)  # type: ignore[arg-type]
                _check_settings(change, account.granted_nanos)
                operation = _record(connection, account, request_id, change, asdict(change))
            return lock_account(connection, account_id), operation

    def grant_credits(self, account_id: str, change: GrantCredits, *, request_id: str) -> Operation:
        """Records a grant. A repeat returns the first, whose `grant_id` counts. AccountNotFound; AmountOutOfRange."""
        with self._ledger.write() as connection:
            return record_grant(connection, account_id, change, request_id)

    def advance_clock(self, account_id: str, time_ms: int, *, request_id: str) -> tuple[AccountRow, Operation]:
        """Records a test clock's new time. AccountNotFound; TestClockError if it has none or would go back."""
        change = AdvanceClock(time_ms)
        with self._ledger.write() as connection:
            account = lock_account(connection, account_id)
            operation = _recorded(connection, account, request_id, lambda was: was == change)
            if operation is None:
                _check_clock(account, time_ms)
                operation = _record(connection, account, request_id, change, {"test_clock_ms": time_ms})
            return lock_account(connection, account_id), operation

    def pending(
        self, account_id: str | None = None, limit: int = 1000, after: tuple[str, int] = ("", 0)
    ) -> list[Operation]:
        """Operations recorded but not flushed, of one account or of all, by account and number, behind `after`."""
        wanted = (
            select(operations.c.body)
            .join(accounts, accounts.c.account_id == operations.c.account_id)
            .where(accounts.c.recorded_op > accounts.c.applied_op, operations.c.seq > accounts.c.applied_op)
            .where(tuple_(operations.c.account_id, operations.c.seq) > tuple_(*after))
            .order_by(operations.c.account_id, operations.c.seq)
            .limit(limit)
        )
        if account_id is not None:
            wanted = wanted.where(operations.c.account_id == account_id)
        with self._ledger.read() as connection:
            return [Operation.from_json(body) for body in connection.scalars(wanted)]

    def account(self, account_id: str) -> AccountRow | None:
        """The account's settings as recorded."""
        with self._ledger.read() as connection:
            return find_account(connection, account_id)

    def list_accounts(self, after: str, limit: int) -> list[AccountRow]:
        """Up to `limit` accounts by id, from the one behind `after` on."""
        with self._ledger.read() as connection:
            return list_accounts(connection, after, limit)

    def load_snapshot(self, account_id: str) -> AccountSnapshot | None:
        """The account as flushed, all of it as of one moment; None if it does not exist."""
        with self._ledger.read() as connection:
            return snapshot(connection, account_id)


def record_grant(connection: Connection, account_id: str, change: GrantCredits, request_id: str) -> Operation:
    """`Operations.grant_credits` within a transaction."""
    account = lock_account(connection, account_id)
    recorded = _recorded(connection, account, request_id, lambda was: _same_grant(was, change))
    if recorded is not None:
        return recorded
    granted_nanos = account.granted_nanos + change.amount_nanos
    if granted_nanos + account.overage_protection_nanos > INT64_MAX:
        raise AmountOutOfRange(
            "amount_nanos", "all credits ever granted, with the overage protection, would leave int64"
        )
    return _record(connection, account, request_id, change, {"granted_nanos": granted_nanos})


def recorded_operation(connection: Connection, account_id: str, seq: int) -> Operation:
    """An account's operation of this number, which must exist."""
    place = (operations.c.account_id == account_id) & (operations.c.seq == seq)
    return Operation.from_json(connection.scalars(select(operations.c.body).where(place)).one())


def _same_update(was: Change, changes: Mapping[str, str | int | None]) -> bool:
    return isinstance(was, Update) and asdict(was).items() >= changes.items()


def _same_grant(was: Change, change: GrantCredits) -> bool:
    return isinstance(was, GrantCredits) and replace(was, grant_id=change.grant_id) == change


def _creation(connection: Connection, account: AccountRow, change: Create, request_id: str) -> Operation:
    """The operation that created the account, if it is this one or as good."""
    if request_id:
        operation = _recorded(connection, account, request_id, lambda was: was == change)
        if operation is None:
            raise AccountExists(account.account_id)
        return operation
    settings = Create(
        account.currency, account.overage_protection_nanos, account.daily_limit_nanos, account.test_clock_ms
    )
    if settings != change:
        raise AccountExists(account.account_id)
    return recorded_operation(connection, account.account_id, 1)


def _recorded(connection: Connection, account: AccountRow, request_id: str, same: Same) -> Operation | None:
    """The operation recorded under this request id, if any. RequestIdReused if it is another, or a call's."""
    own = (operations.c.account_id == account.account_id) & (operations.c.request_id == request_id)
    body = connection.scalar(select(operations.c.body).where(own))
    if body is None:
        called = (entries.c.account_id == account.account_id) & (entries.c.request_id == request_id)
        if connection.scalar(select(entries.c.seq).where(called)) is not None:
            raise RequestIdReused(request_id)
        return None
    operation = Operation.from_json(body)
    if not same(operation.change):
        raise RequestIdReused(request_id)
    return operation


def _record(
    connection: Connection, account: AccountRow, request_id: str, change: Change, values: Mapping[str, object]
) -> Operation:
    """Records the account's next operation, and sets what it changes of the account."""
    operation = Operation(account.account_id, account.recorded_op + 1, request_id, change)
    own = accounts.c.account_id == account.account_id
    connection.execute(update(accounts).where(own).values(recorded_op=operation.seq, **values))
    _insert(connection, operation)
    return operation


def _insert(connection: Connection, operation: Operation) -> None:
    row = {
        "account_id": operation.account_id,
        "seq": operation.seq,
        "request_id": operation.request_id,
        "body": operation.to_json(),
        "recorded_at_ms": _now_ms(),
    }
    connection.execute(insert(operations), row)


def _new_account(operation: Operation, change: Create, shard: int) -> dict[str, object]:
    overage, limit, now_ms = change.overage_protection_nanos, change.daily_limit_nanos, _now_ms()
    clock_ms = now_ms if change.test_clock_ms is None else change.test_clock_ms
    return {
        "account_id": operation.account_id,
        "shard": shard,
        "currency": change.currency,
        "status": "active",
        "overage_protection_nanos": overage,
        "daily_limit_nanos": limit,
        "test_clock_ms": change.test_clock_ms,
        "create_time_ms": now_ms,
        "granted_nanos": 0,
        "recorded_op": operation.seq,
        "applied_op": 0,
        "applied_status": "active",
        "applied_clock_ms": change.test_clock_ms,
        "remaining_nanos": 0,
        "held_nanos": 0,
        "day": clock_ms // MS_PER_DAY,
        "state": State(spendable=overage, overage=overage, room=limit or 0, limit=limit).tokens(),
    }


def _check_settings(settings: Create | Update, granted_nanos: int) -> None:
    for name in ("overage_protection_nanos", "daily_limit_nanos"):
        if not 0 <= (getattr(settings, name) or 0) <= SETTING_MAX:
            raise AmountOutOfRange(name, f"must be 0 to {SETTING_MAX} nanos")
    if granted_nanos + settings.overage_protection_nanos > INT64_MAX:
        raise AmountOutOfRange("overage_protection_nanos", "with all credits ever granted, would leave int64")


def _check_clock(account: AccountRow, time_ms: int) -> None:
    if account.test_clock_ms is None:
        raise TestClockError(f"account {account.account_id} was not created with a test clock")
    if time_ms < account.test_clock_ms:
        raise TestClockError(
            f"the test clock shows {timestamp(account.test_clock_ms).ToJsonString()} already, and never goes back"
        )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
