"""Grants: added, begun, expired, voided."""

from meter.money import INT64_MAX
from support.lua_account import DAY, MS_PER_DAY, NOON, TOP_UP, Changes, Grant
from support.lua_table import EXPIRES, HOLD, P53, TOMORROW, WITH_HOLD, Row, Then, look

NO_GRANT: Changes = {"current_grant": 0, "grants": {}}
TEN = Grant(10)
PAYS = Grant(10, pays=1)
MIDNIGHT = (DAY + 1) * MS_PER_DAY


def granted(amount: int, at: int = NOON, day: int = DAY, flags: str = "-") -> str:
    return f"G {at} {day} {amount} 0 - - {flags} -"


def given_to(n: int, amount: int, scoped: str = "") -> str:
    return f"-/{n}{scoped}:{amount}/-/-"


def taken_from(n: int, amount: int, scoped: str = "") -> str:
    return f"{n}{scoped}:{amount}/-/-/-"


def outranks(says: str, mine: Grant, others: Grant, n: int = 3) -> Row:
    """A new grant that is burned before the one that the account has."""
    return Row(says, "ok", given={"operation_number": n - 1, "grants": {2: others}}, call={"grant_terms": mine.what, "operation_number": n},
        effect=granted(10), allocation=given_to(n, 10), after={"operation_number": n, "total": 110, "current_grant": n, "grants": {2: others, n: mine}})  # fmt: skip


def is_outranked(says: str, mine: Grant, others: Grant, other: int = 2, n: int = 3) -> Row:
    """A new grant that is burned after the one that the account has."""
    return Row(says, "ok", given={"operation_number": n - 1, "current_grant": other, "grants": {other: others}}, call={"grant_terms": mine.what, "operation_number": n},
        effect=granted(10), allocation=given_to(n, 10), after={"operation_number": n, "total": 110, "grants": {other: others, n: mine}})  # fmt: skip


