"""Holds that count in budgets: extended, released, expired.

And budgets themselves: set, changed, deleted.
"""

from lua.rows.budgets import (
    ANEW,
    COUNTED,
    IS,
    JANUARY_1,
    LASTING,
    MARCH,
    MONTH,
    NEXT_MONTH,
    PAIR,
    PAST,
    WITH_COUNTED,
    has,
)
from support.lua_account import APRIL_1, DAY, FEBRUARY_1, MARCH_1, MS_PER_DAY, NOON, Budget, Changes
from support.lua_table import EXPIRES, HOLD, INF, P53, TOMORROW, Row, look

SECOND = (MARCH_1 + 1) * MS_PER_DAY


def added(amount: int, flags: str = "-") -> str:
    return f"E {NOON} {DAY} {amount} 40 {DAY} {EXPIRES} {flags} h1"


def kept(counts: str, amount: int = 50, expires: int = EXPIRES) -> Changes:
    return {"hold_after": f"1 o {amount} {DAY} {expires} 2:{amount} {counts}", "reaped_at": INF}


MORE_HELD: Changes = {"left": 50, "held": 50, "day_remaining": -50}
FREED: Changes = {"left": 100, "held": 0, "day_remaining": 0}

EXTEND = [
    Row("takes more room of the hold's budget", "ok", given=WITH_COUNTED, hold=COUNTED, effect=added(10),
        allocation=f"2:10/-/-/{IS.matched()}", after=MORE_HELD | has(b1=Budget(50, 50)), **kept("b1,474096,3")),
    Row("may take the last nano of the hold's budget", "ok", given=WITH_COUNTED | has(b1=Budget(10, 40)), hold=COUNTED,
        effect=added(10), allocation=f"2:10/-/-/{Budget(10, 40).matched()}", after=MORE_HELD | has(b1=Budget(0, 50)), **kept("b1,474096,3")),
    Row("of a nano more than the hold's budget is denied", "BUDGET_EXCEEDED", given=WITH_COUNTED | has(b1=Budget(9, 40)), hold=COUNTED,
        effect=look(), allocation=f"-/-/-/{Budget(9, 40).matched()}", exceeded=("b1", "api_key=k1")),
    Row("of time alone leaves the hold's budget", "ok", given=WITH_COUNTED | has(b1=Budget(-5, 40)), hold=COUNTED, call={"amount_nanos": 0},
        effect=added(0), allocation=f"-/-/-/{Budget(-5, 40).matched()}", after={"held": 40}, **kept("b1,474096,3", 40)),
    Row("meets the hold's budgets, and no others", "ok", given=WITH_COUNTED | has(b1=IS, b2=Budget(labels="user=u")), hold=COUNTED,
        call={"labels": "\nuser=u\n"}, effect=added(10), allocation=f"2:10/-/-/{IS.matched()}",
        after=MORE_HELD | has(b1=Budget(50, 50), b2=Budget(labels="user=u")), **kept("b1,474096,3")),
    Row("of a hold that matched no budget meets none", "ok", given={"left": 60, "held": 40, "day_remaining": -40} | has(b1=MONTH), hold=HOLD,
        effect=added(10), after=MORE_HELD, **kept("-")),
    Row("of a hold of a window that has passed leaves the present one", "ok", given=WITH_COUNTED, hold=PAST, effect=added(10),
        allocation=f"2:10/-/-/{IS.matched(flags='hp', start=JANUARY_1)}", after=MORE_HELD, **kept(f"b1,{JANUARY_1 * 24},3")),
    Row("of a hold leaves a budget that was made anew since", "ok", given=WITH_COUNTED, hold=ANEW, effect=added(10),
        allocation="2:10/-/-/-", after=MORE_HELD, **kept("b1,474096,2")),
    Row("of a hold leaves the last budget that is gone", "ok", given=WITH_COUNTED | has(), hold=COUNTED, effect=added(10),
        allocation="2:10/-/-/-", after=MORE_HELD, **kept("b1,474096,3")),
    Row("with spend management off goes past the hold's budget", "ok", given=WITH_COUNTED | has(b1=Budget(9, 40)) | {"unmanaged": True},
        hold=COUNTED, effect=added(10, "o"), allocation=f"2:10/-/-/{Budget(9, 40).matched()}", after=MORE_HELD | has(b1=Budget(-1, 50)),
        **kept("b1,474096,3")),
]  # fmt: skip


def ended(kind: str, at: int = NOON, day: int = DAY, expires: int = EXPIRES) -> str:
    return f"{kind} {at} {day} 40 40 {DAY} {expires} - h1"


