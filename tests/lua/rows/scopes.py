"""Grants that only some requests may use."""

from support.lua_account import DAY, NOON, TOP_UP, Changes, Grant
from support.lua_table import EXPIRED, EXPIRES, HOLD, INF, P53, WITH_HOLD, Row, Then, look

OF_A = Grant(10, scope="model=a")
OF_A_OR_B = Grant(10, scope="model=a\nmodel=b")
OF_CHAT = Grant(10, scope="service=chat")
OF_BOTH = Grant(10, scope="model=a\nmodel=b\nservice=chat\nservice=mail")
FIRST = Grant(5, priority=1, scope="model=a")
A = "\nmodel=a\n"
B = "\nmodel=b\n"
CHAT = "\nservice=chat\n"
A_AND_CHAT = "\nmodel=a\nservice=chat\nuser=u\n"


def held(amount: int) -> str:
    return f"A {NOON} {DAY} {amount} {amount} {DAY} {NOON + 1000} - h1"


def charged(amount: int, flags: str = "-") -> str:
    return f"D {NOON} {DAY} {amount} 0 - - {flags} -"


def settled(amount: int, flags: str = "-", back: int = 40) -> str:
    return f"D {NOON} {DAY} {amount} {back} {DAY} {EXPIRES} {flags} h1"


def pins(text: str, amount: int) -> Changes:
    return {
        "allocation": f"{text}/-/-/-",
        "hold_after": f"1 o {amount} {DAY} {NOON + 1000} {text} -",
        "reaped_at": INF,
    }


def only(*grants: Grant) -> Changes:
    """An account that has no other credits than these."""
    return {"current_grant": 0, "grants": dict(enumerate(grants, 3))}


def may(says: str, grant: Grant, labels: str) -> Row:
    return Row(says, "ok", given=only(grant), call={"labels": labels}, effect=held(10), **pins("3s:10", 10),
        after=only(grant.has(0, 10)) | {"day_remaining": -10})  # fmt: skip


def may_not(says: str, grant: Grant, labels: str) -> Row:
    return Row(
        says, "INSUFFICIENT_CREDITS", given=only(grant), call={"labels": labels}, effect=look()
    )


AUTHORIZE = [
    may("may use a grant for its model", OF_A, A),
    may("may use a grant for its model, whatever else it is for", OF_A, A_AND_CHAT),
    may("may use a grant for the second of two models", OF_A_OR_B, B),
    may("may use a grant for its service", OF_CHAT, CHAT),
    may("may use a grant for its model and its service", OF_BOTH, A_AND_CHAT),
    may_not("may not use a grant for another model", OF_A, B),
    may_not("may not use a grant for a model if it names none", OF_A, ""),
    may_not("may not use a grant for a model whose name goes on", OF_A, "\nmodel=ab\n"),
    may_not("may not use a grant for a model whose name only ends alike", OF_A, "\nmy_model=a\n"),
    may_not("may not use a grant for a service by a model", OF_CHAT, A),
    may_not("may not use a grant for model and service by its model alone", OF_BOTH, A),
    may_not("may not use a grant for model and service by its service alone", OF_BOTH, CHAT),
    may_not("may not use a grant that is over, for its model", OF_A.has(0, 10, "x"), A),
    may_not("may not use a grant that has not begun, for its model", Grant(10, 0, "p", effective=EXPIRES, scope="model=a"), A),
    may_not("may not use a grant for its model that is all held", OF_A.has(0, 10), A),
    Row("takes by burn order among what any may use and what it may use", "ok", given={"grants": {2: TOP_UP, 4: FIRST}},
        call={"labels": A}, effect=held(10), **pins("4s:5,2:5", 10),
        after={"grants": {2: TOP_UP.has(95, 5), 4: FIRST.has(0, 5)}, "day_remaining": -10}),
    Row("takes what is first in burn order, though it could use another", "ok", given={"grants": {2: TOP_UP, 4: OF_A}},
        call={"labels": A}, effect=held(10), **pins("2:10", 10),
        after={"grants": {2: TOP_UP.has(90, 10), 4: OF_A}, "day_remaining": -10}),
    Row("passes over what it may not use", "ok", given={"grants": {2: TOP_UP, 4: FIRST}},
        call={"labels": B}, effect=held(10), **pins("2:10", 10),
        after={"grants": {2: TOP_UP.has(90, 10), 4: FIRST}, "day_remaining": -10}),
    Row("may take all that it may use", "ok", given={"grants": {2: TOP_UP, 4: OF_A, 5: OF_CHAT}}, call={"labels": A, "amount_nanos": 110},
        effect=held(110), **pins("2:100,4s:10", 110),
        after={"current_grant": 0, "grants": {2: TOP_UP.has(0, 100), 4: OF_A.has(0, 10), 5: OF_CHAT}, "day_remaining": -110}),
    Row("is told on denial what it may use, grant by grant", "INSUFFICIENT_CREDITS",
        given={"grants": {2: TOP_UP, 9: OF_A, 10: FIRST, 11: OF_CHAT, 12: OF_A.has(0, 3)}}, call={"labels": A, "amount_nanos": 116},
        effect=look(), allocation="9s:10,10s:5/-/-/-"),
    Row("with a least amount takes what it may use, too", "ok", given={"grants": {2: TOP_UP, 4: OF_A, 5: OF_CHAT}},
        call={"labels": A, "amount_nanos": 150, "min_amount_nanos": 105}, effect=held(110), **pins("2:100,4s:10", 110),
        after={"current_grant": 0, "grants": {2: TOP_UP.has(0, 100), 4: OF_A.has(0, 10), 5: OF_CHAT}, "day_remaining": -110}),
    Row("may use it up to what debt leaves", "ok", given={"current_grant": 0, "grants": {0: Grant(-3), 4: OF_A}}, call={"labels": A, "amount_nanos": 7},
        effect=held(7), **pins("4s:7", 7), after={"grants": {0: Grant(-3), 4: OF_A.has(3, 7)}, "day_remaining": -7}),
    Row("may not use it for what debt exceeds", "INSUFFICIENT_CREDITS", given={"current_grant": 0, "grants": {0: Grant(-3), 4: OF_A}},
        call={"labels": A, "amount_nanos": 8}, effect=look(), allocation="4s:10/-/-/-"),
    Row("adds up exactly above 2^53 what it may use", "ok", given={"grants": {2: TOP_UP.has(P53), 4: OF_A.has(P53 + 1)}},
        call={"labels": A, "amount_nanos": 2 * P53 + 1}, effect=held(2 * P53 + 1), **pins(f"2:{P53},4s:{P53 + 1}", 2 * P53 + 1),
        after={"current_grant": 0, "grants": {2: TOP_UP.has(0, P53), 4: OF_A.has(0, P53 + 1)}, "day_remaining": -2 * P53 - 1}),
]  # fmt: skip

