"""Effect lines of the first form, from before grants were told apart: journals and ledgers may still have some.

    kind time day amount hold_amount hold_day expiry flags hold_id  spendable held ovr tot used room lim dbase mbase

They are read as lines of the present form (meter/effect.py) with a flag, `u`: what they took they took from the account as a whole.
"""

TOKENS = 18
UNATTRIBUTED = "u"


def rewritten(tokens: list[str]) -> list[str]:
    """The same line in the present form. Of yesterday's use it knew nothing."""
    (*deed, flags, hold_id, spendable, held, overage, total, used, room, limit, day_base, month_base) = tokens
    flags = UNATTRIBUTED if flags == "-" else flags + UNATTRIBUTED
    sums = [spendable, held, "0", "0", used, room, total, limit, overage, "0", day_base, month_base, day_base]
    return [*deed, flags, hold_id, "0", "-", *sums]