GRANT = [
    Row("adds credits, burned after what is older", "ok", effect=granted(10), allocation=given_to(3, 10),
        after={"operation_number": 3, "total": 110, "grants": {2: TOP_UP, 3: TEN}}),
    Row("adds credits to an account that has none", "ok", given=NO_GRANT, effect=granted(10), allocation=given_to(3, 10),
        after={"operation_number": 3, "total": 110, "current_grant": 3, "grants": {3: TEN}}),
    Row("is exact around 2^53", "ok", given={"left": P53, "total": P53}, call={"amount_nanos": 1},
        effect=granted(1), allocation=given_to(3, 1),
        after={"operation_number": 3, "total": P53 + 1, "grants": {2: Grant(P53), 3: Grant(1)}}),
    Row("is exact up to 2^63-1", "ok", given=NO_GRANT | {"total": 1}, call={"amount_nanos": INT64_MAX - 1},
        effect=granted(INT64_MAX - 1), allocation=given_to(3, INT64_MAX - 1),
        after={"operation_number": 3, "total": INT64_MAX, "current_grant": 3, "grants": {3: Grant(INT64_MAX - 1)}}),
    Row("on a new day begins it", "ok", given={"test_clock_ms": TOMORROW, "daily_limit": 50, "day_remaining": 3, "used": 47},
        effect=granted(10, TOMORROW, DAY + 1), allocation=given_to(3, 10), sums={"day_remaining": 50, "day_base": 47},
        after={"operation_number": 3, "total": 110, "day_remaining": 50, "day": DAY + 1, "day_base": 47, "grants": {2: TOP_UP, 3: TEN}}),
    outranks("of lower priority number is burned first", Grant(10, priority=9), Grant(100, priority=10)),
    is_outranked("of higher priority number is burned last, whatever else", Grant(10, type="VOUCHER", expires=EXPIRES, priority=51),
                 TOP_UP),
    outranks("that expires earlier is burned first", Grant(10, expires=EXPIRES), Grant(100, expires=EXPIRES + 1)),
    outranks("that expires is burned before one that does not", Grant(10, expires=EXPIRES), Grant(100, type="VOUCHER")),
    outranks("that expires in fewer digits is burned first", Grant(10, expires=9_999_999_999_999), Grant(100, expires=10**13)),
    is_outranked("that expires later is burned last, promotional or not", Grant(10, type="VOUCHER", expires=EXPIRES + 1),
                 Grant(100, expires=EXPIRES)),
    outranks("as a voucher is burned before what is paid", Grant(10, type="VOUCHER"), TOP_UP),
    outranks("as a promotion is burned before what is paid", Grant(10, type="PROMOTION"), TOP_UP),
    is_outranked("as a promotion is burned after an older voucher", Grant(10, type="PROMOTION"), Grant(100, type="VOUCHER")),
    is_outranked("as a refund is burned after an older top-up", Grant(10, type="REFUND"), TOP_UP),
    is_outranked("as an adjustment is burned after a voucher", Grant(10, type="ADJUSTMENT"), Grant(100, type="VOUCHER")),
    is_outranked("of number 10 is burned after number 9", TEN, TOP_UP, other=9, n=10),
    Row("tells when it expires", "ok", call={"grant_terms": f"0 TOP_UP 60 {EXPIRES} - -"}, effect=granted(10), allocation=given_to(3, 10),
        after={"operation_number": 3, "total": 110, "grants": {2: TOP_UP, 3: Grant(10, priority=60, expires=EXPIRES)}}),
    Row("that expires later leaves what is due", "ok", given={"grants": {2: Grant(100, expires=EXPIRES - 1)}},
        call={"grant_terms": f"0 TOP_UP 50 {EXPIRES} - -"}, effect=granted(10), allocation=given_to(3, 10),
        after={"operation_number": 3, "total": 110, "grants": {2: Grant(100, expires=EXPIRES - 1), 3: Grant(10, expires=EXPIRES)}}),
    Row("that begins later counts nowhere until then", "ok", call={"grant_terms": f"1 TOP_UP 10 {EXPIRES} {NOON + 1} -"},
        effect=granted(0, flags="p"),
        after={"operation_number": 3, "grants": {2: TOP_UP, 3: Grant(10, 0, "p", 1, "TOP_UP", 10, EXPIRES, NOON + 1)}}),
    Row("that begins later pays no debt, and ends no grace, yet", "ok",
        given=NO_GRANT | {"left": -3, "graces": f"- 9 {NOON - 5} inbound"}, call={"grant_terms": f"1 TOP_UP 50 - {NOON + 1} -"},
        effect=granted(0, flags="p"), after={"operation_number": 3, "grants": {0: Grant(-3), 3: Grant(10, 0, "p", 1, effective=NOON + 1)}}),
    Row("begins at once at the millisecond at which it is to", "ok", call={"grant_terms": f"0 TOP_UP 50 - {NOON} -"},
        effect=granted(10), allocation=given_to(3, 10),
        after={"operation_number": 3, "total": 110, "grants": {2: TOP_UP, 3: Grant(10, effective=NOON)}}),
    Row("for some requests only leaves alone what others may spend", "ok", given=NO_GRANT,
        call={"grant_terms": "0 TOP_UP 50 - - model=a\nservice=chat"}, effect=granted(10), allocation=given_to(3, 10, "s"),
        after={"operation_number": 3, "total": 110, "grants": {3: Grant(10, scope="model=a\nservice=chat")}}),
    Row("that does not pay debt stays whole", "ok", given=NO_GRANT | {"left": -3}, effect=granted(10), allocation=given_to(3, 10),
        after={"operation_number": 3, "total": 110, "current_grant": 3, "grants": {0: Grant(-3), 3: TEN}}),
    Row("pays debt, and keeps the rest", "ok", given=NO_GRANT | {"left": -3}, call={"grant_terms": PAYS.what},
        effect=granted(10), allocation=given_to(3, 10),
        then=[Then("P", 3, "3:3/0:3/-/-", {"grants": {0: Grant(-3), 3: PAYS}})],
        after={"operation_number": 3, "total": 110, "current_grant": 3, "grants": {0: Grant(0), 3: PAYS.has(7)}}),
    Row("pays debt beside another grant", "ok", given={"grants": {0: Grant(-3), 2: TOP_UP}}, call={"grant_terms": PAYS.what},
        effect=granted(10), allocation=given_to(3, 10),
        then=[Then("P", 3, "3:3/0:3/-/-", {"grants": {0: Grant(-3), 2: TOP_UP, 3: PAYS}})],
        after={"operation_number": 3, "total": 110, "grants": {2: TOP_UP, 3: PAYS.has(7)}}),
    Row("pays what overage protection and holds on it leave of debt", "ok",
        given={"current_grant": 0, "overage": 20, "grants": {0: Grant(11, 6)}}, call={"grant_terms": PAYS.what}, effect=granted(10),
        allocation=given_to(3, 10), then=[Then("P", 3, "3:3/0:3/-/-", {"grants": {0: Grant(11, 6), 3: PAYS}})],
        after={"operation_number": 3, "total": 110, "current_grant": 3, "grants": {0: Grant(14, 6), 3: PAYS.has(7)}}),
    Row("pays just the debt, and is used up", "ok", given=NO_GRANT | {"left": -10}, call={"grant_terms": PAYS.what},
        effect=granted(10), allocation=given_to(3, 10), after={"operation_number": 3, "total": 110, "left": 0},
        then=[Then("P", 10, "3:10/0:10/-/-", {"grants": {0: Grant(-10), 3: PAYS}}), Then("Q", 0, "3:0/-/-/-")]),
    Row("pays a part of more debt", "ok", given=NO_GRANT | {"left": -30}, call={"grant_terms": PAYS.what},
        effect=granted(10), allocation=given_to(3, 10), after={"operation_number": 3, "total": 110, "left": -20},
        then=[Then("P", 10, "3:10/0:10/-/-", {"grants": {0: Grant(-30), 3: PAYS}}), Then("Q", 0, "3:0/-/-/-")]),
    Row("finds no debt to pay where all overage in use is held", "ok",
        given={"current_grant": 0, "overage": 20, "grants": {0: Grant(14, 6)}}, call={"grant_terms": PAYS.what}, effect=granted(10),
        allocation=given_to(3, 10), after={"operation_number": 3, "total": 110, "current_grant": 3, "grants": {0: Grant(14, 6), 3: PAYS}}),
    Row("pays debt of more than 2^53", "ok", given=NO_GRANT | {"left": -P53 - 1}, call={"grant_terms": PAYS.what, "amount_nanos": P53 + 2},
        effect=granted(P53 + 2), allocation=given_to(3, P53 + 2),
        then=[Then("P", P53 + 1, f"3:{P53 + 1}/0:{P53 + 1}/-/-", {"grants": {0: Grant(-P53 - 1), 3: Grant(P53 + 2)}})],
        after={"operation_number": 3, "total": P53 + 102, "current_grant": 3, "grants": {3: PAYS.has(1)}}),
    Row("ends graces that have begun", "ok", given={"graces": f"5 - {NOON - 5} inbound\n- 9 - batch jobs\n- 8 {NOON} batch"},
        effect=granted(10, flags="e"), allocation=given_to(3, 10),
        after={"operation_number": 3, "total": 110, "graces": "5 - - inbound\n- 9 - batch jobs\n- 8 - batch", "grants": {2: TOP_UP, 3: TEN}}),
    Row("ends graces by the first nano that may be spent", "ok", given=NO_GRANT | {"left": -9, "graces": f"- 9 {NOON} inbound"},
        effect=granted(10, flags="e"), allocation=given_to(3, 10),
        after={"operation_number": 3, "total": 110, "current_grant": 3, "graces": "- 9 - inbound", "grants": {0: Grant(-9), 3: TEN}}),
    Row("that leaves nothing to spend ends no grace", "ok", given=NO_GRANT | {"left": -10, "graces": f"- 9 {NOON} inbound"},
        effect=granted(10), allocation=given_to(3, 10), after={"operation_number": 3, "total": 110, "current_grant": 3, "grants": {0: Grant(-10), 3: TEN}}),
    Row("for some requests only ends no grace", "ok", given={"graces": f"- 9 {NOON} inbound"},
        call={"grant_terms": "0 TOP_UP 50 - - model=a"}, effect=granted(10), allocation=given_to(3, 10, "s"),
        after={"operation_number": 3, "total": 110, "grants": {2: TOP_UP, 3: Grant(10, scope="model=a")}}),
    Row("ends no grace that has not begun", "ok", given={"graces": "- 9 - inbound"}, effect=granted(10), allocation=given_to(3, 10),
        after={"operation_number": 3, "total": 110, "grants": {2: TOP_UP, 3: TEN}}),
    Row("brings thresholds with it", "ok", given={"thresholds": "t1,low_balance,5"}, call={"thresholds": "t1,low_balance,2"},
        effect=granted(10), allocation=given_to(3, 10),
        after={"operation_number": 3, "total": 110, "thresholds": "t1,low_balance,2", "grants": {2: TOP_UP, 3: TEN}}),
    Row("brings the first thresholds", "ok", call={"thresholds": "t1,low_balance,2"}, effect=granted(10), allocation=given_to(3, 10),
        after={"operation_number": 3, "total": 110, "thresholds": "t1,low_balance,2", "grants": {2: TOP_UP, 3: TEN}}),
    Row("leaves thresholds as they are", "ok", given={"thresholds": "t1,low_balance,5"}, effect=granted(10), allocation=given_to(3, 10),
        after={"operation_number": 3, "total": 110, "grants": {2: TOP_UP, 3: TEN}}),
    Row("again adds nothing", "replayed", given={"operation_number": 3}),
    Row("ahead of its turn waits", "behind", call={"operation_number": 4}),
    Row("of no account finds none", "absent", given={"epoch": ""}),
    Row("under an older epoch is stale", "stale", journal_epoch=2),
]  # fmt: skip

