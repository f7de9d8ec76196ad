"""RPCs to add credits to an account and to take unspent credits back."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable

from gate.admin.fields import (
    Canonical,
    check_amount,
    check_choice,
    check_request_id,
    labels_of,
    optional_ms,
    priority_of,
)
from gate.store.restore import Restorer
from meter.admin.recorder import OperationRecorder
from meter.errors import InvalidField, Unavailable
from meter.ids import check_description, check_id
from meter.journal.grant_types import GRANT_TYPES
from meter.journal.operations import GrantCredits
from meter.statements.grants import grant_message
from meter.v1.accounts_pb2 import (
    Grant,
    GrantCreditsRequest,
    GrantType,
    VoidGrantRequest,
    VoidGrantResponse,
    VoidType,
)


class GrantMethods:
    """Serves the RPCs about grants.

    `wait_until_flushed` returns once the ledger holds all that Redis has acknowledged for an
    account.
    """

    def __init__(
        self,
        operations: OperationRecorder,
        restorer: Restorer,
        wait_until_flushed: Callable[[str | None], Awaitable[None]],
        canonical: Canonical,
    ) -> None:
        self._operations = operations
        self._restorer = restorer
        self._wait_until_flushed = wait_until_flushed
        self._canonical = canonical

    async def GrantCredits(self, request: GrantCreditsRequest) -> Grant:
        account_id = request.account_id
        grant = request.grant
        check_id("account_id", account_id)
        check_request_id(request.request_id, required=True)
        if grant.account_id not in ("", account_id):
            raise InvalidField(
                "grant.account_id",
                "must be empty, or the account_id of the request",
            )
        operation = await asyncio.to_thread(
            self._operations.grant_credits,
            account_id,
            _grant_of(account_id, grant, self._canonical),
            request_id=request.request_id,
        )
        await self._restorer.apply(operation)
        return grant_message(account_id, operation.change)

    async def VoidGrant(self, request: VoidGrantRequest) -> VoidGrantResponse:
        _check_void(request)
        amount_nanos = None
        if request.HasField("amount_nanos"):
            amount_nanos = request.amount_nanos
        operation = await asyncio.to_thread(
            self._operations.void_grant,
            request.account_id,
            request.grant_id,
            amount_nanos,
            kind=VoidType.Name(request.type or VoidType.VOID),
            reason=request.reason,
            request_id=request.request_id,
        )
        await self._restorer.apply(operation)
        # Only the journal knows the amount; once the ledger has the entry, a repeat reads the same.
        await self._wait_until_flushed(request.account_id)
        voided_nanos = await asyncio.to_thread(self._operations.voided_nanos, operation)
        if voided_nanos is None:
            raise Unavailable(
                "LEDGER_BEHIND",
                "the grant is voided; repeat the call to learn how much of it was left",
            )
        return VoidGrantResponse(voided_nanos=voided_nanos)


def _check_void(request: VoidGrantRequest) -> None:
    check_id("account_id", request.account_id)
    check_request_id(request.request_id, required=True)
    check_id("grant_id", request.grant_id)
    if request.HasField("amount_nanos"):
        check_amount("amount_nanos", request.amount_nanos)
    check_choice("type", request.type, VoidType)
    _check_reason("reason", request.reason)


def _check_reason(field: str, reason: str) -> None:
    if not reason:
        raise InvalidField(field, "must give the reason")
    check_description(field, reason)


def _grant_of(
    account_id: str,
    grant: Grant,
    canonical: Canonical,
) -> GrantCredits:
    """Returns the grant as an operation with a new grant id; raises InvalidField."""
    check_choice("grant.type", grant.type, GrantType)
    check_amount("grant.amount_nanos", grant.amount_nanos)
    grant_type = GrantType.Name(grant.type or GrantType.TOP_UP)
    if GRANT_TYPES[grant_type].needs_reason:
        _check_reason("grant.description", grant.description)
    else:
        check_description("grant.description", grant.description)
    effective_ms = optional_ms("grant.effective_at", grant)
    expires_ms = optional_ms("grant.expires_at", grant)
    if effective_ms is not None and expires_ms is not None and effective_ms >= expires_ms:
        raise InvalidField("grant.expires_at", "must be after effective_at")
    return GrantCredits(
        grant_id=f"g{uuid.uuid4().hex}",
        type=grant_type,
        amount_nanos=grant.amount_nanos,
        priority=priority_of("grant.priority", grant.priority),
        effective_at_ms=effective_ms,
        expires_at_ms=expires_ms,
        description=grant.description,
        scope=labels_of("grant.scope", grant.scope, canonical, account_id),
        non_refundable=grant.non_refundable,
    )
