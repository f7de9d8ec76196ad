"""Voids grants: which credits may be taken back, and which were."""

from dataclasses import replace

from sqlalchemy import Connection, select

from meter.admin.accounts import AccountRow
from meter.admin.granting import find_grant
from meter.admin.recording import now_of, recorded_operation
from meter.database.schema import entries, grants
from meter.errors import FailedPrecondition
from meter.journal.effect_codec import decode_effect
from meter.journal.operations import Change, GrantCredits, Operation, VoidGrant

_ENDED = ("EXHAUSTED", "EXPIRED", "VOIDED")


def numbered_void(
    connection: Connection,
    account: AccountRow,
    wanted: VoidGrant,
) -> VoidGrant:
    """Returns the change with the number of its grant.

    Raises NotFound for an unknown grant, FailedPrecondition for a grant that has ended or is not
    refundable, or for a part of a grant that is not effective yet.
    """
    number, grant = find_grant(connection, account.account_id, wanted.grant_id)
    _check_something_is_left(connection, grant)
    _check_refundable(grant, wanted)
    _check_part(account, grant, wanted)
    return replace(wanted, number=number)


def _check_something_is_left(connection: Connection, grant: GrantCredits) -> None:
    """Refuses a grant that has ended: nothing comes back to the grant any more."""
    query = select(grants.c.state).where(grants.c.grant_id == grant.grant_id)
    state = connection.scalar(query)
    if state in _ENDED:
        message = f"grant_id: grant {grant.grant_id} is {state.lower()}; nothing of it is left"
        raise FailedPrecondition("GRANT_ENDED", message, "grant_id")


def _check_refundable(grant: GrantCredits, wanted: VoidGrant) -> None:
    if wanted.type == "MONEY_BACK" and grant.non_refundable:
        message = f"type: grant {grant.grant_id} is not refundable; void it without MONEY_BACK"
        raise FailedPrecondition("NOT_REFUNDABLE", message, "type")


def _check_part(
    account: AccountRow,
    grant: GrantCredits,
    wanted: VoidGrant,
) -> None:
    is_part = wanted.amount_nanos is not None and wanted.amount_nanos < grant.amount_nanos
    is_scheduled = grant.effective_at_ms is not None and now_of(account) < grant.effective_at_ms
    if is_part and is_scheduled:
        message = (
            f"amount_nanos: grant {grant.grant_id} is not effective yet;"
            " void all of it, or a part once it is"
        )
        raise FailedPrecondition("GRANT_SCHEDULED", message, "amount_nanos")


def is_same_void(wanted: VoidGrant, was: Change) -> bool:
    """Returns whether the recorded change `was` is the voiding that is now asked for.

    `wanted` has no number yet: the number is not known before the grant is found.
    """
    return isinstance(was, VoidGrant) and replace(was, number=wanted.number) == wanted


def voided_nanos(connection: Connection, operation: Operation) -> int | None:
    """Returns how much a VoidGrant took away, or None until the operation is flushed."""
    query = select(entries.c.effect).where(
        entries.c.account_id == operation.account_id,
        entries.c.request_id == operation.request_id,
    )
    line = connection.scalar(query)
    if line is None:
        return None
    effect = decode_effect(line)
    if effect.flags.is_scheduled:
        # A grant that is not effective yet is voided whole: no credits moved.
        return _granted_nanos(connection, operation)
    return effect.amount


def _granted_nanos(connection: Connection, voiding: Operation) -> int:
    assert isinstance(voiding.change, VoidGrant)
    number = voiding.change.number
    grant = recorded_operation(connection, voiding.account_id, number).change
    if not isinstance(grant, GrantCredits):
        return 0
    return grant.amount_nanos
