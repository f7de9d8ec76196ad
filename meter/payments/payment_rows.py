"""Reads and writes the rows of payments and of their attempts."""

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Select, insert, select, tuple_, update

from meter.database.payments_schema import payment_attempts, payments
from meter.errors import NotFound

PURCHASE = "PURCHASE"
RECHARGE = "RECHARGE"

CREATED = "CREATED"
READY = "READY"
PROCESSING = "PROCESSING"
ACTION_REQUIRED = "ACTION_REQUIRED"
PAID = "PAID"
CANCELLED = "CANCELLED"
FINAL = (PAID, CANCELLED)

SENT = "SENT"


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """Holds a row of `payments` (meter/database/payments_schema.py)."""

    payment_id: str
    account_id: str
    purpose: str
    subject_id: str
    provider: str
    hosted: bool
    method_id: str
    amount_minor: int
    currency: str
    create_time_ms: int
    due_ms: int | None
    payment_ref: str = ""
    state: str = CREATED
    cancel_wanted: bool = False
    failure_class: str = ""
    failure_code: str = ""
    failure_text: str = ""
    attempts: int = 0
    declines: int = 0
    troubles: int = 0
    action_expires_ms: int = 0
    received_minor: int = 0
    settled_at_ms: int = 0
    lease_token: str = ""
    lease_until_ms: int = 0


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """Holds a row of `payment_attempts`; `ended_at_ms` is 0 while the attempt's end is unknown."""

    payment_id: str
    attempt: int
    method_id: str
    off_session: bool
    idempotency_key: str
    charge_before: str
    started_at_ms: int
    state: str = SENT
    ended_at_ms: int = 0


def insert_payment(connection: Connection, row: PaymentRow) -> None:
    """Inserts a payment; raises IntegrityError if the subject has a payment."""
    connection.execute(insert(payments), asdict(row))


def store_payment(connection: Connection, row: PaymentRow) -> PaymentRow:
    """Writes all of the row but the lease, which has a writer of its own."""
    values = asdict(row)
    del values["lease_token"], values["lease_until_ms"]
    statement = update(payments).where(payments.c.payment_id == row.payment_id)
    connection.execute(statement.values(values))
    return row


def find_payment(connection: Connection, account_id: str, payment_id: str) -> PaymentRow:
    """Returns the account's payment; raises NotFound."""
    query = select(payments).where(
        payments.c.account_id == account_id,
        payments.c.payment_id == payment_id,
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        message = f"payment_id: account {account_id} has no payment {payment_id}"
        raise NotFound("PAYMENT_NOT_FOUND", message, "payment_id")
    return PaymentRow(**row)


def payment_of(connection: Connection, subject_id: str) -> PaymentRow | None:
    """Returns the payment of a top-up, or None."""
    query = select(payments).where(payments.c.subject_id == subject_id)
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    return PaymentRow(**row)


def newest_payments(
    connection: Connection,
    account_id: str,
    limit: int,
    before: tuple[int, str] | None,
) -> list[PaymentRow]:
    """Returns up to `limit` payments, newest first, older than the place `before`."""
    query = _select_newest(account_id, before).limit(limit)
    return [PaymentRow(**row) for row in connection.execute(query).mappings()]


def open_attempt(connection: Connection, payment_id: str) -> AttemptRow | None:
    """Returns the attempt of which nobody knows yet how it ended, or None."""
    query = select(payment_attempts).where(
        payment_attempts.c.payment_id == payment_id,
        payment_attempts.c.ended_at_ms == 0,
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    return AttemptRow(**row)


def insert_attempt(connection: Connection, row: AttemptRow) -> None:
    """Inserts an attempt, before it is sent."""
    connection.execute(insert(payment_attempts), asdict(row))


def end_attempt(connection: Connection, row: AttemptRow, state: str, now_ms: int) -> None:
    """Records how an attempt ended."""
    statement = update(payment_attempts).where(
        payment_attempts.c.payment_id == row.payment_id,
        payment_attempts.c.attempt == row.attempt,
    )
    connection.execute(statement.values(state=state, ended_at_ms=now_ms))


def _select_newest(account_id: str, before: tuple[int, str] | None) -> Select[Any]:
    query = select(payments).where(payments.c.account_id == account_id)
    place = (payments.c.create_time_ms, payments.c.payment_id)
    if before is not None:
        query = query.where(tuple_(*place) < tuple_(*before))
    newest_first = [column.desc() for column in place]
    return query.order_by(*newest_first)
