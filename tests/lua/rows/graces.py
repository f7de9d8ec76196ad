"""Graces: what a class of traffic may do after credits have run out."""

from support.lua_account import DAY, NOON, TOP_UP, Changes, Grant
from support.lua_table import EXPIRED, EXPIRES, HOLD, INF, Row, Then, look

IN_CLASS: Changes = {"traffic_class": "inbound"}
GRACE: Changes = {"left": 5, "graces": "5000 20 - inbound"}
DEBT: Changes = {"current_grant": 0, "grants": {}}
BEGUN = f"5000 20 {NOON} inbound"


def begun(at: int) -> Changes:
    return {"graces": f"5000 20 {at} inbound"}


def held(amount: int, flags: str) -> str:
    return f"A {NOON} {DAY} {amount} {amount} {DAY} {NOON + 1000} {flags} h1"


def charged(amount: int, flags: str) -> str:
    return f"D {NOON} {DAY} {amount} 0 - - {flags} -"


def pins(text: str, amount: int) -> Changes:
    return {
        "allocation": f"{text}/-/-/-",
        "hold_after": f"1 o {amount} {DAY} {NOON + 1000} {text} -",
        "reaped_at": INF,
    }


def carried(amount: int) -> Changes:
    """What a hold of so much leaves of the account of GRACE: five nanos came from the grant."""
    return {
        "current_grant": 0,
        "grants": {0: Grant(5 - amount, amount - 5), 2: TOP_UP.has(0, 5)},
        "day_remaining": -amount,
    }


