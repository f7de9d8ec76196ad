"""Records changes by an administrator, before the gate applies the changes.

The gate reads from here what is still to be applied.
"""

import uuid
from collections.abc import Mapping
from dataclasses import replace
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
from meter.admin.opening import FIRST_SEQ, creation, new_account
from meter.admin.recording import (
    insert_operation,
    now_of,
    record,
    recorded,
    recorded_operation,
)
from meter.database.engine import Ledger, insert_or_ignore
from meter.database.errors import AmountOutOfRange, TestClockError
from meter.database.schema import accounts, entries, operations
from meter.errors import FailedPrecondition
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
from meter.money import INT64_MAX, SETTING_MAX
from meter.times import timestamp

__all__ = [
    "AccountRow",
    "OperationRecorder",
    "record_grant",
    "recorded_operation",
]


class OperationRecorder:
    """Records accounts and their operations, which each account numbers densely from 1.

    A request id takes effect once. A repeat with the same content returns the recorded operation; a
    repeat with other content raises RequestIdReused. Any of the methods may raise
    LedgerUnavailable.
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
        """Records a new account; the last of the results says whether the account is new.

        Without a request id, an account with the same settings is returned. Raises AccountExists
        for an account with other settings.
        """
        change = Create(
            currency=currency,
            overage_protection_nanos=overage_protection_nanos,
            daily_limit_nanos=daily_limit_nanos,
            test_clock_ms=test_clock_ms,
            spend_management=spend_management,
            levels=levels_of(
                thresholds,
                daily_limit_nanos,
                newest_grant_nanos=None,
            ),
            graces=graces,
            overage_policy=overage_policy,
            thresholds=thresholds,
        )
        _check_settings(change, granted_nanos=0)
        recorded_id = request_id or f"auto-{uuid.uuid4().hex}"
        operation = Operation(account_id, FIRST_SEQ, recorded_id, change)
        with self._ledger.write() as connection:
            row = new_account(operation, change, shard)
            is_new = insert_or_ignore(connection, accounts, [row]) == 1
            if is_new:
                insert_operation(connection, operation)
            account = lock_account(connection, account_id)
            return account, creation(connection, account, change, request_id), is_new

    def update_account(
        self,
        account_id: str,
        changes: Mapping[str, Any],
        *,
        request_id: str,
    ) -> tuple[AccountRow, Operation]:
        """Records new values of some of the settings; `changes` names fields of `Update`.

        Raises AccountNotFound; AmountOutOfRange.
        """

        def is_same(was: Change) -> bool:
            return _is_same_update(was, changes)

        with self._ledger.write() as connection:
            account = lock_account(connection, account_id)
            operation = recorded(connection, account, request_id, is_same)
            if operation is not None:
                return account, operation
            change = _update(connection, account, changes)
            _check_settings(change, account.granted_nanos)
            columns = settings_columns(change)
            operation = record(
                connection,
                account,
                request_id,
                change,
                **columns,
            )
            return lock_account(connection, account_id), operation

    def grant_credits(
        self,
        account_id: str,
        change: GrantCredits,
        *,
        request_id: str,
    ) -> Operation:
        """Records a grant; a repeat returns the first operation, whose `grant_id` counts.

        Raises AccountNotFound; AmountOutOfRange; InvalidField if the grant has expired;
        FailedPrecondition if the account has too many grants.
        """

        def is_same(was: Change) -> bool:
            return same_grant(was, change)

        with self._ledger.write() as connection:
            account = lock_account(connection, account_id)
            operation = recorded(connection, account, request_id, is_same)
            if operation is not None:
                return operation
            check_new_grant(connection, account, change)
            return add_grant(connection, account, change, request_id)

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
        """Records that unspent credits of a grant are taken back; None as the amount means all.

        Raises AccountNotFound; NotFound for an unknown grant; FailedPrecondition for a grant that
        is not refundable, or for a part of a grant that is not effective yet.
        """
        # The number is not known before the grant is found; a repeat is compared without it.
        wanted = VoidGrant(
            number=0,
            grant_id=grant_id,
            amount_nanos=amount_nanos,
            type=kind,
            reason=reason,
        )

        def is_same(was: Change) -> bool:
            return isinstance(was, VoidGrant) and replace(was, number=0) == wanted

        with self._ledger.write() as connection:
            account = lock_account(connection, account_id)
            operation = recorded(connection, account, request_id, is_same)
            if operation is not None:
                return operation
            number, grant = find_grant(connection, account_id, grant_id)
            _check_void(account, grant, wanted)
            change = replace(wanted, number=number)
            return record(connection, account, request_id, change)

    def voided_nanos(self, operation: Operation) -> int | None:
        """Returns how much a VoidGrant took away, or None until the operation is flushed."""
        query = select(entries.c.effect).where(
            entries.c.account_id == operation.account_id,
            entries.c.request_id == operation.request_id,
        )
        with self._ledger.read() as connection:
            line = connection.scalar(query)
            if line is None:
                return None
            effect = decode_effect(line)
            if not effect.flags.is_scheduled:
                return effect.amount
            # A grant that is not effective yet is voided whole: no credits moved.
            assert isinstance(operation.change, VoidGrant)
            number = operation.change.number
            grant = recorded_operation(connection, operation.account_id, number).change
            if not isinstance(grant, GrantCredits):
                return 0
            return grant.amount_nanos

    def advance_clock(
        self,
        account_id: str,
        time_ms: int,
        *,
        request_id: str,
    ) -> tuple[AccountRow, Operation]:
        """Records a test clock's new time.

        Raises AccountNotFound; TestClockError for an account without a test clock, or for a time
        before the clock's.
        """
        change = AdvanceClock(time_ms)

        def is_same(was: Change) -> bool:
            return was == change

        with self._ledger.write() as connection:
            account = lock_account(connection, account_id)
            operation = recorded(connection, account, request_id, is_same)
            if operation is not None:
                return account, operation
            _check_clock(account, time_ms)
            operation = record(
                connection,
                account,
                request_id,
                change,
                test_clock_ms=time_ms,
            )
            return lock_account(connection, account_id), operation

    def pending(
        self,
        account_id: str | None = None,
        limit: int = 1000,
        after: tuple[str, int] = ("", 0),
    ) -> list[Operation]:
        """Returns up to `limit` operations that are recorded but not flushed.

        The operations are of one account, or of all for None, sorted by account and number, behind
        `after`.
        """
        place = (operations.c.account_id, operations.c.seq)
        query = (
            select(operations.c.body)
            .join(accounts, accounts.c.account_id == operations.c.account_id)
            .where(
                accounts.c.recorded_op > accounts.c.applied_op,
                operations.c.seq > accounts.c.applied_op,
                tuple_(*place) > tuple_(*after),
            )
            .order_by(*place)
            .limit(limit)
        )
        if account_id is not None:
            query = query.where(operations.c.account_id == account_id)
        with self._ledger.read() as connection:
            return [Operation.from_json(body) for body in connection.scalars(query)]

    def account(self, account_id: str) -> AccountRow | None:
        """Returns the account's settings as recorded, or None for an unknown account."""
        with self._ledger.read() as connection:
            return find_account(connection, account_id)

    def list_accounts(self, after: str, limit: int) -> list[AccountRow]:
        """Returns up to `limit` accounts by id, behind the id `after`."""
        with self._ledger.read() as connection:
            return list_accounts(connection, after, limit)


