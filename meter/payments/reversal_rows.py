"""Reads and writes the rows of reversals: money that went back."""

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, func, insert, select, update

from meter.database.payments_schema import reversals

REFUND = "REFUND"  # asked for by us
PROVIDER = "PROVIDER"  # all that the provider took back by itself: disputes, its own refunds

TAKING = "TAKING"
PAYING = "PAYING"
SUCCEEDED = "SUCCEEDED"
FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class ReversalRow:
    """Holds a row of `reversals` (meter/database/payments_schema.py)."""

    reversal_id: str
    account_id: str
    payment_id: str
    top_up_id: str
    request_id: str
    kind: str
    reason: str
    grant_id: str
    target_nanos: int
    currency: str
    create_time_ms: int
    due_ms: int | None
    state: str = TAKING
    voided_nanos: int = 0
    regranted_nanos: int = 0
    paid_minor: int = 0
    steps: int = 0
    voiding: str = ""
    troubles: int = 0

    @property
    def taken_nanos(self) -> int:
        """Returns the credits that are taken back now."""
        return self.voided_nanos - self.regranted_nanos


def insert_reversal(connection: Connection, row: ReversalRow) -> ReversalRow:
    """Inserts a reversal; raises IntegrityError if the request has one."""
    connection.execute(insert(reversals), asdict(row))
    return row


def store_reversal(connection: Connection, row: ReversalRow) -> ReversalRow:
    """Writes all of the row."""
    statement = update(reversals).where(reversals.c.reversal_id == row.reversal_id)
    connection.execute(statement.values(asdict(row)))
    return row


def reversal_of(connection: Connection, account_id: str, request_id: str) -> ReversalRow | None:
    """Returns the reversal that a request made, or None."""
    query = select(reversals).where(
        reversals.c.account_id == account_id,
        reversals.c.request_id == request_id,
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    return ReversalRow(**row)


def reversals_of(connection: Connection, payment_id: str) -> list[ReversalRow]:
    """Returns all reversals of a payment."""
    query = select(reversals).where(reversals.c.payment_id == payment_id)
    return [ReversalRow(**row) for row in connection.execute(query).mappings()]


def due_reversals(connection: Connection, now_ms: int, limit: int) -> list[tuple[str, str]]:
    """Returns accounts and request ids of reversals that want something done."""
    query = select(reversals.c.account_id, reversals.c.request_id)
    query = query.where(reversals.c.due_ms <= now_ms).order_by(reversals.c.due_ms).limit(limit)
    return [(row.account_id, row.request_id) for row in connection.execute(query)]


def taken_of_top_up(connection: Connection, top_up_id: str) -> int:
    """Returns the credits of a top-up that are taken back, by all reversals."""
    taken = func.sum(reversals.c.voided_nanos - reversals.c.regranted_nanos)
    query = select(taken).where(reversals.c.top_up_id == top_up_id)
    return int(connection.scalar(query) or 0)