AUTHORIZE = [
    Row("begins a grace where credits have run out", "ok", given=GRACE, call=IN_CLASS,
        effect=held(10, "gb"), **pins("2:5,0:5", 10), after=carried(10) | {"graces": BEGUN}),
    Row("begins a grace with overage, where there is no grant", "ok", given=DEBT | {"left": 3, "overage": 3, "graces": "- 20 - inbound"},
        call=IN_CLASS, effect=held(10, "gb"), after={"left": -7, "held": 10, "day_remaining": -10, "graces": f"- 20 {NOON} inbound"},
        hold_after=f"1 o 10 {DAY} {NOON + 1000} 0:10 -", reaped_at=INF),
    Row("goes on in a grace that has begun", "ok", given=GRACE | begun(NOON - 7), call=IN_CLASS,
        effect=held(10, "g"), **pins("2:5,0:5", 10), after=carried(10)),
    Row("may take a grace's last nano", "ok", given=GRACE, call=IN_CLASS | {"amount_nanos": 25},
        effect=held(25, "gb"), **pins("2:5,0:20", 25), after=carried(25) | {"graces": BEGUN}),
    Row("of nothing begins no grace", "ok", given=DEBT | {"left": -5, "graces": "- 20 - inbound"}, call=IN_CLASS | {"amount_nanos": 0},
        effect=held(0, "-"), after={"left": -5}, hold_after=f"1 o 0 {DAY} {NOON + 1000} - -", reaped_at=INF),
    Row("of a nano more than credits and grace is denied, and begins none", "INSUFFICIENT_CREDITS", given=GRACE,
        call=IN_CLASS | {"amount_nanos": 26}, effect=look(flags="g"), allocation="-/0:20/-/-"),
    Row("may use a grace in its last millisecond", "ok", given=GRACE | begun(NOON - 4999), call=IN_CLASS,
        effect=held(10, "g"), **pins("2:5,0:5", 10), after=carried(10)),
    Row("is denied when a grace's time is over", "INSUFFICIENT_CREDITS", given=GRACE | begun(NOON - 5000), call=IN_CLASS, effect=look()),
    Row("may use a grace without end at any time", "ok", given=GRACE | {"graces": "- 20 1 inbound"}, call=IN_CLASS,
        effect=held(10, "g"), **pins("2:5,0:5", 10), after=carried(10)),
    Row("is denied a grace of no time", "INSUFFICIENT_CREDITS", given=GRACE | {"graces": f"0 20 {NOON} inbound"}, call=IN_CLASS,
        effect=look()),
    Row("is denied the grace of another class", "INSUFFICIENT_CREDITS", given=GRACE, call={"traffic_class": "batch"}, effect=look()),
    Row("is denied the grace of a class whose name goes on", "INSUFFICIENT_CREDITS", given=GRACE | {"graces": "- 20 - inbound calls"},
        call=IN_CLASS, effect=look()),
    Row("of no class is denied a grace", "INSUFFICIENT_CREDITS", given=GRACE, effect=look()),
    Row("of a class is denied where no grace is", "INSUFFICIENT_CREDITS", given={"left": 5}, call=IN_CLASS, effect=look()),
    Row("begins the grace of its own class alone", "ok", given={"left": 5, "graces": "5 5 - batch\n7 20 - batch jobs\n9 9 - inbound"},
        call={"traffic_class": "batch jobs"}, effect=held(10, "gb"), **pins("2:5,0:5", 10),
        after=carried(10) | {"graces": f"5 5 - batch\n7 20 {NOON} batch jobs\n9 9 - inbound"}),
    Row("begins no grace where credits suffice", "ok", given=GRACE, call=IN_CLASS | {"amount_nanos": 5},
        effect=held(5, "-"), **pins("2:5", 5), after={"current_grant": 0, "grants": {2: TOP_UP.has(0, 5)}, "day_remaining": -5}),
    Row("with a least amount takes credits and grace", "ok", given=GRACE, call=IN_CLASS | {"amount_nanos": 150, "min_amount_nanos": 6},
        effect=held(25, "gb"), **pins("2:5,0:20", 25), after=carried(25) | {"graces": BEGUN}),
    Row("with a least amount that credits cover takes no grace", "ok", given=GRACE, call=IN_CLASS | {"amount_nanos": 150, "min_amount_nanos": 5},
        effect=held(5, "-"), **pins("2:5", 5), after={"current_grant": 0, "grants": {2: TOP_UP.has(0, 5)}, "day_remaining": -5}),
    Row("may use of a grace what debt leaves of it", "ok", given=DEBT | {"left": -10, "graces": BEGUN}, call=IN_CLASS,
        effect=held(10, "g"), after={"left": -20, "held": 10, "day_remaining": -10},
        hold_after=f"1 o 10 {DAY} {NOON + 1000} 0:10 -", reaped_at=INF),
    Row("is denied what debt has used of a grace", "INSUFFICIENT_CREDITS", given=DEBT | {"left": -11, "graces": BEGUN}, call=IN_CLASS,
        effect=look(flags="g"), allocation="-/0:20/-/-"),
    Row("may use a grace above what grants for its model have", "ok", call=IN_CLASS | {"labels": "\nmodel=a\n"},
        given=GRACE | {"grants": {2: TOP_UP, 4: Grant(3, scope="model=a")}}, effect=held(10, "gb"),
        **pins("2:5,4s:3,0:2", 10),
        after={"current_grant": 0, "grants": {0: Grant(-2, 2), 2: TOP_UP.has(0, 5), 4: Grant(0, 3, scope="model=a")}, "day_remaining": -10, "graces": BEGUN}),
    Row("is told on denial of grace and of grants for its model", "INSUFFICIENT_CREDITS",
        call=IN_CLASS | {"labels": "\nmodel=a\n", "amount_nanos": 29}, given=GRACE | {"grants": {2: TOP_UP, 4: Grant(3, scope="model=a")}},
        effect=look(flags="g"), allocation="4s:3/0:20/-/-"),
    Row("in grace keeps to the daily limit", "DAILY_LIMIT_EXCEEDED", given=GRACE | {"daily_limit": 9, "day_remaining": 9}, call=IN_CLASS,
        effect=look(flags="g"), allocation="-/0:20/-/-"),
    Row("in grace with a least amount keeps to the daily limit", "ok", given=GRACE | {"daily_limit": 10, "day_remaining": 10},
        call=IN_CLASS | {"amount_nanos": 150, "min_amount_nanos": 6}, effect=held(10, "gb"), **pins("2:5,0:5", 10),
        after=carried(10) | {"graces": BEGUN, "day_remaining": 0}),
    Row("begins a grace with spend management off", "ok", given=GRACE | {"unmanaged": True}, call=IN_CLASS,
        effect=held(10, "ogb"), **pins("2:5,0:5", 10), after=carried(10) | {"graces": BEGUN}),
    Row("is told on denial of grace with spend management off", "INSUFFICIENT_CREDITS", given=GRACE | {"unmanaged": True},
        call=IN_CLASS | {"amount_nanos": 26}, effect=look(flags="og"), allocation="-/0:20/-/-"),
    Row("of a suspended account is denied in grace, and told of it", "ACCOUNT_SUSPENDED", given=GRACE | {"status": "suspended"},
        call=IN_CLASS, effect=look(flags="gs"), allocation="-/0:20/-/-"),
    Row("is not told of a grace whose time is over", "ACCOUNT_SUSPENDED", given=GRACE | begun(NOON - 5000) | {"status": "suspended"},
        call=IN_CLASS, effect=look(flags="s")),
]  # fmt: skip

USED_UP = [Then("Q", 0, "2:0/-/-/-", {"grants": {0: Grant(-5)}})]
IN_DEBT: Changes = DEBT | {"left": -5, "used": 10, "day_remaining": -10}

