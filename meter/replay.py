"""What a request did, in brief: what its replay record keeps, so that a repeat is answered to the letter.

    kind amount flags bucket extras hold  gl gh ol oh used room  tot lim ovr exp dbase mbase ybase

The words are those of the effect line (meter/effect.py), of which it leaves out the time, and writes no more than a reply needs: it is
kept for minutes, for every request.

| part                    | form                                                                                       |
|-------------------------|--------------------------------------------------------------------------------------------|
| hold                    | `day,hold_amount,hold_day,expiry,hold_id`; empty if there is none                          |
| room                    | empty if nothing is held: then it is what the limit leaves of today's use                  |
| tot                     | empty if no grant is scoped: then it is what was used, what expired, and what is left      |
| gh ol oh, those behind  | empty if 0                                                                                 |
"""

from meter.effect import Effect, parse

_NO_HOLD = "0,0,-,-,-"


def recalled(brief: str) -> Effect:
    """The effect as it was, for a reply; its time is 0, and so is its day if no hold was concerned."""
    kind, amount, flags, bucket, extras, hold, *sums = brief.split(" ")
    day, hold_amount, hold_day, expiry, hold_id = (hold or _NO_HOLD).split(",")
    gl, gh, ol, oh, used, room, tot, lim, ovr, exp, dbase, mbase, ybase = (each or "0" for each in sums)
    if not sums[5]:
        room = str((0 if lim == "-" else int(lim)) - (int(used) - int(dbase)))
    if not sums[6]:
        tot = str(int(used) + int(exp) + int(gl) + int(gh) + int(ol) + int(oh) - int(ovr))
    return parse(
        f"{kind} 0 {day} {amount} {hold_amount} {hold_day} {expiry} {flags} {hold_id} {bucket} {extras}"
        f" {gl} {gh} {ol} {oh} {used} {room} {tot} {lim} {ovr} {exp} {dbase} {mbase} {ybase}"
    )