SOON = Grant(100, expires=NOON)
LATER = Grant(10, 0, "p", effective=NOON)
HELD = SOON.has(0, 40)

TURN = [
    Row("does nothing where nothing is due", "ok", given={"grants": {2: Grant(100, expires=NOON + 1), 3: Grant(1, effective=NOON)}},
        after={"current_grant": 2}),
    Row("leaves a grant alone a millisecond before it begins", "ok",
        given={"grants": {2: TOP_UP, 3: Grant(10, 0, "p", effective=NOON + 1)}}, after={"current_grant": 2}),
    Row("expires all that is left of a grant at the millisecond at which it ends", "ok", given={"grants": {2: SOON}},
        then=[Then("V", 100, taken_from(2, 100), {"expired": 0, "grants": {2: SOON}})], after=NO_GRANT | {"expired": 100}),
    Row("leaves what is held of a grant that ends", "ok", given={"grants": {2: SOON.has(60, 40)}, "expired": 1},
        then=[Then("V", 60, taken_from(2, 60), {"expired": 1, "grants": {2: SOON.has(60, 40)}})],
        after={"current_grant": 0, "expired": 61, "grants": {2: SOON.has(0, 40, "x")}}),
    Row("tells of the end of a grant that is all held", "ok", given={"current_grant": 0, "grants": {2: HELD}},
        then=[Then("V", 0, taken_from(2, 0), {"current_grant": 0, "grants": {2: HELD}})],
        after={"grants": {2: SOON.has(0, 40, "x")}}, reply=("ok", "1")),
    Row("has the next grant burned", "ok", given={"grants": {2: SOON, 3: TEN}},
        then=[Then("V", 100, taken_from(2, 100), {"expired": 0, "grants": {2: SOON, 3: TEN}})],
        after={"current_grant": 3, "expired": 100, "grants": {3: TEN}}),
    Row("expires what is not being burned", "ok", given={"current_grant": 3, "grants": {2: SOON, 3: Grant(10, priority=1)}},
        then=[Then("V", 100, taken_from(2, 100), {"expired": 0, "grants": {2: SOON, 3: Grant(10, priority=1)}})],
        after={"expired": 100, "grants": {3: Grant(10, priority=1)}}),
    Row("expires what only some requests may use", "ok",
        given=NO_GRANT | {"grants": {3: Grant(10, expires=NOON, scope="model=a")}},
        then=[Then("V", 10, taken_from(3, 10, "s"), {"expired": 0, "grants": {3: Grant(10, scope="model=a")}})],
        after={"expired": 10, "grants": {}}),
    Row("expires several in the order of their times", "ok",
        given={"current_grant": 4, "grants": {2: SOON, 3: TEN, 4: Grant(10, expires=NOON - 1)}},
        then=[Then("V", 10, taken_from(4, 10), {"expired": 0, "grants": {2: SOON, 3: TEN, 4: TEN}}),
              Then("V", 100, taken_from(2, 100), {"expired": 10, "grants": {2: SOON, 3: TEN, 4: Grant()}})],
        after={"current_grant": 3, "expired": 110, "grants": {3: TEN}}),
    Row("expires those of one time in the order in which they were made", "ok",
        given={"current_grant": 9, "grants": {9: Grant(1, expires=NOON), 10: Grant(2, expires=NOON)}},
        then=[Then("V", 1, taken_from(9, 1), {"expired": 0, "grants": {9: Grant(1), 10: Grant(2)}}),
              Then("V", 2, taken_from(10, 2), {"expired": 1, "grants": {9: Grant(0), 10: Grant(2)}})],
        after=NO_GRANT | {"expired": 3}),
    Row("begins a grant at its millisecond", "ok", given={"grants": {2: TOP_UP, 3: LATER}},
        then=[Then("S", 10, given_to(3, 10), {"total": 100, "grants": {2: TOP_UP}})],
        after={"total": 110, "grants": {2: TOP_UP, 3: LATER.has(10)}}),
    Row("has a grant burned as soon as it begins, if it comes first", "ok",
        given={"grants": {2: TOP_UP, 3: Grant(10, 0, "p", priority=1, effective=NOON - 1)}},
        then=[Then("S", 10, given_to(3, 10), {"total": 100, "grants": {2: TOP_UP}})],
        after={"total": 110, "current_grant": 3, "grants": {2: TOP_UP, 3: Grant(10, priority=1, effective=NOON - 1)}}),
    Row("begins a grant that only some requests may use", "ok",
        given=NO_GRANT | {"graces": f"- 9 {NOON - 5} inbound", "grants": {3: Grant(10, 0, "p", effective=NOON, scope="model=a")}},
        then=[Then("S", 10, given_to(3, 10, "s"), {"total": 100, "grants": {}})],
        after={"total": 110, "grants": {3: Grant(10, effective=NOON, scope="model=a")}}),
    Row("pays debt from what begins", "ok", given=NO_GRANT | {"grants": {0: Grant(-3), 3: Grant(10, 0, "p", 1, effective=NOON)}},
        then=[Then("S", 10, given_to(3, 10), {"total": 100, "grants": {0: Grant(-3)}}),
              Then("P", 3, "3:3/0:3/-/-", {"grants": {0: Grant(-3), 3: TEN}})],
        after={"total": 110, "current_grant": 3, "grants": {3: Grant(7, pays=1, effective=NOON)}}),
    Row("ends graces by what begins", "ok",
        given=NO_GRANT | {"left": -9, "graces": f"- 9 {NOON - 5} inbound", "grants": {0: Grant(-9), 3: LATER}},
        then=[Then("S", 10, given_to(3, 10), {"total": 100, "grants": {0: Grant(-9)}}, flags="e")],
        after={"total": 110, "current_grant": 3, "graces": "- 9 - inbound", "grants": {0: Grant(-9), 3: LATER.has(10)}}),
    Row("ends no grace by what leaves nothing to spend", "ok",
        given=NO_GRANT | {"graces": f"- 9 {NOON - 5} inbound", "grants": {0: Grant(-10), 3: LATER}},
        then=[Then("S", 10, given_to(3, 10), {"total": 100, "grants": {0: Grant(-10)}})],
        after={"total": 110, "current_grant": 3, "grants": {0: Grant(-10), 3: LATER.has(10)}}),
    Row("ends a grace but once", "ok",
        given=NO_GRANT | {"graces": f"- 9 {NOON - 5} inbound",
                          "grants": {3: LATER, 4: Grant(1, 0, "p", effective=NOON)}},
        then=[Then("S", 10, given_to(3, 10), {"total": 100, "grants": {}}, flags="e"),
              Then("S", 1, given_to(4, 1), {"total": 110, "grants": {3: TEN}})],
        after={"total": 111, "current_grant": 3, "graces": "- 9 - inbound", "grants": {3: LATER.has(10), 4: Grant(1, effective=NOON)}}),
    Row("begins before it expires what is due at the same time", "ok", given={"grants": {2: SOON, 3: LATER}},
        then=[Then("S", 10, given_to(3, 10), {"total": 100, "expired": 0, "grants": {2: SOON}}),
              Then("V", 100, taken_from(2, 100), {"expired": 0, "grants": {2: SOON, 3: TEN}})],
        after={"total": 110, "expired": 100, "current_grant": 3, "grants": {3: LATER.has(10)}}),
    Row("expires what was over before another begins", "ok",
        given={"grants": {2: Grant(100, expires=NOON - 1), 3: LATER}},
        then=[Then("V", 100, taken_from(2, 100), {"total": 100, "expired": 0, "grants": {2: SOON}}),
              Then("S", 10, given_to(3, 10), {"total": 100, "grants": {2: Grant()}})],
        after={"total": 110, "expired": 100, "current_grant": 3, "grants": {3: LATER.has(10)}}),
    Row("begins and expires what nobody saw", "ok",
        given=NO_GRANT | {"grants": {3: Grant(10, 0, "p", effective=NOON - 2, expires=NOON)}},
        then=[Then("S", 10, given_to(3, 10), {"total": 100, "expired": 0, "grants": {}}),
              Then("V", 10, taken_from(3, 10), {"expired": 0, "grants": {3: TEN}})],
        after={"total": 110, "expired": 10, "grants": {}}),
    Row("begins what is to expire later", "ok", given=NO_GRANT | {"grants": {3: Grant(10, 0, "p", effective=NOON, expires=NOON + 1)}},
        then=[Then("S", 10, given_to(3, 10), {"total": 100, "grants": {}})],
        after={"total": 110, "current_grant": 3, "grants": {3: Grant(10, effective=NOON, expires=NOON + 1)}}),
    Row("expires nothing of a grant that is over, but held", "ok",
        given={"grants": {2: TOP_UP, 3: SOON.has(0, 5, "x")}}, after={"current_grant": 2}),
    Row("on a new day begins it first", "ok",
        given={"test_clock_ms": MIDNIGHT, "daily_limit": 50, "day_remaining": 3, "used": 47, "grants": {2: Grant(100, expires=MIDNIGHT)}},
        then=[Then("V", 100, taken_from(2, 100), {"expired": 0, "grants": {2: SOON}})],
        after=NO_GRANT | {"expired": 100, "day_remaining": 50, "day": DAY + 1, "day_base": 47}),
    Row("is exact around 2^53", "ok", given={"expired": P53, "grants": {2: SOON.has(P53 + 1)}},
        then=[Then("V", P53 + 1, taken_from(2, P53 + 1), {"expired": P53, "grants": {2: SOON.has(P53 + 1)}})],
        after=NO_GRANT | {"expired": 2 * P53 + 1}),
    Row("of no account finds none", "absent", given={"epoch": ""}),
    Row("finds no account left over from an older epoch", "absent", given={"epoch": 0}),
    Row("under an older epoch is stale", "stale", given={"test_clock_ms": MIDNIGHT, "grants": {2: SOON}}, journal_epoch=2),
]  # fmt: skip


