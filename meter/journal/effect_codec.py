"""The effect line: the text in which a script writes down what it did.

One line is space-separated tokens, in the order in which `decode_effect` names them. `-` stands for
a missing value. `encode_effect` in gate/lua/lib/journal.lua writes the line; `encode_effect` here
writes the lines of entries that the ledger makes by itself.

The allocation is `-` in the usual case. For a crossed threshold it is
`subject,budget's name,threshold id,window,level,value`. Otherwise it is
`taken/returned/lapsed/budgets`, with `/freed` at the end where a late debit's hold left budgets:

| part                    | form                                                               |
|-------------------------|--------------------------------------------------------------------|
| taken, returned, lapsed | parts, such as `7:30,9s:10,0:5` (meter/journal/allocation.py)      |
| budgets, freed          | `name,first hour,end,remaining,held,limit,flags`, joined with `;`   |

A budget's name is that of the counter (meter/journal/counter_names.py), also for a crossed
threshold. A budget's flags: `h` a hard budget (else `s`), `p` a window that has passed.
"""

from functools import lru_cache

from meter.journal.account_sums import ABSENT, AccountSums
from meter.journal.allocation import Allocation, MatchedBudget, decode_parts, encode_parts
from meter.journal.counter_names import split_name
from meter.journal.effect import NO_FLAGS, Crossing, Effect, Flags
from meter.journal.kinds import Kind

_KINDS = {kind.value: kind for kind in Kind}
_FLAGS = {
    "l": "late",
    "i": "incurred",
    "g": "in_grace",
    "b": "grace_began",
    "e": "graces_ended",
    "p": "is_scheduled",
    "o": "spend_management_off",
    "s": "suspended",
    "r": "reconciled",
    "t": "uncounts_today",
    "y": "uncounts_yesterday",
    "m": "uncounts_month",
}
_HARD = "h"
_PASSED = "p"


def decode_effect(line: str) -> Effect:
    """Returns the effect that the line describes. Raises ValueError for any other text."""
    (
        kind,
        at_ms,
        day,
        amount,
        hold_amount,
        hold_day,
        expires_ms,
        flags,
        hold_id,
        current_grant,
        allocation,
        current_grant_left,
        current_grant_held,
        other_left,  # in all other effective, unscoped grants and in overage
        other_held,
        used,
        day_remaining,
        total,
        daily_limit,
        overage,
        expired,
        day_base,
        month_base,
        yesterday_base,
    ) = line.split(" ")
    # By position, and without a call for each token: every reply decodes a line.
    return Effect(
        _KINDS.get(kind) or Kind(kind),
        int(at_ms),
        int(day),
        int(amount),
        int(hold_amount),
        None if hold_day == ABSENT else int(hold_day),
        None if expires_ms == ABSENT else int(expires_ms),
        NO_FLAGS if flags == ABSENT else _decode_flags(flags),
        "" if hold_id == ABSENT else hold_id,
        int(current_grant),
        None if allocation == ABSENT else _decode_allocation(kind, allocation),
        None if allocation == ABSENT else _decode_crossing(kind, allocation),
        AccountSums(
            int(current_grant_left) + int(other_left),
            int(current_grant_held) + int(other_held),
            int(overage),
            int(total),
            int(used),
            int(day_remaining),
            None if daily_limit == ABSENT else int(daily_limit),
            int(day_base),
            int(month_base),
            int(expired),
            int(yesterday_base),
        ),
    )


def encode_effect(effect: Effect) -> str:
    """Returns the line of an effect without budgets, hold and crossing."""
    sums = effect.before
    tokens = (
        effect.kind.value,
        effect.at_ms,
        effect.day,
        effect.amount,
        *(0, None, None),  # no hold
        _encode_flags(effect.flags) or None,
        None,
        effect.current_grant,
        _encode_allocation(effect.allocation),
        *(0, 0),  # all sums as of other grants than the current one
        sums.spendable,
        sums.held,
        sums.used,
        sums.day_remaining,
        sums.total,
        sums.daily_limit,
        sums.overage,
        sums.expired,
        sums.day_base,
        sums.month_base,
        sums.yesterday_base,
    )
    return " ".join(ABSENT if token is None else str(token) for token in tokens)


def decode_current_grant(line: str) -> tuple[int, int, int]:
    """Returns the current grant's number, and the nanos left of the grant and held from it."""
    tokens = line.split(" ")
    return int(tokens[9]), int(tokens[11]), int(tokens[12])


@lru_cache(maxsize=256)  # few combinations occur
def _decode_flags(letters: str) -> Flags:
    for letter in letters:
        if letter not in _FLAGS:
            raise ValueError(f"no flag is written {letter!r}")
    return Flags(**{_FLAGS[letter]: True for letter in letters})


def _decode_allocation(kind: str, text: str) -> Allocation | None:
    if kind == Kind.THRESHOLD:
        return None
    taken, returned, lapsed, budgets, *freed = text.split("/")
    return Allocation(
        decode_parts(taken),
        decode_parts(returned),
        decode_parts(lapsed),
        _decode_budgets(budgets),
        _decode_budgets(*freed),
    )


def _decode_crossing(kind: str, text: str) -> Crossing | None:
    if kind != Kind.THRESHOLD:
        return None
    subject, name, threshold_id, window, level, used = text.split(",")
    if name == ABSENT:
        name = ""
    budget_id, value = split_name(name)
    return Crossing(
        subject,
        budget_id,
        threshold_id,
        window,
        int(level),
        int(used),
        value,
    )


def _decode_budgets(text: str = ABSENT) -> tuple[MatchedBudget, ...]:
    if text == ABSENT:
        return ()
    return tuple([_decode_budget(budget) for budget in text.split(";")])


def _decode_budget(text: str) -> MatchedBudget:
    name, start_hour, end_hour, remaining, held, limit, flags = text.split(",")
    budget_id, value = split_name(name)
    return MatchedBudget(
        budget_id,
        int(start_hour),
        None if end_hour == ABSENT else int(end_hour),
        int(remaining),
        int(held),
        int(limit),
        _HARD in flags,
        _PASSED not in flags,
        value,
    )


def _encode_flags(flags: Flags) -> str:
    return "".join(letter for letter, name in _FLAGS.items() if getattr(flags, name))


def _encode_allocation(allocation: Allocation | None) -> str | None:
    if allocation is None:
        return None
    taken = encode_parts(allocation.taken)
    returned = encode_parts(allocation.returned)
    lapsed = encode_parts(allocation.lapsed)
    return f"{taken}/{returned}/{lapsed}/{ABSENT}"
