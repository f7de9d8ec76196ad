"""Implements meter.v1.Payments: reads each request, does the work in a thread, and answers."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

from sqlalchemy import Connection

from meter.admin.accounts import require_account
from meter.database.engine import Ledger
from meter.errors import FailedPrecondition, InvalidField
from meter.ids import check_description, check_id
from meter.money import INT64_MAX
from meter.pagination import Page, Place, page_of
from meter.payments.messages import (
    add_reversals,
    is_final,
    method_message,
    payment_message,
    refund_message,
)
from meter.payments.method_rows import find_method
from meter.payments.methods import Methods
from meter.payments.outcomes import Outcomes
from meter.payments.payer import Payer
from meter.payments.payment_rows import (
    ACTION_REQUIRED,
    CREATED,
    PAID,
    PaymentRow,
    find_payment,
    newest_payments,
)
from meter.payments.provider import Provider
from meter.payments.provider_check import check_payments
from meter.payments.purchases import HOSTED_PAGE, Purchase, Purchases
from meter.payments.recharge_service import RechargeMethods
from meter.payments.reversal_rows import reversals_of
from meter.payments.reversals import Reversals
from meter.times import exact_ms, timestamp
from meter.v1 import payments_pb2 as pb

_REFUND_POLL_S = 0.1
_REFUND_POLLS = 50


class PaymentsService:
    """Implements meter.v1.Payments; proto/meter/v1/payments.proto says what each call means."""

    def __init__(
        self,
        ledger: Ledger,
        provider: Provider,
        methods: Methods,
        purchases: Purchases,
        payer: Payer,
        outcomes: Outcomes,
        recharges: RechargeMethods,
        reversals: Reversals,
        wait_until_flushed: Callable[[str | None], Awaitable[None]],
        clock: Callable[[], int],
    ) -> None:
        """`clock` returns the time in ms.

        `wait_until_flushed` returns when the ledger holds everything that Redis had acknowledged
        for an account, or raises Unavailable.
        """
        self._ledger = ledger
        self._provider = provider
        self._methods = methods
        self._purchases = purchases
        self._payer = payer
        self._outcomes = outcomes
        self._reversals = reversals
        self._wait_until_flushed = wait_until_flushed
        self._clock = clock
        self.SetAutoRecharge = recharges.SetAutoRecharge
        self.GetAutoRecharge = recharges.GetAutoRecharge
        self.ResumeAutoRecharge = recharges.ResumeAutoRecharge
        self.ListRecharges = recharges.ListRecharges

    async def AddPaymentMethod(self, request: pb.AddPaymentMethodRequest) -> pb.PaymentMethodSetup:
        check_id("account_id", request.account_id)
        setup = await asyncio.to_thread(
            self._methods.begin_setup,
            request.account_id,
            as_default=request.make_default,
            test_method=request.test_method,
        )
        reply = pb.PaymentMethodSetup(
            setup_id=setup.setup_id,
            url=setup.page.url,
            expires_at=timestamp(setup.page.expires_at_ms),
        )
        if setup.method is not None:
            reply.method.CopyFrom(method_message(setup.method, self._clock()))
        return reply

    async def ListPaymentMethods(
        self, request: pb.ListPaymentMethodsRequest
    ) -> pb.ListPaymentMethodsResponse:
        check_id("account_id", request.account_id)
        rows = await asyncio.to_thread(self._methods.list_all, request.account_id)
        now_ms = self._clock()
        return pb.ListPaymentMethodsResponse(methods=[method_message(row, now_ms) for row in rows])

    async def SetDefaultPaymentMethod(
        self, request: pb.SetDefaultPaymentMethodRequest
    ) -> pb.PaymentMethod:
        _check_method_ids(request)
        row = await asyncio.to_thread(
            self._methods.set_default, request.account_id, request.method_id
        )
        return method_message(row, self._clock())

    async def RemovePaymentMethod(self, request: pb.RemovePaymentMethodRequest) -> pb.PaymentMethod:
        _check_method_ids(request)
        row = await asyncio.to_thread(self._methods.remove, request.account_id, request.method_id)
        return method_message(row, self._clock())

    async def BuyCredits(self, request: pb.BuyCreditsRequest) -> pb.Payment:
        purchase = _purchase(request)
        return await asyncio.to_thread(self._buy, purchase, validate_only=request.validate_only)

    async def GetPayment(self, request: pb.GetPaymentRequest) -> pb.Payment:
        _check_payment_ids(request)
        return await asyncio.to_thread(self._look, request, with_action=False)

    async def GetPaymentAction(self, request: pb.GetPaymentRequest) -> pb.Payment:
        _check_payment_ids(request)
        return await asyncio.to_thread(self._look, request, with_action=True)

    async def ListPayments(self, request: pb.ListPaymentsRequest) -> pb.ListPaymentsResponse:
        check_id("account_id", request.account_id)
        page = page_of(request, request.page_size, request.page_token, (int, str))
        return await asyncio.to_thread(self._list, request.account_id, page)

    async def CancelPayment(self, request: pb.GetPaymentRequest) -> pb.Payment:
        _check_payment_ids(request)
        row = await asyncio.to_thread(self._outcomes.cancel, request.account_id, request.payment_id)
        return await asyncio.to_thread(self._message, row)

    async def CompletePayment(self, request: pb.CompletePaymentRequest) -> pb.Payment:
        _check_payment_ids(request)
        row = await asyncio.to_thread(
            self._outcomes.complete,
            request.account_id,
            request.payment_id,
            succeeds=not request.failed,
        )
        return await asyncio.to_thread(self._message, row)

    async def RefundTopUp(self, request: pb.RefundTopUpRequest) -> pb.Refund:
        _check_refund(request)
        amount_nanos = None
        if request.HasField("amount_nanos"):
            amount_nanos = request.amount_nanos
        await self._wait_until_flushed(request.account_id)  # for what the top-up has left
        row = await asyncio.to_thread(
            self._reversals.refund,
            request.account_id,
            request.request_id,
            request.top_up_id,
            amount_nanos,
            request.reason,
        )
        for _ in range(_REFUND_POLLS):
            if row.due_ms is None:
                break
            # How many credits were taken is known once the flusher has written the entry.
            await asyncio.sleep(_REFUND_POLL_S)
            row = await asyncio.to_thread(
                self._reversals.advance, request.account_id, request.request_id
            )
        return refund_message(row)

    async def CheckPayments(self, request: pb.CheckPaymentsRequest) -> pb.CheckPaymentsResponse:
        if request.account_id:
            check_id("account_id", request.account_id)
        return await asyncio.to_thread(
            check_payments,
            self._ledger,
            self._provider,
            request.account_id,
            self._clock(),
        )

    def _buy(self, purchase: Purchase, *, validate_only: bool) -> pb.Payment:
        if validate_only:
            return payment_message(self._purchases.validate(purchase))
        row = self._purchases.buy(purchase)
        row = self._payer.advance(row.account_id, row.payment_id)
        return self._with_action(row)

    def _look(self, request: pb.GetPaymentRequest, *, with_action: bool) -> pb.Payment:
        with self._ledger.read() as connection:
            row = find_payment(connection, request.account_id, request.payment_id)
        if not is_final(row) and row.state != CREATED and self._is_ours(row):
            row = self._payer.settle(row, self._payer.look(row))
            row = self._payer.advance(row.account_id, row.payment_id)
        if row.state == PAID and self._is_ours(row):
            self._reversals.review(row, self._payer.look(row))
        if not with_action:
            return self._message(row)
        if is_final(row):
            message = f"payment_id: payment {row.payment_id} has ended; nothing is to be done"
            raise FailedPrecondition("PAYMENT_FINAL", message, "payment_id")
        return self._with_action(row)

    def _with_action(self, row: PaymentRow) -> pb.Payment:
        message = self._message(row)
        if row.state == ACTION_REQUIRED and self._is_ours(row):
            message.action_url = self._payer.look(row).action_url
        return message

    def _message(self, row: PaymentRow) -> pb.Payment:
        with self._ledger.read() as connection:
            message = payment_message(row, _method_label(connection, row))
            add_reversals(message, reversals_of(connection, row.payment_id))
        if not is_final(row) and self._is_ours(row):
            message.instructions = self._provider.instructions
        return message

    def _list(self, account_id: str, page: Page) -> pb.ListPaymentsResponse:
        with self._ledger.read() as connection:
            require_account(connection, account_id)
            before = _place_before(page)
            rows = newest_payments(connection, account_id, page.limit, before)
            messages = [payment_message(row, _method_label(connection, row)) for row in rows]
            for message in messages:
                add_reversals(message, reversals_of(connection, message.payment_id))
        payments, token = page.fill(rows, messages, _place_of)
        return pb.ListPaymentsResponse(payments=payments, next_page_token=token)

    def _is_ours(self, row: PaymentRow) -> bool:
        """Says whether the payment is with the provider that is configured now."""
        return row.provider == self._provider.name


def _purchase(request: pb.BuyCreditsRequest) -> Purchase:
    check_id("account_id", request.account_id)
    check_id("request_id", request.request_id)
    if not 0 < request.amount_nanos <= INT64_MAX:
        raise InvalidField("amount_nanos", f"must be above 0; it is {request.amount_nanos}")
    by = request.WhichOneof("by")
    if by is None or not getattr(request, by):
        raise InvalidField("by", "give method_id, default_method or hosted_page")
    if by == "method_id":
        check_id("method_id", request.method_id)
    expires_at_ms = None
    if request.HasField("expires_at"):
        expires_at_ms = exact_ms("expires_at", request.expires_at)
    return Purchase(
        account_id=request.account_id,
        request_id=request.request_id,
        fingerprint=_fingerprint(request),
        amount_nanos=request.amount_nanos,
        method_id=request.method_id,
        hosted=request.hosted_page,
        expires_at_ms=expires_at_ms,
        non_refundable=request.non_refundable,
    )


def _fingerprint(request: pb.BuyCreditsRequest) -> str:
    content = request.SerializeToString(deterministic=True)
    return hashlib.sha256(content).hexdigest()


def _check_method_ids(
    request: pb.SetDefaultPaymentMethodRequest | pb.RemovePaymentMethodRequest,
) -> None:
    check_id("account_id", request.account_id)
    check_id("method_id", request.method_id)


def _check_refund(request: pb.RefundTopUpRequest) -> None:
    check_id("account_id", request.account_id)
    check_id("request_id", request.request_id)
    check_id("top_up_id", request.top_up_id)
    if not request.reason:
        raise InvalidField("reason", "must give the reason")
    check_description("reason", request.reason)
    if request.HasField("amount_nanos") and not 0 < request.amount_nanos <= INT64_MAX:
        raise InvalidField("amount_nanos", f"must be above 0; it is {request.amount_nanos}")


def _check_payment_ids(request: pb.GetPaymentRequest | pb.CompletePaymentRequest) -> None:
    check_id("account_id", request.account_id)
    check_id("payment_id", request.payment_id)


def _method_label(connection: Connection, row: PaymentRow) -> str:
    if row.method_id:
        return find_method(connection, row.account_id, row.method_id).label
    if row.hosted:
        return HOSTED_PAGE
    return ""


def _place_of(row: PaymentRow) -> Place:
    return row.create_time_ms, row.payment_id


def _place_before(page: Page) -> tuple[int, str] | None:
    if page.after is None:
        return None
    create_time_ms, payment_id = page.after
    return int(create_time_ms), str(payment_id)
