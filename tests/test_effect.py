"""The effect line: what it says of an account before and after, by exact arithmetic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter.effect import Effect, Kind, State, date_of, parse
from meter.money import INT64_MAX

DAY = 19_781
BEFORE = State(spendable=60, held=40, overage=5, total=120, used=25, room=10, limit=70, day_base=5, month_base=2)


def effect(line: str, before: State = BEFORE) -> Effect:
    return parse(f"{line} {before.tokens()}")


AFTER = [
    ("an authorization sets credits and room aside", f"A 7 {DAY} 10 10 {DAY} 9 - h1", {"spendable": 50, "held": 50, "room": 0}),
    ("an extension of a hold of today takes of today's room", f"E 7 {DAY} 10 40 {DAY} 9 - h1",
     {"spendable": 50, "held": 50, "room": 0}),
    ("an extension of a hold of yesterday leaves today's room", f"E 7 {DAY} 10 40 {DAY - 1} 9 - h1", {"spendable": 50, "held": 50}),
    ("a release gives back", f"R 7 {DAY} 40 40 {DAY} 9 - h1", {"spendable": 100, "held": 0, "room": 50}),
    ("a release of yesterday's hold leaves today's room", f"R 7 {DAY} 40 40 {DAY - 1} 9 - h1", {"spendable": 100, "held": 0}),
    ("an expiry gives back", f"X 7 {DAY} 40 40 {DAY} 9 - h1", {"spendable": 100, "held": 0, "room": 50}),
    ("a debit charges", f"D 7 {DAY} 10 0 - - - -", {"spendable": 50, "used": 35, "room": 0}),
    ("a settlement charges and gives the rest back", f"D 7 {DAY} 10 40 {DAY} 9 - h1",
     {"spendable": 90, "held": 0, "used": 35, "room": 40}),
    ("a settlement of yesterday's hold counts yesterday", f"D 7 {DAY} 10 40 {DAY - 1} 9 - h1",
     {"spendable": 90, "held": 0, "used": 35, "day_base": 15}),
    ("a late debit of yesterday's hold counts today", f"D 7 {DAY} 10 40 {DAY - 1} 9 l h1",
     {"spendable": 90, "held": 0, "used": 35, "room": 0}),
    ("a late debit of a hold that was reaped returns nothing", f"D 7 {DAY} 10 0 {DAY} 9 l h1", {"spendable": 50, "used": 35, "room": 0}),
    ("a grant adds", f"G 7 {DAY} 10 0 - - - -", {"spendable": 70, "total": 130}),
    ("a creation is as it says", f"C 7 {DAY} 0 0 - - - -", {}),
    ("an update is as it says", f"U 7 {DAY} 0 0 - - - -", {}),
    ("a clock's advance is as it says", f"K 7 {DAY} 0 0 - - - -", {}),
    ("a look changes nothing", f"B 7 {DAY} 0 0 - - - -", {}),
]  # fmt: skip


@pytest.mark.parametrize(("line", "changed"), [pytest.param(line, changed, id=says) for says, line, changed in AFTER])
def test_after(line: str, changed: dict[str, int]) -> None:
    assert effect(line).after() == BEFORE._replace(**changed)


def test_every_kind_has_a_row() -> None:
    assert {Kind(line[0]) for _, line, _ in AFTER} == set(Kind)


@pytest.mark.parametrize(
    ("spendable", "hold", "amount", "shortfall"),
    [
        pytest.param(60, 0, 60, 0, id="all of it was there"),
        pytest.param(60, 0, 61, 1, id="a nano was missing"),
        pytest.param(60, 40, 100, 0, id="the hold and the rest covered it"),
        pytest.param(60, 40, 101, 1, id="the hold and the rest did not cover it"),
        pytest.param(0, 40, 41, 1, id="there was nothing but the hold"),
        pytest.param(-5, 0, 10, 10, id="in debt, all of it is new debt"),
        pytest.param(-5, 40, 40, 0, id="in debt, the hold still covers its own"),
        pytest.param(-5, 40, 41, 1, id="in debt, what exceeds the hold is new debt, the old one is not counted again"),
        pytest.param(60, 40, 0, 0, id="nothing was used"),
        pytest.param(-INT64_MAX, 0, INT64_MAX, INT64_MAX, id="at the end of the range"),
    ],
)
def test_shortfall_is_what_neither_the_hold_nor_the_rest_covered(
    spendable: int, hold: int, amount: int, shortfall: int
) -> None:
    day = DAY if hold else "-"
    assert effect(f"D 7 {DAY} {amount} {hold} {day} - i -", BEFORE._replace(spendable=spendable)).shortfall == shortfall


def test_only_a_debit_has_a_shortfall() -> None:
    others = (effect(line) for _, line, _ in AFTER if line[0] != "D")
    assert not any(other.shortfall for other in others)


@pytest.mark.parametrize(
    ("line", "usage_day"),
    [
        (f"D 7 {DAY} 10 0 - - - -", DAY),
        (f"D 7 {DAY} 10 40 {DAY} 9 - h1", DAY),
        (f"D 7 {DAY} 10 40 {DAY - 1} 9 - h1", DAY - 1),
        (f"D 7 {DAY} 10 40 {DAY - 1} 9 l h1", DAY),
    ],
)
def test_usage_counts_on_the_day_of_its_hold_unless_late(line: str, usage_day: int) -> None:
    assert effect(line).usage_day == usage_day


def test_a_line_is_read_field_by_field() -> None:
    read = parse("D 1709121600000 19781 10 40 19780 1709121600001 li h1.v1 60 40 5 120 25 10 - 5 2")
    assert read == Effect(
        kind=Kind.DEBIT,
        at_ms=1_709_121_600_000,
        day=19_781,
        amount=10,
        hold_amount=40,
        hold_day=19_780,
        expires_ms=1_709_121_600_001,
        late=True,
        incurred=True,
        hold_id="h1.v1",
        before=BEFORE._replace(limit=None),
    )


@pytest.mark.parametrize(
    "line", ["", "D 1 2", "D 7 19781 10 0 - - - - 1 2 3", "Z 7 19781 10 0 - - - - 1 2 3 4 5 6 7 8 9"]
)
def test_another_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|Kind"):
        parse(line)


@pytest.mark.parametrize(
    ("state", "available"),
    [
        pytest.param(State(spendable=5), 5, id="without a limit, what may be spent"),
        pytest.param(State(spendable=5, room=-9), 5, id="without a limit, whatever was used today"),
        pytest.param(State(spendable=5, room=3, limit=9), 3, id="with a limit, no more than its room"),
        pytest.param(State(spendable=5, room=7, limit=9), 5, id="with a limit, no more than may be spent"),
        pytest.param(State(spendable=-5, room=3, limit=9), 0, id="in debt, nothing"),
        pytest.param(State(spendable=5, room=-3, limit=9), 0, id="past the limit, nothing"),
        pytest.param(State(spendable=5, room=0, limit=0), 0, id="under a limit of zero, nothing"),
    ],
)
def test_available(state: State, available: int) -> None:
    assert state.available == available


def test_dates() -> None:
    assert [date_of(0), date_of(DAY), date_of(DAY + 1), date_of(DAY + 2)] == [
        "1970-01-01",
        "2024-02-28",
        "2024-02-29",
        "2024-03-01",
    ]


AMOUNTS = st.integers(-INT64_MAX, INT64_MAX)
STATES = st.builds(State, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, st.none() | AMOUNTS, AMOUNTS, AMOUNTS)
LINES = st.builds(
    Effect, st.sampled_from(Kind), AMOUNTS, st.integers(0, 2), AMOUNTS, AMOUNTS, st.none() | st.integers(0, 2), st.none(),
    st.booleans(), st.booleans(), st.just(""), STATES,
)  # fmt: skip


@given(STATES)
def test_sums_are_written_and_read_alike(state: State) -> None:
    assert State.from_tokens(state.tokens().split(" ")) == state


@given(LINES)
def test_credits_are_neither_made_nor_lost(line: Effect) -> None:
    """Remaining moves by `balance_delta`, held by `held_delta`; what was granted and not used is what remains."""
    was, now = line.before, line.after()
    assert now.remaining - was.remaining == line.balance_delta
    assert now.held - was.held == line.held_delta
    assert (now.total - now.used) - (was.total - was.used) == line.balance_delta
    assert (now.overage, now.limit, now.month_base) == (was.overage, was.limit, was.month_base)


@given(LINES.filter(lambda line: line.kind is not Kind.EXTEND or line.hold_day is not None))
def test_what_is_held_today_changes_by_holds_of_today_only(line: Effect) -> None:
    was, now = line.before, line.after()
    of_today = line.hold_counts_today or line.kind is Kind.AUTHORIZE
    assert now.held_today - was.held_today == (line.held_delta if of_today else 0)
    assert now.used_today - was.used_today == (
        line.amount if line.kind is Kind.DEBIT and line.charge_counts_today else 0
    )
