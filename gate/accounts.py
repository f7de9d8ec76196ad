"""Accounts and the credits given to them: each change is recorded in the ledger first, then applied to Redis."""

import asyncio
import re
import uuid

from google.protobuf.field_mask_pb2 import FieldMask

from gate.keys import shard_of
from gate.reaper import Reaper
from gate.restore import Restorer
from meter.errors import InvalidField
from meter.ids import check_description, check_id
from meter.ledger.errors import AccountNotFound
from meter.ledger.operations import AccountRow, Operations
from meter.money import SETTING_MAX
from meter.operations import GrantCredits, Operation
from meter.pages import page_of
from meter.times import exact_ms, timestamp
from meter.v1.accounts_pb2 import (
    ACTIVE,
    SUSPENDED,
    Account,
    AccountStatus,
    AdvanceTestClockRequest,
    CreateAccountRequest,
    GetAccountRequest,
    Grant,
    GrantCreditsRequest,
    GrantType,
    ListAccountsRequest,
    ListAccountsResponse,
    UpdateAccountRequest,
)

DEFAULT_PRIORITY = 50
_CURRENCY = re.compile(r"[A-Z]{3}")
_STATUS = {"active": ACTIVE, "suspended": SUSPENDED}
_UPDATABLE = ("status", "overage_protection_nanos", "daily_limit_nanos")


class AccountsService:
    """meter.v1.Accounts; what each call means stands in proto/meter/v1/accounts.proto."""

    def __init__(self, operations: Operations, restorer: Restorer, reaper: Reaper, shards: int) -> None:
        self._operations, self._restorer, self._reaper, self._shards = operations, restorer, reaper, shards

    async def CreateAccount(self, request: CreateAccountRequest) -> Account:
        account = request.account
        check_id("account.account_id", account.account_id)
        if not _CURRENCY.fullmatch(account.currency):
            raise InvalidField("account.currency", "three capital letters of ISO 4217, such as USD")
        if account.status not in (AccountStatus.ACCOUNT_STATUS_UNSPECIFIED, ACTIVE):
            raise InvalidField("account.status", "an account begins ACTIVE; suspend it with UpdateAccount")
        _check_request_id(request.request_id, required=False)
        _check_setting("account.overage_protection_nanos", account.overage_protection_nanos)
        _check_setting("account.daily_limit_nanos", account.daily_limit_nanos)
        row, operation, is_new = await asyncio.to_thread(
            self._operations.create_account,
            account.account_id,
            shard=shard_of(account.account_id, self._shards),
            currency=account.currency,
            overage_protection_nanos=account.overage_protection_nanos,
            daily_limit_nanos=account.daily_limit_nanos if account.HasField("daily_limit_nanos") else None,
            test_clock_ms=_optional_ms("account.test_clock_time", account),
            request_id=request.request_id,
        )
        # Created before, it may be missing in Redis: then it is to be loaded with its credits, not created anew.
        await (self._restorer.apply(operation) if is_new else self._restorer.restore(account.account_id))
        return _account(row)

    async def GetAccount(self, request: GetAccountRequest) -> Account:
        check_id("account_id", request.account_id)
        return _account(await self._row(request.account_id))

    async def ListAccounts(self, request: ListAccountsRequest) -> ListAccountsResponse:
        page = page_of(request, request.page_size, request.page_token, (str,))
        after = str(page.after[0]) if page.after else ""
        rows = await asyncio.to_thread(self._operations.list_accounts, after, page.size + 1)
        token = page.token((rows[page.size - 1].account_id,)) if len(rows) > page.size else ""
        return ListAccountsResponse(accounts=[_account(row) for row in rows[: page.size]], next_page_token=token)

    async def UpdateAccount(self, request: UpdateAccountRequest) -> Account:
        account = request.account
        check_id("account.account_id", account.account_id)
        _check_request_id(request.request_id, required=False)
        paths = _paths(request.update_mask)
        if "status" in paths and account.status not in (ACTIVE, SUSPENDED):
            raise InvalidField("account.status", "must be ACTIVE or SUSPENDED")
        _check_setting("account.overage_protection_nanos", account.overage_protection_nanos)
        _check_setting("account.daily_limit_nanos", account.daily_limit_nanos)
        changes: dict[str, str | int | None] = {}
        if "status" in paths:
            changes["status"] = AccountStatus.Name(account.status).lower()
        if "overage_protection_nanos" in paths:
            changes["overage_protection_nanos"] = account.overage_protection_nanos
        if "daily_limit_nanos" in paths:
            changes["daily_limit_nanos"] = account.daily_limit_nanos if account.HasField("daily_limit_nanos") else None
        row, operation = await asyncio.to_thread(
            self._operations.update_account, account.account_id, changes, request_id=request.request_id or _new_id()
        )
        await self._restorer.apply(operation)
        return _account(row)

    async def GrantCredits(self, request: GrantCreditsRequest) -> Grant:
        grant = request.grant
        check_id("account_id", request.account_id)
        _check_request_id(request.request_id, required=True)
        if grant.account_id not in ("", request.account_id):
            raise InvalidField("grant.account_id", "must be empty, or the account_id of the request")
        if grant.type not in GrantType.values():
            raise InvalidField("grant.type", f"must be one of {', '.join(GrantType.keys()[1:])}")
        if grant.amount_nanos <= 0:
            raise InvalidField("grant.amount_nanos", f"must be above 0; it is {grant.amount_nanos}")
        if not 0 <= grant.priority <= 1000:
            raise InvalidField("grant.priority", "must be 0 to 1000")
        check_description("grant.description", grant.description)
        change = GrantCredits(
            grant_id=f"g{uuid.uuid4().hex}",
            type=GrantType.Name(grant.type or GrantType.TOP_UP),
            amount_nanos=grant.amount_nanos,
            priority=grant.priority or DEFAULT_PRIORITY,
            effective_at_ms=_optional_ms("grant.effective_at", grant),
            expires_at_ms=_optional_ms("grant.expires_at", grant),
            description=grant.description,
        )
        operation = await asyncio.to_thread(
            self._operations.grant_credits, request.account_id, change, request_id=request.request_id
        )
        await self._restorer.apply(operation)
        return _grant(operation)

    async def AdvanceTestClock(self, request: AdvanceTestClockRequest) -> Account:
        check_id("account_id", request.account_id)
        _check_request_id(request.request_id, required=False)
        if not request.HasField("time"):
            raise InvalidField("time", "is required")
        row, operation = await asyncio.to_thread(
            self._operations.advance_clock,
            request.account_id,
            exact_ms("time", request.time),
            request_id=request.request_id or _new_id(),
        )
        await self._restorer.apply(operation)
        await self._reaper.expire_of(shard_of(request.account_id, self._shards), request.account_id)
        return _account(row)

    async def _row(self, account_id: str) -> AccountRow:
        row = await asyncio.to_thread(self._operations.account, account_id)
        if row is None:
            raise AccountNotFound(account_id)
        return row