PINNED: Changes = {"grants": {2: TOP_UP, 4: OF_A.has(0, 40)}, "day_remaining": -40}
OF_SCOPED = HOLD.replace("2:40", "4s:40")
BACK = OF_A.has(40)

DEBIT = [
    Row("may use a grant for its model, and use it up", "ok", given=only(OF_A), call={"labels": A}, effect=charged(10),
        allocation="3s:10/-/-/-", then=[Then("Q", 0, "3s:0/-/-/-")], after={"grants": {}, "used": 10, "day_remaining": -10}),
    Row("may not use a grant for another model", "INSUFFICIENT_CREDITS", given=only(OF_A), call={"labels": B}, effect=look()),
    Row("of usage that was incurred for another model goes into debt beside a grant", "ok", given=only(OF_A),
        call={"labels": B, "incurred": 1}, effect=charged(10, "i"), allocation="0:10/-/-/-",
        after={"left": -10, "used": 10, "day_remaining": -10}),
    Row("settles a hold from what that has pinned, whatever the usage is for", "ok", given=PINNED, hold=OF_SCOPED,
        effect=settled(10), allocation="4s:10/4s:40/-/-", hold_after="",
        after={"grants": {2: TOP_UP, 4: OF_A.has(30)}, "used": 10, "day_remaining": -10}),
    Row("takes more than the hold from what the usage may use", "ok", call={"amount_nanos": 60, "labels": A}, hold=OF_SCOPED,
        given=PINNED | {"current_grant": 0, "grants": {4: OF_A.has(15, 40)}}, effect=settled(60), allocation="4s:55,0:5/4s:40/-/-",
        then=[Then("Q", 0, "4s:0/-/-/-", {"grants": {0: Grant(-5)}})], hold_after="",
        after={"grants": {}, "left": -5, "used": 60, "day_remaining": -60}),
    Row("takes more than the hold from nothing that the usage may not use", "ok", call={"amount_nanos": 60, "labels": B},
        given=PINNED | {"grants": {2: TOP_UP, 4: OF_A.has(15, 40)}}, hold=OF_SCOPED, effect=settled(60),
        allocation="4s:40,2:20/4s:40/-/-", hold_after="",
        after={"grants": {2: TOP_UP.has(80), 4: OF_A.has(15)}, "used": 60, "day_remaining": -60}),
    Row("that is late goes by what the usage is for, not by its hold", "ok", call={"labels": B}, hold=OF_SCOPED,
        given=PINNED | {"test_clock_ms": EXPIRES}, effect=settled(10, "l").replace(str(NOON), str(EXPIRES)),
        allocation="2:10/4s:40/-/-", hold_after="", after={"grants": {2: TOP_UP.has(90), 4: BACK}, "used": 10, "day_remaining": -10}),
    Row("that is late may use what its hold gave back", "ok", call={"labels": A}, hold=OF_SCOPED,
        given=PINNED | {"test_clock_ms": EXPIRES, "current_grant": 0, "grants": {4: OF_A.has(0, 40)}},
        effect=settled(10, "l").replace(str(NOON), str(EXPIRES)),
        allocation="4s:10/4s:40/-/-", hold_after="", after={"grants": {4: OF_A.has(30)}, "used": 10, "day_remaining": -10}),
    Row("of a hold that was reaped may use a grant for its model", "ok", given=only(OF_A), call={"labels": A, "amount_nanos": 4},
        hold=EXPIRED, effect=settled(4, "l", back=0), allocation="3s:4/-/-/-", hold_after="",
        after=only(OF_A.has(6)) | {"used": 4, "day_remaining": -4}),
    Row("lets lapse what a grant for a model gets back too late", "ok", hold=OF_SCOPED,
        given=PINNED | {"grants": {2: TOP_UP, 4: OF_A.has(0, 40, "x")}}, effect=settled(10), allocation="4s:10/4s:40/4s:30/-",
        then=[Then("V", 30, "4s:30/-/-/-", {"expired": 0, "grants": {2: TOP_UP, 4: OF_A.has(30)}})], hold_after="",
        after={"expired": 30, "grants": {2: TOP_UP}, "used": 10, "day_remaining": -10}),
]  # fmt: skip

