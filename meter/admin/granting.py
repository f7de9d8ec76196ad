"""Grants as recorded: what an operation that adds credits must keep to, what follows from it, and
finding it again.
"""

import json
from dataclasses import replace

from sqlalchemy import Connection, func, select

from meter.admin.accounts import AccountRow
from meter.admin.recording import now_of, record
from meter.database.errors import AmountOutOfRange
from meter.database.schema import grants, operations
from meter.errors import FailedPrecondition, InvalidField, NotFound
from meter.journal.operations import (
    NEXT_PURCHASE,
    Change,
    GrantCredits,
    Level,
    Operation,
    levels_of,
)
from meter.money import INT64_MAX

MAX_LIVE_GRANTS = 500  # of one account: the gate keeps all of them at hand

_OWED_FOR = ("REFUND", "ADJUSTMENT")  # these pay overage in use, whatever the account's policy

# Within an operation's JSON; a client's text cannot look like it, for its quotes are escaped there.
_IS_GRANT = operations.c.body.contains('"method":"grant"')
_IS_NEW_MONEY = operations.c.body.contains('"refund_of":""')


def check_new_grant(connection: Connection, account: AccountRow, change: GrantCredits) -> None:
    """InvalidField for one that has expired by the account's clock; FailedPrecondition if the account
    has too many.
    """
    if change.expires_at_ms is not None and change.expires_at_ms <= now_of(account):
        raise InvalidField("grant.expires_at", "has passed already: its credits could not be spent")
    check_room_for_grant(connection, account)


def check_room_for_grant(connection: Connection, account: AccountRow) -> None:
    """FailedPrecondition if the account has as many grants as it may."""
    live = (grants.c.account_id == account.account_id) & grants.c.state.in_(("SCHEDULED", "LIVE"))
    unflushed = (
        (operations.c.account_id == account.account_id)
        & (operations.c.seq > account.applied_op)
        & _IS_GRANT
    )
    queries = (
        select(func.count()).select_from(grants).where(live),
        select(func.count()).where(unflushed),
    )
    if sum(connection.scalar(query) or 0 for query in queries) >= MAX_LIVE_GRANTS:
        raise FailedPrecondition(
            "TOO_MANY_GRANTS",
            f"account_id: has {MAX_LIVE_GRANTS} grants that are neither used up nor expired, which is the most: void some first",
            "account_id",
        )


def add_grant(
    connection: Connection, account: AccountRow, change: GrantCredits, request_id: str
) -> Operation:
    """Records the grant, with what follows from the account's settings: whether it pays debt, which
    levels it moves.

    AmountOutOfRange.
    """
    granted_nanos = account.granted_nanos + change.amount_nanos
    if granted_nanos + account.overage_protection_nanos > INT64_MAX:
        raise AmountOutOfRange(
            "amount_nanos",
            "all credits ever granted, with the overage protection, would leave int64",
        )
    change = replace(
        change, pays_debt=_pays_debt(account, change), levels=_moved_levels(account, change)
    )
    return record(connection, account, request_id, change, granted_nanos=granted_nanos)


def same_grant(was: Change, change: GrantCredits) -> bool:
    """Whether a recorded change is this grant; what its recording has added does not count."""
    if not isinstance(was, GrantCredits):
        return False
    return (
        replace(was, grant_id=change.grant_id, pays_debt=change.pays_debt, levels=change.levels)
        == change
    )


def find_grant(connection: Connection, account_id: str, grant_id: str) -> tuple[int, GrantCredits]:
    """A grant, flushed or not, with the number of the operation that made it. NotFound."""
    named = operations.c.body.contains(
        f'"grant_id":{json.dumps(grant_id, ensure_ascii=False)}', autoescape=True
    )
    query = select(operations.c.body).where(operations.c.account_id == account_id, _IS_GRANT, named)
    for operation in map(Operation.from_json, connection.scalars(query)):
        if isinstance(operation.change, GrantCredits) and operation.change.grant_id == grant_id:
            return operation.seq, operation.change
    raise NotFound(
        "GRANT_NOT_FOUND", f"grant_id: account {account_id} has no grant {grant_id}", "grant_id"
    )


def newest_grant_nanos(connection: Connection, account_id: str) -> int | None:
    """Of the grant recorded last, refunds of the ledger's own aside; None: there is none."""
    query = select(operations.c.body).where(
        operations.c.account_id == account_id, _IS_GRANT, _IS_NEW_MONEY
    )
    body = connection.scalar(query.order_by(operations.c.seq.desc()).limit(1))
    change = None if body is None else Operation.from_json(body).change
    return change.amount_nanos if isinstance(change, GrantCredits) else None


def _pays_debt(account: AccountRow, change: GrantCredits) -> bool:
    if change.scope:
        return False
    return change.type in _OWED_FOR or (
        change.type == "TOP_UP" and account.overage_policy == NEXT_PURCHASE
    )


def _moved_levels(account: AccountRow, change: GrantCredits) -> tuple[Level, ...] | None:
    if change.refund_of or not any(threshold.moves_with_grants for threshold in account.thresholds):
        return None
    return levels_of(account.thresholds, account.daily_limit_nanos, change.amount_nanos)
