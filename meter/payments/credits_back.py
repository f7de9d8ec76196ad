"""Takes credits of a top-up back, and grants them again, within the caller's transaction."""

from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import Connection, select, update

from meter.admin.accounts import AccountRow
from meter.admin.granting import add_grant, find_grant
from meter.admin.recording import operation_named, record
from meter.admin.voiding import numbered_void, voided_nanos
from meter.database.admin_schema import top_ups
from meter.database.schema import grants
from meter.journal.operations import Operation, VoidGrant
from meter.payments.reversal_rows import ReversalRow, store_reversal, taken_of_top_up


class LeftGrant(NamedTuple):
    """Names a grant with a top-up's credits, and what is unspent and not pinned by holds."""

    grant_id: str
    nanos: int


def left_of(connection: Connection, row: ReversalRow) -> LeftGrant:
    """Returns the grant of the top-up of which most is left, as flushed.

    Credits that were granted again are in grants whose ids begin with the first one's.
    """
    query = (
        select(grants.c.grant_id, grants.c.left_nanos)
        .where(
            grants.c.account_id == row.account_id,
            grants.c.grant_id.startswith(row.grant_id, autoescape=True),
        )
        .order_by(grants.c.left_nanos.desc(), grants.c.grant_id)
    )
    found = connection.execute(query).first()
    if found is None:
        return LeftGrant(row.grant_id, 0)
    return LeftGrant(*found)


def take_back(
    connection: Connection,
    account: AccountRow,
    row: ReversalRow,
    grant: LeftGrant,
) -> tuple[ReversalRow, Operation]:
    """Records that credits of the grant are taken back.

    How many is known once the operation is flushed.
    Raises FailedPrecondition for a grant that has ended or is not refundable.
    """
    wanted = VoidGrant(
        number=0,
        grant_id=grant.grant_id,
        amount_nanos=grant.nanos,
        type=_void_type(row),
        reason=row.reason,
    )
    change = numbered_void(connection, account, wanted)
    request_id = f"{row.reversal_id} {row.steps}"  # a space: no client's id
    operation = record(connection, account, request_id, change)
    return replace(row, steps=row.steps + 1, voiding=request_id), operation


def taken_back(connection: Connection, account: AccountRow, row: ReversalRow) -> int | None:
    """Returns what the recorded void took; None until that is in the ledger."""
    operation = operation_named(connection, account.account_id, row.voiding)
    assert operation is not None, "a void on its way is recorded"
    nanos = voided_nanos(connection, operation)
    if nanos is None and account.applied_op >= operation.seq:
        return 0  # Redis had lost the void: it took nothing
    return nanos


def give_again(
    connection: Connection,
    account: AccountRow,
    row: ReversalRow,
    nanos: int,
) -> tuple[ReversalRow, Operation]:
    """Grants credits again that were taken back, with the old priority and expiry."""
    _, grant = find_grant(connection, account.account_id, row.grant_id)
    change = replace(
        grant,
        grant_id=f"{row.grant_id}-{row.reversal_id[-12:]}-{row.steps}",
        amount_nanos=nanos,
        effective_at_ms=None,
        description=f"{grant.description} (taken back, granted again)",
    )
    request_id = f"{row.reversal_id} {row.steps}"
    operation = add_grant(connection, account, change, request_id)
    row = replace(
        row,
        steps=row.steps + 1,
        regranted_nanos=row.regranted_nanos + nanos,
    )
    return row, operation


def keep_reversal(connection: Connection, row: ReversalRow) -> ReversalRow:
    """Writes the row, and what is taken back of its top-up in all."""
    store_reversal(connection, row)
    nanos = taken_of_top_up(connection, row.top_up_id)
    statement = update(top_ups).where(top_ups.c.top_up_id == row.top_up_id)
    connection.execute(statement.values(refunded_nanos=nanos))
    return row


def _void_type(row: ReversalRow) -> str:
    if row.kind == "REFUND":
        return "MONEY_BACK"
    # The money is gone already, whether or not the credits were sold as refundable.
    return "CORRECTION"
