"""Computes what holds of today set aside, for tests; no code of the product asks for that sum."""

from meter.journal.account_sums import AccountSums


def held_today(sums: AccountSums) -> int:
    """Returns the nanos held by holds that count on the account's day."""
    limit = sums.daily_limit or 0
    return limit - sums.day_remaining - sums.used_today