def voided(amount: int, flags: str = "-", at: int = NOON, day: int = DAY) -> str:
    return f"Z {at} {day} {amount} 0 - - {flags} -"


NOTHING = "-/-/-/-"

VOID = [
    Row("takes all back", "ok", effect=voided(100), allocation=taken_from(2, 100), after=NO_GRANT | {"operation_number": 3, "expired": 100}),
    Row("takes a part back", "ok", call={"amount_nanos": 30}, effect=voided(30), allocation=taken_from(2, 30),
        after={"operation_number": 3, "expired": 30, "left": 70}),
    Row("takes no more back than is left", "ok", call={"amount_nanos": 101}, effect=voided(100), allocation=taken_from(2, 100),
        after=NO_GRANT | {"operation_number": 3, "expired": 100}),
    Row("takes just what is left", "ok", call={"amount_nanos": 100}, effect=voided(100), allocation=taken_from(2, 100),
        after=NO_GRANT | {"operation_number": 3, "expired": 100}),
    Row("leaves what is held, which comes back to nothing", "ok", given=WITH_HOLD, effect=voided(60), allocation=taken_from(2, 60),
        after={"operation_number": 3, "expired": 60, "current_grant": 0, "grants": {2: TOP_UP.has(0, 40, "x")}}),
    Row("of a part leaves what is held to come back", "ok", given=WITH_HOLD, call={"amount_nanos": 60},
        effect=voided(60), allocation=taken_from(2, 60), after={"operation_number": 3, "expired": 60, "current_grant": 0, "grants": {2: TOP_UP.has(0, 40)}}),
    Row("of a grant that is all held takes nothing", "ok", given={"current_grant": 0, "grants": {2: TOP_UP.has(0, 40)}},
        effect=voided(0), allocation=NOTHING, after={"operation_number": 3, "grants": {2: TOP_UP.has(0, 40, "x")}}),
    Row("of a part of a grant that is all held leaves it as it is", "ok", given={"current_grant": 0, "grants": {2: TOP_UP.has(0, 40)}},
        call={"amount_nanos": 5}, effect=voided(0), allocation=NOTHING, after={"operation_number": 3}),
    Row("of a grant that is used up takes nothing", "ok", call={"grant_number": 7}, effect=voided(0), allocation=NOTHING, after={"operation_number": 3}),
    Row("of a grant that is over takes nothing", "ok", given={"current_grant": 0, "grants": {2: TOP_UP.has(0, 40, "x")}},
        effect=voided(0), allocation=NOTHING, after={"operation_number": 3}),
    Row("has the next grant burned", "ok", given={"grants": {2: TOP_UP, 4: TEN}}, effect=voided(100), allocation=taken_from(2, 100),
        after={"operation_number": 3, "expired": 100, "current_grant": 4, "grants": {4: TEN}}),
    Row("takes back what is not being burned", "ok", given={"grants": {2: TOP_UP, 4: Grant(10, expires=EXPIRES, priority=60)}},
        call={"grant_number": 4}, effect=voided(10), allocation=taken_from(4, 10), after={"operation_number": 3, "expired": 10, "grants": {2: TOP_UP}}),
    Row("takes back what only some requests may use", "ok", given={"grants": {2: TOP_UP, 4: Grant(10, scope="model=a")}},
        call={"grant_number": 4, "amount_nanos": 4}, effect=voided(4), allocation=taken_from(4, 4, "s"),
        after={"operation_number": 3, "expired": 4, "grants": {2: TOP_UP, 4: Grant(6, scope="model=a")}}),
    Row("takes back a grant before it begins", "ok", given={"grants": {2: TOP_UP, 4: Grant(10, 0, "p", effective=EXPIRES)}},
        call={"grant_number": 4}, effect=voided(0, "p"), allocation=NOTHING, after={"operation_number": 3, "grants": {2: TOP_UP}}),
    Row("is exact around 2^53", "ok", given={"left": P53 + 3, "expired": P53}, call={"amount_nanos": P53 + 1},
        effect=voided(P53 + 1), allocation=taken_from(2, P53 + 1), after={"operation_number": 3, "expired": 2 * P53 + 1, "left": 2}),
    Row("on a new day begins it", "ok", given={"test_clock_ms": TOMORROW, "daily_limit": 50, "day_remaining": 3, "used": 47}, call={"amount_nanos": 30},
        effect=voided(30, at=TOMORROW, day=DAY + 1), allocation=taken_from(2, 30), sums={"day_remaining": 50, "day_base": 47},
        after={"operation_number": 3, "expired": 30, "left": 70, "day_remaining": 50, "day": DAY + 1, "day_base": 47}),
    Row("again changes nothing", "replayed", given={"operation_number": 3}),
    Row("ahead of its turn waits", "behind", call={"operation_number": 4}),
    Row("of no account finds none", "absent", given={"epoch": ""}),
    Row("under an older epoch is stale", "stale", journal_epoch=2),
]  # fmt: skip

