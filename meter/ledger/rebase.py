"""Rebasing: records that follow a loss are read on top of what the ledger has.

Redis or the journal has lost something; mostly the sums that an entry found show the loss. What
such an entry did, the entry did all the same; what was lost before stays lost.
"""

from collections.abc import Collection, Iterable, Mapping
from operator import attrgetter

from meter.journal.account_sums import AccountSums
from meter.journal.allocation import OVERAGE, Allocation, Part, first_of, joined, total
from meter.journal.effect import Effect
from meter.journal.kinds import Kind
from meter.ledger.projections.grants import GrantBalance


def taken_from(
    effect: Effect,
    pins: tuple[Part, ...],
    grants: Mapping[int, GrantBalance],
    debt: int,
) -> tuple[Part, ...]:
    """Returns what the effect takes from the grants that the ledger has.

    Credits that are not there are taken as new usage would be: in burn order, at last from overage.
    """
    kind = effect.kind
    if kind is Kind.GRANT_EXHAUSTED:
        return _exhausted(effect.taken, grants)
    if kind.loses:
        return _lost_from(effect, grants.values(), debt)
    if kind.spends:
        return _spent_from(effect, pins, grants.values())
    return ()


def rebased(
    effect: Effect,
    known: AccountSums,
    taken: tuple[Part, ...],
    pins: tuple[Part, ...],
    given: tuple[Part, ...],
) -> Effect:
    """Returns the effect on top of the sums `known`.

    The effect takes `taken`; a hold that the effect ends had `pins`; a grant, or the start of a
    grant, gives `given`.
    """
    kind = effect.kind
    effect = effect._replace(before=rebased_sums(known, effect.before))
    if kind.ends_hold:
        return _ending_hold(effect, taken, pins)
    if kind.gives:
        effect = effect._replace(amount=total(given))
        return _reallocated(effect, taken=(), returned=given)
    if kind.names_taken:
        return _taking(effect, taken, pins)
    return effect


def _ending_hold(
    effect: Effect,
    taken: tuple[Part, ...],
    pins: tuple[Part, ...],
) -> Effect:
    """Returns the effect of a hold's end, with other parts."""
    lapsed: tuple[Part, ...] = ()
    if pins == effect.returned:
        lapsed = effect.lapsed
    hold_amount = total(pins)
    amount = hold_amount
    if effect.kind is Kind.DEBIT:
        amount = total(taken)
    effect = effect._replace(amount=amount, hold_amount=hold_amount)
    return _reallocated(effect, taken, pins, lapsed)


def _taking(
    effect: Effect,
    taken: tuple[Part, ...],
    pins: tuple[Part, ...],
) -> Effect:
    """Returns an effect with other parts; the effect takes credits and ends no hold."""
    effect = effect._replace(amount=total(taken))
    if effect.kind is Kind.EXTEND:
        effect = effect._replace(hold_amount=total(pins))
    return _reallocated(effect, taken, _paid_to_overage(effect))


def _paid_to_overage(effect: Effect) -> tuple[Part, ...]:
    if effect.kind is not Kind.DEBT_PAID:
        return ()
    return (Part(OVERAGE, effect.amount),)


def rebased_sums(known: AccountSums, found: AccountSums) -> AccountSums:
    """Returns the sums found, with the credits of `known`.

    The use of the day and of the month stays as found.
    """
    day_base = known.used - found.used_today
    return found._replace(
        spendable=known.spendable - known.overage + found.overage,
        held=known.held,
        total=known.total,
        used=known.used,
        expired=known.expired,
        day_base=day_base,
        month_base=known.used - found.used_this_month,
        yesterday_base=day_base - found.used_yesterday,
    )


def _exhausted(
    parts: Iterable[Part],
    grants: Mapping[int, GrantBalance],
) -> tuple[Part, ...]:
    """Returns the parts whose grants are empty."""
    return tuple(part for part in parts if _is_empty(grants.get(part.grant)))


def _is_empty(grant: GrantBalance | None) -> bool:
    return grant is not None and grant.is_empty


def _lost_from(
    effect: Effect,
    grants: Collection[GrantBalance],
    debt: int,
) -> tuple[Part, ...]:
    """Returns what the grants lose other than for usage, as far as it is there."""
    there = _bounded(effect.taken, _left_in(grants))
    if effect.kind is Kind.DEBT_PAID:
        return first_of(there, max(0, debt))
    return there


def _spent_from(
    effect: Effect,
    pins: tuple[Part, ...],
    grants: Collection[GrantBalance],
) -> tuple[Part, ...]:
    """Returns what usage takes of the grants; what a settled hold had pinned is there again."""
    left = _left_in(grants)
    if effect.kind.ends_hold:
        for part in pins:
            left[part.grant] = left.get(part.grant, 0) + part.amount
    there = _bounded(effect.taken, left)
    return _with_missing(effect, there, left, grants)


def _left_in(grants: Iterable[GrantBalance]) -> dict[int, int]:
    """Returns the rest of each grant in nanos, except of scheduled grants."""
    left = {}
    for grant in grants:
        if not grant.is_scheduled:
            left[grant.number] = grant.left
    return left


def _with_missing(
    effect: Effect,
    there: tuple[Part, ...],
    left: dict[int, int],
    grants: Iterable[GrantBalance],
) -> tuple[Part, ...]:
    """Returns the parts that are there, and new parts for the rest of the effect's amount.

    `left` is what the grants have before the parts are taken; the parts are subtracted.
    """
    for part in there:
        left[part.grant] -= part.amount
    of_overage = [part for part in effect.taken if part.grant == OVERAGE]
    missing = effect.amount - total(there) - total(of_overage)
    planned = _planned(missing, left, grants, effect.at_ms)
    return joined(there, (*of_overage, *planned))


def _bounded(
    parts: Iterable[Part],
    left: Mapping[int, int],
) -> tuple[Part, ...]:
    """Returns the parts, each no larger than what is left of the grant.

    A grant whose own entry, or the entry of whose start, was lost has nothing.
    """
    bounded = []
    for part in parts:
        if part.grant in left:
            available = max(0, left[part.grant])
            amount = min(part.amount, available)
            bounded.append(part._replace(amount=amount))
    return tuple(bounded)


def _planned(
    amount: int,
    left: Mapping[int, int],
    grants: Iterable[GrantBalance],
    at_ms: int,
) -> Iterable[Part]:
    """Yields parts of `amount` in burn order, from grants that every request may use at that time;
    the rest from overage.
    """
    for grant in _in_burn_order(grants, at_ms):
        taken = min(amount, left[grant.number])
        if taken > 0:
            yield Part(grant.number, taken)
            amount -= taken
    if amount:
        yield Part(OVERAGE, amount)


def _in_burn_order(grants: Iterable[GrantBalance], at_ms: int) -> list[GrantBalance]:
    """Returns the grants that every request may use at that time."""
    usable = [grant for grant in grants if grant.lives_at(at_ms) and not grant.is_scoped]
    return sorted(usable, key=attrgetter("burn_place"))


def _reallocated(
    effect: Effect,
    taken: tuple[Part, ...],
    returned: tuple[Part, ...],
    lapsed: tuple[Part, ...] = (),
) -> Effect:
    """Returns the effect with other parts; the budgets stay."""
    allocation = effect.allocation or Allocation()
    changed = allocation._replace(
        taken=taken,
        returned=returned,
        lapsed=lapsed,
    )
    return effect._replace(allocation=changed)
