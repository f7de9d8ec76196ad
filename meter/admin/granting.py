"""Records grants and their effects on debt and thresholds, and finds grants again."""

import json
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import Connection, Select, func, select

from meter.admin.accounts import AccountRow, lock_account
from meter.admin.recording import now_of, record, recorded
from meter.database.errors import AmountOutOfRange
from meter.database.schema import grants, operations
from meter.errors import FailedPrecondition, InvalidField, NotFound
from meter.journal.grant_types import GRANT_TYPES
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

# Within an operation's JSON; a client's text cannot look the same, for its quotes are escaped.
_IS_GRANT = operations.c.body.contains('"method":"grant"')
_IS_NEW_MONEY = operations.c.body.contains('"refund_of":""')


def check_new_grant(
    connection: Connection,
    account: AccountRow,
    change: GrantCredits,
) -> None:
    """Checks a grant before it is recorded.

    Raises InvalidField for a grant that has expired by the account's clock, FailedPrecondition if
    the account has too many grants.
    """
    if change.expires_at_ms is not None and change.expires_at_ms <= now_of(account):
        raise InvalidField("grant.expires_at", "has passed already: its credits could not be spent")
    check_room_for_grant(connection, account)


def check_room_for_grant(connection: Connection, account: AccountRow) -> None:
    """Raises FailedPrecondition if the account has as many grants as an account may have."""
    live = _count_live(connection, account)
    not_flushed = _count_not_flushed(connection, account)
    if live + not_flushed >= MAX_LIVE_GRANTS:
        raise FailedPrecondition(
            "TOO_MANY_GRANTS",
            f"account_id: has {MAX_LIVE_GRANTS} grants that are neither used up nor expired,"
            " which is the most: void some first",
            "account_id",
        )


def _count_live(connection: Connection, account: AccountRow) -> int:
    query = select(func.count()).where(
        grants.c.account_id == account.account_id,
        grants.c.state.in_(("SCHEDULED", "LIVE")),
    )
    return connection.scalar(query) or 0


def _count_not_flushed(connection: Connection, account: AccountRow) -> int:
    query = select(func.count()).where(
        operations.c.account_id == account.account_id,
        operations.c.seq > account.applied_op,
        _IS_GRANT,
    )
    return connection.scalar(query) or 0


def record_grant(
    connection: Connection,
    account_id: str,
    change: GrantCredits,
    request_id: str,
) -> Operation:
    """Records credits that the ledger itself gives, within the caller's transaction.

    A repeat returns the first operation. The number of grants and the expiry are not checked.
    Raises AmountOutOfRange.
    """
    account = lock_account(connection, account_id)
    operation = recorded(connection, account, request_id, partial(is_same_grant, change))
    if operation is not None:
        return operation
    return add_grant(connection, account, change, request_id)


def add_grant(
    connection: Connection,
    account: AccountRow,
    change: GrantCredits,
    request_id: str,
) -> Operation:
    """Records the grant, with what follows from the account's settings.

    The settings decide whether the grant pays debt, and which thresholds the grant moves. Raises
    AmountOutOfRange if a sum would leave int64.
    """
    granted_nanos = account.granted_nanos + change.amount_nanos
    _check_sum(granted_nanos + account.overage_protection_nanos)
    completed = replace(
        change,
        pays_debt=_pays_debt(account, change),
        levels=_moved_levels(account, change),
    )
    return record(
        connection,
        account,
        request_id,
        completed,
        granted_nanos=granted_nanos,
    )


def _check_sum(nanos: int) -> None:
    if nanos > INT64_MAX:
        raise AmountOutOfRange(
            "amount_nanos",
            "all credits ever granted, with the overage protection, would leave int64",
        )


def is_same_grant(change: GrantCredits, was: Change) -> bool:
    """Returns whether the recorded change `was` is the grant that is now asked for.

    Fields that were filled in while recording do not count.
    """
    if not isinstance(was, GrantCredits):
        return False
    as_asked = replace(
        was,
        grant_id=change.grant_id,
        pays_debt=change.pays_debt,
        levels=change.levels,
    )
    return as_asked == change


def find_grant(
    connection: Connection,
    account_id: str,
    grant_id: str,
) -> tuple[int, GrantCredits]:
    """Returns a grant, flushed or not, after the number of the operation that made the grant.

    Raises NotFound for an unknown grant.
    """
    query = _select_naming(account_id, grant_id)
    for body in connection.scalars(query):
        operation = Operation.from_json(body)
        change = operation.change
        if isinstance(change, GrantCredits) and change.grant_id == grant_id:
            return operation.seq, change
    message = f"grant_id: account {account_id} has no grant {grant_id}"
    raise NotFound("GRANT_NOT_FOUND", message, "grant_id")


def _select_naming(account_id: str, grant_id: str) -> Select[Any]:
    """Selects the grants whose JSON has the id: the grant with the id is among these."""
    quoted_id = json.dumps(grant_id, ensure_ascii=False)
    return select(operations.c.body).where(
        operations.c.account_id == account_id,
        _IS_GRANT,
        operations.c.body.contains(f'"grant_id":{quoted_id}', autoescape=True),
    )


def newest_grant_nanos(connection: Connection, account_id: str) -> int | None:
    """Returns the amount of the grant recorded last, or None if there is no grant.

    The ledger's own refunds of duplicates do not count.
    """
    body = connection.scalar(_select_newest_grant(account_id))
    if body is None:
        return None
    change = Operation.from_json(body).change
    if not isinstance(change, GrantCredits):
        return None
    return change.amount_nanos


def _select_newest_grant(account_id: str) -> Select[Any]:
    """Selects the grant recorded last, without refunds of duplicates."""
    return (
        select(operations.c.body)
        .where(operations.c.account_id == account_id, _IS_GRANT, _IS_NEW_MONEY)
        .order_by(operations.c.seq.desc())
        .limit(1)
    )


def _pays_debt(account: AccountRow, change: GrantCredits) -> bool:
    """Returns whether overage in use is paid from the grant at once."""
    if change.scope:
        return False
    if GRANT_TYPES[change.type].always_pays_debt:
        return True
    return change.type == "TOP_UP" and account.overage_policy == NEXT_PURCHASE


def _moved_levels(
    account: AccountRow,
    change: GrantCredits,
) -> tuple[Level, ...] | None:
    """Returns the account's levels from the grant on, or None if the grant changes none of them."""
    if not _moves_levels(account, change):
        return None
    return levels_of(
        account.thresholds,
        account.daily_limit_nanos,
        change.amount_nanos,
    )


def _moves_levels(account: AccountRow, change: GrantCredits) -> bool:
    """Returns whether any of the account's levels goes by the grant; a refund moves none."""
    if change.refund_of:
        return False
    return any(threshold.moves_with_grants for threshold in account.thresholds)
