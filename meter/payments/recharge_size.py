"""How large a recharge is. Pure arithmetic."""

from meter.admin.top_up_bounds import TopUpBound
from meter.currencies import minor_unit_nanos
from meter.money import INT64_MAX
from meter.payments.recharge_rows import RuleRow


def recharge_nanos(
    rule: RuleRow,
    remaining_nanos: int,
    currency: str,
    bound: TopUpBound | None,
    left_nanos: int | None,
) -> int:
    """Returns what to charge, within the currency's bound and what the month leaves.

    0 if the month does not leave enough: nothing is charged in part. `left_nanos` is None without
    a limit.
    """
    most_nanos = INT64_MAX
    least_nanos = 0
    if bound is not None:
        least_nanos = bound.least_nanos
        most_nanos = bound.most_nanos or INT64_MAX
    left = INT64_MAX
    if left_nanos is not None:
        left = left_nanos
    if rule.amount_nanos is not None:
        return _fixed_nanos(rule, rule.amount_nanos, remaining_nanos, min(most_nanos, left))
    assert rule.target_nanos is not None, "a rule has an amount or a target"
    gap_nanos = max(rule.target_nanos - remaining_nanos, least_nanos)
    unit_nanos = minor_unit_nanos(currency)
    wanted_nanos = -(-min(gap_nanos, most_nanos) // unit_nanos) * unit_nanos
    if wanted_nanos > left:
        return 0
    return wanted_nanos


def _fixed_nanos(
    rule: RuleRow,
    amount_nanos: int,
    remaining_nanos: int,
    most_nanos: int,
) -> int:
    """Returns as many times the amount as come above the threshold, at least one."""
    gap_nanos = max(rule.threshold_nanos - remaining_nanos, 0)
    times = gap_nanos // amount_nanos + 1
    return min(times, most_nanos // amount_nanos) * amount_nanos