RELEASE = [
    Row("gives a hold back to its budget", "ok", given=WITH_COUNTED, hold=COUNTED, effect=ended("R"),
        allocation=f"-/2:40/-/{IS.matched()}", after=FREED | has(b1=MONTH), hold_after=""),
    Row("gives a hold of nothing back to its budget", "ok", given=has(b1=IS), hold=f"1 o 0 {DAY} {EXPIRES} - b1,474096,3",
        effect=ended("R").replace(" 40 40 ", " 0 0 "), allocation=f"-/-/-/{IS.matched()}", after={"held": 0}, hold_after=""),
    Row("of a hold of a window that has passed leaves the present one", "ok", given=WITH_COUNTED, hold=PAST, effect=ended("R"),
        allocation=f"-/2:40/-/{IS.matched(flags='hp', start=JANUARY_1)}", after=FREED, hold_after=""),
    Row("of a hold of the last window begins the new one, and leaves it whole", "ok", given=WITH_COUNTED | NEXT_MONTH, hold=LASTING,
        effect=ended("R", MARCH_1 * MS_PER_DAY, MARCH_1, SECOND), allocation=f"-/2:40/-/{MARCH.matched(flags='hp', start=FEBRUARY_1)}",
        after={"left": 100, "held": 0} | has(b1=MARCH), hold_after=""),
    Row("of a hold leaves a budget that was made anew since", "ok", given=WITH_COUNTED, hold=ANEW, effect=ended("R"),
        allocation="-/2:40/-/-", after=FREED, hold_after=""),
    Row("of a hold leaves the last budget that is gone", "ok", given=WITH_COUNTED | has(), hold=COUNTED, effect=ended("R"),
        allocation="-/2:40/-/-", after=FREED, hold_after=""),
]  # fmt: skip

EXPIRE = [
    Row("gives a hold back to its budget", "ok", given=WITH_COUNTED | {"test_clock_ms": EXPIRES}, hold=COUNTED, effect=ended("X", EXPIRES),
        allocation=f"-/2:40/-/{IS.matched()}", after=FREED | has(b1=MONTH), hold_after=COUNTED.replace("1 o", "1 x")),
]  # fmt: skip


def updated(at: int = NOON, day: int = DAY, flags: str = "-") -> str:
    return f"U {at} {day} 0 0 - - {flags} -"


def budget(asked: Budget, budget_id: str = "b1", anew: int = 1, replaces: str = "") -> Changes:
    return {
        "budget_id": budget_id, "hard": int(asked.hard), "window": asked.window, "limit_nanos": asked.limit, "thresholds": asked.levels,
        "labels": asked.labels, "anew": anew, "replaced_labels": replaces,
    }  # fmt: skip


def sets(
    says: str, given: dict[str, Budget], asked: Budget, after: dict[str, Budget], **call: int | str
) -> Row:
    return Row(
        says,
        "ok",
        given=has(**given),
        call=budget(asked) | call,
        effect=updated(),
        after={"operation_number": 3} | has(**after),
    )


DAILY = Budget(window="day", start=DAY, end=DAY + 1)
WEEKLY = Budget(window="week", start=DAY - 2, end=DAY + 5)
FOR_LIFE = Budget(window="lifetime", start=0, end="-")
OLD = Budget(60, 40, number=2)
USER = Budget(labels="user=u", number=2)

