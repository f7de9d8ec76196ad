"""Reversals: money that goes back, and the credits that are taken back for it.

A refund of ours takes credits first and pays second, so that no credit is both spent and paid back.
What the provider has taken back by itself is a level: the credits follow until they agree with it.
"""

import uuid
from collections.abc import Callable
from dataclasses import replace

import structlog
from sqlalchemy import Connection

from meter.admin.accounts import AccountRow, lock_account
from meter.admin.recorder import OperationRecorder
from meter.admin.top_ups import find_top_up
from meter.currencies import minor_unit_nanos, nanos_of
from meter.database.engine import Ledger
from meter.errors import FailedPrecondition, ServiceError
from meter.journal.operations import Operation
from meter.payments.credits_back import (
    LeftGrant,
    give_again,
    keep_reversal,
    left_of,
    take_back,
    taken_back,
)
from meter.payments.payment_rows import PAID, PaymentRow, find_payment, payment_of
from meter.payments.provider import Provider, ProviderRefused, ProviderUnavailable, State
from meter.payments.recharge_outcomes import suspend_for_dispute
from meter.payments.reversal_rows import (
    FAILED,
    PAYING,
    PROVIDER,
    REFUND,
    SUCCEEDED,
    TAKING,
    ReversalRow,
    due_reversals,
    insert_reversal,
    reversal_of,
    reversals_of,
)
from meter.payments.told import tell_reversal

_POLL_MS = 100
_FIRST_PAUSE_MS = 5_000
_MOST_PAUSE_MS = 900_000
_MOST_STEPS = 8
_MOST_AT_ONCE = 50

log = structlog.get_logger()


