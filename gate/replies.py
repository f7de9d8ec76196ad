"""Replies: each function turns the outcome of a script into the message of gate.v1.

A first reply and its replays are computed alike, from the same effect.
"""

from google.protobuf.timestamp_pb2 import Timestamp

from gate.pricing import Cost
from gate.store.account_codec import StoredGrace
from gate.store.account_reader import AccountView
from gate.store.calls import Outcome
from gate.v1.gate_pb2 import (
    ALLOWED,
    DENIED,
    AuthorizeRequest,
    AuthorizeResponse,
    Balance,
    BudgetState,
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
from meter.journal.effect import NO_FLAGS, Effect
from meter.journal.kinds import Kind
from meter.times import MS_PER_DAY, MS_PER_HOUR, optional_timestamp, set_timestamp, timestamp


def authorized(request: AuthorizeRequest, cost: Cost, outcome: Outcome) -> AuthorizeResponse:
    """Returns the reply to an Authorize."""
    if outcome.denial:
        needed_nanos = min(request.min_amount_nanos or cost.amount_nanos, cost.amount_nanos)
        return AuthorizeResponse(
            decision=DENIED,
            denial=_denial(outcome, needed_nanos, cost),
            balance=_balance(outcome.effect),
        )
    effect = outcome.effect
    # Every call passes here, or one of the next two, and `_fill`: setting fields costs less than
    # passing keywords.
    response = AuthorizeResponse()
    response.decision = ALLOWED
    response.hold_id = effect.hold_id
    response.held_nanos = effect.amount
    if effect.expires_ms is not None:
        set_timestamp(response.expires_at, effect.expires_ms)
    response.replayed = outcome.replayed
    output_tokens = cost.affordable_output_tokens(effect.amount)
    if output_tokens is not None:
        response.affordable_output_tokens = output_tokens
    response.in_grace = effect.flags.in_grace
    _fill(response.balance, effect)
    return response


def debited(cost: Cost, outcome: Outcome) -> DebitResponse:
    """Returns the reply to a Debit."""
    if outcome.denial:
        return DebitResponse(
            decision=DENIED,
            denial=_denial(outcome, cost.amount_nanos, cost),
            balance=_balance(outcome.effect),
        )
    effect = outcome.effect
    response = DebitResponse()
    response.decision = ALLOWED
    response.charged_nanos = effect.amount
    response.shortfall_nanos = effect.shortfall
    response.replayed = outcome.replayed
    if effect.flags is not NO_FLAGS:
        response.late = effect.flags.late
        response.in_grace = effect.flags.in_grace
    _fill(response.balance, effect)
    return response


def released(outcome: Outcome) -> ReleaseResponse:
    """Returns the reply to a Release, which is never denied."""
    effect = outcome.effect
    response = ReleaseResponse()
    response.decision = ALLOWED
    response.released_nanos = effect.amount
    response.replayed = outcome.replayed
    _fill(response.balance, effect)
    return response


def extended(cost: Cost, outcome: Outcome) -> ExtendResponse:
    """Returns the reply to an Extend."""
    if outcome.denial:
        return ExtendResponse(
            decision=DENIED,
            denial=_denial(outcome, cost.amount_nanos, cost),
            balance=_balance(outcome.effect),
        )
    effect = outcome.effect
    return ExtendResponse(
        decision=ALLOWED,
        held_nanos=effect.hold_amount + effect.amount,
        expires_at=optional_timestamp(effect.expires_ms),
        balance=_balance(effect),
        replayed=outcome.replayed,
        in_grace=effect.flags.in_grace,
    )


def overview(account_id: str, view: AccountView) -> GetBalanceResponse:
    """Returns the reply to a GetBalance."""
    return GetBalanceResponse(
        account_id=account_id,
        currency=view.currency,
        balance=_balance(view.effect),
        read_at=timestamp(view.effect.at_ms),
        breakdown=_breakdown(view),
        debt_nanos=view.debt,
        graces=[_grace(grace) for grace in view.graces if grace.goes_on(view.effect.at_ms)],
        suspended=view.effect.flags.suspended,
        blocked_nanos=view.blocked,
    )


def estimated(cost: Cost, amount_nanos: int | None) -> EstimateCostResponse:
    """Returns the reply to an EstimateCost, with how much `amount_nanos` buys, if given."""
    price = cost.price
    assert price is not None
    assert cost.quantities is not None
    response = EstimateCostResponse(
        model=price.model,
        currency=price.currency,
        cost_nanos=cost.amount_nanos,
        price_version=price.version,
    )
    for unit, quantity, nanos in cost.lines:
        response.lines.add(unit=unit, quantity=quantity, amount_nanos=nanos)
    if amount_nanos is not None:
        response.amount_nanos = amount_nanos
        requests = price.affordable_requests(cost.quantities, amount_nanos)
        if requests is not None:
            response.affordable_requests = requests
        output_tokens = cost.affordable_output_tokens(amount_nanos)
        if output_tokens is not None:
            response.affordable_output_tokens = output_tokens
    return response


def _denial(outcome: Outcome, needed_nanos: int, cost: Cost) -> Denial:
    """Returns the denial, with the end of the day or window that would heal the denial.

    `needed_nanos` is the least amount that the request would have been content with.
    """
    effect = outcome.effect
    affordable_nanos = effect.affordable
    denial = Denial(
        reason=outcome.denial,
        shortfall_nanos=max(0, needed_nanos - affordable_nanos),
        affordable_nanos=affordable_nanos,
        affordable_output_tokens=cost.affordable_output_tokens(affordable_nanos),
    )
    if outcome.denial == "DAILY_LIMIT_EXCEEDED":
        daily_limit = effect.before.daily_limit
        assert daily_limit is not None
        if needed_nanos <= daily_limit:
            denial.resets_at.CopyFrom(_start_of(effect.day + 1))
    elif outcome.denial == "BUDGET_EXCEEDED":
        matched = next(budget for budget in effect.budgets if budget.budget_id == outcome.budget_id)
        denial.budget.CopyFrom(_budget(matched, outcome.labels))
        if matched.end_hour is not None and needed_nanos <= matched.limit:
            denial.resets_at.CopyFrom(_start_of_hour(matched.end_hour))
    return denial


def _budget(matched: MatchedBudget, labels: str) -> BudgetState:
    """Returns the budget as matched; `labels` has a line "key=value" for each dimension."""
    state = BudgetState(
        budget_id=matched.budget_id,
        limit_nanos=matched.limit,
        left_nanos=matched.remaining,
    )
    for label in labels.split("\n"):
        key, value = label.split("=", 1)
        state.scope[key] = value
    if matched.end_hour is not None:
        state.resets_at.CopyFrom(_start_of_hour(matched.end_hour))
    return state


def _breakdown(view: AccountView) -> list[CreditsLeft]:
    return [
        CreditsLeft(type=grant_type, remaining_nanos=left + held, held_nanos=held)
        for grant_type, left, held in sorted(view.left_by_type())
    ]


def _grace(grace: StoredGrace) -> GraceState:
    assert grace.began_ms is not None
    state = GraceState(
        traffic_class=grace.traffic_class,
        began_at=timestamp(grace.began_ms),
    )
    if grace.duration_ms is not None:
        state.ends_at.CopyFrom(timestamp(grace.began_ms + grace.duration_ms))
    return state


def _start_of(day: int) -> Timestamp:
    return timestamp(day * MS_PER_DAY)


def _start_of_hour(hour: int) -> Timestamp:
    return timestamp(hour * MS_PER_HOUR)


def _balance(effect: Effect) -> Balance:
    balance = Balance()
    _fill(balance, effect)
    return balance


def _fill(balance: Balance, effect: Effect) -> None:
    """Fills in the account's sums as the effect left the account."""
    if effect.kind is Kind.BALANCE:
        state = effect.before
    else:
        state = effect.settled()
    # One unpacking costs less than reading ten attributes.
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
