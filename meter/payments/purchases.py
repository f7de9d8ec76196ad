"""Records purchases of credits: a pending top-up and its payment, in one transaction."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from meter.admin.accounts import AccountRow, find_account, lock_account
from meter.admin.top_up_bounds import TopUpBound, check_bounds, check_payable
from meter.admin.top_ups import PENDING, TopUpRow, TopUps
from meter.currencies import minor_units
from meter.database.engine import Ledger
from meter.database.errors import AccountNotFound
from meter.errors import FailedPrecondition
from meter.payments.method_rows import usable_method
from meter.payments.payment_rows import PURCHASE, PaymentRow, insert_payment, payment_of
from meter.payments.provider import Provider

BOUGHT = "BOUGHT"
AUTO = "AUTO"
HOSTED_PAGE = "hosted page"


@dataclass(frozen=True, slots=True)
class Purchase:
    """Says what is bought; `method_id` is empty for the default method, and for a hosted page."""

    account_id: str
    request_id: str
    fingerprint: str  # of the request
    amount_nanos: int
    method_id: str
    hosted: bool
    expires_at_ms: int | None
    non_refundable: bool
    purpose: str = PURCHASE
    origin: str = BOUGHT


class Purchases:
    """Records purchases. A request id takes effect once."""

    def __init__(
        self,
        ledger: Ledger,
        provider: Provider,
        top_ups: TopUps,
        bounds: Mapping[str, TopUpBound],
        clock: Callable[[], int],
    ) -> None:
        """`bounds` has the least and most amount of one top-up by currency."""
        self._ledger = ledger
        self._provider = provider
        self._top_ups = top_ups
        self._bounds = bounds
        self._clock = clock

    def buy(self, purchase: Purchase) -> PaymentRow:
        """Returns the purchase's payment, which nobody has sent yet unless this is a repeat.

        Raises AccountNotFound, RequestIdReused, InvalidField for an amount that cannot be paid,
        NotFound or FailedPrecondition for a method that cannot be used.
        """
        with self._ledger.write() as connection:
            account = lock_account(connection, purchase.account_id)
            wanted = self._top_up(purchase, account)
            present = self._top_ups.made_by(connection, wanted)
            if present is not None:
                payment = payment_of(connection, present.top_up_id)
                assert payment is not None, "a top-up of BuyCredits has a payment"
                return payment
            self.check(connection, account, purchase)
            return self.record(connection, account, purchase)

    def validate(self, purchase: Purchase) -> PaymentRow:
        """Returns the payment as `buy` would record it, and records nothing."""
        with self._ledger.read() as connection:
            account = find_account(connection, purchase.account_id)
            if account is None:
                raise AccountNotFound(purchase.account_id)
            self.check(connection, account, purchase)
        return self._payment(account, purchase, "", "")

    def check(self, connection: Connection, account: AccountRow, purchase: Purchase) -> None:
        """Raises what `buy` raises for a purchase that is not possible."""
        check_bounds("amount_nanos", purchase.amount_nanos, account.currency, self._bounds)
        check_payable("amount_nanos", purchase.amount_nanos, account.currency)
        if self._provider.is_live and account.test_clock_ms is not None:
            raise FailedPrecondition(
                "TEST_CLOCK",
                f"account_id: {account.account_id} has a test clock, and its payments would move"
                " real money; use the provider `test`",
                "account_id",
            )
        if purchase.hosted:
            return
        if not self._provider.saves_methods:
            raise FailedPrecondition(
                "NO_PAYMENT_METHOD",
                f"by: the provider `{self._provider.name}` saves no methods; ask for a hosted page",
                "by",
            )
        usable_method(connection, account.account_id, self._provider.name, purchase.method_id)

    def record(
        self,
        connection: Connection,
        account: AccountRow,
        purchase: Purchase,
    ) -> PaymentRow:
        """Records a purchase that was checked, within the caller's transaction."""
        payment_id = f"pay{uuid.uuid4().hex}"
        method = HOSTED_PAGE
        method_id = ""
        if not purchase.hosted:
            row = usable_method(
                connection, account.account_id, self._provider.name, purchase.method_id
            )
            method = row.label
            method_id = row.method_id
        wanted = self._top_up(purchase, account, payment_id, method)
        top_up = self._top_ups.begin(connection, account, wanted)
        payment = self._payment(account, purchase, payment_id, top_up.top_up_id, method_id)
        insert_payment(connection, payment)
        return payment

    def _payment(
        self,
        account: AccountRow,
        purchase: Purchase,
        payment_id: str,
        top_up_id: str,
        method_id: str = "",
    ) -> PaymentRow:
        now_ms = self._clock()
        return PaymentRow(
            payment_id=payment_id,
            account_id=account.account_id,
            purpose=purchase.purpose,
            subject_id=top_up_id,
            provider=self._provider.name,
            hosted=purchase.hosted,
            method_id=method_id,
            amount_minor=minor_units(purchase.amount_nanos, account.currency),
            currency=account.currency,
            create_time_ms=now_ms,
            due_ms=now_ms,
        )

    def _top_up(
        self,
        purchase: Purchase,
        account: AccountRow,
        payment_id: str = "",
        method: str = "",
    ) -> TopUpRow:
        return TopUpRow(
            top_up_id="",
            account_id=account.account_id,
            request_id=purchase.request_id,
            fingerprint=purchase.fingerprint,
            amount_nanos=purchase.amount_nanos,
            currency=account.currency,
            payment_reference=payment_id,
            payment_method=method,
            status=PENDING,
            expires_at_ms=purchase.expires_at_ms,
            non_refundable=purchase.non_refundable,
            grant_id="",
            create_time_ms=0,
            origin=purchase.origin,
        )
