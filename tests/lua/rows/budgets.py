"""Budgets: what requests may spend of them, and what is held."""

from meter.money import INT64_MAX
from support.lua_account import (
    APRIL_1,
    DAY,
    FEBRUARY_1,
    FEBRUARY_29,
    MARCH_1,
    MS_PER_DAY,
    NOON,
    TOP_UP,
    Budget,
    Changes,
)
from support.lua_table import EXPIRES, HOLD, INF, P53, Row, Then, look

K1 = "\napi_key=k1\nmodel=m\nuser=u\n"
JANUARY_1 = 19_723
MONTH = Budget()
PAIR = Budget(labels="api_key=k1\nuser=u")


def held(amount: int, at: int = NOON, day: int = DAY, flags: str = "-") -> str:
    return f"A {at} {day} {amount} {amount} {day} {at + 1000} {flags} h1"


def charged(amount: int, flags: str = "-") -> str:
    return f"D {NOON} {DAY} {amount} 0 - - {flags} -"


def has(**budgets: Budget) -> Changes:
    return {"budgets": budgets}


def took(matched: str, counts: str, amount: int = 10, at: int = NOON, day: int = DAY) -> Changes:
    """What an authorization leaves behind: `matched` in its line, `counts` in its hold."""
    return {
        "allocation": f"2:{amount}/-/-/{matched}", "hold_after": f"1 o {amount} {day} {at + 1000} 2:{amount} {counts}", "reaped_at": INF,
    }  # fmt: skip


HELD_10: Changes = {"left": 90, "held": 10, "day_remaining": -10}


def matched_by(says: str, budget: Budget, labels: str) -> Row:
    return Row(says, "ok", given=has(b1=budget), call={"labels": labels}, effect=held(10), **took(budget.matched(), "b1,474096,3"),
        after=HELD_10 | has(b1=budget.has(90, 10)))  # fmt: skip


def not_matched_by(says: str, budget: Budget, labels: str) -> Row:
    return Row(
        says,
        "ok",
        given=has(b1=budget),
        call={"labels": labels},
        effect=held(10),
        **took("-", "-"),
        after=HELD_10,
    )


def rolls(
    says: str,
    window: str,
    was: tuple[int, int],
    today: int,
    now: tuple[int, int],
    last: int | None = None,
) -> Row:
    """A window that has passed: today another has begun, whole."""
    stored = Budget(3, 5, window=window, start=was[0], end=was[1])
    fresh = Budget(window=window, start=now[0], end=now[1])
    at = today * MS_PER_DAY
    return Row(says, "ok", given={"test_clock_ms": at, "day": today} | has(b1=stored), call={"labels": K1}, effect=held(10, at, today),
        **took(fresh.matched(), f"b1,{now[0] * 24},3", at=at, day=today), after=HELD_10 | has(b1=fresh.has(90, 10)))  # fmt: skip


def lasts(says: str, window: str, start: int, end: int | str, today: int) -> Row:
    """A window that goes on."""
    budget = Budget(30, 5, window=window, start=start, end=end)
    at = today * MS_PER_DAY
    return Row(says, "ok", given={"test_clock_ms": at, "day": today} | has(b1=budget), call={"labels": K1}, effect=held(10, at, today),
        **took(budget.matched(), f"b1,{start * 24},3", at=at, day=today), after=HELD_10 | has(b1=budget.has(20, 15)))  # fmt: skip


def exceeds(says: str, tightest: str, amount: int = 10, **budgets: Budget) -> Row:
    matched = ";".join(budget.matched(budget_id) for budget_id, budget in sorted(budgets.items()))
    return Row(says, "BUDGET_EXCEEDED", given=has(**budgets), call={"labels": K1, "amount_nanos": amount}, effect=look(),
        allocation=f"-/-/-/{matched}", exceeded=(tightest, budgets[tightest].labels))  # fmt: skip


