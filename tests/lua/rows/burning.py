"""In which order grants are burned; holds over several; what lapses as it comes back."""

from support.lua_account import DAY, NOON, TOP_UP, Changes, Grant
from support.lua_table import EXPIRED, EXPIRES, HOLD, INF, P53, Row, Then

NO_GRANT: Changes = {"current_grant": 0, "grants": {}}


def held(amount: int) -> str:
    return f"A {NOON} {DAY} {amount} {amount} {DAY} {NOON + 1000} - h1"


def charged(amount: int, flags: str = "-") -> str:
    return f"D {NOON} {DAY} {amount} 0 - - {flags} -"


def settled(amount: int, flags: str = "-", back: int = 40, at: int = NOON) -> str:
    return f"D {at} {DAY} {amount} {back} {DAY} {EXPIRES} {flags} h1"


def pins(text: str, amount: int) -> Changes:
    return {
        "allocation": f"{text}/-/-/-",
        "hold_after": f"1 o {amount} {DAY} {NOON + 1000} {text} -",
        "reaped_at": INF,
    }


def holding(text: str, amount: int = 40) -> str:
    return f"1 o {amount} {DAY} {EXPIRES} {text} -"


# In burn order: 12, 6, 5, 7, 8, 9, 10, then overage.
MIXED = {
    0: Grant(1),
    5: Grant(1, priority=10, expires=EXPIRES),
    6: Grant(1, priority=10, expires=EXPIRES, type="PROMOTION"),
    7: Grant(1, priority=10, expires=EXPIRES + 1, type="VOUCHER"),
    8: Grant(1, priority=10, type="VOUCHER"),
    9: Grant(1, priority=10, type="REFUND"),
    10: Grant(1, priority=10),
    12: Grant(1, priority=9),
}
ALL_PINNED = "12:1,6:1,5:1,7:1,8:1,9:1,10:1,0:1"
LOW: Changes = {"grants": {2: TOP_UP.has(4), 4: TOP_UP}}

AUTHORIZE = [
    Row("crosses from one grant into the next", "ok", given=LOW, effect=held(10), **pins("2:4,4:6", 10),
        after={"current_grant": 4, "grants": {2: TOP_UP.has(0, 4), 4: TOP_UP.has(94, 6)}, "day_remaining": -10}),
    Row("of all that the grant being burned has has the next burned", "ok", given=LOW, call={"amount_nanos": 4},
        effect=held(4), **pins("2:4", 4), after={"current_grant": 4, "grants": {2: TOP_UP.has(0, 4), 4: TOP_UP}, "day_remaining": -4}),
    Row("crosses from the last grant into overage", "ok", given={"overage": 6, "grants": {0: Grant(6), 2: TOP_UP.has(4)}},
        effect=held(10), **pins("2:4,0:6", 10),
        after={"current_grant": 0, "grants": {0: Grant(0, 6), 2: TOP_UP.has(0, 4)}, "day_remaining": -10}),
    Row("with a least amount takes what all grants and overage have", "ok", call={"amount_nanos": 150, "min_amount_nanos": 5},
        given={"overage": 6, "grants": {0: Grant(6), 2: TOP_UP.has(4), 4: TOP_UP}}, effect=held(110), **pins("2:4,4:100,0:6", 110),
        after={"current_grant": 0, "grants": {0: Grant(0, 6), 2: TOP_UP.has(0, 4), 4: TOP_UP.has(0, 100)}, "day_remaining": -110}),
    Row("takes by priority, expiry, promotion before paid, and age; then overage", "ok", call={"amount_nanos": 8},
        given={"current_grant": 12, "overage": 1, "grants": MIXED}, effect=held(8), **pins(ALL_PINNED, 8),
        after={"current_grant": 0, "grants": {n: grant.has(0, 1) for n, grant in MIXED.items()}, "day_remaining": -8}),
    Row("has the next in order burned", "ok", call={"amount_nanos": 2}, given={"current_grant": 12, "overage": 1, "grants": MIXED},
        effect=held(2), **pins("12:1,6:1", 2),
        after={"current_grant": 5, "grants": MIXED | {12: MIXED[12].has(0, 1), 6: MIXED[6].has(0, 1)}, "day_remaining": -2}),
    Row("takes nothing of a grant that has not begun, or is over", "ok",
        given={"overage": 6, "grants": {0: Grant(6), 2: TOP_UP.has(4), 4: Grant(50, 0, "p", effective=EXPIRES, priority=1),
                                    5: Grant(0, 9, "x", priority=1)}},
        effect=held(10), **pins("2:4,0:6", 10),
        after={"current_grant": 0, "day_remaining": -10, "grants": {0: Grant(0, 6), 2: TOP_UP.has(0, 4), 5: Grant(0, 9, "x", priority=1),
                                               4: Grant(50, 0, "p", effective=EXPIRES, priority=1)}}),
    Row("is denied what has not begun", "INSUFFICIENT_CREDITS",
        given={"grants": {2: TOP_UP.has(9), 4: Grant(50, 0, "p", effective=EXPIRES)}}, effect=f"B {NOON} {DAY} 0 0 - - - -"),
    Row("crosses exactly above 2^53", "ok", given={"grants": {2: TOP_UP.has(P53 + 1), 4: TOP_UP.has(P53 + 3)}},
        call={"amount_nanos": 2 * P53 + 3}, effect=held(2 * P53 + 3), **pins(f"2:{P53 + 1},4:{P53 + 2}", 2 * P53 + 3),
        after={"current_grant": 4, "grants": {2: TOP_UP.has(0, P53 + 1), 4: TOP_UP.has(1, P53 + 2)}, "day_remaining": -2 * P53 - 3}),
]  # fmt: skip

