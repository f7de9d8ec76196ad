"""Takes what people tell of a payment: that it is not wanted, or how it ended."""

from collections.abc import Callable
from dataclasses import replace

from meter.admin.accounts import lock_account
from meter.database.engine import Ledger
from meter.errors import FailedPrecondition
from meter.payments.payer import Payer
from meter.payments.payment_rows import FINAL, PAID, PaymentRow, find_payment, store_payment
from meter.payments.provider import Provider, State, Status
from meter.payments.providers.manual import ManualProvider
from meter.payments.providers.simulated import SimulatedProvider
from meter.payments.recharge_outcomes import STOPPED, note_given_up


class Outcomes:
    """Records what people tell. Any call may raise NotFound, or ProviderUnavailable."""

    def __init__(
        self,
        ledger: Ledger,
        provider: Provider,
        payer: Payer,
        clock: Callable[[], int],
    ) -> None:
        """`clock` returns the time in ms."""
        self._ledger = ledger
        self._provider = provider
        self._payer = payer
        self._clock = clock

    def cancel(self, account_id: str, payment_id: str) -> PaymentRow:
        """Lets no attempt begin any more, and cancels the payment at the provider.

        A recharge's rule is suspended, or the rule would charge again. Raises FailedPrecondition
        for a payment that is paid.
        """
        with self._ledger.write() as connection:
            lock_account(connection, account_id)
            row = find_payment(connection, account_id, payment_id)
            if row.state == PAID:
                message = f"payment_id: payment {payment_id} is paid; refund its top-up instead"
                raise FailedPrecondition("PAYMENT_FINAL", message, "payment_id")
            if row.state not in FINAL and not row.cancel_wanted:
                note_given_up(connection, row, STOPPED)
            if row.state not in FINAL:
                row = replace(row, cancel_wanted=True, due_ms=self._clock())
                store_payment(connection, row)
        return self._payer.advance(account_id, payment_id)

    def complete(self, account_id: str, payment_id: str, *, succeeds: bool) -> PaymentRow:
        """Records how a payment ended that the provider cannot tell of by itself.

        Raises FailedPrecondition for other providers, or a payment that has ended otherwise.
        """
        with self._ledger.read() as connection:
            row = find_payment(connection, account_id, payment_id)
        if row.provider == ManualProvider.name:
            return self._complete_manual(row, succeeds=succeeds)
        if isinstance(self._provider, SimulatedProvider) and row.provider == self._provider.name:
            state = self._provider.act(row.payment_ref, succeeds=succeeds)
            self._payer.settle(row, state)
            return self._payer.advance(account_id, payment_id)
        message = f"payment_id: the provider `{row.provider}` itself tells how payments end"
        raise FailedPrecondition("PROVIDER_TELLS", message, "payment_id")

    def _complete_manual(self, row: PaymentRow, *, succeeds: bool) -> PaymentRow:
        if not succeeds:
            return self.cancel(row.account_id, row.payment_id)
        state = State(Status.PAID, received_minor=row.amount_minor, currency=row.currency)
        return self._payer.settle(row, state)
