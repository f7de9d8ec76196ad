"""Settlement: the only writer of what becomes of a payment.

Compares what is recorded of a payment with the truth that the provider tells, and records what is
new. A repeat, or a truth that is older than what is recorded, changes nothing.
"""

from dataclasses import dataclass, replace

import structlog
from sqlalchemy import Connection

from meter.admin.accounts import AccountRow
from meter.admin.top_ups import TopUps, fail_top_up
from meter.journal.operations import Operation
from meter.payments.payment_rows import (
    ACTION_REQUIRED,
    CANCELLED,
    FINAL,
    PAID,
    PROCESSING,
    READY,
    RECHARGE,
    AttemptRow,
    PaymentRow,
    end_attempt,
    open_attempt,
    store_payment,
)
from meter.payments.provider import Failure, FailureClass, State, Status
from meter.payments.recharge_outcomes import (
    note_cancelled,
    note_confirming,
    note_given_up,
    note_paid,
    note_retry,
)
from meter.payments.told import tell_action, tell_failure

CONFIRM_WITHIN_MS = 23 * 3_600_000  # shorter than a provider keeps an answer under its key
_LEAST_LOOK_MS = 1_000
_MOST_LOOK_MS = 3_600_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Settled:
    """Holds the payment as recorded now, and the operation with its credits, if there is one."""

    payment: PaymentRow
    operation: Operation | None = None


class Settlement:
    """Records how payments stand.

    Every method works in the caller's transaction, which has locked the account.
    """

    def __init__(self, top_ups: TopUps, retries_ms: tuple[int, ...]) -> None:
        """A recharge that may succeed later is tried again after each of `retries_ms`."""
        self._top_ups = top_ups
        self._retries_ms = retries_ms

    def settle(
        self,
        connection: Connection,
        account: AccountRow,
        row: PaymentRow,
        state: State,
        now_ms: int,
        *,
        is_answer: bool = False,
    ) -> Settled:
        """Records the truth about a payment.

        `is_answer` says that the state is what the provider answered to the open attempt, and not
        what a later look found.
        """
        if row.state == PAID:
            return Settled(row)
        if state.status is Status.PAID:
            return self._settle_paid(connection, account, row, state, now_ms)
        if row.state == CANCELLED:
            return Settled(row)
        attempt = open_attempt(connection, row.payment_id)
        row = replace(row, troubles=0)
        match state.status:
            case Status.CANCELLED:
                row = self._settle_cancelled(connection, account, row, attempt, now_ms)
            case Status.PROCESSING:
                due_ms = next_look_ms(row, now_ms)
                row = replace(row, state=PROCESSING, due_ms=due_ms, action_expires_ms=0)
            case Status.ACTION:
                row = self._settle_action(connection, row, now_ms)
            case Status.OPEN:
                if _is_news(row, attempt, state, is_answer=is_answer):
                    row = self._settle_declined(connection, row, attempt, state, now_ms)
        return Settled(store_payment(connection, row))

    def give_up(
        self,
        connection: Connection,
        row: PaymentRow,
        failure: Failure,
        now_ms: int,
    ) -> PaymentRow:
        """Records that no attempt follows; the payment is cancelled next."""
        row = replace(_failed(row, failure), cancel_wanted=True, due_ms=now_ms)
        tell_failure(connection, row)
        note_given_up(connection, row, failure.kind)
        return store_payment(connection, row)

    def _settle_paid(
        self,
        connection: Connection,
        account: AccountRow,
        row: PaymentRow,
        state: State,
        now_ms: int,
    ) -> Settled:
        _end(connection, row, PAID, now_ms)
        if (state.received_minor, state.currency) != (row.amount_minor, row.currency):
            return Settled(_hold_for_operator(connection, row, state))
        if row.state == CANCELLED:
            log.error("money_for_cancelled_payment", payment=row.payment_id)
        operation = self._top_ups.paid(connection, account, row.subject_id)
        row = replace(
            row,
            state=PAID,
            payment_ref=state.ref or row.payment_ref,
            received_minor=state.received_minor,
            settled_at_ms=now_ms,
            due_ms=None,
            action_expires_ms=0,
            troubles=0,
        )
        note_paid(connection, row, now_ms)
        return Settled(store_payment(connection, row), operation)

    def _settle_cancelled(
        self,
        connection: Connection,
        account: AccountRow,
        row: PaymentRow,
        attempt: AttemptRow | None,
        now_ms: int,
    ) -> PaymentRow:
        if attempt is not None:
            end_attempt(connection, attempt, CANCELLED, now_ms)
        fail_top_up(connection, account, row.subject_id)
        row = replace(
            row,
            state=CANCELLED,
            settled_at_ms=now_ms,
            due_ms=None,
            action_expires_ms=0,
        )
        note_cancelled(connection, row, now_ms)
        return row

    def _settle_action(
        self,
        connection: Connection,
        row: PaymentRow,
        now_ms: int,
    ) -> PaymentRow:
        """Lets the payment wait for the customer, and gives it up when that takes too long."""
        expires_ms = row.action_expires_ms or now_ms + CONFIRM_WITHIN_MS
        if now_ms >= expires_ms:
            text = "Nobody confirmed the payment in time."
            failure = Failure(FailureClass.AUTH, "not_confirmed_in_time", text)
            return self.give_up(connection, row, failure, now_ms)
        note_confirming(connection, row, expires_ms)
        tell_action(connection, row)
        return replace(
            row,
            state=ACTION_REQUIRED,
            action_expires_ms=expires_ms,
            due_ms=min(next_look_ms(row, now_ms), expires_ms),
        )

    def _settle_declined(
        self,
        connection: Connection,
        row: PaymentRow,
        attempt: AttemptRow | None,
        state: State,
        now_ms: int,
    ) -> PaymentRow:
        if attempt is not None:
            end_attempt(connection, attempt, "DECLINED", now_ms)
        failure = state.failure
        assert failure is not None, "only a failure is news of an open payment"
        row = replace(_failed(row, failure), state=READY, action_expires_ms=0)
        tell_failure(connection, row)
        is_off_session = attempt is not None and attempt.off_session
        if failure.kind is FailureClass.AUTH and is_off_session:
            # Once more with the customer, for a link on which the customer can confirm.
            return replace(row, due_ms=now_ms)
        may_retry = failure.kind is FailureClass.SOFT and row.purpose == RECHARGE
        if may_retry and row.declines < len(self._retries_ms):
            retry_at_ms = now_ms + self._retries_ms[row.declines]
            note_retry(connection, row, retry_at_ms)
            return replace(row, declines=row.declines + 1, due_ms=retry_at_ms)
        return self.give_up(connection, row, failure, now_ms)


