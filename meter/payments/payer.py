"""The payer: takes one payment from step to step, and survives being killed between any two.

An intention is committed first, then the provider is called, then the outcome is committed. After a
crash the provider is looked at, and asked again with the same key.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog
from sqlalchemy import Connection

from meter.admin.accounts import lock_account
from meter.database.engine import Ledger
from meter.errors import ServiceError
from meter.journal.operations import Operation
from meter.payments.customers import customer_of
from meter.payments.kept_rules import keep_rule
from meter.payments.leases import claim, release
from meter.payments.method_rows import MethodRow, usable_method
from meter.payments.metrics import PaymentMetrics
from meter.payments.payment_rows import (
    ACTION_REQUIRED,
    CREATED,
    FINAL,
    READY,
    RECHARGE,
    AttemptRow,
    PaymentRow,
    end_attempt,
    find_payment,
    insert_attempt,
    open_attempt,
    store_payment,
)
from meter.payments.provider import (
    Failure,
    FailureClass,
    Provider,
    ProviderRefused,
    ProviderUnavailable,
    State,
    Status,
    Wanted,
)
from meter.payments.recharge_rows import CHARGING, IN_FLIGHT, RuleRow, find_rule
from meter.payments.settlement import CONFIRM_WITHIN_MS, Settlement

_FIRST_PAUSE_MS = 5_000
_MOST_PAUSE_MS = 900_000
_SAME_KEY_MS = CONFIRM_WITHIN_MS
_MOST_STEPS = 20  # of one payment in a row; more is a fault of ours

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Sending:
    """Holds an attempt that is recorded; `is_again` if it may have been sent before."""

    attempt: AttemptRow
    method: MethodRow
    is_again: bool


class Payer:
    """Takes payments on. Any number of threads and processes may do so at once."""

    def __init__(
        self,
        ledger: Ledger,
        provider: Provider,
        settlement: Settlement,
        clock: Callable[[], int],
        apply: Callable[[Operation], None],
        metrics: PaymentMetrics,
    ) -> None:
        """`clock` returns the time in ms; `apply` lets credits act at once, and never fails."""
        self._ledger = ledger
        self._provider = provider
        self._settlement = settlement
        self._clock = clock
        self._apply = apply
        self._metrics = metrics

    def advance(self, account_id: str, payment_id: str) -> PaymentRow:
        """Does all that is due, and returns the payment as it is then.

        A payment of which somebody else has the lease is returned as it is.
        """
        with self._ledger.write() as connection:
            token = claim(connection, payment_id, self._clock())
            row = find_payment(connection, account_id, payment_id)
        if not token:
            return row
        try:
            for _ in range(_MOST_STEPS):
                if row.due_ms is None or row.due_ms > self._clock():
                    break
                row = self._step(row)
        finally:
            with self._ledger.write() as connection:
                release(connection, payment_id, token)
        return row

    def look(self, row: PaymentRow) -> State:
        """Returns how the provider says that the payment stands."""
        return self._provider.look(row.payment_ref)

    def settle(self, row: PaymentRow, state: State, *, is_answer: bool = False) -> PaymentRow:
        """Records the truth about a payment in a transaction of its own."""
        with self._ledger.write() as connection:
            account = lock_account(connection, row.account_id)
            before = find_payment(connection, row.account_id, row.payment_id)
            settled = self._settlement.settle(
                connection, account, before, state, self._clock(), is_answer=is_answer
            )
        self._count(before, settled.payment)
        if settled.operation is not None:
            self._apply(settled.operation)
        return settled.payment

    def _count(self, before: PaymentRow, after: PaymentRow) -> None:
        """Counts what is new; true once the transaction is committed."""
        if after.state in FINAL and after.state != before.state:
            self._metrics.payments.labels(after.purpose, after.state).inc()
        if after.failure_class and after.failure_code != before.failure_code:
            self._metrics.failures.labels(after.failure_class).inc()

    def _step(self, row: PaymentRow) -> PaymentRow:
        try:
            return self._take_step(row)
        except ProviderUnavailable as error:
            return self._wait(row, error)
        except ProviderRefused as error:
            log.error("provider_refused", payment=row.payment_id, error=str(error))
            return self._give_up(row, Failure(FailureClass.OURS, "refused", error.message))

    def _take_step(self, row: PaymentRow) -> PaymentRow:
        if row.state == CREATED:
            return self._begin(row)
        if row.cancel_wanted:
            return self.settle(row, self._provider.cancel(row.payment_ref))
        if row.state == READY:
            return self._attempt(row)
        return self.settle(row, self.look(row))

    def _begin(self, row: PaymentRow) -> PaymentRow:
        if row.cancel_wanted:
            # Nothing at the provider can take money: nobody has confirmed or seen what was begun.
            return self.settle(row, State(Status.CANCELLED))
        wanted = self._wanted(row)
        key = row.payment_id
        if row.hosted:
            page = self._provider.checkout(wanted, key)
            return self._begun(row, page.ref, ACTION_REQUIRED, page.expires_at_ms)
        return self._begun(row, self._provider.begin(wanted, key), READY, 0)

    def _begun(self, row: PaymentRow, ref: str, state: str, expires_ms: int) -> PaymentRow:
        with self._ledger.write() as connection:
            lock_account(connection, row.account_id)
            row = find_payment(connection, row.account_id, row.payment_id)
            if row.state != CREATED:
                return row
            begun = replace(
                row,
                payment_ref=ref,
                state=state,
                action_expires_ms=expires_ms,
                due_ms=self._clock(),
                troubles=0,
            )
            return store_payment(connection, begun)

    def _attempt(self, row: PaymentRow) -> PaymentRow:
        before = State(Status.OPEN)
        if row.attempts:
            before = self.look(row)
            if before.status is not Status.OPEN:
                return self.settle(row, before)
        try:
            sending = self._record_attempt(row, before)
        except ServiceError as error:
            failure = Failure(FailureClass.HARD, error.reason, "The payment method was removed.")
            return self._give_up(row, failure)
        if sending is None:
            return self._present(row)
        attempt = sending.attempt
        if sending.is_again and before.charge != attempt.charge_before:
            return self.settle(row, before)
        state = self._provider.confirm(
            row.payment_ref,
            sending.method.method_ref,
            off_session=attempt.off_session,
            key=attempt.idempotency_key,
        )
        return self.settle(row, state, is_answer=True)

    def _record_attempt(self, row: PaymentRow, before: State) -> _Sending | None:
        """Records the attempt that is sent next; None if none is wanted any more.

        Whether the payment is still wanted is asked in the same transaction. Raises
        FailedPrecondition if there is no method to pay with.
        """
        with self._ledger.write() as connection:
            lock_account(connection, row.account_id)
            row = find_payment(connection, row.account_id, row.payment_id)
            now_ms = self._clock()
            if row.state != READY or row.cancel_wanted:
                return None
            wanted_method = row.method_id
            if row.purpose == RECHARGE:
                rule = _charging_rule(connection, row.account_id)
                if rule is None:
                    store_payment(connection, replace(row, cancel_wanted=True, due_ms=now_ms))
                    return None
                wanted_method = rule.method_id
            return _sending(connection, row, wanted_method, before, now_ms)

    def _give_up(self, row: PaymentRow, failure: Failure) -> PaymentRow:
        with self._ledger.write() as connection:
            lock_account(connection, row.account_id)
            row = find_payment(connection, row.account_id, row.payment_id)
            if row.state in FINAL:
                return row
            if row.cancel_wanted:
                # The provider refuses even to cancel: a person has to look, and a look is repeated.
                return store_payment(connection, _paused(row, self._clock()))
            return self._settlement.give_up(connection, row, failure, self._clock())

    def _wait(self, row: PaymentRow, error: ProviderUnavailable) -> PaymentRow:
        """Lets the payment wait for the provider, longer after each failure."""
        log.warning("provider_unavailable", payment=row.payment_id, error=str(error))
        self._metrics.provider_failures.inc()
        with self._ledger.write() as connection:
            lock_account(connection, row.account_id)
            row = find_payment(connection, row.account_id, row.payment_id)
            if row.state in FINAL:
                return row
            return store_payment(connection, _paused(row, self._clock()))

    def _present(self, row: PaymentRow) -> PaymentRow:
        with self._ledger.read() as connection:
            return find_payment(connection, row.account_id, row.payment_id)

    def _wanted(self, row: PaymentRow) -> Wanted:
        return Wanted(
            payment_id=row.payment_id,
            account_id=row.account_id,
            customer=customer_of(self._ledger, self._provider, row.account_id),
            amount_minor=row.amount_minor,
            currency=row.currency,
            description=f"Credits for {row.account_id}",
        )


def _charging_rule(connection: Connection, account_id: str) -> RuleRow | None:
    """Returns the rule, which charges now; None if the rule wants no charge any more."""
    rule = find_rule(connection, account_id)
    if rule is None or not rule.enabled or rule.state not in IN_FLIGHT:
        return None
    return keep_rule(connection, replace(rule, state=CHARGING, retry_at_ms=None))


def _sending(
    connection: Connection,
    row: PaymentRow,
    method_id: str,
    before: State,
    now_ms: int,
) -> _Sending:
    """Returns the attempt that may have been sent already, or records a new one."""
    attempt = open_attempt(connection, row.payment_id)
    if attempt is not None and now_ms - attempt.started_at_ms < _SAME_KEY_MS:
        method = usable_method(connection, row.account_id, row.provider, attempt.method_id)
        return _Sending(attempt, method, is_again=True)
    if attempt is not None:
        end_attempt(connection, attempt, "LOST", now_ms)
    method = usable_method(connection, row.account_id, row.provider, method_id)
    attempt = _new_attempt(row, method, before, now_ms)
    insert_attempt(connection, attempt)
    row = replace(row, attempts=attempt.attempt, method_id=method.method_id)
    store_payment(connection, row)
    return _Sending(attempt, method, is_again=False)


def _paused(row: PaymentRow, now_ms: int) -> PaymentRow:
    pause_ms = min(_MOST_PAUSE_MS, _FIRST_PAUSE_MS * 2 ** min(row.troubles, 16))
    return replace(row, troubles=row.troubles + 1, due_ms=now_ms + pause_ms)


def _new_attempt(
    row: PaymentRow,
    method: MethodRow,
    before: State,
    now_ms: int,
) -> AttemptRow:
    number = row.attempts + 1
    is_off_session = row.purpose == RECHARGE and row.failure_class != FailureClass.AUTH
    return AttemptRow(
        payment_id=row.payment_id,
        attempt=number,
        method_id=method.method_id,
        off_session=is_off_session,
        idempotency_key=f"{row.payment_id}/{number}",
        charge_before=before.charge,
        started_at_ms=now_ms,
    )