EXPIRES_NOW: Changes = {"left": 60, "held": 40, "grants": {2: SOON}}
BEGINS_NOW: Changes = {"grants": {2: TOP_UP, 4: Grant(10, 0, "p", effective=NOON)}}
NOT_YET: Changes = {
    "grants": {2: Grant(100, expires=NOON + 1), 4: Grant(10, 0, "p", effective=NOON + 1)}
}

DUE = {
    name: [
        Row("waits for a grant that expires at this millisecond", "due", given=EXPIRES_NOW, hold=hold),
        Row("waits for a grant that begins at this millisecond", "due", given=BEGINS_NOW, hold=hold),
    ]
    for name, hold in {
        "authorize": "", "debit": "", "extend": HOLD, "release": HOLD, "get_balance": "", "update_account": "", "grant_credits": "",
        "void_grant": "", "set_budget": "", "delete_budget": "", "advance_clock": "",
    }.items()
} | {
    "expire": [
        Row("waits for a grant that expires at the hold's millisecond", "due", hold=HOLD,
            given={"test_clock_ms": EXPIRES, "left": 60, "held": 40, "grants": {2: Grant(100, expires=EXPIRES)}}),
        Row("before the hold's time is kept, whatever is due", "kept", given=EXPIRES_NOW, hold=HOLD),
    ],
}  # fmt: skip
DUE["debit"].append(
    Row(
        "with a hold waits for a grant that expires at this millisecond",
        "due",
        given=EXPIRES_NOW,
        hold=HOLD,
    )
)
DUE["get_balance"].append(
    Row(
        "does not wait for a grant a millisecond before its time",
        "ok",
        given=NOT_YET,
        effect=look(),
    )
)

TABLES = {**DUE, "process_due_grants": TURN}
TABLES["grant_credits"] = GRANT + DUE["grant_credits"]
TABLES["void_grant"] = VOID + DUE["void_grant"]
