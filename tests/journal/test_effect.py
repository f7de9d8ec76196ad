"""The effect line: what it says of an account before and after.

What it says of grants and budgets: test_effect_parts.py.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter.journal.account_sums import AccountSums
from meter.journal.allocation import Allocation, Part, total, total_scoped, total_unscoped
from meter.journal.effect import Effect, Flags
from meter.journal.effect_codec import decode_effect, encode_effect
from meter.journal.kinds import Kind
from meter.money import INT64_MAX
from meter.times import date_of
from support.held_today import held_today

DAY = 19_781
BEFORE = AccountSums(
    spendable=60, held=40, overage=5, total=132, used=25, day_remaining=10, daily_limit=70, day_base=5, month_base=2, expired=10,
    yesterday_base=1,
)  # fmt: skip


def effect(line: str, before: AccountSums = BEFORE, bucket: int = 7, extras: str = "-") -> Effect:
    """A line, as a script writes it: of the sums that it has in two parts, each is in both."""
    limit = "-" if before.daily_limit is None else before.daily_limit
    sums = f"{before.spendable - 9} {before.held - 8} 9 8 {before.used} {before.day_remaining} {before.total} {limit}"
    bases = f"{before.overage} {before.expired} {before.day_base} {before.month_base} {before.yesterday_base}"
    return decode_effect(f"{line} {bucket} {extras} {sums} {bases}")


AFTER = [
    ("an authorization sets credits and room aside", f"A 7 {DAY} 10 10 {DAY} 9 - h1", "-", {"spendable": 50, "held": 50, "day_remaining": 0}),
    ("what is pinned of a scoped grant was none of what any request may take", f"A 7 {DAY} 10 10 {DAY} 9 - h1", "8s:6,7:4/-/-/-",
     {"spendable": 56, "held": 50, "day_remaining": 0}),
    ("an extension of a hold of today takes of today's room", f"E 7 {DAY} 10 40 {DAY} 9 - h1", "-",
     {"spendable": 50, "held": 50, "day_remaining": 0}),
    ("an extension of a hold of yesterday leaves today's room", f"E 7 {DAY} 10 40 {DAY - 1} 9 - h1", "-",
     {"spendable": 50, "held": 50}),
    ("an extension of its time alone changes nothing", f"E 7 {DAY} 0 40 {DAY} 9 - h1", "-", {}),
    ("a release gives back", f"R 7 {DAY} 40 40 {DAY} 9 - h1", "-", {"spendable": 100, "held": 0, "day_remaining": 50}),
    ("a release gives scoped credits back to their scope", f"R 7 {DAY} 40 40 {DAY} 9 - h1", "-/8s:30,7:10/-/-",
     {"spendable": 70, "held": 0, "day_remaining": 50}),
    ("a release of yesterday's hold leaves today's room", f"R 7 {DAY} 40 40 {DAY - 1} 9 - h1", "-", {"spendable": 100, "held": 0}),
    ("what came back too late is there until its own entry", f"R 7 {DAY} 40 40 {DAY} 9 - h1", "-/6:40/6:40/-",
     {"spendable": 100, "held": 0, "day_remaining": 50}),
    ("an expiry gives back", f"X 7 {DAY} 40 40 {DAY} 9 - h1", "-", {"spendable": 100, "held": 0, "day_remaining": 50}),
    ("a debit charges", f"D 7 {DAY} 10 0 - - - -", "-", {"spendable": 50, "used": 35, "day_remaining": 0}),
    ("a debit of several grants charges each", f"D 7 {DAY} 10 0 - - - -", "8s:3,7:4,0:3/-/-/-",
     {"spendable": 53, "used": 35, "day_remaining": 0}),
    ("a settlement charges and gives the rest back", f"D 7 {DAY} 10 40 {DAY} 9 - h1", "-",
     {"spendable": 90, "held": 0, "used": 35, "day_remaining": 40}),
    ("a settlement gives back what it pinned, and takes what it uses", f"D 7 {DAY} 50 40 {DAY} 9 - h1", "6:40,7:10/6:40/-/-",
     {"spendable": 50, "held": 0, "used": 75, "day_remaining": 0}),
    ("a settlement of yesterday's hold counts yesterday", f"D 7 {DAY} 10 40 {DAY - 1} 9 - h1", "-",
     {"spendable": 90, "held": 0, "used": 35, "day_base": 15}),
    ("a settlement of an older hold counts neither today nor yesterday", f"D 7 {DAY} 10 40 {DAY - 2} 9 - h1", "-",
     {"spendable": 90, "held": 0, "used": 35, "day_base": 15, "yesterday_base": 11}),
    ("a late debit of yesterday's hold counts today", f"D 7 {DAY} 10 40 {DAY - 1} 9 l h1", "-",
     {"spendable": 90, "held": 0, "used": 35, "day_remaining": 0}),
    ("a late debit of a hold that was reaped returns nothing", f"D 7 {DAY} 10 0 {DAY} 9 l h1", "-",
     {"spendable": 50, "used": 35, "day_remaining": 0}),
    ("a grant adds", f"G 7 {DAY} 10 0 - - - -", "-", {"spendable": 70, "total": 142}),
    ("a scoped grant adds to its scope", f"G 7 {DAY} 10 0 - - - -", "-/9s:10/-/-", {"total": 142}),
    ("a scheduled grant adds nothing yet", f"G 7 {DAY} 0 0 - - p -", "-", {}),
    ("a grant that begins adds", f"S 7 {DAY} 10 0 - - - -", "-/9:10/-/-", {"spendable": 70, "total": 142}),
    ("what expires is gone", f"V 7 {DAY} 10 0 - - - -", "7:10/-/-/-", {"spendable": 50, "expired": 20}),
    ("what expires of a scoped grant is gone from its scope", f"V 7 {DAY} 10 0 - - - -", "8s:10/-/-/-", {"expired": 20}),
    ("what is voided is gone", f"Z 7 {DAY} 10 0 - - - -", "7:10/-/-/-", {"spendable": 50, "expired": 20}),
    ("a scheduled grant that is voided was not there", f"Z 7 {DAY} 0 0 - - p -", "-/-/-/-", {}),
    ("debt that is paid moves credits from a grant to overage", f"P 7 {DAY} 5 0 - - - -", "7:5/0:5/-/-", {}),
    ("that a grant is used up changes nothing", f"Q 7 {DAY} 0 0 - - - -", "7:0/-/-/-", {}),
    ("that a threshold is crossed changes nothing", f"T 7 {DAY} 0 0 - - - -", f"daily_use,-,busy,{DAY},20,25", {}),
    ("a creation is as it says", f"C 7 {DAY} 0 0 - - - -", "-", {}),
    ("an update is as it says", f"U 7 {DAY} 0 0 - - - -", "-", {}),
    ("a clock's advance is as it says", f"K 7 {DAY} 0 0 - - - -", "-", {}),
    ("a reconciliation is as it says", f"N 7 {DAY} 0 0 - - r -", "-", {}),
    ("a look changes nothing", f"B 7 {DAY} 0 0 - - - -", "-", {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "extras", "changed"), [pytest.param(*row, id=says) for says, *row in AFTER]
)
def test_after(line: str, extras: str, changed: dict[str, int]) -> None:
    assert effect(line, extras=extras).after() == BEFORE._replace(**changed)


@pytest.mark.parametrize(
    ("line", "extras"),
    [
        (f"D 7 {DAY} 10 0 - - ir -", "8s:3,7:4,0:3/-/-/-"),
        (f"G 7 {DAY} 0 0 - - pr -", "-/-/-/-"),
        (f"N 7 {DAY} -5 0 - - r -", "-/-/-/-"),
    ],
)
def test_a_line_that_the_ledger_writes_is_read_alike(line: str, extras: str) -> None:
    told = effect(line, extras=extras)._replace(current_grant=0)
    assert decode_effect(encode_effect(told)) == told


def test_usage_that_is_taken_over_is_no_shortfall() -> None:
    assert effect(f"D 7 {DAY} 1000 0 - - i -").shortfall == 1000 - BEFORE.spendable
    assert effect(f"D 7 {DAY} 1000 0 - - ir -").shortfall == 0


def test_every_kind_has_a_row() -> None:
    assert {Kind(line[0]) for _, line, _, _ in AFTER} == set(Kind)


@pytest.mark.parametrize(
    ("extras", "changed"),
    [
        pytest.param("-", {}, id="nothing came back too late"),
        pytest.param("-/7:40/-/-", {}, id="all that came back is of grants that live"),
        pytest.param("-/6:30,7:10/6:30/-", {"spendable": -30, "expired": 30}, id="the part that came back too late is gone"),
        pytest.param("-/6:20,8s:20/6:20,8s:20/-", {"spendable": -20, "expired": 40}, id="a scope's part, from the scope"),
    ],
)  # fmt: skip
def test_the_client_is_told_of_the_account_without_what_came_back_too_late(
    extras: str, changed: dict[str, int]
) -> None:
    line = effect(f"R 7 {DAY} 40 40 {DAY} 9 - h1", extras=extras)
    after = line.after()
    assert line.settled() == after._replace(
        **{name: getattr(after, name) + by for name, by in changed.items()}
    )


@pytest.mark.parametrize(
    ("spendable", "hold", "amount", "extras", "shortfall"),
    [
        pytest.param(60, 0, 60, "-", 0, id="all of it was there"),
        pytest.param(60, 0, 61, "-", 1, id="a nano was missing"),
        pytest.param(60, 0, 61, "8s:1,7:60/-/-/-", 0, id="a scoped grant had what was missing"),
        pytest.param(60, 0, 62, "8s:1,7:60,0:1/-/-/-", 1, id="a scoped grant had some of what was missing"),
        pytest.param(60, 40, 100, "-", 0, id="the hold and the rest covered it"),
        pytest.param(60, 40, 101, "-", 1, id="the hold and the rest did not cover it"),
        pytest.param(60, 40, 101, "8s:41,7:60/8s:40/-/-", 0, id="the hold was of a scoped grant, which had a nano more"),
        pytest.param(60, 40, 70, "7:60,0:10/6:40/6:40/-", 10, id="what the hold gave back came too late"),
        pytest.param(60, 40, 60, "7:60/6:40/6:40/-", 0, id="what the hold gave back came too late, and was not needed"),
        pytest.param(60, 40, 70, "7:60,0:10/8s:40/8s:40/-", 10, id="what the hold gave back to its scope came too late"),
        pytest.param(0, 40, 41, "-", 1, id="there was nothing but the hold"),
        pytest.param(-5, 0, 10, "-", 10, id="in debt, all of it is new debt"),
        pytest.param(-5, 40, 40, "-", 0, id="in debt, the hold still covers its own"),
        pytest.param(-5, 40, 41, "-", 1, id="in debt, what exceeds the hold is new debt, the old one is not counted again"),
        pytest.param(60, 40, 0, "-", 0, id="nothing was used"),
        pytest.param(-INT64_MAX, 0, INT64_MAX, "-", INT64_MAX, id="at the end of the range"),
    ],
)  # fmt: skip
def test_shortfall_is_what_neither_the_hold_nor_the_rest_covered(
    spendable: int, hold: int, amount: int, extras: str, shortfall: int
) -> None:
    day = DAY if hold else "-"
    before = BEFORE._replace(spendable=spendable)
    line = f"D 7 {DAY} {amount} {hold} {day} - %s -"
    assert (
        effect(line % "i", before, extras=extras).shortfall,
        effect(line % "i", before, extras=extras).grace,
    ) == (
        shortfall,
        0,
    )
    graced = effect(line % "g", before, extras=extras)
    assert (graced.shortfall, graced.grace) == (0, shortfall), (
        "what grace carries was allowed, and is no shortfall"
    )


def test_only_a_debit_has_a_shortfall() -> None:
    poor = BEFORE._replace(spendable=0)
    others = [effect(line, poor, extras=extras) for _, line, extras, _ in AFTER if line[0] != "D"]
    assert not any(other.shortfall or other.grace for other in others)
    assert effect(f"A 7 {DAY} 10 10 {DAY} 9 gb h1", poor).grace == 10


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


def test_dates() -> None:
    assert [date_of(0), date_of(DAY), date_of(DAY + 1), date_of(DAY + 2)] == [
        "1970-01-01",
        "2024-02-28",
        "2024-02-29",
        "2024-03-01",
    ]


AMOUNTS = st.integers(-INT64_MAX, INT64_MAX)
STATES = st.builds(
    AccountSums,
    AMOUNTS,
    AMOUNTS,
    AMOUNTS,
    AMOUNTS,
    AMOUNTS,
    AMOUNTS,
    st.none() | AMOUNTS,
    AMOUNTS,
    AMOUNTS,
    AMOUNTS,
    AMOUNTS,
)
PARTS = st.lists(
    st.builds(Part, st.integers(0, 3), st.integers(0, INT64_MAX), st.booleans()), max_size=3
)
SIDES = {  # of taken and returned parts: which of them a kind has
    "AEVZ": (True, False),
    "RXGS": (False, True),
    "D": (True, True),
}


@st.composite
def lines(draw: st.DrawFn) -> Effect:
    """Of any kind, of one grant or of several; the amounts are those of the parts."""
    kind = draw(st.sampled_from(Kind))
    takes, returns = next(
        (sides for kinds, sides in SIDES.items() if kind in kinds), (False, False)
    )
    taken = draw(PARTS) if takes else []
    returned = draw(PARTS) if returns else []
    allocation: Allocation | None = Allocation(tuple(taken), tuple(returned))
    amount = total(taken) if takes else total(returned)
    if kind is Kind.DEBT_PAID:
        amount = draw(st.integers(1, INT64_MAX))
        allocation = Allocation((Part(7, amount),), (Part(0, amount),))
    elif draw(st.booleans()):
        allocation = None
    hold_day = draw(st.integers(0, 2) if kind is Kind.EXTEND else st.none() | st.integers(0, 2))
    return Effect(
        kind, draw(AMOUNTS), draw(st.integers(0, 2)), amount, total(returned) if kind is Kind.DEBIT else draw(AMOUNTS),
        hold_day, None, draw(st.builds(Flags, late=st.booleans(), incurred=st.booleans())), "", 7, allocation, None,
        draw(STATES),
    )  # fmt: skip


def uncounted(line: Effect, is_uncounted: bool) -> int:
    """What counts as used no longer, because the line refunds it."""
    return line.amount if line.kind.gives and is_uncounted else 0


@given(STATES)
def test_sums_are_written_and_read_alike(state: AccountSums) -> None:
    assert AccountSums.decode(state.encode()) == state


@given(lines())
def test_credits_are_neither_made_nor_lost(line: Effect) -> None:
    """Remaining moves by `balance_delta`, held by `held_delta`, and what scoped grants have by the
    parts that are theirs.
    """
    was = line.before
    now = line.after()
    assert now.remaining - was.remaining == line.balance_delta
    assert now.held - was.held == line.held_delta
    assert now.scoped - was.scoped == total_scoped(line.returned) - total_scoped(line.taken)
    assert (now.overage, now.daily_limit) == (was.overage, was.daily_limit)
    assert now.month_base - was.month_base == uncounted(line, line.flags.uncounts_month)


@given(lines())
def test_what_may_be_spent_moves_by_the_parts_that_any_request_may_use(line: Effect) -> None:
    change = total_unscoped(line.returned) - total_unscoped(line.taken)
    assert line.after().spendable - line.before.spendable == change


@given(lines())
def test_what_is_held_today_changes_by_holds_of_today_only(line: Effect) -> None:
    was = line.before
    now = line.after()
    of_today = line.hold_counts_today or line.kind is Kind.AUTHORIZE
    assert held_today(now) - held_today(was) == (line.held_delta if of_today else 0)


@given(lines())
def test_what_is_used_changes_on_the_day_of_the_charge_and_by_its_refund(line: Effect) -> None:
    was = line.before
    now = line.after()
    used = line.amount if line.kind is Kind.DEBIT else 0
    of_today = line.charge_counts_today
    of_yesterday = not of_today and line.hold_day == line.day - 1
    refund_of_today = line.flags.uncounts_today
    refund_of_yesterday = line.flags.uncounts_yesterday and not refund_of_today
    assert now.used_today - was.used_today == used * of_today - uncounted(line, refund_of_today)
    assert now.used_yesterday - was.used_yesterday == (
        used * of_yesterday - uncounted(line, refund_of_yesterday)
    )