class Reversals:
    """Takes credits back and pays money back; what is killed half way goes on later."""

    def __init__(
        self,
        ledger: Ledger,
        provider: Provider,
        clock: Callable[[], int],
        apply: Callable[[Operation], None],
        *,
        suspends: bool,
    ) -> None:
        """`clock` returns the time in ms; `apply` lets changes act at once, and never fails.

        An account with an open dispute is suspended if `suspends`.
        """
        self._ledger = ledger
        self._operations = OperationRecorder(ledger)
        self._suspends = suspends
        self._provider = provider
        self._clock = clock
        self._apply = apply

    def refund(
        self,
        account_id: str,
        request_id: str,
        top_up_id: str,
        amount_nanos: int | None,
        reason: str,
    ) -> ReversalRow:
        """Begins a refund, takes it as far as it goes now, and returns it.

        Raises AccountNotFound; NotFound for an unknown top-up; FailedPrecondition for a top-up that
        is not paid here, is not refundable, or of which nothing is left.
        """
        operation = None
        with self._ledger.write() as connection:
            account = lock_account(connection, account_id)
            row = reversal_of(connection, account_id, request_id)
            if row is None:
                row = self._new_refund(connection, account_id, request_id, top_up_id, reason)
                grant = _refundable(connection, row, amount_nanos)
                row = replace(row, target_nanos=grant.nanos)
                row, operation = take_back(connection, account, row, grant)
                insert_reversal(connection, row)
        if operation is not None:
            self._apply(operation)
        return self.advance(account_id, request_id)

    def review(self, payment: PaymentRow, state: State) -> None:
        """Records what the provider itself has taken back of a paid payment."""
        with self._ledger.write() as connection:
            account = lock_account(connection, payment.account_id)
            rows = reversals_of(connection, payment.payment_id)
            if not (rows or state.disputed_minor or state.refunded_minor or state.has_dispute):
                return
            ours_minor = sum(row.paid_minor for row in rows if row.kind == REFUND)
            # A refund of ours that is being paid shows at the provider before it shows here.
            ours_minor += sum(
                row.taken_nanos // minor_unit_nanos(row.currency)
                for row in rows
                if row.state == PAYING
            )
            minor = state.disputed_minor + max(state.refunded_minor - ours_minor, 0)
            if state.has_dispute:
                suspend_for_dispute(connection, account.account_id)
            self._set_level(connection, payment, rows, nanos_of(minor, payment.currency))
        if state.has_dispute and self._suspends:
            self._suspend(payment)
        self.advance(payment.account_id, _level_request(payment.payment_id))

    def _suspend(self, payment: PaymentRow) -> None:
        """Suspends the account, once for a payment: a person may resume it."""
        changes = {"status": "suspended"}
        request_id = f"dispute {payment.payment_id}"
        _, operation = self._operations.update_account(
            payment.account_id, changes, request_id=request_id
        )
        self._apply(operation)

    def work(self) -> None:
        """Takes on all reversals that are due."""
        with self._ledger.read() as connection:
            due = due_reversals(connection, self._clock(), _MOST_AT_ONCE)
        for account_id, request_id in due:
            self.advance(account_id, request_id)

    def advance(self, account_id: str, request_id: str) -> ReversalRow:
        """Does what is due now, and returns the reversal as it is then."""
        for _ in range(_MOST_STEPS):
            row = self._find(account_id, request_id)
            if row.due_ms is None or row.due_ms > self._clock():
                break
            if row.state == PAYING:
                self._pay(row)
            else:
                self._move_credits(row)
        return self._find(account_id, request_id)

    def _find(self, account_id: str, request_id: str) -> ReversalRow:
        with self._ledger.read() as connection:
            row = reversal_of(connection, account_id, request_id)
        assert row is not None, "reversals are never removed"
        return row

    def _new_refund(
        self,
        connection: Connection,
        account_id: str,
        request_id: str,
        top_up_id: str,
        reason: str,
    ) -> ReversalRow:
        top_up = find_top_up(connection, account_id, top_up_id)
        payment = payment_of(connection, top_up_id)
        if payment is None or payment.state != PAID or payment.provider != self._provider.name:
            message = (
                f"top_up_id: top-up {top_up_id} was not paid through `{self._provider.name}`;"
                " void its grant with Accounts.VoidGrant, and pay back yourself"
            )
            raise FailedPrecondition("NOT_REFUNDABLE", message, "top_up_id")
        now_ms = self._clock()
        return ReversalRow(
            reversal_id=f"rev{uuid.uuid4().hex}",
            account_id=account_id,
            payment_id=payment.payment_id,
            top_up_id=top_up_id,
            request_id=request_id,
            kind=REFUND,
            reason=reason,
            grant_id=top_up.grant_id,
            target_nanos=0,
            currency=payment.currency,
            create_time_ms=now_ms,
            due_ms=now_ms,
        )

    def _set_level(
        self,
        connection: Connection,
        payment: PaymentRow,
        rows: list[ReversalRow],
        target_nanos: int,
    ) -> None:
        now_ms = self._clock()
        for row in rows:
            if row.kind == PROVIDER:
                if row.target_nanos != target_nanos:
                    changed = replace(row, target_nanos=target_nanos, state=TAKING, due_ms=now_ms)
                    keep_reversal(connection, changed)
                return
        top_up = find_top_up(connection, payment.account_id, payment.subject_id)
        row = ReversalRow(
            reversal_id=f"rev{uuid.uuid4().hex}",
            account_id=payment.account_id,
            payment_id=payment.payment_id,
            top_up_id=payment.subject_id,
            request_id=_level_request(payment.payment_id),
            kind=PROVIDER,
            reason="the payment provider took the money back",
            grant_id=top_up.grant_id,
            target_nanos=target_nanos,
            currency=payment.currency,
            create_time_ms=now_ms,
            due_ms=now_ms,
        )
        insert_reversal(connection, row)

    def _move_credits(self, row: ReversalRow) -> None:
        """Reads what was taken, then takes or gives what is missing."""
        with self._ledger.write() as connection:
            account = lock_account(connection, row.account_id)
            found = reversal_of(connection, row.account_id, row.request_id)
            assert found is not None, "reversals are never removed"
            row, operation = self._moved(connection, account, found)
            keep_reversal(connection, row)
            if row.state in (SUCCEEDED, FAILED) and row.due_ms is None:
                tell_reversal(connection, row)
        if operation is not None:
            self._apply(operation)

    def _moved(
        self,
        connection: Connection,
        account: AccountRow,
        row: ReversalRow,
    ) -> tuple[ReversalRow, Operation | None]:
        later_ms = self._clock() + _POLL_MS
        if row.voiding:
            nanos = taken_back(connection, account, row)
            if nanos is None:
                return replace(row, due_ms=later_ms), None
            row = replace(row, voiding="", voided_nanos=row.voided_nanos + nanos)
        if row.kind == REFUND:
            return self._payable(connection, account, row)
        if account.recorded_op > account.applied_op:
            return replace(row, due_ms=later_ms), None
        return self._levelled(connection, account, row)

    def _payable(
        self,
        connection: Connection,
        account: AccountRow,
        row: ReversalRow,
    ) -> tuple[ReversalRow, Operation | None]:
        """Returns the refund ready to be paid; what is no whole minor unit is granted again."""
        rest_nanos = row.taken_nanos % minor_unit_nanos(row.currency)
        operation = None
        if rest_nanos:
            row, operation = give_again(connection, account, row, rest_nanos)
        if row.taken_nanos:
            return replace(row, state=PAYING, due_ms=self._clock()), operation
        return replace(row, state=FAILED, due_ms=None), operation

    def _levelled(
        self,
        connection: Connection,
        account: AccountRow,
        row: ReversalRow,
    ) -> tuple[ReversalRow, Operation | None]:
        missing_nanos = row.target_nanos - row.taken_nanos
        if missing_nanos < 0:
            row, operation = give_again(connection, account, row, -missing_nanos)
            return row, operation
        grant = left_of(connection, row)
        nanos = min(missing_nanos, grant.nanos)
        if nanos:
            return take_back(connection, account, row, grant._replace(nanos=nanos))
        return replace(row, state=SUCCEEDED, due_ms=None), None

    def _pay(self, row: ReversalRow) -> None:
        minor = row.taken_nanos // minor_unit_nanos(row.currency)
        try:
            with self._ledger.read() as connection:
                payment = find_payment(connection, row.account_id, row.payment_id)
            is_paid = self._provider.refund(payment.payment_ref, minor, row.reversal_id)
        except ProviderUnavailable as error:
            self._pause(row, error)
            return
        except ProviderRefused as error:
            log.error("refund_refused", reversal=row.reversal_id, error=str(error))
            is_paid = False
        self._end(row, minor, is_paid=is_paid)

    def _end(self, row: ReversalRow, minor: int, *, is_paid: bool) -> None:
        operation = None
        with self._ledger.write() as connection:
            account = lock_account(connection, row.account_id)
            found = reversal_of(connection, row.account_id, row.request_id)
            if found is None or found.state != PAYING:
                return
            if is_paid:
                row = replace(found, state=SUCCEEDED, paid_minor=minor, due_ms=None)
            else:
                row, operation = give_again(connection, account, found, found.taken_nanos)
                row = replace(row, state=FAILED, due_ms=None)
            keep_reversal(connection, row)
            tell_reversal(connection, row)
        if operation is not None:
            self._apply(operation)

    def _pause(self, row: ReversalRow, error: ServiceError) -> None:
        log.warning("refund_waits", reversal=row.reversal_id, error=str(error))
        pause_ms = min(_MOST_PAUSE_MS, _FIRST_PAUSE_MS * 2 ** min(row.troubles, 16))
        with self._ledger.write() as connection:
            lock_account(connection, row.account_id)
            found = reversal_of(connection, row.account_id, row.request_id)
            if found is not None and found.state == PAYING:
                due_ms = self._clock() + pause_ms
                keep_reversal(connection, replace(found, troubles=row.troubles + 1, due_ms=due_ms))


def _level_request(payment_id: str) -> str:
    """Returns the request id of what the provider took back; no client's id has a space."""
    return f"provider {payment_id}"


def _refundable(
    connection: Connection,
    row: ReversalRow,
    amount_nanos: int | None,
) -> LeftGrant:
    """Returns how much to take back: no more than is left, in whole minor units."""
    grant = left_of(connection, row)
    nanos = grant.nanos
    if amount_nanos is not None:
        nanos = min(nanos, amount_nanos)
    nanos -= nanos % minor_unit_nanos(row.currency)
    if not nanos:
        message = f"top_up_id: nothing of top-up {row.top_up_id} is unspent"
        raise FailedPrecondition("NOTHING_TO_REFUND", message, "top_up_id")
    return grant._replace(nanos=nanos)
