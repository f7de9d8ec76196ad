"""Reads and writes the rows of saved payment methods."""

import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, select, update

from meter.database.engine import insert_or_ignore
from meter.database.payments_schema import payment_methods
from meter.errors import FailedPrecondition, NotFound
from meter.payments.provider import SavedMethod


@dataclass(frozen=True, slots=True)
class MethodRow:
    """Holds a row of `payment_methods` (meter/database/payments_schema.py)."""

    method_id: str
    account_id: str
    provider: str
    method_ref: str
    kind: str
    brand: str
    last4: str
    holder: str
    exp_month: int
    exp_year: int
    fingerprint: str
    is_default: bool
    is_removed: bool
    added_at_ms: int

    @property
    def label(self) -> str:
        """Returns what people know the method by, such as `visa 4242`."""
        return f"{self.brand or self.kind} {self.last4}".strip()


def list_methods(connection: Connection, account_id: str, provider: str) -> list[MethodRow]:
    """Returns the methods that the account has with the provider, the newest last."""
    query = (
        select(payment_methods)
        .where(
            payment_methods.c.account_id == account_id,
            payment_methods.c.provider == provider,
            payment_methods.c.is_removed.is_(False),
        )
        .order_by(payment_methods.c.added_at_ms, payment_methods.c.method_id)
    )
    return [MethodRow(**row) for row in connection.execute(query).mappings()]


def find_method(connection: Connection, account_id: str, method_id: str) -> MethodRow:
    """Returns the account's method, removed or not; raises NotFound."""
    query = select(payment_methods).where(
        payment_methods.c.account_id == account_id,
        payment_methods.c.method_id == method_id,
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        message = f"method_id: account {account_id} has no payment method {method_id}"
        raise NotFound("METHOD_NOT_FOUND", message, "method_id")
    return MethodRow(**row)


def usable_method(
    connection: Connection,
    account_id: str,
    provider: str,
    method_id: str,
) -> MethodRow:
    """Returns a method to pay with: the default one if `method_id` is empty.

    Raises NotFound; FailedPrecondition if the method was removed, or there is none.
    """
    if method_id:
        row = find_method(connection, account_id, method_id)
        if row.is_removed or row.provider != provider:
            message = f"method_id: {method_id} was removed; choose one of ListPaymentMethods"
            raise FailedPrecondition("METHOD_REMOVED", message, "method_id")
        return row
    for row in list_methods(connection, account_id, provider):
        if row.is_default:
            return row
    message = (
        f"method_id: account {account_id} has no default payment method;"
        " save one with Payments.AddPaymentMethod"
    )
    raise FailedPrecondition("NO_PAYMENT_METHOD", message, "method_id")


def keep_methods(
    connection: Connection,
    account_id: str,
    provider: str,
    saved: Iterable[SavedMethod],
    now_ms: int,
) -> list[MethodRow]:
    """Records the methods that the ledger does not have yet, and returns these."""
    new = []
    for method in saved:
        row = _new_row(account_id, provider, method, now_ms)
        if insert_or_ignore(connection, payment_methods, [asdict(row)]):
            new.append(row)
    return new


def make_default(connection: Connection, row: MethodRow) -> None:
    """Makes the method the account's default, in place of any other."""
    of_account = payment_methods.c.account_id == row.account_id
    clear = update(payment_methods).where(of_account, payment_methods.c.is_default)
    connection.execute(clear.values(is_default=False))
    _set(connection, row, is_default=True)


def mark_removed(connection: Connection, row: MethodRow) -> None:
    """Records that the method is not to be used any more."""
    _set(connection, row, is_removed=True, is_default=False)


def _set(connection: Connection, row: MethodRow, **values: bool) -> None:
    statement = update(payment_methods).where(payment_methods.c.method_id == row.method_id)
    connection.execute(statement.values(**values))


def _new_row(account_id: str, provider: str, method: SavedMethod, now_ms: int) -> MethodRow:
    return MethodRow(
        method_id=f"pm{uuid.uuid4().hex}",
        account_id=account_id,
        provider=provider,
        method_ref=method.ref,
        kind=method.kind,
        brand=method.brand,
        last4=method.last4,
        holder=method.holder,
        exp_month=method.exp_month,
        exp_year=method.exp_year,
        fingerprint=method.fingerprint,
        is_default=False,
        is_removed=False,
        added_at_ms=now_ms,
    )
