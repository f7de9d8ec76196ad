"""RPCs to make and list batches of voucher codes, and redeem a code."""

import asyncio

from gate.admin.fields import (
    Canonical,
    check_amount,
    check_name,
    check_request_id,
    labels_of,
    optional_ms,
    priority_of,
)
from gate.admin.pages import page_starts_after
from gate.store.restore import Restorer
from meter.admin.voucher_codes import digest, new_code, read_code
from meter.admin.vouchers import BatchRow, Vouchers
from meter.currencies import check_currency
from meter.errors import FailedPrecondition, InvalidField
from meter.ids import check_description, check_id
from meter.journal.grant_types import VOUCHER_TYPES
from meter.pagination import page_of
from meter.statements.grants import grant_message, scope_of
from meter.times import now_ms, optional_timestamp, timestamp
from meter.v1.accounts_pb2 import (
    VOUCHER,
    CreateVouchersRequest,
    CreateVouchersResponse,
    Grant,
    GrantType,
    ListVoucherBatchesRequest,
    ListVoucherBatchesResponse,
    RedeemVoucherRequest,
    VoucherBatch,
)

MAX_CODES = 10_000
MAX_USES = 1_000_000
MAX_CREDITS_LIVE_MS = 100 * 366 * 86_400_000
MAX_CODE_CHARACTERS = 200


class VoucherMethods:
    """Serves the RPCs about vouchers.

    `key` is the secret for the hashes of codes. Without a key no voucher can be made or
    redeemed.
    """

    def __init__(
        self,
        vouchers: Vouchers,
        restorer: Restorer,
        key: str,
        canonical: Canonical,
    ) -> None:
        self._vouchers = vouchers
        self._restorer = restorer
        self._key = key
        self._canonical = canonical

    async def CreateVouchers(self, request: CreateVouchersRequest) -> CreateVouchersResponse:
        check_request_id(request.request_id, required=False)
        _check_batch(request.batch)
        batch = self._batch_row(request)
        key = self._required_key()
        codes = [new_code() for _ in range(batch.codes)]
        digests = await asyncio.to_thread(_digests, key, codes)
        await asyncio.to_thread(self._vouchers.create, batch, digests)
        return CreateVouchersResponse(batch=_batch_message(batch), codes=codes)

    async def RedeemVoucher(self, request: RedeemVoucherRequest) -> Grant:
        check_id("account_id", request.account_id)
        check_request_id(request.request_id, required=True)
        code = _code_of(request)
        operation = await asyncio.to_thread(
            self._vouchers.redeem,
            request.account_id,
            digest(self._required_key(), code),
            request_id=request.request_id,
        )
        await self._restorer.apply(operation)
        return grant_message(request.account_id, operation.change)

    async def ListVoucherBatches(
        self, request: ListVoucherBatchesRequest
    ) -> ListVoucherBatchesResponse:
        page = page_of(request, request.page_size, request.page_token, (str,))
        rows = await asyncio.to_thread(
            self._vouchers.list_batches,
            page_starts_after(page),
            page.limit,
        )
        batches, token = page.fill(
            rows,
            map(_batch_message, rows),
            lambda row: (row.batch_id,),
        )
        return ListVoucherBatchesResponse(batches=batches, next_page_token=token)

    def _required_key(self) -> str:
        if not self._key:
            raise FailedPrecondition(
                "VOUCHERS_OFF",
                "this service has no key for vouchers: "
                "set CREDITGATE_VOUCHER_KEY, the same for every gate",
            )
        return self._key

    def _batch_row(self, request: CreateVouchersRequest) -> BatchRow:
        batch = request.batch
        return BatchRow(
            batch_id=batch.batch_id,
            request_id=request.request_id or None,
            amount_nanos=batch.amount_nanos,
            currency=batch.currency,
            type=GrantType.Name(batch.type or VOUCHER),
            expires_at_ms=optional_ms("batch.expires_at", batch),
            credits_live_ms=batch.credits_live_ms,
            codes=batch.codes,
            uses_per_code=batch.uses_per_code or 1,
            uses_per_account=batch.uses_per_account or 1,
            priority=priority_of("batch.priority", batch.priority),
            description=batch.description,
            scope=labels_of("batch.scope", batch.scope, self._canonical),
            create_time_ms=now_ms(),
        )


def _check_batch(batch: VoucherBatch) -> None:
    check_name("batch.batch_id", batch.batch_id)
    check_amount("batch.amount_nanos", batch.amount_nanos)
    check_currency("batch.currency", batch.currency)
    if batch.type and batch.type not in map(GrantType.Value, VOUCHER_TYPES):
        raise InvalidField("batch.type", f"must be {' or '.join(VOUCHER_TYPES)}")
    check_description("batch.description", batch.description)
    _check_number("batch.credits_live_ms", batch.credits_live_ms, 0, MAX_CREDITS_LIVE_MS)
    _check_number("batch.codes", batch.codes, 1, MAX_CODES)
    _check_number("batch.uses_per_code", batch.uses_per_code, 0, MAX_USES)
    _check_number("batch.uses_per_account", batch.uses_per_account, 0, MAX_USES)


def _check_number(field: str, number: int, least: int, most: int) -> None:
    if not least <= number <= most:
        raise InvalidField(field, f"must be {least} to {most}; it is {number}")


def _code_of(request: RedeemVoucherRequest) -> str:
    """Returns the code in canonical form; raises InvalidField for a mistyped code."""
    code = None
    if len(request.code) <= MAX_CODE_CHARACTERS:
        code = read_code(request.code)
    if code is None:
        # Anyone can compute the check symbol, so this answer tells nothing about real codes.
        raise InvalidField(
            "code",
            "is mistyped: a code has seven groups of four letters and digits",
        )
    return code


def _digests(key: str, codes: list[str]) -> list[str]:
    return [digest(key, code) for code in codes]


def _batch_message(row: BatchRow) -> VoucherBatch:
    return VoucherBatch(
        batch_id=row.batch_id,
        amount_nanos=row.amount_nanos,
        currency=row.currency,
        type=row.type,
        expires_at=optional_timestamp(row.expires_at_ms),
        credits_live_ms=row.credits_live_ms,
        codes=row.codes,
        uses_per_code=row.uses_per_code,
        uses_per_account=row.uses_per_account,
        priority=row.priority,
        description=row.description,
        redeemed=row.redeemed,
        create_time=timestamp(row.create_time_ms),
        scope=scope_of(row.scope),
    )
