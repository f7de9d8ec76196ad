"""Replies: what a script did, in the words of the proto.

A first reply and its replays are computed alike, from the same effect.
"""

from google.protobuf.timestamp_pb2 import Timestamp

from gate.pricing import Cost
from gate.store.account_reader import AccountView, GraceLeft
from gate.store.calls import Outcome
from gate.v1.gate_pb2 import (
    ALLOWED,
    DENIED,
    AuthorizeRequest,
    AuthorizeResponse,
    Balance,
    BudgetState,
    CostLine,
    CreditsLeft,
    DebitResponse,
    Denial,
    EstimateCostResponse,
    ExtendResponse,
    GetBalanceResponse,
    GraceState,
    ReleaseResponse,
)
from meter.journal.allocation import MatchedBudget
from meter.journal.effect import Effect
from meter.journal.kinds import Kind
from meter.times import MS_PER_DAY, timestamp


def authorized(request: AuthorizeRequest, cost: Cost, outcome: Outcome) -> AuthorizeResponse:
    """Reply to an Authorize."""
    if outcome.denial:
        least = min(request.min_amount_nanos or cost.amount_nanos, cost.amount_nanos)
        return AuthorizeResponse(
            decision=DENIED, denial=_denial(outcome, least, cost), balance=_balance(outcome.effect)
        )
    effect = outcome.effect
    response = AuthorizeResponse(
        decision=ALLOWED,
        hold_id=effect.hold_id,
        held_nanos=effect.amount,
        expires_at=_expiry(effect),
        replayed=outcome.replayed,
        affordable_output_tokens=cost.affordable_output_tokens(effect.amount),
        in_grace=effect.flags.in_grace,
    )
    _fill(response.balance, effect)
    return response


def debited(cost: Cost, outcome: Outcome) -> DebitResponse:
    """Reply to a Debit."""
    if outcome.denial:
        denial = _denial(outcome, cost.amount_nanos, cost)
        return DebitResponse(decision=DENIED, denial=denial, balance=_balance(outcome.effect))
    effect = outcome.effect
    # Field by field, here and in `_fill`: this is on the way of every call, and keywords cost more.
    response = DebitResponse()
    response.decision = ALLOWED
    response.charged_nanos = effect.amount
    response.shortfall_nanos = effect.shortfall
    response.replayed = outcome.replayed
    response.late = effect.flags.late
    response.in_grace = effect.flags.in_grace
    _fill(response.balance, effect)
    return response


def released(outcome: Outcome) -> ReleaseResponse:
    """Reply to a Release."""
    effect = outcome.effect
    return ReleaseResponse(
        decision=ALLOWED,
        released_nanos=effect.amount,
        balance=_balance(effect),
        replayed=outcome.replayed,
    )


def extended(cost: Cost, outcome: Outcome) -> ExtendResponse:
    """Reply to an Extend."""
    if outcome.denial:
        denial = _denial(outcome, cost.amount_nanos, cost)
        return ExtendResponse(decision=DENIED, denial=denial, balance=_balance(outcome.effect))
    effect = outcome.effect
    return ExtendResponse(
        decision=ALLOWED,
        held_nanos=effect.hold_amount + effect.amount,
        expires_at=_expiry(effect),
        balance=_balance(effect),
        replayed=outcome.replayed,
        in_grace=effect.flags.in_grace,
    )


def overview(account_id: str, look: AccountView) -> GetBalanceResponse:
    """Reply to a GetBalance."""
    return GetBalanceResponse(
        account_id=account_id,
        currency=look.currency,
        balance=_balance(look.effect),
        read_at=timestamp(look.effect.at_ms),
        breakdown=[
            CreditsLeft(type=kind, remaining_nanos=left + held, held_nanos=held)
            for kind, left, held in sorted(look.left_by_type())
        ],
        debt_nanos=look.debt,
        graces=[_grace(grace) for grace in look.graces if grace.began_ms is not None],
    )