DEBIT = [
    Row("begins a grace where credits have run out", "ok", given=GRACE, call=IN_CLASS, effect=charged(10, "gb"),
        allocation="2:5,0:5/-/-/-", then=USED_UP, after=IN_DEBT | {"graces": BEGUN}),
    Row("goes on in a grace that has begun", "ok", given=GRACE | begun(NOON - 7), call=IN_CLASS, effect=charged(10, "g"),
        allocation="2:5,0:5/-/-/-", then=USED_UP, after=IN_DEBT),
    Row("goes on in a grace from overage alone", "ok", given=DEBT | {"left": 5, "graces": BEGUN}, call=IN_CLASS,
        effect=charged(10, "g"), after={"left": -5, "used": 10, "day_remaining": -10}),
    Row("of a nano more than credits and grace is denied", "INSUFFICIENT_CREDITS", given=GRACE, call=IN_CLASS | {"amount_nanos": 26},
        effect=look(flags="g"), allocation="-/0:20/-/-"),
    Row("of usage that was incurred begins no grace", "ok", given=GRACE, call=IN_CLASS | {"incurred": 1}, effect=charged(10, "i"),
        allocation="2:5,0:5/-/-/-", then=USED_UP, after=IN_DEBT),
    Row("of a hold begins no grace", "ok", given=GRACE | {"held": 40}, hold=HOLD, call=IN_CLASS | {"amount_nanos": 50},
        effect=f"D {NOON} {DAY} 50 40 {DAY} {EXPIRES} - h1", allocation="2:45,0:5/2:40/-/-", then=USED_UP, hold_after="",
        after=DEBT | {"left": -5, "used": 50, "day_remaining": -10}),
    Row("that is late begins no grace", "ok", given=GRACE, hold=EXPIRED, call=IN_CLASS,
        effect=f"D {NOON} {DAY} 10 0 {DAY} {EXPIRES} l h1", allocation="2:5,0:5/-/-/-", then=USED_UP, hold_after="",
        after=IN_DEBT),
]  # fmt: skip


def added(amount: int, flags: str) -> str:
    return f"E {NOON} {DAY} {amount} 40 {DAY} {EXPIRES} {flags} h1"


EXTEND = [
    Row("begins a grace where credits have run out", "ok", given=GRACE | {"held": 40}, hold=HOLD, call=IN_CLASS,
        effect=added(10, "gb"), allocation="2:5,0:5/-/-/-",
        after={"current_grant": 0, "grants": {0: Grant(-5, 5), 2: TOP_UP.has(0, 45)}, "day_remaining": -10, "graces": BEGUN},
        hold_after=f"1 o 50 {DAY} {EXPIRES} 2:45,0:5 -", reaped_at=INF),
    Row("goes on in a grace from overage alone", "ok", given=DEBT | {"left": 5, "held": 40, "graces": BEGUN}, call=IN_CLASS,
        hold=HOLD.replace("2:40", "0:40"), effect=added(10, "g"), after={"left": -5, "held": 50, "day_remaining": -10},
        hold_after=f"1 o 50 {DAY} {EXPIRES} 0:50 -", reaped_at=INF),
    Row("of a nano more than credits and grace is denied", "INSUFFICIENT_CREDITS", given=GRACE | {"held": 40}, hold=HOLD,
        call=IN_CLASS | {"amount_nanos": 26}, effect=look(flags="g"), allocation="-/0:20/-/-"),
    Row("of time alone begins no grace", "ok", given=DEBT | GRACE | {"left": -5, "held": 40}, call=IN_CLASS | {"amount_nanos": 0},
        hold=HOLD.replace("2:40", "0:40"), effect=added(0, "-"), after={"held": 40},
        hold_after=f"1 o 40 {DAY} {EXPIRES} 0:40 -", reaped_at=INF),
]  # fmt: skip

RELEASE = [
    Row("ends no grace, though it leaves something to spend", "ok", given=GRACE | begun(NOON - 7) | {"held": 40}, hold=HOLD,
        effect=f"R {NOON} {DAY} 40 40 {DAY} {EXPIRES} - h1", after={"left": 45, "held": 0, "day_remaining": 40}, hold_after=""),
]  # fmt: skip

UPDATE = [
    Row("ends a grace by taking it away", "ok", given=begun(NOON - 7), call={"flags": ""}, effect=f"U {NOON} {DAY} 0 0 - - - -",
        after={"operation_number": 3, "graces": ""}),
    Row("ends no grace by more overage protection", "ok", given=DEBT | {"left": -5} | begun(NOON - 7),
        call={"flags": "g", "graces": "5000 20 - inbound", "overage_protection_nanos": 50}, effect=f"U {NOON} {DAY} 0 0 - - - -",
        sums={"left": 45, "overage": 50}, after={"operation_number": 3, "left": 45, "overage": 50}),
]  # fmt: skip

TABLES = {
    "authorize": AUTHORIZE,
    "debit": DEBIT,
    "extend": EXTEND,
    "release": RELEASE,
    "update_account": UPDATE,
}
