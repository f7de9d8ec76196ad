"""The replay record: as much of an effect as the reply to a repeat needs.

A record is kept for minutes, for every request, so a record is shorter than an effect line
(meter/journal/effect_codec.py) and leaves out the time. `encode_replay_record` in
gate/lua/lib/journal.lua writes records. The tokens, in order:

| token                                 | form                                                    |
|---------------------------------------|---------------------------------------------------------|
| kind, amount                          | nothing stands between the two                          |
| flags                                 | empty in place of -                                     |
| current grant                         |                                                         |
| allocation                            | empty in place of -                                     |
| current grant: left                   |                                                         |
| current grant: held; others: left     | empty in place of 0                                     |
| others: held                          | empty in place of 0                                     |
| used                                  |                                                         |
| day remaining                         | empty if nothing is held: limit - used today            |
| total                                 | empty if no grant is scoped: used + expired + the rest  |
| limit, overage, expired, day base,    |                                                         |
| month base, yesterday base            |                                                         |
| hold                                  | `day,amount,day of the hold,expiry,id`; absent if none  |
"""

from meter.journal.account_sums import ABSENT
from meter.journal.effect import Effect
from meter.journal.effect_codec import decode_effect

_NO_HOLD = "0,0,-,-,-"

# The places of the sums behind the allocation.
_CURRENT_GRANT_LEFT = 0
_CURRENT_GRANT_HELD = 1
_OTHER_LEFT = 2
_OTHER_HELD = 3
_USED = 4
_DAY_REMAINING = 5
_TOTAL = 6
_DAILY_LIMIT = 7
_OVERAGE = 8
_EXPIRED = 9
_DAY_BASE = 10


def decode_replay_record(record: str) -> Effect:
    """Returns the effect of the first call, for the reply to a repeat.

    The effect's time is 0; so is the day, if the effect names no hold.
    """
    kind_and_amount, flags, current_grant, allocation, *sums = record.split(" ")
    day, hold_amount, hold_day, expires_ms, hold_id = _hold_tokens(sums)
    line = [
        kind_and_amount[0],
        "0",
        day,
        kind_and_amount[1:],
        hold_amount,
        hold_day,
        expires_ms,
        flags or ABSENT,
        hold_id,
        current_grant,
        allocation or ABSENT,
        *_sums_tokens(sums),
    ]
    return decode_effect(" ".join(line))


def _hold_tokens(sums: list[str]) -> list[str]:
    hold = sums[13] if len(sums) > 13 else _NO_HOLD
    return hold.split(",")


def _sums_tokens(sums: list[str]) -> list[str]:
    """Returns the tokens of an effect line's sums, with all values filled in."""
    tokens = [token or "0" for token in sums[:13]]
    if not sums[_DAY_REMAINING]:
        tokens[_DAY_REMAINING] = str(_day_remaining(tokens))
    if not sums[_TOTAL]:
        tokens[_TOTAL] = str(_total(tokens))
    return tokens


def _day_remaining(tokens: list[str]) -> int:
    """Returns the day's remaining credits, where nothing is held."""
    used_today = int(tokens[_USED]) - int(tokens[_DAY_BASE])
    if tokens[_DAILY_LIMIT] == ABSENT:
        return -used_today
    return int(tokens[_DAILY_LIMIT]) - used_today


def _total(tokens: list[str]) -> int:
    """Returns the credits ever granted, where no grant is scoped."""
    left = int(tokens[_CURRENT_GRANT_LEFT]) + int(tokens[_OTHER_LEFT]) - int(tokens[_OVERAGE])
    held = int(tokens[_CURRENT_GRANT_HELD]) + int(tokens[_OTHER_HELD])
    return int(tokens[_USED]) + int(tokens[_EXPIRED]) + left + held