def _new_id() -> str:
    return f"auto-{uuid.uuid4().hex}"


def _check_request_id(request_id: str, *, required: bool) -> None:
    if request_id or required:
        check_id("request_id", request_id)


def _check_setting(field: str, nanos: int) -> None:
    if not 0 <= nanos <= SETTING_MAX:
        raise InvalidField(field, f"must be 0 to {SETTING_MAX} nanos; it is {nanos}")


def _optional_ms(field: str, message: Account | Grant) -> int | None:
    name = field.rpartition(".")[2]
    return exact_ms(field, getattr(message, name)) if message.HasField(name) else None


def _paths(mask: FieldMask) -> set[str]:
    paths = set(mask.paths)
    if not paths:
        raise InvalidField("update_mask", f"name what to change: {', '.join(_UPDATABLE)}")
    if unknown := paths - set(_UPDATABLE):
        # One is enough: a message of many would not fit into a status.
        raise InvalidField("update_mask", f"{min(unknown)[:64]!r} cannot be changed; what can: {', '.join(_UPDATABLE)}")
    return paths


def _account(row: AccountRow) -> Account:
    return Account(
        account_id=row.account_id,
        currency=row.currency,
        status=_STATUS[row.status],
        overage_protection_nanos=row.overage_protection_nanos,
        daily_limit_nanos=row.daily_limit_nanos,
        test_clock_time=None if row.test_clock_ms is None else timestamp(row.test_clock_ms),
        create_time=timestamp(row.create_time_ms),
    )


def _grant(operation: Operation) -> Grant:
    change = operation.change
    assert isinstance(change, GrantCredits)
    return Grant(
        grant_id=change.grant_id,
        account_id=operation.account_id,
        type=change.type,
        amount_nanos=change.amount_nanos,
        priority=change.priority,
        effective_at=None if change.effective_at_ms is None else timestamp(change.effective_at_ms),
        expires_at=None if change.expires_at_ms is None else timestamp(change.expires_at_ms),
        description=change.description,
    )
