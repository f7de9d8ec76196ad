"""The effect line, part by part: whose credits they were, the budgets that were matched, and what
may be spent after all that.
"""

import pytest

from meter.journal.account_sums import AccountSums
from meter.journal.allocation import Allocation, MatchedBudget, Part, total
from meter.journal.effect import NO_FLAGS, Crossing, Effect, Flags
from meter.journal.effect_codec import decode_effect
from meter.journal.kinds import Kind

DAY = 19_781
MARCH_1 = 19_783
SUMS = "51 32 9 8 25 10 132 - 5 10 5 2 1"
BEFORE = AccountSums(
    spendable=60, held=40, overage=5, total=132, used=25, day_remaining=10, day_base=5, month_base=2, expired=10, yesterday_base=1
)  # fmt: skip


def effect(line: str, allocation: str = "-", sums: str = SUMS) -> Effect:
    return decode_effect(f"{line} 7 {allocation} {sums}")


def test_a_line_is_read_token_by_token() -> None:
    allocation = "6:40,0:7/6:40/-/-"
    read = decode_effect(
        f"D 1709121600000 19781 47 40 19780 1709121600001 lig h1.v1 7 {allocation} 51 32 9 8 25 10 132 70 5 10 5 2 1"
    )
    assert read == Effect(
        kind=Kind.DEBIT,
        at_ms=1_709_121_600_000,
        day=19_781,
        amount=47,
        hold_amount=40,
        hold_day=19_780,
        expires_ms=1_709_121_600_001,
        flags=Flags(late=True, incurred=True, in_grace=True),
        hold_id="h1.v1",
        current_grant=7,
        allocation=Allocation(taken=(Part(6, 40), Part(0, 7)), returned=(Part(6, 40),)),
        crossing=None,
        before=BEFORE._replace(daily_limit=70),
    )


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("l", "late"), ("i", "incurred"), ("g", "in_grace"), ("b", "grace_began"), ("e", "graces_ended"),
        ("p", "is_scheduled"), ("o", "spend_management_off"), ("s", "suspended"),
    ],
)  # fmt: skip
def test_each_flag_tells_one_thing(flag: str, told: str) -> None:
    flags = effect(f"D 7 {DAY} 10 0 - - {flag} -").flags
    assert [name for name in Flags._fields if getattr(flags, name)] == [told]
    assert not any(effect(f"D 7 {DAY} 10 0 - - - -").flags)


def test_a_line_without_flags_has_the_shared_object() -> None:
    assert effect(f"D 7 {DAY} 10 0 - - - -").flags is NO_FLAGS


@pytest.mark.parametrize(
    "line",
    [
        "",
        "D 1 2",
        f"D 7 {DAY} 10 0 - - - - 7 - 1 2 3 4 5 6 7 8 9 10 11 12",
        f"D 7 {DAY} 10 0 - - - - 7 - 1 2 3 4 5 6 7 8 9 10 11 12 13 14",
        f"W 7 {DAY} 10 0 - - - - 7 - 1 2 3 4 5 6 7 8 9 10 11 12 13",
        f"D 7 {DAY} ten 0 - - - - 7 - 1 2 3 4 5 6 7 8 9 10 11 12 13",
        f"D 7 {DAY} 10 0 - - z - 7 - 1 2 3 4 5 6 7 8 9 10 11 12 13",
    ],
    ids=[
        "nothing",
        "a beginning",
        "a token less",
        "a token more",
        "no such kind",
        "no number",
        "no such flag",
    ],
)
def test_another_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|Kind|invalid literal|no flag"):
        decode_effect(line)


# Whose credits

PLAIN = [
    ("A", 10, (Part(7, 10),), ()),
    ("E", 10, (Part(7, 10),), ()),
    ("D", 10, (Part(7, 10),), (Part(7, 40),)),
    ("R", 40, (), (Part(7, 40),)),
    ("X", 40, (), (Part(7, 40),)),
    ("V", 10, (Part(7, 10),), ()),
    ("Z", 10, (Part(7, 10),), ()),
    ("G", 10, (), (Part(7, 10),)),
    ("S", 10, (), (Part(7, 10),)),
    ("E", 0, (), ()),
    ("D", 0, (), (Part(7, 40),)),
    ("C", 0, (), ()),
]