def next_look_ms(row: PaymentRow, now_ms: int) -> int:
    """Returns when to look at a payment again: after as long as it has taken, within bounds."""
    age_ms = now_ms - row.create_time_ms
    return now_ms + min(max(age_ms, _LEAST_LOOK_MS), _MOST_LOOK_MS)


def _is_news(
    row: PaymentRow,
    attempt: AttemptRow | None,
    state: State,
    *,
    is_answer: bool,
) -> bool:
    """Says whether the state tells of a failure that is not recorded yet."""
    if state.failure is None or row.state in FINAL:
        return False
    if attempt is None:
        return row.hosted and not row.cancel_wanted
    return is_answer or state.charge != attempt.charge_before


def _failed(row: PaymentRow, failure: Failure) -> PaymentRow:
    return replace(
        row,
        failure_class=failure.kind,
        failure_code=failure.code,
        failure_text=failure.text,
    )


def _hold_for_operator(
    connection: Connection,
    row: PaymentRow,
    state: State,
) -> PaymentRow:
    """Stops a payment of which another amount came: no credits, and no further attempt."""
    log.error(
        "payment_of_another_amount",
        payment=row.payment_id,
        received=f"{state.received_minor} {state.currency}",
        wanted=f"{row.amount_minor} {row.currency}",
    )
    text = "Another amount was paid than was asked for. We are looking into it."
    failure = Failure(FailureClass.AMOUNT, "other_amount", text)
    row = replace(
        _failed(row, failure),
        state=ACTION_REQUIRED,
        received_minor=state.received_minor,
        due_ms=None,
    )
    tell_failure(connection, row)
    note_given_up(connection, row, failure.kind)
    return store_payment(connection, row)


def _end(connection: Connection, row: PaymentRow, state: str, now_ms: int) -> None:
    attempt = open_attempt(connection, row.payment_id)
    if attempt is not None:
        end_attempt(connection, attempt, state, now_ms)
