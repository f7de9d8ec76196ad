"""Records accounts in a ledger as administrators' calls do, without a gate."""

from dataclasses import replace
from itertools import count
from typing import Any

from sqlalchemy import Table, select

from meter.admin.recorder import OperationRecorder
from meter.admin.top_ups import TopUpRow
from meter.admin.vouchers import BatchRow
from meter.database.engine import Ledger
from meter.journal.operations import GrantCredits, Operation

CREDIT = 10**9
NOON = 1_772_366_400_000  # 2026-03-01T12:00:00Z: where test clocks begin
DAY = 86_400_000
_numbers = count(1)


def new_id() -> str:
    return f"request-{next(_numbers)}"


def open_account(ledger: Ledger, account_id: str = "acme", **settings: Any) -> Operation:
    """Opens an account on a test clock, and returns the operation that made the account."""
    given = {
        "currency": "USD",
        "overage_protection_nanos": 0,
        "daily_limit_nanos": None,
        "test_clock_ms": NOON,
        **settings,
    }
    _, operation, _ = OperationRecorder(ledger).create_account(account_id, shard=0, **given)
    return operation


def grant(amount_nanos: int = CREDIT, **fields: Any) -> GrantCredits:
    given = {
        "type": "TOP_UP",
        "priority": 50,
        "effective_at_ms": None,
        "expires_at_ms": None,
        "description": "",
        **fields,
    }
    grant_id = f"g{next(_numbers)}"
    return GrantCredits(grant_id=grant_id, amount_nanos=amount_nanos, **given)


def recorded(ledger: Ledger, account_id: str = "acme") -> list[Operation]:
    """Returns all operations that the gate is still to apply."""
    return OperationRecorder(ledger).pending(account_id)


def grants(ledger: Ledger, account_id: str = "acme") -> list[GrantCredits]:
    """Returns the grants that the gate is still to apply."""
    changes = [operation.change for operation in recorded(ledger, account_id)]
    return [change for change in changes if isinstance(change, GrantCredits)]


def rows(ledger: Ledger, table: Table) -> list[Any]:
    """Returns all rows of a table, in the order of the primary key."""
    query = select(table).order_by(*table.primary_key.columns)
    with ledger.read() as connection:
        return list(connection.execute(query))


def top_up(**fields: Any) -> TopUpRow:
    number = next(_numbers)
    row = TopUpRow(
        top_up_id="",
        account_id="acme",
        request_id=f"top-up-{number}",
        fingerprint=f"{number}",
        amount_nanos=25 * CREDIT,
        currency="USD",
        payment_reference=f"pi_{number}",
        payment_method="card",
        status="SUCCEEDED",
        expires_at_ms=None,
        non_refundable=False,
        grant_id="",
        create_time_ms=0,
    )
    return replace(row, **fields)


def batch(**fields: Any) -> BatchRow:
    row = BatchRow(
        batch_id="spring",
        request_id=None,
        amount_nanos=5 * CREDIT,
        currency="USD",
        type="VOUCHER",
        expires_at_ms=None,
        credits_live_ms=0,
        codes=1,
        uses_per_code=1,
        uses_per_account=1,
        priority=50,
        description="",
        scope=(),
        create_time_ms=NOON,
    )
    return replace(row, **fields)