@pytest.mark.parametrize(("kind", "amount", "taken", "returned"), PLAIN)
def test_without_an_allocation_all_is_of_the_grant_being_burned(
    kind: str, amount: int, taken: tuple[Part, ...], returned: tuple[Part, ...]
) -> None:
    line = effect(f"{kind} 7 {DAY} {amount} 40 {DAY} 9 - h1")
    assert (line.taken, line.returned, line.lapsed) == (taken, returned, ())


def test_an_allocation_tells_what_was_taken_returned_and_lapsed() -> None:
    line = effect(f"D 7 {DAY} 47 40 {DAY} 9 - h1", "9s:10,6:30,0:7/9s:10,6:30/6:2/-")
    assert line.taken == (Part(9, 10, scoped=True), Part(6, 30), Part(0, 7))
    assert line.returned == (Part(9, 10, scoped=True), Part(6, 30))
    assert line.lapsed == (Part(6, 2),)
    assert total(line.lapsed) == 2
    assert (line.budgets, line.freed) == ((), ())


def test_a_crossing_stands_in_place_of_an_allocation() -> None:
    line = effect(f"T 7 {DAY} 0 0 - - - -", f"budget,team,half,{DAY},50,55")
    assert line.crossing == Crossing("budget", "team", "half", str(DAY), 50, 55)
    assert (line.taken, line.returned, line.lapsed, line.budgets) == ((), (), (), ())
    of_no_budget = effect(f"T 7 {DAY} 0 0 - - - -", "low_balance,-,low,132,20,18")
    assert of_no_budget.crossing == Crossing("low_balance", "", "low", "132", 20, 18)


# Budgets

TEAM = f"team,{19_754 * 24},{MARCH_1 * 24},20,7,100,h"
SOFT = "all,0,-,-3,0,50,s"
PASSED = f"day,{DAY - 1},{DAY + 1},15,0,90,hp"


def test_budgets_are_told_as_they_stood_before() -> None:
    line = effect(f"A 7 {DAY} 10 10 {DAY} 9 - h1", f"7:10/-/-/{TEAM};{SOFT};{PASSED}")
    assert line.budgets == (
        MatchedBudget(
            "team", 19_754 * 24, MARCH_1 * 24, remaining=20, held=7, limit=100, hard=True
        ),
        MatchedBudget("all", 0, None, remaining=-3, held=0, limit=50, hard=False),
        MatchedBudget(
            "day", DAY - 1, DAY + 1, remaining=15, held=0, limit=90, hard=True, current=False
        ),
    )


def test_a_late_debit_tells_the_budgets_that_its_hold_left() -> None:
    line = effect(f"D 7 {DAY} 10 40 {DAY} 9 l h1", f"7:10/7:40/-/{SOFT}/{TEAM}")
    assert [budget.budget_id for budget in line.budgets] == ["all"]
    assert [budget.budget_id for budget in line.freed] == ["team"]


@pytest.mark.parametrize(
    ("line", "delta"),
    [
        (f"A 7 {DAY} 10 10 {DAY} 9 - h1", 10),
        (f"E 7 {DAY} 10 40 {DAY} 9 - h1", 10),
        (f"R 7 {DAY} 40 40 {DAY} 9 - h1", -40),
        (f"X 7 {DAY} 40 40 {DAY} 9 - h1", -40),
        (f"D 7 {DAY} 10 0 - - - -", 10),
        (f"D 7 {DAY} 10 40 {DAY} 9 - h1", -30),
        (f"D 7 {DAY} 10 40 {DAY} 9 l h1", 10),
    ],
)
def test_what_a_budget_has_used_and_held_moves_by(line: str, delta: int) -> None:
    assert effect(line).budgets_delta == delta


# What may be spent