EXTEND = [
    Row("may use a grant for its model", "ok", given={"current_grant": 0, "grants": {2: TOP_UP.has(0, 40), 4: OF_A}, "day_remaining": -40}, hold=HOLD,
        call={"labels": A}, effect=f"E {NOON} {DAY} 10 40 {DAY} {EXPIRES} - h1", allocation="4s:10/-/-/-",
        after={"grants": {2: TOP_UP.has(0, 40), 4: OF_A.has(0, 10)}, "day_remaining": -50},
        hold_after=f"1 o 50 {DAY} {EXPIRES} 2:40,4s:10 -", reaped_at=INF),
    Row("may not use a grant for another model", "INSUFFICIENT_CREDITS", hold=HOLD, call={"labels": B},
        given={"current_grant": 0, "grants": {2: TOP_UP.has(0, 40), 4: OF_A}}, effect=look()),
    Row("adds to what it has pinned of a grant for its model", "ok", hold=HOLD.replace("2:40", "2:30,4s:10"), call={"labels": A},
        given={"current_grant": 0, "grants": {2: TOP_UP.has(0, 30), 4: OF_A.has(25, 10)}, "day_remaining": -40},
        effect=f"E {NOON} {DAY} 10 40 {DAY} {EXPIRES} - h1", allocation="4s:10/-/-/-",
        after={"grants": {2: TOP_UP.has(0, 30), 4: OF_A.has(15, 20)}, "day_remaining": -50},
        hold_after=f"1 o 50 {DAY} {EXPIRES} 2:30,4s:20 -", reaped_at=INF),
    Row("of time alone asks no grant", "ok", given=WITH_HOLD | {"grants": {2: TOP_UP.has(60, 40), 4: OF_A}}, hold=HOLD,
        call={"amount_nanos": 0, "hold_ttl_ms": 900_000}, effect=f"E {NOON} {DAY} 0 40 {DAY} {NOON + 900_000} - h1",
        after={"current_grant": 2}, hold_after=f"1 o 40 {DAY} {NOON + 900_000} 2:40 -", reaped_at=INF),
]  # fmt: skip

RELEASE = [
    Row("gives back what only some requests may use", "ok", given=PINNED, hold=OF_SCOPED,
        effect=f"R {NOON} {DAY} 40 40 {DAY} {EXPIRES} - h1", allocation="-/4s:40/-/-", hold_after="",
        after={"grants": {2: TOP_UP, 4: BACK}, "day_remaining": 0}),
    Row("gives back beside what only some requests may use", "ok", given=WITH_HOLD | {"grants": {2: TOP_UP, 4: OF_A}}, hold=HOLD,
        effect=f"R {NOON} {DAY} 40 40 {DAY} {EXPIRES} - h1", allocation="-/2:40/-/-", hold_after="",
        after={"left": 100, "held": 0, "day_remaining": 0}),
    Row("lets lapse what a grant for a model gets back too late", "ok", hold=OF_SCOPED,
        given=PINNED | {"grants": {2: TOP_UP, 4: OF_A.has(0, 40, "x")}},
        effect=f"R {NOON} {DAY} 40 40 {DAY} {EXPIRES} - h1", allocation="-/4s:40/4s:40/-",
        then=[Then("V", 40, "4s:40/-/-/-", {"expired": 0, "grants": {2: TOP_UP, 4: BACK}})], hold_after="",
        after={"expired": 40, "grants": {2: TOP_UP}, "day_remaining": 0}),
]  # fmt: skip

TABLES = {"authorize": AUTHORIZE, "debit": DEBIT, "extend": EXTEND, "release": RELEASE}
