"""Changes by an administrator, recorded before they take effect in the gate; and what the gate needs
to put them into effect.
"""

import uuid
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from sqlalchemy import Connection, select, tuple_

from meter.admin.accounts import (
    AccountRow,
    find_account,
    list_accounts,
    lock_account,
    settings_columns,
)
from meter.admin.granting import (
    add_grant,
    check_new_grant,
    find_grant,
    newest_grant_nanos,
    same_grant,
)
from meter.admin.recording import (
    insert_operation,
    now_ms,
    now_of,
    record,
    recorded,
    recorded_operation,
)
from meter.database.engine import Ledger, insert_or_ignore
from meter.database.errors import AccountExists, AmountOutOfRange, TestClockError
from meter.database.schema import accounts, entries, operations
from meter.errors import FailedPrecondition
from meter.journal.account_sums import AccountSums
from meter.journal.effect_codec import decode_effect
from meter.journal.operations import (
    NEXT_INVOICE,
    AdvanceClock,
    Change,
    Create,
    Grace,
    GrantCredits,
    Operation,
    Threshold,
    Update,
    VoidGrant,
    levels_of,
)
from meter.ledger.projections.settings import Settings
from meter.ledger.projections.snapshot import AccountSnapshot, OpenHold, snapshot
from meter.money import INT64_MAX, SETTING_MAX
from meter.times import MS_PER_DAY, timestamp

__all__ = [
    "AccountRow",
    "AccountSnapshot",
    "OpenHold",
    "Operations",
    "record_grant",
    "recorded_operation",
]