AUTHORIZE = [
    matched_by("takes the room of a budget that it meets", MONTH, K1),
    matched_by("meets a budget by its only dimension", MONTH, "\napi_key=k1\n"),
    matched_by("meets a budget of two dimensions by both", PAIR, K1),
    matched_by("meets a budget of a value with an equals sign", Budget(labels="api_key=k1=="), "\napi_key=k1==\n"),
    matched_by("meets a budget of words", Budget(labels="the user=a b"), "\nthe user=a b\n"),
    matched_by("meets a budget of a key with marks", Budget(labels="a.b-[c]%d=v"), "\na.b-[c]%d=v\n"),
    not_matched_by("meets no budget of a key with other marks", Budget(labels="a.b=v"), "\na-b=v\n"),
    matched_by("meets a budget of an empty value", Budget(labels="user="), "\nuser=\n"),
    matched_by("counts in a soft budget", Budget(hard=False), K1),
    not_matched_by("meets no budget of another value", MONTH, "\napi_key=k2\n"),
    not_matched_by("meets no budget of a value that goes on", MONTH, "\napi_key=k11\n"),
    not_matched_by("meets no budget of another dimension", MONTH, "\nkey=k1\n"),
    not_matched_by("meets no budget of two dimensions by the first alone", PAIR, "\napi_key=k1\n"),
    not_matched_by("meets no budget of two dimensions by the second alone", PAIR, "\nuser=u\n"),
    not_matched_by("meets no budget of two dimensions by another second", PAIR, "\napi_key=k1\nuser=v\n"),
    not_matched_by("without dimensions meets no budget", MONTH, ""),
    Row("takes the room of all budgets that it meets, by their ids", "ok", call={"labels": K1},
        given=has(b3=PAIR, b2=Budget(50, 5, labels="user=u"), b1=Budget(20), b4=Budget(labels="user=v"), b5=Budget(70, hard=False)),
        effect=held(10), **took(";".join([Budget(20).matched("b1"), Budget(50, 5).matched("b2"), PAIR.matched("b3"), Budget(70, hard=False).matched("b5")]),
                                "b1,474096,3;b2,474096,3;b3,474096,3;b5,474096,3"),
        after=HELD_10 | has(b3=PAIR.has(90, 10), b2=Budget(40, 15, labels="user=u"), b1=Budget(10, 10),
                            b4=Budget(labels="user=v"), b5=Budget(60, 10, hard=False))),
    Row("crosses from one grant into the next under a budget", "ok", call={"labels": K1},
        given=has(b1=MONTH) | {"grants": {2: TOP_UP.has(4), 4: TOP_UP}}, effect=held(10), allocation=f"2:4,4:6/-/-/{MONTH.matched()}",
        hold_after=f"1 o 10 {DAY} {NOON + 1000} 2:4,4:6 b1,474096,3", reaped_at=INF,
        after=has(b1=MONTH.has(90, 10)) | {"current_grant": 4, "grants": {2: TOP_UP.has(0, 4), 4: TOP_UP.has(94, 6)}, "day_remaining": -10}),
    Row("may take the last nano of a budget", "ok", given=has(b1=Budget(10, 90)), call={"labels": K1}, effect=held(10),
        **took(Budget(10, 90).matched(), "b1,474096,3"), after=HELD_10 | has(b1=Budget(0, 100))),
    Row("is exact about a budget above 2^53", "ok", given=has(b1=Budget(P53 + 2, limit=P53 + 2)), call={"labels": K1, "amount_nanos": 1},
        effect=held(1), **took(Budget(P53 + 2, limit=P53 + 2).matched(), "b1,474096,3", 1),
        after={"left": 99, "held": 1, "day_remaining": -1} | has(b1=Budget(P53 + 1, 1, limit=P53 + 2))),
    Row("with a least amount takes what the tightest hard budget leaves", "ok", call={"labels": K1, "amount_nanos": 90, "min_amount_nanos": 5},
        given=has(b1=Budget(50), b2=Budget(30), b3=Budget(40), b4=Budget(1, hard=False)), effect=held(30),
        **took(";".join([Budget(50).matched("b1"), Budget(30).matched("b2"), Budget(40).matched("b3"), Budget(1, hard=False).matched("b4")]),
               "b1,474096,3;b2,474096,3;b3,474096,3;b4,474096,3", 30),
        after={"left": 70, "held": 30, "day_remaining": -30}
        | has(b1=Budget(20, 30), b2=Budget(0, 30), b3=Budget(10, 30), b4=Budget(-29, 30, hard=False))),
    exceeds("of one nano more than a budget is denied, and told which", "b1", b1=Budget(9, 91)),
    exceeds("of one nano more than a budget of two dimensions is denied", "b1", b1=Budget(9, labels="api_key=k1\nuser=u")),
    exceeds("is denied by a budget that is overdrawn", "b1", 1, b1=Budget(-5)),
    exceeds("is denied by a budget of nothing", "b1", 1, b1=Budget(0, limit=0)),
    exceeds("of several budgets is told of the tightest", "b2", b1=Budget(9), b2=Budget(-4), b3=Budget(5), b4=Budget(99)),
    exceeds("of several budgets as tight is told of the first by id", "b1", b2=Budget(9), b1=Budget(9), b3=Budget(9)),
    exceeds("is told of the tightest hard budget", "b2", b1=Budget(1, hard=False), b2=Budget(9)),
    Row("is denied when a budget has not even the least amount", "BUDGET_EXCEEDED", given=has(b1=Budget(9)),
        call={"labels": K1, "amount_nanos": 90, "min_amount_nanos": 10}, effect=look(), allocation=f"-/-/-/{Budget(9).matched()}",
        exceeded=("b1", "api_key=k1")),
    Row("goes past a soft budget", "ok", given=has(b1=Budget(9, hard=False)), call={"labels": K1}, effect=held(10),
        **took(Budget(9, hard=False).matched(), "b1,474096,3"), after=HELD_10 | has(b1=Budget(-1, 10, hard=False))),
    Row("with spend management off goes past a hard budget, and counts in it", "ok", given=has(b1=Budget(9)) | {"unmanaged": True},
        call={"labels": K1}, effect=held(10, flags="o"), **took(Budget(9).matched(), "b1,474096,3"),
        after=HELD_10 | has(b1=Budget(-1, 10))),
    Row("with spend management off and a least amount takes more than a budget has", "ok", given=has(b1=Budget(9)) | {"unmanaged": True},
        call={"labels": K1, "min_amount_nanos": 1}, effect=held(10, flags="o"), **took(Budget(9).matched(), "b1,474096,3"),
        after=HELD_10 | has(b1=Budget(-1, 10))),
    Row("denied for lack of credits is told of budgets, too", "INSUFFICIENT_CREDITS", given=has(b1=MONTH),
        call={"labels": K1, "amount_nanos": 101}, effect=look(), allocation=f"-/-/-/{MONTH.matched()}"),
    rolls("on the next day has a whole day's budget", "day", (DAY - 1, DAY), DAY, (DAY, DAY + 1)),
    lasts("on the same day goes on in its budget", "day", DAY, DAY + 1, DAY),
    lasts("on a Sunday goes on in the week's budget", "week", DAY - 2, DAY + 5, DAY + 4),
    rolls("on a Monday has a whole week's budget", "week", (DAY - 2, DAY + 5), DAY + 5, (DAY + 5, DAY + 12)),
    rolls("in another week has a whole budget from its Monday", "week", (DAY - 16, DAY - 9), DAY, (DAY - 2, DAY + 5)),
    lasts("on the leap day goes on in February's budget", "month", FEBRUARY_1, MARCH_1, FEBRUARY_29),
    rolls("on March 1st has a whole month's budget", "month", (FEBRUARY_1, MARCH_1), MARCH_1, (MARCH_1, APRIL_1)),
    rolls("at the end of a year has a whole month's budget", "month", (20_058, 20_089), 20_089, (20_089, 20_120)),
    rolls("in a February of 28 days has those", "month", (20_089, 20_120), 20_147, (20_120, 20_148)),
    rolls("after months without use has a whole month's budget", "month", (JANUARY_1, FEBRUARY_1), MARCH_1 + 9, (MARCH_1, APRIL_1)),
    lasts("in a later year goes on in a budget for a lifetime", "lifetime", 0, "-", DAY + 400),
    Row("denied in a new window tells of it, and does not begin it", "BUDGET_EXCEEDED",
        given=has(b1=Budget(3, 5, 9, start=JANUARY_1, end=FEBRUARY_1)), call={"labels": K1}, effect=look(),
        allocation=f"-/-/-/{Budget(9, 0, 9).matched()}", exceeded=("b1", "api_key=k1")),
]  # fmt: skip

