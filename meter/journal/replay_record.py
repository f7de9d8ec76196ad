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
    (
        current_grant_left,
        current_grant_held,
        other_left,
        other_held,
        used,
        _,  # the day's remaining credits, and the total: filled in below
        _,
        daily_limit,
        overage,
        expired,
        day_base,
        _,
        _,
    ) = tokens
    if not sums[5]:
        limit = 0 if daily_limit == ABSENT else int(daily_limit)
        used_today = int(used) - int(day_base)
        tokens[5] = str(limit - used_today)
    if not sums[6]:
        left = int(current_grant_left) + int(other_left) - int(overage)
        held = int(current_grant_held) + int(other_held)
        tokens[6] = str(int(used) + int(expired) + left + held)
    return tokens