TWO: Changes = {
    "current_grant": 4,
    "grants": {2: TOP_UP.has(0, 4), 4: TOP_UP.has(94, 6)},
    "day_remaining": -10,
}
OF_TWO = holding("2:4,4:6", 10)
USED_UP = [Then("Q", 0, "2:0/-/-/-")]
BACK = "2:4,4:6/-"
OVER = TOP_UP.has(0, 40, "x")
LAPSING: Changes = {"current_grant": 4, "grants": {2: OVER, 4: TOP_UP}, "day_remaining": -40}


def lapse(amount: int, left: Grant = TOP_UP, held: int = 0, n: str = "2") -> list[Then]:
    """What a grant that is over gets back expires; `left` is what is being burned, as the entry
    finds it.
    """
    return [
        Then(
            "V",
            amount,
            f"{n}:{amount}/-/-/-",
            {"expired": 0, "grants": {2: Grant(amount, held, "x"), 4: left}},
        )
    ]


DEBIT = [
    Row("crosses from one grant into the next, and uses the one up", "ok", given=LOW, effect=charged(10), allocation="2:4,4:6/-/-/-",
        then=[Then("Q", 0, "2:0/-/-/-", {"grants": {4: TOP_UP.has(94)}})],
        after={"current_grant": 4, "grants": {4: TOP_UP.has(94)}, "used": 10, "day_remaining": -10}),
    Row("may leave the grant being burned its last nano", "ok", given=LOW, call={"amount_nanos": 3}, effect=charged(3),
        after={"left": 1, "used": 3, "day_remaining": -3}),
    Row("of all that the grant being burned has uses it up", "ok", given=LOW, call={"amount_nanos": 4}, effect=charged(4),
        allocation="2:4/-/-/-", then=USED_UP, after={"current_grant": 4, "grants": {4: TOP_UP}, "used": 4, "day_remaining": -4}),
    Row("tells of grants used up in the order in which they were made", "ok", call={"amount_nanos": 9}, effect=charged(9),
        given={"current_grant": 10, "grants": {9: Grant(4), 10: Grant(4, priority=1), 11: TOP_UP}}, allocation="10:4,9:4,11:1/-/-/-",
        then=[Then("Q", 0, "9:0/-/-/-", {"grants": {11: Grant(99)}}), Then("Q", 0, "10:0/-/-/-", {"grants": {11: Grant(99)}})],
        after={"current_grant": 11, "grants": {11: TOP_UP.has(99)}, "used": 9, "day_remaining": -9}),
    Row("does not use up a grant of which something is held", "ok", given={"left": 10, "held": 5}, effect=charged(10),
        allocation="2:10/-/-/-", after={"current_grant": 0, "grants": {2: TOP_UP.has(0, 5)}, "used": 10, "day_remaining": -10}),
    Row("of a hold on two grants, exactly, takes of both", "ok", given=TWO, hold=OF_TWO, effect=settled(10, back=10),
        allocation=f"2:4,4:6/{BACK}/-", then=USED_UP, hold_after="", after={"grants": {4: TOP_UP.has(94)}, "used": 10}),
    Row("of less than a hold on two takes of the first first", "ok", given=TWO, hold=OF_TWO, call={"amount_nanos": 3},
        effect=settled(3, back=10), allocation=f"2:3/{BACK}/-", hold_after="",
        after={"current_grant": 2, "grants": {2: TOP_UP.has(1), 4: TOP_UP}, "used": 3, "day_remaining": -3}),
    Row("of just the first part of a hold uses that up", "ok", given=TWO, hold=OF_TWO, call={"amount_nanos": 4},
        effect=settled(4, back=10), allocation=f"2:4/{BACK}/-", hold_after="",
        then=[Then("Q", 0, "2:0/-/-/-", {"grants": {4: TOP_UP}})], after={"grants": {4: TOP_UP}, "used": 4, "day_remaining": -4}),
    Row("of nothing gives all of a hold on two back", "ok", given=TWO, hold=OF_TWO, call={"amount_nanos": 0},
        effect=settled(0, back=10), allocation=f"-/{BACK}/-", hold_after="",
        after={"current_grant": 2, "grants": {2: TOP_UP.has(4), 4: TOP_UP}, "day_remaining": 0}),
    Row("of more than a hold on two takes the extra in burn order", "ok", given=TWO, hold=OF_TWO, call={"amount_nanos": 20},
        effect=settled(20, back=10), allocation=f"2:4,4:16/{BACK}/-", hold_after="",
        then=[Then("Q", 0, "2:0/-/-/-", {"grants": {4: TOP_UP.has(84)}})],
        after={"grants": {4: TOP_UP.has(84)}, "used": 20, "day_remaining": -20}),
    Row("takes what it settles from where the hold had it, and the extra from what is burned now", "ok",
        given={"grants": {2: TOP_UP, 4: TOP_UP.has(90, 10)}, "day_remaining": -10}, hold=holding("4:10", 10), call={"amount_nanos": 15},
        effect=settled(15, back=10), allocation="4:10,2:5/4:10/-/-", hold_after="",
        after={"grants": {2: TOP_UP.has(95), 4: TOP_UP.has(90)}, "used": 15, "day_remaining": -15}),
    Row("settles a hold of a grant that only it has kept", "ok",
        given={"current_grant": 4, "grants": {2: TOP_UP.has(0, 40), 4: TOP_UP}, "day_remaining": -40}, hold=HOLD, call={"amount_nanos": 40},
        effect=settled(40), allocation="2:40/2:40/-/-", then=USED_UP, hold_after="", after={"grants": {4: TOP_UP}, "used": 40}),
    Row("settles a hold of an account in debt, and has the rest burned", "ok",
        given={"current_grant": 0, "grants": {0: Grant(-5), 2: TOP_UP.has(0, 40)}, "day_remaining": -40}, hold=HOLD, effect=settled(10),
        allocation="2:10/2:40/-/-", after={"current_grant": 2, "grants": {0: Grant(-5), 2: TOP_UP.has(30)}, "used": 10, "day_remaining": -10},
        hold_after=""),
    Row("settles from overage what a grant that is not known had pinned", "ok", hold=holding("7:20,0:20"),
        given={"current_grant": 0, "grants": {0: Grant(0, 40)}, "day_remaining": -40}, call={"amount_nanos": 30},
        effect=settled(30), allocation="0:30/0:20,0:20/-/-", after={"left": 10, "held": 0, "used": 30, "day_remaining": -30}, hold_after=""),
    Row("that is late gives back first, and takes in burn order then", "ok",
        given={"test_clock_ms": EXPIRES, "grants": {2: TOP_UP.has(50), 4: TOP_UP.has(60, 40)}, "day_remaining": -40}, hold=holding("4:40"),
        call={"amount_nanos": 15}, effect=settled(15, "l", at=EXPIRES), allocation="2:15/4:40/-/-", hold_after="",
        after={"grants": {2: TOP_UP.has(35), 4: TOP_UP}, "used": 15, "day_remaining": -15}),
    Row("that is late takes what it gave back, too", "ok", hold=HOLD, call={"amount_nanos": 45},
        given={"test_clock_ms": EXPIRES, "current_grant": 4, "grants": {2: TOP_UP.has(0, 40), 4: TOP_UP}, "day_remaining": -40},
        effect=settled(45, "l", at=EXPIRES), allocation="2:40,4:5/2:40/-/-", hold_after="",
        then=[Then("Q", 0, "2:0/-/-/-", {"grants": {4: TOP_UP.has(95)}})],
        after={"grants": {4: TOP_UP.has(95)}, "used": 45, "day_remaining": -45}),
    Row("that is late gives a grant back to be burned next", "ok", hold=HOLD,
        given={"test_clock_ms": EXPIRES, "current_grant": 4, "grants": {2: TOP_UP.has(0, 40), 4: TOP_UP}, "day_remaining": -40},
        effect=settled(10, "l", at=EXPIRES), allocation="2:10/2:40/-/-", hold_after="",
        after={"current_grant": 2, "grants": {2: TOP_UP.has(30), 4: TOP_UP}, "used": 10, "day_remaining": -10}),
    Row("of a hold that was reaped takes in burn order", "ok", hold=EXPIRED, given=LOW,
        effect=settled(10, "l", back=0), allocation="2:4,4:6/-/-/-", hold_after="",
        then=[Then("Q", 0, "2:0/-/-/-", {"grants": {4: TOP_UP.has(94)}})],
        after={"current_grant": 4, "grants": {4: TOP_UP.has(94)}, "used": 10, "day_remaining": -10}),
    Row("takes of a grant that is over what the hold had, and lets the rest lapse", "ok", given=LAPSING, hold=HOLD,
        effect=settled(10), allocation="2:10/2:40/2:30/-", then=lapse(30), hold_after="",
        after={"expired": 30, "grants": {4: TOP_UP}, "used": 10, "day_remaining": -10}),
    Row("of all that a hold had of a grant that is over lets nothing lapse", "ok", given=LAPSING, hold=HOLD,
        call={"amount_nanos": 40}, effect=settled(40), allocation="2:40/2:40/-/-", hold_after="",
        after={"grants": {4: TOP_UP}, "used": 40}),
    Row("of more than a hold on a grant that is over takes the extra elsewhere", "ok", given=LAPSING, hold=HOLD,
        call={"amount_nanos": 50}, effect=settled(50), allocation="2:40,4:10/2:40/-/-", hold_after="",
        after={"grants": {4: TOP_UP.has(90)}, "used": 50, "day_remaining": -50}),
    Row("lets lapse what one of two grants gets back", "ok", hold=OF_TWO, call={"amount_nanos": 3}, hold_after="",
        given={"current_grant": 4, "grants": {2: TOP_UP.has(0, 4, "x"), 4: TOP_UP.has(94, 6)}, "day_remaining": -10},
        effect=settled(3, back=10), allocation="2:3/2:4,4:6/2:1/-", then=lapse(1),
        after={"expired": 1, "grants": {4: TOP_UP}, "used": 3, "day_remaining": -3}),
    Row("lets lapse what two grants get back, each by itself", "ok", hold=OF_TWO, call={"amount_nanos": 0}, hold_after="",
        given=NO_GRANT | {"grants": {2: TOP_UP.has(0, 4, "x"), 4: TOP_UP.has(0, 6, "x")}, "day_remaining": -10},
        effect=settled(0, back=10), allocation="-/2:4,4:6/2:4,4:6/-",
        then=[Then("V", 4, "2:4/-/-/-", {"expired": 0, "grants": {2: Grant(4), 4: Grant(6)}}),
              Then("V", 6, "4:6/-/-/-", {"expired": 4, "grants": {4: Grant(6)}})],
        after={"expired": 10, "grants": {}, "day_remaining": 0}),
    Row("lets lapse what comes back while another hold keeps the grant", "ok", hold=HOLD,
        given=LAPSING | {"grants": {2: TOP_UP.has(0, 45, "x"), 4: TOP_UP}}, effect=settled(10), allocation="2:10/2:40/2:30/-",
        then=lapse(30, held=5), hold_after="",
        after={"expired": 30, "grants": {2: TOP_UP.has(0, 5, "x"), 4: TOP_UP}, "used": 10, "day_remaining": -10}),
    Row("that is late lets all of its hold on a grant that is over lapse", "ok", given=LAPSING | {"test_clock_ms": EXPIRES}, hold=HOLD,
        effect=settled(10, "l", at=EXPIRES), allocation="4:10/2:40/2:40/-", then=lapse(40, TOP_UP.has(90)), hold_after="",
        after={"expired": 40, "grants": {4: TOP_UP.has(90)}, "used": 10, "day_remaining": -10}),
    Row("lets lapse exactly above 2^53", "ok", hold=holding(f"2:{2 * P53 + 1}", 2 * P53 + 1), call={"amount_nanos": P53},
        given={"current_grant": 4, "expired": P53, "grants": {2: OVER.has(0, 2 * P53 + 1, "x"), 4: TOP_UP}, "day_remaining": 0},
        effect=settled(P53, back=2 * P53 + 1), allocation=f"2:{P53}/2:{2 * P53 + 1}/2:{P53 + 1}/-", hold_after="",
        then=[Then("V", P53 + 1, f"2:{P53 + 1}/-/-/-", {"expired": P53, "grants": {2: Grant(P53 + 1), 4: TOP_UP}})],
        after={"expired": 2 * P53 + 1, "grants": {4: TOP_UP}, "used": P53, "day_remaining": P53 + 1}),
]  # fmt: skip

