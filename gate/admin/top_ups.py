"""Top-ups: purchases of credits."""

import asyncio
import hashlib
from collections.abc import Mapping

from gate.admin.fields import (
    check_amount,
    check_choice,
    check_currency,
    check_request_id,
    optional_ms,
)
from gate.store.restore import Restorer
from meter.admin.recorder import Operations
from meter.admin.top_up_bounds import TopUpBound
from meter.admin.top_ups import TopUpRow, TopUps
from meter.database.errors import AccountNotFound
from meter.errors import InvalidField
from meter.ids import check_id, check_text
from meter.journal.operations import Operation
from meter.money import format_credits
from meter.pagination import page_of
from meter.times import optional_timestamp, timestamp
from meter.v1.accounts_pb2 import (
    FAILED,
    SUCCEEDED,
    CompleteTopUpRequest,
    CreateTopUpRequest,
    ListTopUpsRequest,
    ListTopUpsResponse,
    TopUp,
    TopUpStatus,
)

MAX_REFERENCE_BYTES = 128
MAX_METHOD_BYTES = 64


class TopUpMethods:
    """Top-ups made, completed and listed.

    `bounds` are what one may be, by currency; where there are none, anything above 0.
    """

    def __init__(
        self,
        operations: Operations,
        top_ups: TopUps,
        restorer: Restorer,
        bounds: Mapping[str, TopUpBound],
    ) -> None:
        self._operations = operations
        self._top_ups = top_ups
        self._restorer = restorer
        self._bounds = bounds

    async def CreateTopUp(self, request: CreateTopUpRequest) -> TopUp:
        check_request_id(request.request_id, required=True)
        wanted = _wanted(request)
        account = await asyncio.to_thread(self._operations.account, wanted.account_id)
        if account is None:
            raise AccountNotFound(wanted.account_id)
        self._check_bounds(wanted.amount_nanos, account.currency)
        return await self._answer(*await asyncio.to_thread(self._top_ups.create, wanted))

    async def CompleteTopUp(self, request: CompleteTopUpRequest) -> TopUp:
        check_id("account_id", request.account_id)
        check_id("top_up_id", request.top_up_id)
        if request.status not in (SUCCEEDED, FAILED):
            raise InvalidField("status", "must be SUCCEEDED or FAILED")
        status = TopUpStatus.Name(request.status)
        ended = await asyncio.to_thread(
            self._top_ups.complete, request.account_id, request.top_up_id, status
        )
        return await self._answer(*ended)

    async def ListTopUps(self, request: ListTopUpsRequest) -> ListTopUpsResponse:
        check_id("account_id", request.account_id)
        page = page_of(request, request.page_size, request.page_token, (int, str))
        before = (int(page.after[0]), str(page.after[1])) if page.after else None
        rows = await asyncio.to_thread(
            self._top_ups.newest, request.account_id, page.size + 1, before
        )
        last = rows[page.size - 1] if len(rows) > page.size else None
        return ListTopUpsResponse(
            top_ups=map(_message, rows[: page.size]),
            next_page_token=""
            if last is None
            else page.token((last.create_time_ms, last.top_up_id)),
        )

    def _check_bounds(self, nanos: int, currency: str) -> None:
        bounds = self._bounds.get(currency)
        if bounds is not None and not bounds.allow(nanos):
            raise InvalidField(
                "top_up.amount_nanos", f"must be {bounds} {currency}; it is {format_credits(nanos)}"
            )

    async def _answer(self, row: TopUpRow, operation: Operation | None) -> TopUp:
        """The top-up, once its credits are in the gate."""
        if operation is not None:
            await self._restorer.apply(operation)
        return _message(row)


def _wanted(request: CreateTopUpRequest) -> TopUpRow:
    top_up = request.top_up
    check_id("top_up.account_id", top_up.account_id)
    check_amount("top_up.amount_nanos", top_up.amount_nanos)
    if top_up.currency:
        check_currency("top_up.currency", top_up.currency)
    check_choice("top_up.status", top_up.status, TopUpStatus)
    if not top_up.payment_reference:
        raise InvalidField(
            "top_up.payment_reference", "is required: what the payment provider calls the payment"
        )
    check_text("top_up.payment_reference", top_up.payment_reference, MAX_REFERENCE_BYTES)
    check_text("top_up.payment_method", top_up.payment_method, MAX_METHOD_BYTES)
    return TopUpRow(
        top_up_id="",
        account_id=top_up.account_id,
        request_id=request.request_id,
        fingerprint=hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest(),
        amount_nanos=top_up.amount_nanos,
        currency=top_up.currency,
        payment_reference=top_up.payment_reference,
        payment_method=top_up.payment_method,
        status=TopUpStatus.Name(top_up.status or SUCCEEDED),
        expires_at_ms=optional_ms("top_up.expires_at", top_up),
        non_refundable=top_up.non_refundable,
        grant_id="",
        create_time_ms=0,
    )


def _message(row: TopUpRow) -> TopUp:
    return TopUp(
        top_up_id=row.top_up_id,
        account_id=row.account_id,
        amount_nanos=row.amount_nanos,
        currency=row.currency,
        payment_reference=row.payment_reference,
        payment_method=row.payment_method,
        status=row.status,
        expires_at=optional_timestamp(row.expires_at_ms),
        non_refundable=row.non_refundable,
        grant_id=row.grant_id,
        create_time=timestamp(row.create_time_ms),
    )