COUNTED = HOLD.replace("2:40 -", "2:40 b1,474096,3")
PAST = HOLD.replace("2:40 -", f"2:40 b1,{JANUARY_1 * 24},3")
ANEW = HOLD.replace("2:40 -", "2:40 b1,474096,2")
BOTH = HOLD.replace("2:40 -", f"2:40 b1,474096,3;b2,{JANUARY_1 * 24},3")
WITH_COUNTED: Changes = {"left": 60, "held": 40, "day_remaining": -40} | has(b1=Budget(60, 40))
NEXT_MONTH: Changes = {"test_clock_ms": MARCH_1 * MS_PER_DAY, "day": MARCH_1}
MARCH = Budget(start=MARCH_1, end=APRIL_1)
LASTING = COUNTED.replace(str(EXPIRES), str((MARCH_1 + 1) * MS_PER_DAY))
BACK_10: Changes = {"left": 90, "held": 0, "used": 10, "day_remaining": -10}
IS = Budget(60, 40)


def settled(amount: int, flags: str = "-", at: int = NOON, back: int = 40) -> str:
    return f"D {at} {DAY} {amount} {back} {DAY} {EXPIRES} {flags} h1"


NEARLY_FULL = Budget(
    100 - (INT64_MAX - 50) - 40, 40
)  # when a hold of 40 has gone back it can count 50 more