RELEASE = [
    Row("lets lapse what a grant that is over gets back", "ok", given=LAPSING, hold=HOLD,
        effect=f"R {NOON} {DAY} 40 40 {DAY} {EXPIRES} - h1", allocation="-/2:40/2:40/-", then=lapse(40), hold_after="",
        after={"expired": 40, "grants": {4: TOP_UP}, "day_remaining": 0}),
    Row("lets lapse only what is of a grant that is over", "ok", hold=holding("2:30,4:10"),
        given={"current_grant": 4, "grants": {2: TOP_UP.has(0, 30, "x"), 4: TOP_UP.has(90, 10)}, "day_remaining": -40},
        effect=f"R {NOON} {DAY} 40 40 {DAY} {EXPIRES} - h1", allocation="-/2:30,4:10/2:30/-", then=lapse(30), hold_after="",
        after={"expired": 30, "grants": {4: TOP_UP}, "day_remaining": 0}),
]  # fmt: skip

EXPIRE = [
    Row("lets lapse what a grant that is over gets back", "ok", given=LAPSING | {"test_clock_ms": EXPIRES}, hold=HOLD,
        effect=f"X {EXPIRES} {DAY} 40 40 {DAY} {EXPIRES} - h1", allocation="-/2:40/2:40/-", then=lapse(40), hold_after=EXPIRED,
        after={"expired": 40, "grants": {4: TOP_UP}, "day_remaining": 0}),
]  # fmt: skip

EXTEND = [
    Row("takes the addition elsewhere than from a grant that is over", "ok", given=LAPSING, hold=HOLD,
        effect=f"E {NOON} {DAY} 10 40 {DAY} {EXPIRES} - h1", allocation="4:10/-/-/-",
        after={"grants": {2: OVER, 4: TOP_UP.has(90, 10)}, "day_remaining": -50}, hold_after=holding("2:40,4:10", 50), reaped_at=INF),
    Row("keeps in overage what a grant that is not known had pinned", "ok", hold=holding("7:40"),
        given={"grants": {0: Grant(0, 40), 2: TOP_UP}, "day_remaining": -40},
        effect=f"E {NOON} {DAY} 10 40 {DAY} {EXPIRES} - h1", allocation="2:10/-/-/-",
        after={"grants": {0: Grant(0, 40), 2: TOP_UP.has(90, 10)}, "day_remaining": -50}, hold_after=holding("0:40,2:10", 50), reaped_at=INF),
]  # fmt: skip

TABLES = {
    "authorize": AUTHORIZE,
    "debit": DEBIT,
    "release": RELEASE,
    "expire": EXPIRE,
    "extend": EXTEND,
}
