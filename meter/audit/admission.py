"""The rule of admission: what can be denied was available, or grace carried it.

What costs nothing is denied to suspended accounts only.
"""

from collections.abc import Iterator

from meter.audit.entry import LedgerEntry
from meter.journal.applied_settings import Settings
from meter.journal.effect import Effect
from meter.journal.kinds import Kind
from meter.journal.operations import Grace


def check_admission(
    entry: LedgerEntry,
    settings: Settings,
    scoped: int,
) -> Iterator[str]:
    """Yields what was admitted and should have been denied.

    `scoped` is the sum, in nanos, that scoped grants had for the request.
    """
    effect = entry.effect
    if not _is_deniable(effect):
        return
    covered = effect.before.spendable + scoped
    yield from _check_credits(entry, settings, covered)
    yield from _check_mode(entry, settings)
    if not effect.flags.spend_management_off:
        yield from _check_daily_limit(entry)
        yield from _check_hard_budgets(entry)


def _is_deniable(effect: Effect) -> bool:
    if effect.amount == 0:
        return False
    match effect.kind:
        case Kind.AUTHORIZE | Kind.EXTEND:
            return True
        case Kind.DEBIT:
            return not effect.flags.incurred and not effect.hold_id
        case _:
            return False


def _check_credits(
    entry: LedgerEntry,
    settings: Settings,
    covered: int,
) -> Iterator[str]:
    effect = entry.effect
    in_grace = effect.flags.in_grace
    if (effect.amount > covered) != in_grace:
        manner = " in grace" if in_grace else ""
        yield (f"{entry.id}: {effect.amount} nanos were admitted{manner}, {covered} could be spent")
    elif in_grace and not _is_graced(entry, settings, covered):
        traffic_class = entry.traffic_class or "no class"
        yield (
            f"{entry.id}: grace of {traffic_class} carried {effect.grace} nanos,"
            " which it does not allow"
        )


def _check_mode(entry: LedgerEntry, settings: Settings) -> Iterator[str]:
    """Yields a finding unless spend management was on, or off, as in the account's settings."""
    spend_management = not entry.effect.flags.spend_management_off
    if settings.spend_management != spend_management:
        mode = "on" if spend_management else "off"
        yield f"{entry.id}: spend management was {mode} for it alone"


def _check_daily_limit(entry: LedgerEntry) -> Iterator[str]:
    effect = entry.effect
    before = effect.before
    if before.daily_limit is not None and effect.amount > before.day_remaining:
        yield (
            f"{entry.id}: {effect.amount} nanos were admitted,"
            f" the daily limit left {before.day_remaining}"
        )


def _check_hard_budgets(entry: LedgerEntry) -> Iterator[str]:
    effect = entry.effect
    for budget in effect.budgets:
        if budget.hard and effect.amount > budget.remaining:
            yield (
                f"{entry.id}: {effect.amount} nanos were admitted,"
                f" budget {budget.budget_id} left {budget.remaining}"
            )


def _is_graced(entry: LedgerEntry, settings: Settings, covered: int) -> bool:
    effect = entry.effect
    began_ms = settings.graces_begun.get(entry.traffic_class)
    if (began_ms is None) != effect.flags.grace_began:
        return False
    return any(
        _allows(grace, began_ms, effect, covered)
        for grace in settings.graces
        if grace.traffic_class == entry.traffic_class
    )


def _allows(
    grace: Grace,
    began_ms: int | None,
    effect: Effect,
    covered: int,
) -> bool:
    if not _goes_on(grace, began_ms, effect.at_ms):
        return False
    return grace.amount_nanos is None or effect.amount <= covered + grace.amount_nanos


def _goes_on(grace: Grace, began_ms: int | None, at_ms: int) -> bool:
    if grace.duration_ms is None or began_ms is None:
        return True
    return at_ms < began_ms + grace.duration_ms
