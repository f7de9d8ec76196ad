"""What a change, or time, brings about by itself: grants begin, expire and are used up, debt is
paid, thresholds are crossed.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from meter.journal.effect import Crossing
from model.account import Account
from model.facts import OVERAGE, Grant, Hold, Line, Parts, Window, merged

Standing = tuple[
    int, int, dict[Window, int]
]  # used today, remaining, used in the budgets' present windows


def process_due_grants(account: Account) -> None:
    """Brings the account's grants into its present, in the order of their times."""
    funded = filled(account)
    while due := sorted(_due(account)):
        _, what, number = due[0]
        grant = account.grants[number]
        if what == "begins":
            grant.begun = True
            account.add("S", grant.amount, [(number, grant.amount)])
            funded.add(number)
            arrive(account, grant)
        else:
            grant.expired = True
            expire(account, number, account.left()[number])
    exhaust(account, funded)


def _due(account: Account) -> Iterator[tuple[int, str, int]]:
    """When, what, and to which grant."""
    left = account.left()
    pinned = account.pinned()
    now_ms = account.clock_ms
    for grant in account.grants.values():
        if not grant.begun and not grant.voided and now_ms >= grant.effective_ms:
            yield grant.effective_ms, "begins", grant.number
        has_some = left.get(grant.number, 0) or grant.number in pinned
        if (
            grant.expires_ms is not None
            and now_ms >= grant.expires_ms
            and has_some
            and not (grant.expired or grant.voided)
        ):
            yield grant.expires_ms, "ends", grant.number


def arrive(account: Account, grant: Grant) -> None:
    """Credits have come: they end the graces if something may be spent now, and pay debt if they
    are to.
    """
    if account.spendable > 0 and not grant.scope:
        account.graces_begun.clear()
    paid = min(account.debt, grant.amount)
    if grant.pays_debt and not grant.scope and paid > 0:
        account.add("P", paid, [(grant.number, paid)])
        account.payments.append((grant.number, paid))


def expire(account: Account, number: int, amount: int) -> None:
    """What is left of a grant, or comes back to it, is gone.

    It is told even if that is nothing, and holds have all of it.
    """
    with crossings(account):
        account.lines.append(Line("V", amount, ((number, amount),)))
        account.losses.append((number, amount))


def void(account: Account, number: int, amount: int) -> None:
    """Credits are taken back."""
    with crossings(account):
        account.add("Z", amount, [(number, amount)])
        account.losses.append((number, amount))


def lapse(account: Account, hold: Hold, taken: Parts) -> None:
    """What an ended hold gives back to grants that are over, less what was taken again, expires."""
    again = merged(taken)
    for number, amount in hold.pins:
        rest = amount - again.get(number, 0)
        if number != OVERAGE and rest and account.grants[number].is_over(account.clock_ms):
            expire(account, number, rest)


def filled(account: Account) -> set[int]:
    """Grants that still have something, be it pinned by holds."""
    pinned = account.pinned()
    return {
        number
        for number, left in account.left().items()
        if number != OVERAGE and (left or number in pinned)
    }


def exhaust(account: Account, were_filled: set[int]) -> None:
    """Tells of the grants that have been used up since."""
    for number in sorted(were_filled - filled(account)):
        if not account.grants[number].is_over(account.clock_ms):
            account.lines.append(Line("Q", 0, ((number, 0),)))


@contextmanager
def crossings(account: Account) -> Iterator[None]:
    """Tells, behind what is done meanwhile, of the thresholds that it has crossed."""
    before = _standing(account)
    yield
    if account.spend_management:
        for crossing in _crossed(account, before, _standing(account)):
            account.tell(crossing)


def _standing(account: Account) -> Standing:
    windows = {window for charge in account.charges for window in charge.windows}
    return (
        account.used_on(account.day),
        account.remaining,
        {window: account.used_in(window) for window in windows},
    )


def _crossed(account: Account, before: Standing, after: Standing) -> Iterator[Crossing]:
    (used_was, left_was, windows_were) = before
    (used_is, left_is, windows_are) = after
    for level in sorted(account.levels, key=lambda level: -level.nanos):
        if level.subject == "low_balance" and left_was > level.nanos >= left_is:
            yield Crossing(
                "low_balance", "", level.threshold_id, str(account.total), level.nanos, left_is
            )
    for level in sorted(account.levels, key=lambda level: level.nanos):
        if level.subject == "daily_use" and used_was < level.nanos <= used_is:
            yield Crossing(
                "daily_use", "", level.threshold_id, str(account.day), level.nanos, used_is
            )
    for budget_id, budget in sorted(account.budgets.items()):
        now = budget.now(account.hour)
        for window, used in windows_are.items():
            used_was = windows_were.get(window, 0)
            for name, nanos in budget.levels:
                if window.of("") == now and used_was < nanos <= used:
                    start = str(window.start_hour)
                    yield Crossing("budget", budget_id, name, start, nanos, used, window.value)