DEBIT = [
    Row("takes the room of a budget that it meets", "ok", given=has(b1=Budget(60, 40)), call={"labels": K1}, effect=charged(10),
        allocation=f"2:10/-/-/{IS.matched()}", after={"left": 90, "used": 10, "day_remaining": -10} | has(b1=Budget(50, 40))),
    Row("may take the last nano of a budget", "ok", given=has(b1=Budget(10)), call={"labels": K1}, effect=charged(10),
        allocation=f"2:10/-/-/{Budget(10).matched()}", after={"left": 90, "used": 10, "day_remaining": -10} | has(b1=Budget(0))),
    Row("meets no budget of another value", "ok", given=has(b1=MONTH), effect=charged(10), allocation="2:10/-/-/-",
        call={"labels": "\napi_key=k2\n"}, after={"left": 90, "used": 10, "day_remaining": -10}),
    Row("of nothing goes through a budget that is overdrawn", "ok", given=has(b1=Budget(-5)), call={"labels": K1, "amount_nanos": 0},
        effect=charged(0), allocation=f"-/-/-/{Budget(-5).matched()}", after={"left": 100}),
    Row("of nothing meets a budget, and leaves it", "ok", given=has(b1=MONTH), call={"labels": K1, "amount_nanos": 0},
        effect=charged(0), allocation=f"-/-/-/{MONTH.matched()}", after={"left": 100}),
    Row("uses a grant up under a budget", "ok", given=has(b1=MONTH) | {"left": 10}, call={"labels": K1}, effect=charged(10),
        allocation=f"2:10/-/-/{MONTH.matched()}", then=[Then("Q", 0, "2:0/-/-/-")],
        after={"current_grant": 0, "grants": {}, "used": 10, "day_remaining": -10} | has(b1=MONTH.has(90))),
    exceeds("of one nano more than a budget is denied", "b1", b1=Budget(9)),
    Row("of usage that was incurred goes past a budget", "ok", given=has(b1=Budget(9)), call={"labels": K1, "incurred": 1},
        effect=charged(10, "i"), allocation=f"2:10/-/-/{Budget(9).matched()}",
        after={"left": 90, "used": 10, "day_remaining": -10} | has(b1=Budget(-1))),
    Row("with spend management off goes past a budget", "ok", given=has(b1=Budget(9)) | {"unmanaged": True}, call={"labels": K1},
        effect=charged(10, "o"), allocation=f"2:10/-/-/{Budget(9).matched()}",
        after={"left": 90, "used": 10, "day_remaining": -10} | has(b1=Budget(-1))),
    Row("begins a new window", "ok", given=has(b1=Budget(3, 5, start=JANUARY_1, end=FEBRUARY_1)), call={"labels": K1},
        effect=charged(10), allocation=f"2:10/-/-/{MONTH.matched()}", after={"left": 90, "used": 10, "day_remaining": -10} | has(b1=MONTH.has(90))),
    Row("of less than the hold gives the rest back to its budget", "ok", given=WITH_COUNTED, hold=COUNTED, effect=settled(10),
        allocation=f"2:10/2:40/-/{IS.matched()}", after=BACK_10 | has(b1=MONTH.has(90)), hold_after=""),
    Row("of more than the hold takes more of its budget than that has", "ok", given=WITH_COUNTED | has(b1=Budget(5, 40)), hold=COUNTED,
        call={"amount_nanos": 50}, effect=settled(50), allocation=f"2:50/2:40/-/{Budget(5, 40).matched()}",
        after={"left": 50, "held": 0, "used": 50, "day_remaining": -50} | has(b1=Budget(-5)), hold_after=""),
    Row("of nothing gives a hold back to its budget", "ok", given=WITH_COUNTED, hold=COUNTED, call={"amount_nanos": 0},
        effect=settled(0), allocation=f"-/2:40/-/{IS.matched()}", after={"left": 100, "held": 0, "day_remaining": 0} | has(b1=MONTH), hold_after=""),
    Row("of a hold meets the hold's budgets, and no others", "ok", given=WITH_COUNTED | has(b1=Budget(60, 40), b2=Budget(labels="user=u")),
        hold=COUNTED, call={"labels": "\nuser=u\n"}, effect=settled(10), allocation=f"2:10/2:40/-/{IS.matched()}",
        after=BACK_10 | has(b1=MONTH.has(90), b2=Budget(labels="user=u")), hold_after=""),
    Row("of a hold that matched no budget meets none", "ok", given={"left": 60, "held": 40, "day_remaining": -40} | has(b1=MONTH), hold=HOLD,
        call={"labels": K1}, effect=settled(10), allocation="2:10/2:40/-/-", after=BACK_10, hold_after=""),
    Row("of a hold of a window that has passed leaves the present one", "ok", given=WITH_COUNTED, hold=PAST, effect=settled(10),
        allocation=f"2:10/2:40/-/{IS.matched(flags='hp', start=JANUARY_1)}", after=BACK_10, hold_after=""),
    Row("of a hold moves each of its budgets in its window", "ok", hold=BOTH, effect=settled(10),
        given=WITH_COUNTED | has(b1=Budget(60, 40), b2=Budget(70, hard=False)),
        allocation=f"2:10/2:40/-/{IS.matched()};{Budget(70).matched('b2', 'sp', JANUARY_1)}",
        after=BACK_10 | has(b1=MONTH.has(90), b2=Budget(70, hard=False)), hold_after=""),
    Row("of a hold of the last window begins the new one, and leaves it whole", "ok", given=WITH_COUNTED | NEXT_MONTH,
        hold=LASTING, effect=f"D {MARCH_1 * MS_PER_DAY} {MARCH_1} 10 40 {DAY} {(MARCH_1 + 1) * MS_PER_DAY} - h1",
        allocation=f"2:10/2:40/-/{MARCH.matched(flags='hp', start=FEBRUARY_1)}",
        after={"left": 90, "held": 0, "used": 10, "day_base": 10, "yesterday_base": 10} | has(b1=MARCH), hold_after=""),
    Row("of a hold leaves a budget that was made anew since", "ok", given=WITH_COUNTED, hold=ANEW, effect=settled(10),
        allocation="2:10/2:40/-/-", after=BACK_10, hold_after=""),
    Row("of a hold leaves a budget that is gone", "ok", given=WITH_COUNTED | has(b2=MONTH), hold=COUNTED, effect=settled(10),
        allocation="2:10/2:40/-/-", after=BACK_10, hold_after=""),
    Row("of a hold leaves the last budget that is gone", "ok", given=WITH_COUNTED | has(), hold=COUNTED, effect=settled(10),
        after=BACK_10, hold_after=""),
    Row("that is late gives its hold back to its budget, and takes of what it meets", "ok", call={"labels": K1},
        given=WITH_COUNTED | {"test_clock_ms": EXPIRES} | has(b1=IS, b2=Budget(50, labels="user=u")), hold=COUNTED,
        effect=settled(10, "l", EXPIRES), allocation=f"2:10/2:40/-/{IS.matched()};{Budget(50).matched('b2')}/{IS.matched()}",
        after=BACK_10 | has(b1=MONTH.has(90), b2=Budget(40, labels="user=u")), hold_after=""),
    Row("that is late and meets no budget gives its hold back", "ok", given=WITH_COUNTED | {"test_clock_ms": EXPIRES}, hold=COUNTED,
        effect=settled(10, "l", EXPIRES), allocation=f"2:10/2:40/-/-/{IS.matched()}", after=BACK_10 | has(b1=MONTH), hold_after=""),
    Row("that is late crosses into the next grant under its budgets", "ok", hold=COUNTED, call={"labels": K1, "amount_nanos": 105},
        given=WITH_COUNTED | {"test_clock_ms": EXPIRES, "grants": {2: TOP_UP, 4: TOP_UP}}, effect=settled(105, "l", EXPIRES),
        allocation=f"2:100,4:5/2:40/-/{IS.matched()}/{IS.matched()}", then=[Then("Q", 0, "2:0/-/-/-", {"grants": {4: TOP_UP.has(95)}})],
        after={"current_grant": 4, "grants": {4: TOP_UP.has(95)}, "used": 105, "day_remaining": -105} | has(b1=Budget(-5)), hold_after=""),
    Row("that is late takes of the present window what its hold had in the last", "ok", call={"labels": K1},
        given=WITH_COUNTED | {"test_clock_ms": EXPIRES} | has(b1=Budget(3, 40, start=JANUARY_1, end=FEBRUARY_1)), hold=PAST,
        effect=settled(10, "l", EXPIRES), allocation=f"2:10/2:40/-/{MONTH.matched()}/{MONTH.matched(flags='hp', start=JANUARY_1)}",
        after=BACK_10 | has(b1=MONTH.has(90)), hold_after=""),
    Row("of a hold counts what it gives back to its budget before that is out of range", "ok", given=WITH_COUNTED | has(b1=NEARLY_FULL),
        hold=COUNTED, call={"amount_nanos": 50}, effect=settled(50), allocation=f"2:50/2:40/-/{NEARLY_FULL.matched()}",
        after={"left": 50, "held": 0, "used": 50, "day_remaining": -50} | has(b1=Budget(100 - INT64_MAX)), hold_after=""),
    Row("of a hold that would take a budget's sums out of range is refused", "AMOUNT_OUT_OF_RANGE", hold=COUNTED,
        given=WITH_COUNTED | has(b1=NEARLY_FULL), call={"amount_nanos": 51}),
    Row("that would take a budget's sums out of range is refused", "AMOUNT_OUT_OF_RANGE",
        given=has(b1=Budget(100 - INT64_MAX + 9)), call={"labels": K1, "incurred": 1}),
    Row("of a hold that was reaped takes of what it meets", "ok", given=has(b1=MONTH), call={"labels": K1},
        hold=COUNTED.replace("1 o", "1 x"), effect=settled(10, "l", back=0), allocation=f"2:10/-/-/{MONTH.matched()}",
        after={"left": 90, "used": 10, "day_remaining": -10} | has(b1=MONTH.has(90)), hold_after=""),
]  # fmt: skip

TABLES = {"authorize": AUTHORIZE, "debit": DEBIT}