class Operations:
    """Accounts and their operations, which each account numbers densely from 1.

    A request id takes effect once: asked for again with the same content, the recorded operation is
    returned; with other content, RequestIdReused. Any of the methods may raise LedgerUnavailable.
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
        spend_management: bool = True,
        graces: tuple[Grace, ...] = (),
        overage_policy: str = NEXT_INVOICE,
        thresholds: tuple[Threshold, ...] = (),
    ) -> tuple[AccountRow, Operation, bool]:
        """Records a new account; whether it is new.

        Without a request id, one that has these settings is returned; else AccountExists.
        """
        change = Create(
            currency,
            overage_protection_nanos,
            daily_limit_nanos,
            test_clock_ms,
            spend_management,
            levels_of(thresholds, daily_limit_nanos, None),
            graces,
            overage_policy,
            thresholds,
        )
        _check_settings(change, granted_nanos=0)
        operation = Operation(account_id, 1, request_id or f"auto-{uuid.uuid4().hex}", change)
        with self._ledger.write() as connection:
            is_new = (
                insert_or_ignore(connection, accounts, [_new_account(operation, change, shard)])
                == 1
            )
            if is_new:
                insert_operation(connection, operation)
            account = lock_account(connection, account_id)
            return account, _creation(connection, account, change, request_id), is_new

    def update_account(
        self, account_id: str, changes: Mapping[str, Any], *, request_id: str
    ) -> tuple[AccountRow, Operation]:
        """Records new values of some of the settings (fields of `Update`).

        AccountNotFound; AmountOutOfRange.
        """
        with self._ledger.write() as connection:
            account = lock_account(connection, account_id)
            operation = recorded(
                connection, account, request_id, lambda was: _same_update(was, changes)
            )
            if operation is None:
                change = _update(connection, account, changes)
                _check_settings(change, account.granted_nanos)
                operation = record(
                    connection, account, request_id, change, **settings_columns(change)
                )
            return lock_account(connection, account_id), operation

    def grant_credits(self, account_id: str, change: GrantCredits, *, request_id: str) -> Operation:
        """Records a grant. A repeat returns the first, whose `grant_id` counts.

        AccountNotFound; AmountOutOfRange; InvalidField if it has expired; FailedPrecondition if the
        account has too many.
        """
        with self._ledger.write() as connection:
            account = lock_account(connection, account_id)
            operation = recorded(
                connection, account, request_id, lambda was: same_grant(was, change)
            )
            if operation is None:
                check_new_grant(connection, account, change)
                operation = add_grant(connection, account, change, request_id)
            return operation

    def void_grant(
        self,
        account_id: str,
        grant_id: str,
        amount_nanos: int | None,
        *,
        kind: str,
        reason: str,
        request_id: str,
    ) -> Operation:
        """Records that unspent credits of a grant are taken back.

        AccountNotFound; NotFound; FailedPrecondition: not refundable.
        """
        with self._ledger.write() as connection:
            account = lock_account(connection, account_id)
            wanted = VoidGrant(0, grant_id, amount_nanos, kind, reason)
            operation = recorded(
                connection, account, request_id, lambda was: _same_void(was, wanted)
            )
            if operation is None:
                number, grant = find_grant(connection, account_id, grant_id)
                _check_void(account, grant, wanted)
                operation = record(connection, account, request_id, replace(wanted, number=number))
            return operation

    def voided_nanos(self, operation: Operation) -> int | None:
        """What a VoidGrant took away, once it has been flushed; None before."""
        own = (entries.c.account_id == operation.account_id) & (
            entries.c.request_id == operation.request_id
        )
        with self._ledger.read() as connection:
            line = connection.scalar(select(entries.c.effect).where(own))
            if line is None:
                return None
            effect = decode_effect(line)
            if not effect.flags.is_scheduled:
                return effect.amount
            assert isinstance(operation.change, VoidGrant)
            grant = recorded_operation(
                connection, operation.account_id, operation.change.number
            ).change
            return grant.amount_nanos if isinstance(grant, GrantCredits) else 0

    def advance_clock(
        self, account_id: str, time_ms: int, *, request_id: str
    ) -> tuple[AccountRow, Operation]:
        """Records a test clock's new time.

        AccountNotFound; TestClockError if it has none or would go back.
        """
        change = AdvanceClock(time_ms)
        with self._ledger.write() as connection:
            account = lock_account(connection, account_id)
            operation = recorded(connection, account, request_id, lambda was: was == change)
            if operation is None:
                _check_clock(account, time_ms)
                operation = record(connection, account, request_id, change, test_clock_ms=time_ms)
            return lock_account(connection, account_id), operation

    def pending(
        self, account_id: str | None = None, limit: int = 1000, after: tuple[str, int] = ("", 0)
    ) -> list[Operation]:
        """Operations recorded but not flushed, of one account or of all, by account and number, behind
        `after`.
        """
        wanted = (
            select(operations.c.body)
            .join(accounts, accounts.c.account_id == operations.c.account_id)
            .where(
                accounts.c.recorded_op > accounts.c.applied_op,
                operations.c.seq > accounts.c.applied_op,
            )
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


def record_grant(
    connection: Connection, account_id: str, change: GrantCredits, request_id: str
) -> Operation:
    """Records credits of the ledger's own accord, within a transaction; whatever was there before.

    AmountOutOfRange.
    """
    account = lock_account(connection, account_id)
    operation = recorded(connection, account, request_id, lambda was: same_grant(was, change))
    return operation or add_grant(connection, account, change, request_id)


def _update(connection: Connection, account: AccountRow, changes: Mapping[str, Any]) -> Update:
    """The settings with these changes, and the levels that come of them."""
    present = Update(
        account.status,
        account.overage_protection_nanos,
        account.daily_limit_nanos,
        account.spend_management,
        (),
        account.graces,
        account.overage_policy,
        account.thresholds,
    )
    change = replace(present, **changes)
    moves = any(threshold.moves_with_grants for threshold in change.thresholds)
    newest = newest_grant_nanos(connection, account.account_id) if moves else None
    return replace(change, levels=levels_of(change.thresholds, change.daily_limit_nanos, newest))


def _same_update(was: Change, changes: Mapping[str, Any]) -> bool:
    return isinstance(was, Update) and all(
        getattr(was, name) == value for name, value in changes.items()
    )


def _check_void(account: AccountRow, grant: GrantCredits, wanted: VoidGrant) -> None:
    if wanted.type == "MONEY_BACK" and grant.non_refundable:
        message = f"type: grant {grant.grant_id} is not refundable; void it without MONEY_BACK"
        raise FailedPrecondition("NOT_REFUNDABLE", message, "type")
    is_part = wanted.amount_nanos is not None and wanted.amount_nanos < grant.amount_nanos
    if is_part and grant.effective_at_ms is not None and now_of(account) < grant.effective_at_ms:
        message = f"amount_nanos: grant {grant.grant_id} is not effective yet; void all of it, or a part once it is"
        raise FailedPrecondition("GRANT_SCHEDULED", message, "amount_nanos")


def _same_void(was: Change, wanted: VoidGrant) -> bool:
    return isinstance(was, VoidGrant) and replace(was, number=0) == wanted


def _creation(
    connection: Connection, account: AccountRow, change: Create, request_id: str
) -> Operation:
    """The operation that created the account, if it is this one or as good."""
    if request_id:
        operation = recorded(connection, account, request_id, lambda was: was == change)
        if operation is None:
            raise AccountExists(account.account_id)
        return operation
    present = {
        field.name: getattr(account, field.name)
        for field in fields(change)
        if field.name != "levels"
    }
    if replace(change, **present) != change:
        raise AccountExists(account.account_id)
    return recorded_operation(connection, account.account_id, 1)


def _new_account(operation: Operation, change: Create, shard: int) -> dict[str, object]:
    overage = change.overage_protection_nanos
    limit = change.daily_limit_nanos
    now = now_ms()
    clock_ms = now if change.test_clock_ms is None else change.test_clock_ms
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
        "day": clock_ms // MS_PER_DAY,
        "state": AccountSums(
            spendable=overage, overage=overage, day_remaining=limit or 0, daily_limit=limit
        ).encode(),
    }


def _check_settings(settings: Create | Update, granted_nanos: int) -> None:
    for name in ("overage_protection_nanos", "daily_limit_nanos"):
        if not 0 <= (getattr(settings, name) or 0) <= SETTING_MAX:
            raise AmountOutOfRange(name, f"must be 0 to {SETTING_MAX} nanos")
    if granted_nanos + settings.overage_protection_nanos > INT64_MAX:
        raise AmountOutOfRange(
            "overage_protection_nanos", "with all credits ever granted, would leave int64"
        )


def _check_clock(account: AccountRow, time_ms: int) -> None:
    if account.test_clock_ms is None:
        raise TestClockError(f"account {account.account_id} was not created with a test clock")
    if time_ms < account.test_clock_ms:
        raise TestClockError(
            f"the test clock shows {timestamp(account.test_clock_ms).ToJsonString()} already, and never goes back"
        )
