"""Records changes by an administrator, before the gate applies the changes.

The gate reads from here what is still to be applied.
"""

import uuid
from collections.abc import Mapping
from functools import partial
from operator import eq
from typing import Any

from sqlalchemy import Select, select, tuple_

from meter.admin.accounts import (
    AccountRow,
    find_account,
    list_accounts,
    lock_account,
    settings_columns,
)
from meter.admin.granting import add_grant, check_new_grant, is_same_grant
from meter.admin.opening import FIRST_SEQ, creation, open_account
from meter.admin.recording import record, recorded
from meter.admin.settings import changed_settings, check_clock, check_settings, is_same_update
from meter.admin.told import status_events
from meter.admin.voiding import is_same_void, numbered_void, voided_nanos
from meter.database.engine import Ledger
from meter.database.schema import accounts, operations
from meter.journal.operations import (
    NEXT_INVOICE,
    AdvanceClock,
    Create,
    Grace,
    GrantCredits,
    Operation,
    Threshold,
    VoidGrant,
    levels_of,
)
from meter.ledger.events import record_events

__all__ = ["AccountRow", "OperationRecorder"]


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
        billing_emails: tuple[str, ...] = (),
        alert_emails: tuple[str, ...] = (),
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
            billing_emails=billing_emails,
            alert_emails=alert_emails,
        )
        return self._create(account_id, shard, change, request_id)

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

        is_same = partial(is_same_update, changes)
        with self._ledger.write() as connection:
            account = lock_account(connection, account_id)
            operation = recorded(connection, account, request_id, is_same)
            if operation is not None:
                return account, operation
            change = changed_settings(connection, account, changes)
            columns = settings_columns(change)
            operation = record(
                connection,
                account,
                request_id,
                change,
                **columns,
            )
            record_events(connection, status_events(account, operation, change))
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

        is_same = partial(is_same_grant, change)
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
        wanted = VoidGrant(
            number=0,
            grant_id=grant_id,
            amount_nanos=amount_nanos,
            type=kind,
            reason=reason,
        )

        is_same = partial(is_same_void, wanted)
        with self._ledger.write() as connection:
            account = lock_account(connection, account_id)
            operation = recorded(connection, account, request_id, is_same)
            if operation is not None:
                return operation
            change = numbered_void(connection, account, wanted)
            return record(connection, account, request_id, change)

    def voided_nanos(self, operation: Operation) -> int | None:
        """Returns how much a VoidGrant took away, or None until the operation is flushed."""
        with self._ledger.read() as connection:
            return voided_nanos(connection, operation)

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
        is_same = partial(eq, change)
        with self._ledger.write() as connection:
            account = lock_account(connection, account_id)
            operation = recorded(connection, account, request_id, is_same)
            if operation is not None:
                return account, operation
            check_clock(account, time_ms)
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
        query = _select_pending(after).limit(limit)
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

    def _create(
        self,
        account_id: str,
        shard: int,
        change: Create,
        request_id: str,
    ) -> tuple[AccountRow, Operation, bool]:
        check_settings(change, granted_nanos=0)
        recorded_id = request_id or f"auto-{uuid.uuid4().hex}"
        operation = Operation(account_id, FIRST_SEQ, recorded_id, change)
        with self._ledger.write() as connection:
            is_new = open_account(connection, operation, change, shard)
            account = lock_account(connection, account_id)
            return account, creation(connection, account, change, request_id), is_new


def _select_pending(after: tuple[str, int]) -> Select[Any]:
    """Selects the operations behind `after` that are recorded but not flushed, in order."""
    place = (operations.c.account_id, operations.c.seq)
    return (
        select(operations.c.body)
        .join(accounts, accounts.c.account_id == operations.c.account_id)
        .where(
            accounts.c.recorded_op > accounts.c.applied_op,
            operations.c.seq > accounts.c.applied_op,
            tuple_(*place) > tuple_(*after),
        )
        .order_by(*place)
    )
