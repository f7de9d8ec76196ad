"""What a request did, in brief: what its replay record keeps, so that a repeat is answered to the
letter.

    kind|amount flags bucket extras  gl gh ol oh used room  tot lim ovr exp dbase mbase ybase  hold

The words are those of the effect line (meter/journal/effect.py), of which it leaves out the time,
and writes no more than a reply needs: it is kept for minutes, for every request.

| part          | form                                                                                        |
|---------------|---------------------------------------------------------------------------------------------|
| kind, amount  | nothing between them                                                                        |
| flags, extras | empty instead of -                                                                          |
| gh, ol, oh    | empty instead of 0                                                                          |
| room          | empty if nothing is held: then it is what the limit leaves of today's use                   |
| tot           | empty if no grant is scoped: then it is what was used, what expired, and what is left       |
| hold          | absent if there is none; else `day,hold_amount,hold_day,expiry,hold_id`                     |
"""

from meter.journal.account_sums import ABSENT
from meter.journal.effect import Effect, parse

_NO_HOLD = "0,0,-,-,-"


def decode_replay_record(brief: str) -> Effect:
    """The effect as it was, for a reply; its time is 0, and so is its day if no hold was
    concerned.
    """
    deed, flags, bucket, extras, *sums = brief.split(" ")
    gl, gh, ol, oh, used, room, tot, lim, ovr, exp, dbase, mbase, ybase, *hold = (
        each or "0" for each in sums
    )
    if not sums[5]:
        room = str((0 if lim == ABSENT else int(lim)) - (int(used) - int(dbase)))
    if not sums[6]:
        tot = str(int(used) + int(exp) + int(gl) + int(gh) + int(ol) + int(oh) - int(ovr))
    day, hold_amount, hold_day, expiry, hold_id = (hold[0] if hold else _NO_HOLD).split(",")
    return parse(
        f"{deed[0]} 0 {day} {deed[1:]} {hold_amount} {hold_day} {expiry} {flags or ABSENT} {hold_id} {bucket} {extras or ABSENT}"
        f" {gl} {gh} {ol} {oh} {used} {room} {tot} {lim} {ovr} {exp} {dbase} {mbase} {ybase}"
    )
