"""Thresholds: told once, by whatever crosses them."""

from lua.rows.budgets import COUNTED, JANUARY_1, K1, PAST, has
from support.lua_account import DAY, NOON, TOP_UP, Budget, Changes, Grant
from support.lua_table import EXPIRED, EXPIRES, HOLD, P53, TOMORROW, WITH_HOLD, Row, Then

DAILY: Changes = {"thresholds": "t1,daily_use,50"}
LOW: Changes = {"thresholds": "t1,low_balance,20"}
NO_GRANT: Changes = {"current_grant": 0, "grants": {}}


def told(
    subject: str, threshold: str, window: int, level: int, value: int, sums: Changes | None = None
) -> Then:
    return Then("T", 0, f"{subject},{threshold},{window},{level},{value}", sums or {})


def daily(level: int, value: int, threshold: str = "t1") -> Then:
    return told("daily_use,-", threshold, DAY, level, value)


def low(level: int, value: int, threshold: str = "t1", total: int = 100) -> Then:
    return told("low_balance,-", threshold, total, level, value)


def of_budget(level: int, value: int, threshold: str = "t1", budget: str = "b1") -> Then:
    return told(f"budget,{budget}", threshold, 19_754 * 24, level, value)


def charged(amount: int, flags: str = "-") -> str:
    return f"D {NOON} {DAY} {amount} 0 - - {flags} -"


def settled(
    amount: int, flags: str = "-", at: int = NOON, day: int = DAY, expires: int = EXPIRES
) -> str:
    return f"D {at} {day} {amount} 40 {DAY} {expires} {flags} h1"


def uses(says: str, given: Changes, amount: int, *then: Then, flags: str = "-") -> Row:
    """A debit of a grant that goes on."""
    before = given.get("used", 0)
    call = {"amount_nanos": amount, "incurred": int("i" in flags)}
    return Row(says, "ok", given={"left": 1000} | given, call=call, effect=charged(amount, flags), then=then,
        after={"left": 1000 - amount, "used": before + amount, "day_remaining": given.get("day_remaining", 0) - amount})  # fmt: skip


def uses_budget(says: str, budget: Budget, amount: int, *then: Then, off: bool = False) -> Row:
    return Row(says, "ok", given=has(b1=budget) | {"unmanaged": off}, call={"labels": K1, "amount_nanos": amount},
        effect=charged(amount, "o" if off else "-"), allocation=f"{f'2:{amount}' if amount else '-'}/-/-/{budget.matched()}", then=then,
        after={"left": 100 - amount, "used": amount, "day_remaining": -amount}
        | has(b1=budget.has(budget.remaining - amount, budget.held)))  # fmt: skip


THREE = "t1,daily_use,50;t2,daily_use,55;t3,daily_use,60"
FALLING = "t1,low_balance,50;t2,low_balance,20;t3,low_balance,0"
HALF = Budget(60, levels="t1:50|t2:60|t3:80")
SOON = Grant(100, expires=NOON)