def record_grant(
    connection: Connection,
    account_id: str,
    change: GrantCredits,
    request_id: str,
) -> Operation:
    """Records credits that the ledger itself gives, within the caller's transaction.

    A repeat returns the first operation. The number of grants and the expiry are not checked.
    Raises AmountOutOfRange.
    """
    account = lock_account(connection, account_id)
    operation = recorded(
        connection,
        account,
        request_id,
        lambda was: same_grant(was, change),
    )
    if operation is not None:
        return operation
    return add_grant(connection, account, change, request_id)


def _update(
    connection: Connection,
    account: AccountRow,
    changes: Mapping[str, Any],
) -> Update:
    """Returns all settings after the changes, with the levels of the thresholds."""
    present = Update(
        status=account.status,
        overage_protection_nanos=account.overage_protection_nanos,
        daily_limit_nanos=account.daily_limit_nanos,
        spend_management=account.spend_management,
        levels=(),
        graces=account.graces,
        overage_policy=account.overage_policy,
        thresholds=account.thresholds,
    )
    change = replace(present, **changes)
    newest_nanos = None
    if any(threshold.moves_with_grants for threshold in change.thresholds):
        newest_nanos = newest_grant_nanos(connection, account.account_id)
    levels = levels_of(
        change.thresholds,
        change.daily_limit_nanos,
        newest_nanos,
    )
    return replace(change, levels=levels)


def _is_same_update(was: Change, changes: Mapping[str, Any]) -> bool:
    if not isinstance(was, Update):
        return False
    return all(getattr(was, name) == value for name, value in changes.items())


def _check_void(
    account: AccountRow,
    grant: GrantCredits,
    wanted: VoidGrant,
) -> None:
    if wanted.type == "MONEY_BACK" and grant.non_refundable:
        message = f"type: grant {grant.grant_id} is not refundable; void it without MONEY_BACK"
        raise FailedPrecondition("NOT_REFUNDABLE", message, "type")
    is_part = wanted.amount_nanos is not None and wanted.amount_nanos < grant.amount_nanos
    is_scheduled = grant.effective_at_ms is not None and now_of(account) < grant.effective_at_ms
    if is_part and is_scheduled:
        message = (
            f"amount_nanos: grant {grant.grant_id} is not effective yet;"
            " void all of it, or a part once it is"
        )
        raise FailedPrecondition("GRANT_SCHEDULED", message, "amount_nanos")


def _check_settings(settings: Create | Update, granted_nanos: int) -> None:
    """Raises AmountOutOfRange for a setting out of bounds, or sums outside of int64."""
    _check_setting("overage_protection_nanos", settings.overage_protection_nanos)
    _check_setting("daily_limit_nanos", settings.daily_limit_nanos or 0)
    if granted_nanos + settings.overage_protection_nanos > INT64_MAX:
        message = "with all credits ever granted, would leave int64"
        raise AmountOutOfRange("overage_protection_nanos", message)


def _check_setting(name: str, nanos: int) -> None:
    if not 0 <= nanos <= SETTING_MAX:
        raise AmountOutOfRange(name, f"must be 0 to {SETTING_MAX} nanos")


def _check_clock(account: AccountRow, time_ms: int) -> None:
    if account.test_clock_ms is None:
        raise TestClockError(f"account {account.account_id} was not created with a test clock")
    if time_ms < account.test_clock_ms:
        shown = timestamp(account.test_clock_ms).ToJsonString()
        raise TestClockError(f"the test clock shows {shown} already, and never goes back")
