"""Makes messages of rows."""

import calendar
from collections.abc import Iterable
from datetime import UTC, datetime

from meter.payments.method_rows import MethodRow
from meter.payments.payment_rows import FINAL, READY, PaymentRow
from meter.payments.reversal_rows import PROVIDER, ReversalRow
from meter.times import optional_timestamp, timestamp
from meter.v1 import payments_pb2 as pb


def method_message(row: MethodRow, now_ms: int) -> pb.PaymentMethod:
    """Returns a saved method as clients see it."""
    return pb.PaymentMethod(
        method_id=row.method_id,
        provider=row.provider,
        kind=row.kind,
        brand=row.brand,
        last4=row.last4,
        holder=row.holder,
        exp_month=row.exp_month,
        exp_year=row.exp_year,
        is_default=row.is_default,
        added_at=timestamp(row.added_at_ms),
        expired=_is_expired(row, now_ms),
    )


def payment_message(row: PaymentRow, method: str = "") -> pb.Payment:
    """Returns a payment as clients see it; `method` is what people know its method by."""
    next_attempt_ms = None
    if row.state == READY and row.declines:
        next_attempt_ms = row.due_ms
    return pb.Payment(
        payment_id=row.payment_id,
        account_id=row.account_id,
        purpose=row.purpose,
        top_up_id=row.subject_id,
        total=pb.Money(currency=row.currency, minor_units=row.amount_minor),
        state=row.state,
        provider=row.provider,
        provider_reference=row.payment_ref,
        method_id=row.method_id,
        method=method,
        failure_class=row.failure_class,
        failure_code=row.failure_code,
        failure_text=row.failure_text,
        attempts=row.attempts,
        next_attempt_at=optional_timestamp(next_attempt_ms),
        action_expires_at=optional_timestamp(row.action_expires_ms or None),
        create_time=timestamp(row.create_time_ms),
        settled_at=optional_timestamp(row.settled_at_ms or None),
    )


def add_reversals(message: pb.Payment, rows: Iterable[ReversalRow]) -> None:
    """Adds to a payment what was taken back of it."""
    for row in rows:
        message.refunded_nanos += row.taken_nanos
        if row.kind == PROVIDER:
            message.uncollected_nanos += max(row.target_nanos - row.taken_nanos, 0)


def refund_message(row: ReversalRow) -> pb.Refund:
    """Returns a refund as clients see it."""
    return pb.Refund(
        refund_id=row.reversal_id,
        account_id=row.account_id,
        top_up_id=row.top_up_id,
        payment_id=row.payment_id,
        state=row.state,
        voided_nanos=row.taken_nanos,
        paid=pb.Money(currency=row.currency, minor_units=row.paid_minor),
    )


def is_final(row: PaymentRow) -> bool:
    """Says whether nothing more can become of the payment."""
    return row.state in FINAL


def _is_expired(row: MethodRow, now_ms: int) -> bool:
    if not row.exp_year:
        return False
    last_day = calendar.monthrange(row.exp_year, row.exp_month)[1]
    end = datetime(row.exp_year, row.exp_month, last_day, 23, 59, 59, tzinfo=UTC)
    return end.timestamp() * 1000 < now_ms
