"""Leases of payments: keep two threads or processes from doing the same work at once.

A lease saves work and no more. What keeps money from moving twice is the provider's object, the
idempotency key, and the ledger's unique keys.
"""

import uuid

from sqlalchemy import Connection, or_, select, update

from meter.database.payments_schema import payments

LEASE_MS = 60_000  # longer than any call to a provider takes


def claim(connection: Connection, payment_id: str, now_ms: int) -> str:
    """Returns the token of a new lease; an empty text if somebody else has one that lasts."""
    token = uuid.uuid4().hex
    statement = (
        update(payments)
        .where(
            payments.c.payment_id == payment_id,
            or_(payments.c.lease_token == "", payments.c.lease_until_ms <= now_ms),
        )
        .values(lease_token=token, lease_until_ms=now_ms + LEASE_MS)
    )
    if connection.execute(statement).rowcount:
        return token
    return ""


def release(connection: Connection, payment_id: str, token: str) -> None:
    """Ends a lease, unless it has lapsed and is somebody else's by now."""
    statement = update(payments).where(
        payments.c.payment_id == payment_id,
        payments.c.lease_token == token,
    )
    connection.execute(statement.values(lease_token="", lease_until_ms=0))


def due_payments(
    connection: Connection, provider: str, now_ms: int, limit: int
) -> list[tuple[str, str]]:
    """Returns accounts and payments that want something done and that nobody has a lease of."""
    query = (
        select(payments.c.account_id, payments.c.payment_id)
        .where(
            payments.c.due_ms <= now_ms,
            payments.c.provider == provider,
            or_(payments.c.lease_token == "", payments.c.lease_until_ms <= now_ms),
        )
        .order_by(payments.c.due_ms)
        .limit(limit)
    )
    return [(row.account_id, row.payment_id) for row in connection.execute(query)]