def estimated(cost: Cost, amount_nanos: int | None) -> EstimateCostResponse:
    """Reply to an EstimateCost, for so much; None: for no amount."""
    price = cost.price
    quantities = cost.quantities
    assert price is not None
    assert quantities is not None
    amount = amount_nanos or 0
    return EstimateCostResponse(
        model=price.model,
        currency=price.currency,
        cost_nanos=cost.amount_nanos,
        lines=[
            CostLine(unit=unit, quantity=quantity, amount_nanos=nanos)
            for unit, quantity, nanos in cost.lines
        ],
        price_version=price.version,
        amount_nanos=amount,
        affordable_requests=None
        if amount_nanos is None
        else price.affordable_requests(quantities, amount),
        affordable_output_tokens=None
        if amount_nanos is None
        else cost.affordable_output_tokens(amount),
    )


def _grace(grace: GraceLeft) -> GraceState:
    assert grace.began_ms is not None
    ends = None if grace.duration_ms is None else timestamp(grace.began_ms + grace.duration_ms)
    return GraceState(
        traffic_class=grace.traffic_class, began_at=timestamp(grace.began_ms), ends_at=ends
    )


def _expiry(effect: Effect) -> Timestamp | None:
    return None if effect.expires_ms is None else timestamp(effect.expires_ms)


def _denial(outcome: Outcome, needed_nanos: int, cost: Cost) -> Denial:
    effect = outcome.effect
    affordable = 0 if outcome.denial == "ACCOUNT_SUSPENDED" else effect.affordable
    denial = Denial(
        reason=outcome.denial,
        shortfall_nanos=max(0, needed_nanos - affordable),
        affordable_nanos=affordable,
        affordable_output_tokens=cost.affordable_output_tokens(affordable),
    )
    if outcome.denial == "DAILY_LIMIT_EXCEEDED":
        assert effect.before.daily_limit is not None
        if needed_nanos <= effect.before.daily_limit:
            denial.resets_at.CopyFrom(timestamp((effect.day + 1) * MS_PER_DAY))
    elif outcome.denial == "BUDGET_EXCEEDED":
        matched = next(budget for budget in effect.budgets if budget.budget_id == outcome.budget_id)
        denial.budget.CopyFrom(_budget(matched, outcome.labels))
        if matched.end_day is not None and needed_nanos <= matched.limit:
            denial.resets_at.CopyFrom(timestamp(matched.end_day * MS_PER_DAY))
    return denial


def _budget(matched: MatchedBudget, labels: str) -> BudgetState:
    return BudgetState(
        budget_id=matched.budget_id,
        scope=dict(label.split("=", 1) for label in labels.split("\n")),
        limit_nanos=matched.limit,
        left_nanos=matched.remaining,
        resets_at=None if matched.end_day is None else timestamp(matched.end_day * MS_PER_DAY),
    )


def _balance(effect: Effect) -> Balance:
    balance = Balance()
    _fill(balance, effect)
    return balance


def _fill(balance: Balance, effect: Effect) -> None:
    state = effect.before if effect.kind is Kind.BALANCE else effect.settled()
    (
        spendable,
        held,
        overage,
        total,
        used,
        _,
        limit,
        day_base,
        month_base,
        expired,
        yesterday_base,
    ) = state
    remaining = total - expired - used
    balance.total_credits_nanos = total
    balance.period_usage_nanos = used - month_base
    balance.remaining_nanos = remaining
    balance.overage_protection_nanos = overage
    balance.held_nanos = held
    if limit is not None:
        balance.daily_limit_nanos = limit
    balance.daily_used_nanos = used - day_base
    balance.available_nanos = effect.available_after(state)
    balance.daily_used_yesterday_nanos = day_base - yesterday_base
    balance.scoped_nanos = remaining - (spendable - overage + held)
    balance.expired_nanos = expired
