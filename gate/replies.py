"""Replies: what a script did, in the words of the proto. A first reply and its replays are computed alike, from the same effect."""

from google.protobuf.timestamp_pb2 import Timestamp

from gate.pricing import Cost
from gate.store import Outcome
from gate.v1.gate_pb2 import (
    ALLOWED,
    DENIED,
    AuthorizeRequest,
    AuthorizeResponse,
    Balance,
    DebitResponse,
    Denial,
    ExtendResponse,
    GetBalanceResponse,
    ReleaseResponse,
)
from meter.effect import MS_PER_DAY, Effect, State
from meter.times import timestamp


def authorized(request: AuthorizeRequest, cost: Cost, outcome: Outcome) -> AuthorizeResponse:
    """Reply to an Authorize."""
    if outcome.denial:
        least = min(request.min_amount_nanos or cost.amount_nanos, cost.amount_nanos)
        return AuthorizeResponse(
            decision=DENIED, denial=_denial(outcome, least, cost), balance=_balance(outcome.effect.before)
        )
    effect = outcome.effect
    return AuthorizeResponse(
        decision=ALLOWED,
        hold_id=effect.hold_id,
        held_nanos=effect.amount,
        expires_at=_expiry(effect),
        balance=_balance(effect.after()),
        replayed=outcome.replayed,
        affordable_output_tokens=cost.affordable_output_tokens(effect.amount),
    )


def debited(cost: Cost, outcome: Outcome) -> DebitResponse:
    """Reply to a Debit."""
    if outcome.denial:
        denial = _denial(outcome, cost.amount_nanos, cost)
        return DebitResponse(decision=DENIED, denial=denial, balance=_balance(outcome.effect.before))
    effect = outcome.effect
    return DebitResponse(
        decision=ALLOWED,
        charged_nanos=effect.amount,
        shortfall_nanos=effect.shortfall,
        balance=_balance(effect.after()),
        replayed=outcome.replayed,
        late=effect.late,
    )


def released(outcome: Outcome) -> ReleaseResponse:
    """Reply to a Release."""
    effect = outcome.effect
    return ReleaseResponse(
        decision=ALLOWED, released_nanos=effect.amount, balance=_balance(effect.after()), replayed=outcome.replayed
    )


def extended(cost: Cost, outcome: Outcome) -> ExtendResponse:
    """Reply to an Extend."""
    if outcome.denial:
        denial = _denial(outcome, cost.amount_nanos, cost)
        return ExtendResponse(decision=DENIED, denial=denial, balance=_balance(outcome.effect.before))
    effect = outcome.effect
    return ExtendResponse(
        decision=ALLOWED,
        held_nanos=effect.hold_amount + effect.amount,
        expires_at=_expiry(effect),
        balance=_balance(effect.after()),
        replayed=outcome.replayed,
    )


def overview(account_id: str, look: Effect, currency: str) -> GetBalanceResponse:
    """Reply to a GetBalance."""
    return GetBalanceResponse(
        account_id=account_id, currency=currency, balance=_balance(look.before), read_at=timestamp(look.at_ms)
    )


def _expiry(effect: Effect) -> Timestamp | None:
    return None if effect.expires_ms is None else timestamp(effect.expires_ms)


def _denial(outcome: Outcome, needed_nanos: int, cost: Cost) -> Denial:
    suspended = outcome.denial == "ACCOUNT_SUSPENDED"
    affordable = 0 if suspended else outcome.effect.before.available
    denial = Denial(
        reason=outcome.denial,
        shortfall_nanos=max(0, needed_nanos - affordable),
        affordable_nanos=affordable,
        affordable_output_tokens=cost.affordable_output_tokens(affordable),
    )
    limit = outcome.effect.before.limit
    if outcome.denial == "DAILY_LIMIT_EXCEEDED" and limit is not None and needed_nanos <= limit:
        denial.resets_at.CopyFrom(timestamp((outcome.effect.day + 1) * MS_PER_DAY))
    return denial


def _balance(state: State) -> Balance:
    return Balance(
        total_credits_nanos=state.total,
        period_usage_nanos=state.used_this_month,
        remaining_nanos=state.remaining,
        overage_protection_nanos=state.overage,
        held_nanos=state.held,
        daily_limit_nanos=state.limit,
        daily_used_nanos=state.used_today,
        available_nanos=state.available,
    )
