"""What a replay record leaves out, and what follows from the rest of it."""

import pytest

from meter.journal.effect_codec import decode_effect
from meter.journal.replay_record import decode_replay_record

# sums: gl gh ol oh used room tot lim ovr exp dbase mbase ybase
RECORDS = [
    pytest.param(
        "D10 i 7  60  5  25 48  70 11 9 3 2 1", "D 0 0 10 0 - - i - 7 - 60 0 5 0 25 48 88 70 11 9 3 2 1",
        id="granted is what was used, what expired, and what is left, but for overage",
    ),
    pytest.param(
        "D10  7 7:4,0:6/-/-/- 60 3 5 4 25 41 95 - 11 9 3 2 1", "D 0 0 10 0 - - - - 7 7:4,0:6/-/-/- 60 3 5 4 25 41 95 - 11 9 3 2 1",
        id="what is written stands, though it does not follow",
    ),
    pytest.param(
        "D10  7  60    25   70 0 0 3 2 1", "D 0 0 10 0 - - - - 7 - 60 0 0 0 25 48 85 70 0 0 3 2 1",
        id="a day's room is what the limit leaves of today's use, if nothing is held",
    ),
    pytest.param(
        "D10  0  -60    25   - 5 0 3 2 1", "D 0 0 10 0 - - - - 0 - -60 0 0 0 25 -22 -40 - 5 0 3 2 1",
        id="without a limit, less than nothing",
    ),
    pytest.param(
        "A10 o 7  60 10   0 -10  - 0 0 0 0 0 19781,10,19781,99,h1", "A 0 19781 10 10 19781 99 o h1 7 - 60 10 0 0 0 -10 70 - 0 0 0 0 0",
        id="a hold stands behind the sums, with the day",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("record", "line"), RECORDS)
def test_a_record_is_recalled_as_the_effect_that_it_was(record: str, line: str) -> None:
    assert decode_replay_record(record) == decode_effect(line)
