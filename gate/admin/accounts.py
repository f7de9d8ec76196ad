"""RPCs to create, show, list and change accounts."""

import asyncio
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from gate.admin.fields import (
    check_choice,
    check_request_id,
    check_setting,
    new_request_id,
    optional_ms,
)
from gate.admin.pages import page_starts_after
from gate.admin.thresholds import grace_message, graces_of, threshold_message, thresholds_of
from gate.store.expiry import Expiry
from gate.store.keys import shard_of
from gate.store.reaper import Reaper
from gate.store.restore import Restorer
from meter.admin.recorder import AccountRow, OperationRecorder
from meter.currencies import check_currency
from meter.database.errors import AccountNotFound
from meter.emails import check_emails
from meter.errors import InvalidField
from meter.ids import check_id
from meter.pagination import page_of
from meter.times import exact_ms, optional_timestamp, timestamp
from meter.v1.accounts_pb2 import (
    ACTIVE,
    SUSPENDED,
    Account,
    AccountStatus,
    AdvanceTestClockRequest,
    CreateAccountRequest,
    GetAccountRequest,
    ListAccountsRequest,
    ListAccountsResponse,
    OveragePolicy,
    UpdateAccountRequest,
)

# Paths that an update mask may name, and the field of meter.journal.operations.Update for each.
_UPDATABLE = {
    "status": "status",
    "overage_protection_nanos": "overage_protection_nanos",
    "daily_limit_nanos": "daily_limit_nanos",
    "overage_policy": "overage_policy",
    "spend_management_off": "spend_management",
    "thresholds": "thresholds",
    "graces": "graces",
    "billing_emails": "billing_emails",
    "alert_emails": "alert_emails",
}
_UPDATABLE_PATHS = ", ".join(_UPDATABLE)


class AccountMethods:
    """Serves the RPCs about accounts and settings."""

    def __init__(
        self,
        operations: OperationRecorder,
        restorer: Restorer,
        reaper: Reaper,
        expiry: Expiry,
        shards: int,
    ) -> None:
        self._operations = operations
        self._restorer = restorer
        self._reaper = reaper
        self._expiry = expiry
        self._shards = shards

    async def CreateAccount(self, request: CreateAccountRequest) -> Account:
        _check_new_account(request)
        account = request.account
        settings = _settings(account)
        row, operation, is_new = await asyncio.to_thread(
            self._operations.create_account,
            account.account_id,
            shard=shard_of(account.account_id, self._shards),
            currency=account.currency,
            test_clock_ms=optional_ms("account.test_clock_time", account),
            request_id=request.request_id,
            **settings,
        )
        if is_new:
            await self._restorer.apply(operation)
        else:
            # An account that Redis has lost must be loaded with its credits, not created anew.
            await self._restorer.restore(account.account_id)
        return _account_message(row)

    async def GetAccount(self, request: GetAccountRequest) -> Account:
        check_id("account_id", request.account_id)
        row = await asyncio.to_thread(self._operations.account, request.account_id)
        if row is None:
            raise AccountNotFound(request.account_id)
        return _account_message(row)

    async def ListAccounts(self, request: ListAccountsRequest) -> ListAccountsResponse:
        page = page_of(request, request.page_size, request.page_token, (str,))
        rows = await asyncio.to_thread(
            self._operations.list_accounts,
            page_starts_after(page),
            page.limit,
        )
        accounts, token = page.fill(
            rows,
            map(_account_message, rows),
            lambda row: (row.account_id,),
        )
        return ListAccountsResponse(accounts=accounts, next_page_token=token)

    async def UpdateAccount(self, request: UpdateAccountRequest) -> Account:
        account = request.account
        check_id("account.account_id", account.account_id)
        check_request_id(request.request_id, required=False)
        row, operation = await asyncio.to_thread(
            self._operations.update_account,
            account.account_id,
            _changes(request),
            request_id=request.request_id or new_request_id(),
        )
        await self._restorer.apply(operation)
        return _account_message(row)

    async def AdvanceTestClock(self, request: AdvanceTestClockRequest) -> Account:
        account_id = request.account_id
        check_id("account_id", account_id)
        check_request_id(request.request_id, required=False)
        if not request.HasField("time"):
            raise InvalidField("time", "is required")
        row, operation = await asyncio.to_thread(
            self._operations.advance_clock,
            account_id,
            exact_ms("time", request.time),
            request_id=request.request_id or new_request_id(),
        )
        await self._restorer.apply(operation)
        await self._reaper.expire_of(shard_of(account_id, self._shards), account_id)
        await self._expiry.process_due_grants(account_id)
        return _account_message(row)