SET = [
    sets("sets a month's budget, from its first day", {}, MONTH, {"b1": MONTH}),
    sets("sets a day's budget", {}, DAILY, {"b1": DAILY}),
    sets("sets a week's budget, from its Monday", {}, WEEKLY, {"b1": WEEKLY}),
    sets("sets a budget for a lifetime", {}, FOR_LIFE, {"b1": FOR_LIFE}),
    sets("sets a soft budget with thresholds", {}, Budget(hard=False, levels="t1:50|t2:80"),
         {"b1": Budget(hard=False, levels="t1:50|t2:80")}),
    sets("sets a budget of two dimensions", {}, PAIR, {"b1": PAIR}),
    sets("sets one beside others", {"b2": USER}, MONTH, {"b2": USER, "b1": MONTH}),
    sets("sets a second one of the same value", {"b2": OLD}, DAILY, {"b2": OLD, "b1": DAILY}),
    sets("sets one of the same dimension", {"b2": Budget(labels="api_key=k2", number=2)}, MONTH,
         {"b2": Budget(labels="api_key=k2", number=2), "b1": MONTH}),
    sets("sets one as asked, though it is not there to be changed", {}, MONTH, {"b1": MONTH}, anew=0),
    sets("raises a limit, and counts on", {"b1": OLD}, Budget(limit=150), {"b1": Budget(110, 40, 150, number=2)}, anew=0),
    sets("lowers a limit below what is used and held", {"b1": OLD}, Budget(limit=30), {"b1": Budget(-10, 40, 30, number=2)}, anew=0),
    sets("moves a limit exactly above 2^53", {"b1": Budget(P53 + 1, limit=P53 + 1, number=2)}, Budget(limit=1),
         {"b1": Budget(1, limit=1, number=2)}, anew=0),
    sets("makes a budget soft, and gives it thresholds", {"b1": OLD}, Budget(hard=False, levels="t1:50"),
         {"b1": Budget(60, 40, hard=False, levels="t1:50", number=2)}, anew=0),
    sets("changes a budget whose window has passed in the present one", {"b1": Budget(3, 5, start=JANUARY_1, end=FEBRUARY_1, number=2)},
         Budget(limit=150), {"b1": Budget(150, limit=150, number=2)}, anew=0),
    sets("makes a budget anew: nothing is used or held of it", {"b1": OLD}, DAILY, {"b1": DAILY}),
    sets("makes a budget anew for other values", {"b1": OLD, "b2": USER}, PAIR, {"b2": USER, "b1": PAIR}, replaced_labels="api_key=k1"),
    sets("makes a budget anew for other values, and leaves one that keeps them", {"b1": OLD, "b2": Budget(number=2)}, USER,
         {"b2": Budget(number=2), "b1": Budget(labels="user=u")}, replaced_labels="api_key=k1"),
    Row("on a new day begins it", "ok", given={"test_clock_ms": TOMORROW, "daily_limit": 50, "day_remaining": 3, "used": 47}, call=budget(MONTH),
        effect=updated(TOMORROW, DAY + 1), sums={"day_remaining": 50, "day_base": 47},
        after={"operation_number": 3, "day_remaining": 50, "day": DAY + 1, "day_base": 47} | has(b1=MONTH)),
    Row("in a new month sets that month's", "ok", given=NEXT_MONTH, call=budget(MONTH), effect=updated(MARCH_1 * MS_PER_DAY, MARCH_1),
        after={"operation_number": 3} | has(b1=Budget(start=MARCH_1, end=APRIL_1))),
    Row("tells that spend management is off", "ok", given={"unmanaged": True}, call=budget(MONTH), effect=updated(flags="o"),
        after={"operation_number": 3} | has(b1=MONTH)),
    Row("again changes nothing", "replayed", given={"operation_number": 3}),
    Row("ahead of its turn waits", "behind", call={"operation_number": 4}),
    Row("of no account finds none", "absent", given={"epoch": ""}),
    Row("under an older epoch is stale", "stale", given={"test_clock_ms": TOMORROW}, journal_epoch=2),
]  # fmt: skip


def deletes(says: str, given: dict[str, Budget], after: dict[str, Budget], **call: str) -> Row:
    return Row(
        says,
        "ok",
        given=has(**given),
        call=call,
        effect=updated(),
        after={"operation_number": 3} | has(**after),
    )


DELETE = [
    deletes("takes the last budget away", {"b1": IS}, {}),
    deletes("leaves others", {"b1": IS, "b2": USER}, {"b2": USER}),
    deletes("leaves another of the same value", {"b1": IS, "b2": DAILY}, {"b2": DAILY}),
    deletes("leaves another of the same dimension", {"b1": IS, "b2": Budget(labels="api_key=k2")}, {"b2": Budget(labels="api_key=k2")}),
    deletes("takes one of two dimensions away", {"b1": PAIR, "b2": MONTH}, {"b2": MONTH}, labels=PAIR.labels),
    deletes("takes nothing away that is not there", {"b1": IS}, {"b1": IS}, budget_id="b2", labels="user=u"),
    deletes("takes nothing away where there is none", {}, {}),
    Row("on a new day begins it", "ok", given={"test_clock_ms": TOMORROW, "daily_limit": 50, "day_remaining": 3, "used": 47} | has(b1=IS),
        effect=updated(TOMORROW, DAY + 1), sums={"day_remaining": 50, "day_base": 47},
        after={"operation_number": 3, "day_remaining": 50, "day": DAY + 1, "day_base": 47} | has()),
    Row("tells that spend management is off", "ok", given={"unmanaged": True} | has(b1=IS), effect=updated(flags="o"),
        after={"operation_number": 3} | has()),
    Row("again changes nothing", "replayed", given={"operation_number": 3} | has(b1=IS)),
    Row("ahead of its turn waits", "behind", given=has(b1=IS), call={"operation_number": 4}),
    Row("of no account finds none", "absent", given={"epoch": ""}),
    Row("under an older epoch is stale", "stale", given={"test_clock_ms": TOMORROW} | has(b1=IS), journal_epoch=2),
]  # fmt: skip

TABLES = {
    "extend": EXTEND,
    "release": RELEASE,
    "expire": EXPIRE,
    "set_budget": SET,
    "delete_budget": DELETE,
}