DEBIT = [
    uses("tells that the day's use has crossed a level", DAILY | {"used": 45}, 10, daily(50, 55)),
    uses("tells that the day's use has come to a level", DAILY | {"used": 40}, 10, daily(50, 50)),
    uses("does not tell of a level one nano away", DAILY | {"used": 40}, 9),
    uses("does not tell again of a level that was reached", DAILY | {"used": 50}, 10),
    uses("tells of all levels that the day's use has crossed, upwards", {"thresholds": THREE, "used": 49}, 10, daily(50, 59), daily(55, 59, "t2")),
    uses("counts no other day's use", DAILY | {"used": 145, "day_base": 100, "yesterday_base": 50}, 10, daily(50, 55)),
    uses("counts no other day's use as crossed", DAILY | {"used": 45, "day_base": 10}, 10),
    uses("tells of a level above 2^53", {"thresholds": f"t1,daily_use,{P53 + 1}", "used": P53, "total": P53}, 1, daily(P53 + 1, P53 + 1)),
    uses("of nothing tells nothing", {"thresholds": "t1,daily_use,0;t2,low_balance,100"}, 0),
    uses("tells of usage that was incurred", DAILY | {"used": 45}, 10, daily(50, 55), flags="i"),
    uses("with spend management off tells nothing", {"thresholds": f"t1,daily_use,5;{LOW['thresholds']}", "used": 79, "unmanaged": True}, 10, flags="o"),
    uses("tells that what remains has crossed a level", LOW | {"used": 75}, 10, low(20, 15)),
    uses("tells that what remains has come to a level", LOW | {"used": 70}, 10, low(20, 20)),
    uses("does not tell of a balance one nano above a level", LOW | {"used": 70}, 9),
    uses("does not tell again of a balance that was at a level", LOW | {"used": 80}, 10),
    uses("counts what has expired as gone", LOW | {"used": 30, "expired": 40}, 10, low(20, 20)),
    uses("counts what was granted as there", LOW | {"used": 70, "total": 101}, 10),
    uses("tells of all levels that the balance has crossed, downwards", {"thresholds": FALLING, "used": 60}, 40,
         low(20, 0, "t2"), low(0, 0, "t3")),
    uses("tells of a balance below zero", {"thresholds": FALLING, "used": 95}, 10, low(0, -5, "t3")),
    uses("tells of the day's use and of the balance, in the order of the levels",
         {"thresholds": "t1,daily_use,50;t2,low_balance,45;t3,low_balance,44", "used": 45}, 10, daily(50, 55), low(45, 45, "t2")),
    Row("on a new day counts its use alone", "ok", given=DAILY | {"test_clock_ms": TOMORROW, "used": 45},
        effect=f"D {TOMORROW} {DAY + 1} 50 0 - - - -", call={"amount_nanos": 50}, sums={"day_base": 45},
        then=[told("daily_use,-", "t1", DAY + 1, 50, 50)],
        after={"left": 50, "used": 95, "day_remaining": -50, "day": DAY + 1, "day_base": 45}),
    Row("of a hold tells of what was used, not of what was held", "ok", given=WITH_HOLD | DAILY | {"used": 15}, hold=HOLD,
        call={"amount_nanos": 35}, effect=settled(35), then=[daily(50, 50)], hold_after="",
        after={"left": 65, "held": 0, "used": 50, "day_remaining": -35}),
    Row("of yesterday's hold is none of today's use, but of the balance", "ok", hold=HOLD.replace(str(EXPIRES), str(TOMORROW + 1)),
        given=WITH_HOLD | {"thresholds": f"{DAILY['thresholds']};t2,low_balance,20", "test_clock_ms": TOMORROW, "day": DAY + 1, "used": 75, "day_base": 30},
        effect=settled(10, at=TOMORROW, day=DAY + 1, expires=TOMORROW + 1), then=[low(20, 15, "t2")], hold_after="",
        after={"left": 90, "held": 0, "used": 85, "day_base": 40}),
    Row("that is late is of today's use", "ok", given=DAILY | {"used": 45}, hold=EXPIRED, hold_after="",
        effect=settled(10, "l").replace(" 40 ", " 0 "), then=[daily(50, 55)], after={"left": 90, "used": 55, "day_remaining": -10}),
    Row("tells of thresholds before grants that are used up", "ok", given=DAILY | {"left": 10, "used": 45}, effect=charged(10),
        allocation="2:10/-/-/-", then=[daily(50, 55), Then("Q", 0, "2:0/-/-/-")], after=NO_GRANT | {"used": 55, "day_remaining": -10}),
    Row("tells of a balance that lapsing takes below a level", "ok", hold=HOLD, hold_after="",
        given=LOW | {"current_grant": 4, "used": 50, "grants": {2: TOP_UP.has(0, 40, "x"), 4: TOP_UP}, "day_remaining": -40},
        effect=settled(10), allocation="2:10/2:40/2:30/-",
        then=[Then("V", 30, "2:30/-/-/-", {"expired": 0, "grants": {2: Grant(30), 4: TOP_UP}}), low(20, 10)],
        after={"expired": 30, "grants": {4: TOP_UP}, "used": 60, "day_remaining": -10}),
    uses_budget("tells that a budget's use has crossed a level", HALF, 15, of_budget(50, 55)),
    uses_budget("tells that a budget's use has come to a level", HALF, 10, of_budget(50, 50)),
    uses_budget("does not tell of a budget's level one nano away", HALF, 9),
    uses_budget("does not tell again of a budget's level that was reached", HALF.has(50), 9),
    uses_budget("tells of all levels of a budget that were crossed, upwards", HALF, 20, of_budget(50, 60), of_budget(60, 60, "t2")),
    uses_budget("does not count what is held as used of a budget", HALF.has(30, 30), 10, of_budget(50, 50)),
    uses_budget("tells of a soft budget that is used up", Budget(30, hard=False, levels="limit:100"), 30, of_budget(100, 100, "limit")),
    uses_budget("tells of a budget's level above 2^53", Budget(20, limit=P53 + 20, levels=f"t1:{P53 + 1}"), 1, of_budget(P53 + 1, P53 + 1)),
    uses_budget("of nothing tells nothing of a budget", HALF.has(50), 0),
    uses_budget("with spend management off tells nothing of a budget", HALF, 15, off=True),
    Row("in a budget's new window counts its use alone", "ok",
        given=has(b1=Budget(60, 5, start=JANUARY_1, end=19_754, levels="t1:50|t2:10")), call={"labels": K1}, effect=charged(10),
        allocation=f"2:10/-/-/{Budget().matched()}", then=[of_budget(10, 10, "t2")],
        after={"left": 90, "used": 10, "day_remaining": -10} | has(b1=Budget(90, levels="t1:50|t2:10"))),
    Row("tells of the account, then of each budget", "ok", call={"labels": K1}, effect=charged(10),
        given=DAILY | {"used": 45} | has(b1=HALF, b2=Budget(100, levels="t9:10", number=4)),
        allocation=f"2:10/-/-/{HALF.matched()};{Budget().matched('b2')}", then=[daily(50, 55), of_budget(50, 50), of_budget(10, 10, "t9", "b2")],
        after={"left": 90, "used": 55, "day_remaining": -10} | has(b1=HALF.has(50), b2=Budget(90, levels="t9:10", number=4))),
    Row("of a hold tells of its budget by what was used", "ok", given=WITH_HOLD | has(b1=HALF.has(20, 40)), hold=COUNTED,
        effect=settled(10), allocation=f"2:10/2:40/-/{HALF.has(20, 40).matched()}", then=[of_budget(50, 50)], hold_after="",
        after={"left": 90, "held": 0, "used": 10, "day_remaining": -10} | has(b1=HALF.has(50))),
    Row("of a hold of a window that has passed tells nothing of the present one", "ok", given=WITH_HOLD | has(b1=HALF), hold=PAST,
        effect=settled(10), allocation=f"2:10/2:40/-/{HALF.matched(flags='hp', start=JANUARY_1)}", hold_after="",
        after={"left": 90, "held": 0, "used": 10, "day_remaining": -10}),
    Row("that is late tells of the budgets that it meets", "ok", call={"labels": K1}, hold=COUNTED,
        given=WITH_HOLD | {"test_clock_ms": EXPIRES} | has(b1=HALF.has(20, 40)), effect=settled(10, "l", EXPIRES),
        allocation=f"2:10/2:40/-/{HALF.has(20, 40).matched()}/{HALF.has(20, 40).matched()}", then=[of_budget(50, 50)], hold_after="",
        after={"left": 90, "held": 0, "used": 10, "day_remaining": -10} | has(b1=HALF.has(50))),
]  # fmt: skip