def _check_new_account(request: CreateAccountRequest) -> None:
    account = request.account
    check_id("account.account_id", account.account_id)
    check_currency("account.currency", account.currency)
    _check_new_status(account)
    check_request_id(request.request_id, required=False)


def _check_new_status(account: Account) -> None:
    if account.status not in (AccountStatus.ACCOUNT_STATUS_UNSPECIFIED, ACTIVE):
        raise InvalidField(
            "account.status",
            "an account begins ACTIVE; suspend it with UpdateAccount",
        )


def _changes(request: UpdateAccountRequest) -> dict[str, Any]:
    """Returns the new values of the settings in the mask, keyed by fields of Update."""
    account = request.account
    paths = _paths(request.update_mask)
    if "status" in paths and account.status not in (ACTIVE, SUSPENDED):
        raise InvalidField("account.status", "must be ACTIVE or SUSPENDED")
    settings = _settings(account) | {"status": _status(account)}
    names = [_UPDATABLE[path] for path in paths]
    return {name: settings[name] for name in names}


def _settings(account: Account) -> dict[str, Any]:
    """Returns the account's settings except the status, keyed by fields of Update.

    Raises InvalidField for a setting out of bounds.
    """
    check_setting("account.overage_protection_nanos", account.overage_protection_nanos)
    check_setting("account.daily_limit_nanos", account.daily_limit_nanos)
    check_choice("account.overage_policy", account.overage_policy, OveragePolicy)
    check_emails("account.billing_emails", account.billing_emails)
    check_emails("account.alert_emails", account.alert_emails)
    overage_policy = account.overage_policy or OveragePolicy.NEXT_INVOICE
    daily_limit_nanos = None
    if account.HasField("daily_limit_nanos"):
        daily_limit_nanos = account.daily_limit_nanos
    return {
        "overage_protection_nanos": account.overage_protection_nanos,
        "daily_limit_nanos": daily_limit_nanos,
        "overage_policy": OveragePolicy.Name(overage_policy).lower(),
        "spend_management": not account.spend_management_off,
        "thresholds": thresholds_of(account.thresholds),
        "graces": graces_of(account.graces),
        "billing_emails": tuple(account.billing_emails),
        "alert_emails": tuple(account.alert_emails),
    }


def _status(account: Account) -> str:
    if account.status == SUSPENDED:
        return "suspended"
    return "active"


def _paths(mask: FieldMask) -> set[str]:
    paths = set(mask.paths)
    unknown = paths - set(_UPDATABLE)
    if not paths:
        raise InvalidField("update_mask", f"name what to change: {_UPDATABLE_PATHS}")
    if unknown:
        raise _not_updatable(unknown)
    return paths


def _not_updatable(paths: set[str]) -> InvalidField:
    # One is enough: a message of many would not fit into a status.
    first = min(paths)[:64]
    return InvalidField(
        "update_mask",
        f"{first!r} cannot be changed; what can: {_UPDATABLE_PATHS}",
    )


def _account_message(row: AccountRow) -> Account:
    return Account(
        account_id=row.account_id,
        currency=row.currency,
        status=row.status.upper(),
        overage_protection_nanos=row.overage_protection_nanos,
        daily_limit_nanos=row.daily_limit_nanos,
        test_clock_time=optional_timestamp(row.test_clock_ms),
        create_time=timestamp(row.create_time_ms),
        overage_policy=row.overage_policy.upper(),
        spend_management_off=not row.spend_management,
        thresholds=map(threshold_message, row.thresholds),
        graces=map(grace_message, row.graces),
        billing_emails=row.billing_emails,
        alert_emails=row.alert_emails,
    )