@pytest.mark.parametrize(
    ("state", "available"),
    [
        pytest.param(AccountSums(spendable=5), 5, id="without a limit, what may be spent"),
        pytest.param(
            AccountSums(spendable=5, day_remaining=-9),
            5,
            id="without a limit, whatever was used today",
        ),
        pytest.param(
            AccountSums(spendable=5, day_remaining=3, daily_limit=9),
            3,
            id="with a limit, no more than its room",
        ),
        pytest.param(
            AccountSums(spendable=5, day_remaining=7, daily_limit=9),
            5,
            id="with a limit, no more than may be spent",
        ),
        pytest.param(
            AccountSums(spendable=-5, day_remaining=3, daily_limit=9), 0, id="in debt, nothing"
        ),
        pytest.param(
            AccountSums(spendable=5, day_remaining=-3, daily_limit=9),
            0,
            id="past the limit, nothing",
        ),
        pytest.param(
            AccountSums(spendable=5, day_remaining=0, daily_limit=0),
            0,
            id="under a limit of zero, nothing",
        ),
    ],
)
def test_available_after(state: AccountSums, available: int) -> None:
    assert effect(f"A 7 {DAY} 10 10 {DAY} 9 - h1").available_after(state) == available


def test_without_spend_management_limits_and_budgets_do_not_count() -> None:
    line = effect(f"A 7 {DAY} 10 10 {DAY} 9 o h1", f"7:10/-/-/{TEAM}")
    assert line.available_after(AccountSums(spendable=50, day_remaining=3, daily_limit=9)) == 50


@pytest.mark.parametrize(
    ("line", "allocation", "available"),
    [
        pytest.param(f"A 7 {DAY} 12 12 {DAY} 9 - h1", f"7:12/-/-/{TEAM}", 8, id="what a hold has left of it"),
        pytest.param(f"A 7 {DAY} 12 12 {DAY} 9 - h1", f"7:12/-/-/{SOFT}", 99, id="a soft one is no bound"),
        pytest.param(f"D 7 {DAY} 12 7 {DAY} 9 - h1", f"7:12/7:7/-/{TEAM}", 15, id="what a settlement has left of it"),
        pytest.param(f"D 7 {DAY} 25 0 - - i -", f"7:25/-/-/{TEAM}", 0, id="nothing, where incurred usage has gone beyond it"),
        pytest.param(f"R 7 {DAY} 7 7 {DAY} 9 - h1", f"-/7:7/-/{TEAM}", 27, id="more, when a hold gives back"),
        pytest.param(f"R 7 {DAY} 7 7 {DAY} 9 - h1", f"-/7:7/-/{PASSED}", 15, id="no more, when that was of a window that has passed"),
        pytest.param(f"D 7 {DAY} 12 7 {DAY} 9 l h1", f"7:12/7:7/-/{TEAM}/{TEAM}", 15, id="late: what its hold left, less its usage"),
        pytest.param(f"D 7 {DAY} 12 7 {DAY} 9 l h1", f"7:12/7:7/-/{TEAM}/{SOFT}", 8, id="late: its hold was in another"),
        pytest.param(f"A 7 {DAY} 12 12 {DAY} 9 - h1", f"7:12/-/-/{TEAM.replace('20,7', '50,7')};{TEAM}", 8, id="of several, the tightest"),
    ],
)  # fmt: skip
def test_a_hard_budget_bounds_what_is_available(line: str, allocation: str, available: int) -> None:
    assert effect(line, allocation).available_after(AccountSums(spendable=99)) == available


@pytest.mark.parametrize(
    ("flags", "allocation", "sums", "affordable"),
    [
        pytest.param("-", "-", SUMS, 60, id="what any request may take"),
        pytest.param("-", "9s:30/-/-/-", SUMS, 90, id="and what scoped grants have for it"),
        pytest.param("-", "9s:30/0:4/-/-", SUMS, 94, id="and what grace carries"),
        pytest.param("-", "-", SUMS.replace("132 - 5", "132 70 5"), 10, id="within the daily limit"),
        pytest.param("-", f"9s:30/-/-/{TEAM}", SUMS, 20, id="within a hard budget"),
        pytest.param("-", f"9s:30/-/-/{SOFT}", SUMS, 90, id="a soft one is no bound"),
        pytest.param("o", f"9s:30/-/-/{TEAM}", SUMS.replace("132 - 5", "132 70 5"), 90, id="without spend management, neither"),
        pytest.param("-", "-", SUMS.replace("51 32 9", "-51 32 9"), 0, id="in debt, nothing"),
    ],
)  # fmt: skip
def test_what_a_denied_request_could_have_spent(
    flags: str, allocation: str, sums: str, affordable: int
) -> None:
    assert effect(f"B 7 {DAY} 0 0 - - {flags} -", allocation, sums).affordable == affordable