ALL = "t1,daily_use,5;t2,low_balance,200"
AUTHORIZE = [
    Row("tells nothing, for nothing is used", "ok", given={"thresholds": ALL} | has(b1=HALF), call={"labels": K1},
        effect=f"A {NOON} {DAY} 10 10 {DAY} {NOON + 1000} - h1", allocation=f"2:10/-/-/{HALF.matched()}",
        after={"left": 90, "held": 10, "day_remaining": -10} | has(b1=HALF.has(50, 10)),
        hold_after=f"1 o 10 {DAY} {NOON + 1000} 2:10 b1,474096,3", reaped_at=float("inf")),
]  # fmt: skip
RELEASE = [
    Row("tells of a balance that lapsing takes below a level", "ok", hold=HOLD, hold_after="",
        given=LOW | {"current_grant": 4, "used": 50, "grants": {2: TOP_UP.has(0, 40, "x"), 4: TOP_UP}, "day_remaining": -40},
        effect=f"R {NOON} {DAY} 40 40 {DAY} {EXPIRES} - h1", allocation="-/2:40/2:40/-",
        then=[Then("V", 40, "2:40/-/-/-", {"expired": 0, "grants": {2: Grant(40), 4: TOP_UP}}), low(20, 10)],
        after={"expired": 40, "grants": {4: TOP_UP}, "day_remaining": 0}),
]  # fmt: skip
TURN = [
    Row("tells of a balance that an expiry takes below levels", "ok",
        given={"thresholds": FALLING, "used": 40, "grants": {2: SOON.has(25)}},
        then=[Then("V", 25, "2:25/-/-/-", {"expired": 0, "grants": {2: SOON.has(25)}}), low(50, 35)], after=NO_GRANT | {"expired": 25}),
    Row("tells of a balance at each expiry", "ok",
        given={"thresholds": FALLING, "grants": {2: SOON.has(55), 4: SOON.has(45)}},
        then=[Then("V", 55, "2:55/-/-/-", {"expired": 0, "grants": {2: SOON.has(55), 4: SOON.has(45)}}),
              told("low_balance,-", "t1", 100, 50, 45, {"expired": 55, "grants": {2: Grant(), 4: SOON.has(45)}}),
              Then("V", 45, "4:45/-/-/-", {"expired": 55, "grants": {2: Grant(), 4: SOON.has(45)}}),
              low(20, 0, "t2"), low(0, 0, "t3")],
        after=NO_GRANT | {"expired": 100}),
    Row("is none of the day's use", "ok", given=DAILY | {"used": 55, "grants": {2: SOON.has(45)}},
        then=[Then("V", 45, "2:45/-/-/-", {"expired": 0, "grants": {2: SOON.has(45)}})], after=NO_GRANT | {"expired": 45}),
    Row("with spend management off tells nothing", "ok", given=LOW | {"unmanaged": True, "grants": {2: SOON}},
        then=[Then("V", 100, "2:100/-/-/-", {"expired": 0, "grants": {2: SOON}})], after=NO_GRANT | {"expired": 100}),
    Row("tells nothing of what begins", "ok", given={"thresholds": ALL, "grants": {2: TOP_UP, 3: Grant(10, 0, "p", effective=NOON)}},
        then=[Then("S", 10, "-/3:10/-/-", {"total": 100, "grants": {2: TOP_UP}})],
        after={"total": 110, "grants": {2: TOP_UP, 3: Grant(10, effective=NOON)}}),
]  # fmt: skip
VOID = [
    Row("tells of a balance that it takes below a level", "ok", given=LOW, call={"amount_nanos": 85},
        effect=f"Z {NOON} {DAY} 85 0 - - - -", allocation="2:85/-/-/-", then=[low(20, 15)], after={"operation_number": 3, "expired": 85, "left": 15}),
    Row("of nothing tells nothing", "ok", given={"thresholds": "t1,low_balance,100", "current_grant": 0, "grants": {2: TOP_UP.has(0, 40)}},
        effect=f"Z {NOON} {DAY} 0 0 - - - -", allocation="-/-/-/-", after={"operation_number": 3, "grants": {2: TOP_UP.has(0, 40, "x")}}),
]  # fmt: skip
GRANT = [
    Row("tells nothing, and begins a new window for the balance", "ok", given={"thresholds": ALL}, effect=f"G {NOON} {DAY} 10 0 - - - -",
        allocation="-/3:10/-/-", after={"operation_number": 3, "total": 110, "grants": {2: TOP_UP, 3: Grant(10)}}),
    Row("that pays debt tells nothing", "ok", given=NO_GRANT | {"left": -30, "thresholds": ALL}, call={"grant_terms": "1 TOP_UP 50 - - -"},
        effect=f"G {NOON} {DAY} 10 0 - - - -", allocation="-/3:10/-/-", after={"operation_number": 3, "total": 110, "left": -20},
        then=[Then("P", 10, "3:10/0:10/-/-", {"grants": {0: Grant(-30), 3: Grant(10)}}), Then("Q", 0, "3:0/-/-/-")]),
]  # fmt: skip

TABLES = {
    "authorize": AUTHORIZE,
    "debit": DEBIT,
    "release": RELEASE,
    "process_due_grants": TURN,
    "void_grant": VOID,
    "grant_credits": GRANT,
}
