"""RPCs to make, complete and list top-ups: purchases of credits."""

import asyncio
import hashlib
from collections.abc import Mapping

from gate.admin.fields import (
    check_amount,
    check_choice,
    check_request_id,
    optional_ms,
)
from gate.store.restore import Restorer
from meter.admin.recorder import OperationRecorder
from meter.admin.top_up_bounds import TopUpBound, check_bounds, check_payable
from meter.admin.top_ups import TopUpRow, TopUps, check_top_up_currency
from meter.currencies import check_currency
from meter.database.errors import AccountNotFound
from meter.errors import InvalidField
from meter.ids import check_id, check_text
from meter.journal.operations import Operation
from meter.pagination import Page, Place, page_of
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
    """Serves the RPCs about top-ups.

    `bounds` has the least and most amount of one top-up by currency. In any other currency an
    amount need only be above 0.
    """

    def __init__(
        self,
        operations: OperationRecorder,
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
        _check_top_up(request.top_up)
        wanted = _top_up_row(request)
        account = await asyncio.to_thread(self._operations.account, wanted.account_id)
        if account is None:
            raise AccountNotFound(wanted.account_id)
        check_top_up_currency(wanted, account.currency)
        field = "top_up.amount_nanos"
        check_bounds(field, wanted.amount_nanos, account.currency, self._bounds)
        check_payable(field, wanted.amount_nanos, account.currency)
        row, operation = await asyncio.to_thread(self._top_ups.create, wanted)
        return await self._apply(row, operation)

    async def CompleteTopUp(self, request: CompleteTopUpRequest) -> TopUp:
        check_id("account_id", request.account_id)
        check_id("top_up_id", request.top_up_id)
        if request.status not in (SUCCEEDED, FAILED):
            raise InvalidField("status", "must be SUCCEEDED or FAILED")
        row, operation = await asyncio.to_thread(
            self._top_ups.complete,
            request.account_id,
            request.top_up_id,
            TopUpStatus.Name(request.status),
        )
        return await self._apply(row, operation)

    async def ListTopUps(self, request: ListTopUpsRequest) -> ListTopUpsResponse:
        check_id("account_id", request.account_id)
        page = page_of(
            request,
            request.page_size,
            request.page_token,
            (int, str),
        )
        rows = await asyncio.to_thread(
            self._top_ups.newest,
            request.account_id,
            page.limit,
            _place_before(page),
        )
        top_ups, token = page.fill(rows, map(_top_up_message, rows), _place_of)
        return ListTopUpsResponse(top_ups=top_ups, next_page_token=token)

    async def _apply(self, row: TopUpRow, operation: Operation | None) -> TopUp:
        """Returns the top-up once the gate has applied the operation, if any."""
        if operation is not None:
            await self._restorer.apply(operation)
        return _top_up_message(row)


def _check_top_up(top_up: TopUp) -> None:
    check_id("top_up.account_id", top_up.account_id)
    check_amount("top_up.amount_nanos", top_up.amount_nanos)
    if top_up.currency:
        check_currency("top_up.currency", top_up.currency)
    check_choice("top_up.status", top_up.status, TopUpStatus)
    if not top_up.payment_reference:
        raise InvalidField(
            "top_up.payment_reference",
            "is required: what the payment provider calls the payment",
        )
    check_text("top_up.payment_reference", top_up.payment_reference, MAX_REFERENCE_BYTES)
    check_text("top_up.payment_method", top_up.payment_method, MAX_METHOD_BYTES)


def _top_up_row(request: CreateTopUpRequest) -> TopUpRow:
    """Returns the row for a new top-up; the ledger fills in the empty ids and times."""
    top_up = request.top_up
    content = request.SerializeToString(deterministic=True)
    return TopUpRow(
        top_up_id="",
        account_id=top_up.account_id,
        request_id=request.request_id,
        fingerprint=hashlib.sha256(content).hexdigest(),
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


def _place_of(row: TopUpRow) -> Place:
    return row.create_time_ms, row.top_up_id


def _place_before(page: Page) -> tuple[int, str] | None:
    if page.after is None:
        return None
    create_time_ms, top_up_id = page.after
    return int(create_time_ms), str(top_up_id)


def _top_up_message(row: TopUpRow) -> TopUp:
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
        origin=row.origin,
        refunded_nanos=row.refunded_nanos,
    )
