"""Administers under load: grants that begin and expire meanwhile, top-ups, voidings, budgets,
overage protections.
"""

import time

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from chaos.calls import Caller
from meter.v1.accounts_pb2 import (
    LIFETIME,
    PROMOTION,
    Account,
    Budget,
    BudgetThreshold,
    CreateTopUpRequest,
    Grant,
    GrantCreditsRequest,
    Scope,
    SetBudgetRequest,
    TopUp,
    UpdateAccountRequest,
    VoidGrantRequest,
)

MILLI = 1_000_000  # nanos
CENT = 10 * MILLI
_BETWEEN_S = 0.03  # most of what happens is for gateways to do


def budget(name: str, limit_nanos: int) -> Budget:
    """One that is for chat: hard, or soft with thresholds."""
    levels = range(5 * MILLI, 50 * MILLI, 5 * MILLI) if name == "soft" else ()
    thresholds = [
        BudgetThreshold(threshold_id=f"at-{nanos}", amount_nanos=nanos) for nanos in levels
    ]
    scope = {"service": "chat"}
    soft = name == "soft"
    return Budget(
        budget_id=name,
        scope=scope,
        soft=soft,
        window=LIFETIME,
        limit_nanos=limit_nanos,
        thresholds=thresholds,
    )


class Administrator:
    """Remembers what it has granted, so that it can void some."""

    def __init__(self) -> None:
        self._voidable: list[tuple[str, str]] = []  # account, grant

    def act(self, caller: Caller, account_id: str) -> None:
        """One thing that an administrator does."""
        time.sleep(_BETWEEN_S)
        match caller.random_values.randrange(6):
            case 0:
                self._sell(caller, account_id)
            case 1:
                self._void(caller)
            case 2:
                _set_budget(caller)
            case 3:
                _protect(caller)
            case _:
                self._promote(caller, account_id)

    def _promote(self, caller: Caller, account_id: str) -> None:
        """Credits for a second or two, some for chat alone, some from a moment later on."""
        begins_s = caller.random_values.choice((0.0, 0.0, 0.5))
        grant = Grant(
            type=PROMOTION,
            amount_nanos=_amount(caller),
            priority=caller.random_values.choice((0, 10)),
            effective_at=_in(begins_s) if begins_s else None,
            expires_at=_in(begins_s + caller.random_values.choice((1.0, 2.0))),
            scope=caller.random_values.choice((None, Scope(services=["chat"]))),
        )
        reply = caller.call(
            "GrantCredits", GrantCreditsRequest(**caller.ids(account_id), grant=grant)
        )
        if reply is not None:
            self._voidable.append((account_id, reply.grant_id))

    def _sell(self, caller: Caller, account_id: str) -> None:
        request_id = caller.new_id()
        top_up = TopUp(account_id=account_id, amount_nanos=CENT, payment_reference=request_id)
        reply = caller.call("CreateTopUp", CreateTopUpRequest(request_id=request_id, top_up=top_up))
        if reply is not None:
            self._voidable.append((account_id, reply.grant_id))

    def _void(self, caller: Caller) -> None:
        if self._voidable:
            account_id, grant_id = self._voidable.pop(
                caller.random_values.randrange(len(self._voidable))
            )
            caller.call(
                "VoidGrant",
                VoidGrantRequest(**caller.ids(account_id), grant_id=grant_id, reason="a test"),
            )


def _set_budget(caller: Caller) -> None:
    """The hard one may run out; what it is for is then denied until it is raised."""
    wanted = budget("hard", caller.random_values.randint(1, 100) * MILLI)
    caller.call("SetBudget", SetBudgetRequest(**caller.ids("budgeted"), budget=wanted))


def _protect(caller: Caller) -> None:
    wanted = Account(
        account_id="overdrawn",
        overage_protection_nanos=caller.random_values.randint(1, 100) * MILLI,
    )
    mask = FieldMask(paths=["overage_protection_nanos"])
    caller.call(
        "UpdateAccount",
        UpdateAccountRequest(request_id=caller.new_id(), account=wanted, update_mask=mask),
    )


def _amount(caller: Caller) -> int:
    return caller.random_values.randint(1, 5 * MILLI)


def _in(seconds: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMilliseconds(int((time.time() + seconds) * 1000))
    return stamp
