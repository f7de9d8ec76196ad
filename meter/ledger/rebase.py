"""Lines that the books cannot take as they stand, read on top of what the books have.

They follow a loss: Redis or the journal has lost something, and mostly the sums that an entry found
tell so. What such an entry did, it did all the same, and what was lost in between stays lost.
"""

from collections.abc import Iterable

from meter.journal.account_sums import ABSENT, AccountSums
from meter.journal.allocation import Part, first_of, joined, text_of, total
from meter.journal.effect import Effect, Kind
from meter.ledger.projections.grants import GrantBalance

_SPENDS = frozenset((Kind.AUTHORIZE, Kind.EXTEND, Kind.DEBIT))
_LOSES = frozenset((Kind.GRANT_EXPIRED, Kind.GRANT_VOIDED, Kind.DEBT_PAID))
_ENDS_HOLD = frozenset((Kind.DEBIT, Kind.RELEASE, Kind.EXPIRE))


def taken_from(
    effect: Effect, pins: tuple[Part, ...], funds: dict[int, GrantBalance], debt: int
) -> tuple[Part, ...]:
    """What the effect takes of what the books have.

    Credits that are not there are taken as new usage would be: at last from overage.
    """
    if effect.kind is Kind.GRANT_EXHAUSTED:
        return tuple(
            part for part in effect.taken if part.grant in funds and funds[part.grant].is_empty
        )
    if effect.kind not in _SPENDS and effect.kind not in _LOSES:
        return ()
    left = {fund.number: fund.left for fund in funds.values() if fund.state != "SCHEDULED"}
    for part in pins if effect.kind in _ENDS_HOLD else ():
        left[part.grant] = left.get(part.grant, 0) + part.amount
    named = effect.taken
    # Of a grant whose own entry was lost, or that of its start, nothing is there.
    there = tuple(
        part._replace(amount=min(part.amount, max(0, left[part.grant])))
        for part in named
        if part.grant in left
    )
    if effect.kind is Kind.DEBT_PAID:
        return first_of(there, max(0, debt))
    if effect.kind in _LOSES:
        return there
    for part in there:
        left[part.grant] -= part.amount
    of_overage = tuple(part for part in named if not part.grant)
    missing = effect.amount - total(there) - total(of_overage)
    return joined(there, (*of_overage, *_planned(missing, left, funds, effect.at_ms)))


def rebased(
    effect: Effect,
    known: AccountSums,
    taken: tuple[Part, ...],
    pins: tuple[Part, ...],
    given: tuple[Part, ...],
) -> Effect:
    """The effect on top of `known`: it takes `taken`; a hold that it ends had `pins`; a grant or its
    start gives `given`.
    """
    kind = effect.kind
    held = total(pins)
    before = rebased_sums(known, effect.before)
    if kind in _ENDS_HOLD:
        amount = total(taken) if kind is Kind.DEBIT else held
        lapsed = effect.lapsed if pins == effect.returned else ()
        return _with(
            effect._replace(before=before, amount=amount, hold_amount=held), taken, pins, lapsed
        )
    if kind is Kind.EXTEND:
        return _with(
            effect._replace(before=before, amount=total(taken), hold_amount=held), taken, ()
        )
    if kind is Kind.DEBT_PAID:
        return _with(
            effect._replace(before=before, amount=total(taken)), taken, (Part(0, total(taken)),)
        )
    if kind in _SPENDS or kind in _LOSES or kind is Kind.GRANT_EXHAUSTED:
        return _with(effect._replace(before=before, amount=total(taken)), taken, ())
    if kind is Kind.GRANT or kind is Kind.GRANT_STARTED:
        return _with(effect._replace(before=before, amount=total(given)), (), given)
    return effect._replace(before=before)


def rebased_sums(known: AccountSums, found: AccountSums) -> AccountSums:
    """What was found, but for the sums; what was used this day and month is as it was found."""
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


def _planned(
    amount: int, left: dict[int, int], funds: dict[int, GrantBalance], at_ms: int
) -> Iterable[Part]:
    """So much in burn order, of grants that any request may use at that time; the rest is
    overage.
    """
    usable = (fund for fund in funds.values() if fund.lives_at(at_ms) and not fund.is_scoped)
    for fund in sorted(usable, key=lambda fund: fund.place):
        part = min(amount, left[fund.number])
        if part > 0:
            yield Part(fund.number, part)
            amount -= part
    if amount:
        yield Part(0, amount)


def _with(
    effect: Effect,
    taken: tuple[Part, ...],
    returned: tuple[Part, ...],
    lapsed: tuple[Part, ...] = (),
) -> Effect:
    """With other parts; the budgets are as they were."""
    _, _, _, *budgets = effect.extras.split("/") if effect.extras != ABSENT else (ABSENT,) * 4
    return effect._replace(
        extras="/".join((text_of(taken), text_of(returned), text_of(lapsed), *budgets))
    )
