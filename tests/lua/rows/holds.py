"""What becomes of holds: extended, released, expired."""

from support.lua_account import DAY, NOON, TOP_UP, Changes, Grant
from support.lua_table import (
    EXPIRED,
    EXPIRES,
    HOLD,
    INF,
    P53,
    TOMORROW,
    WITH_HOLD,
    Row,
    look,
)

AFTER_TOMORROW = TOMORROW + 86_400_000
LASTING = HOLD.replace(str(EXPIRES), str(AFTER_TOMORROW))
NO_GRANT: Changes = {"current_grant": 0, "grants": {}}


def added(
    amount: int, expires: int = EXPIRES, at: int = NOON, day: int = DAY, flags: str = "-"
) -> str:
    return f"E {at} {day} {amount} 40 {DAY} {expires} {flags} h1"


def kept_hold(amount: int, expires: int = EXPIRES, pins: str = "") -> Changes:
    return {
        "hold_after": f"1 o {amount} {DAY} {expires} {pins or f'2:{amount}'} -",
        "reaped_at": INF,
    }


EXTEND = [
    Row("adds to the hold", "ok", given=WITH_HOLD, hold=HOLD,
        effect=added(10), after={"left": 50, "held": 50, "day_remaining": -50}, **kept_hold(50)),
    Row("adds to the time", "ok", given=WITH_HOLD, hold=HOLD, call={"amount_nanos": 0, "hold_ttl_ms": 900_000},
        effect=added(0, NOON + 900_000), after={"held": 40}, **kept_hold(40, NOON + 900_000)),
    Row("adds to both", "ok", given=WITH_HOLD, hold=HOLD, call={"hold_ttl_ms": 900_000},
        effect=added(10, NOON + 900_000), after={"left": 50, "held": 50, "day_remaining": -50}, **kept_hold(50, NOON + 900_000)),
    Row("adds to a hold of nothing", "ok", hold=f"1 o 0 {DAY} {EXPIRES} - -",
        effect=added(10).replace(" 40 ", " 0 "), after={"left": 90, "held": 10, "day_remaining": -10}, **kept_hold(10)),
    Row("never shortens the time", "ok", given=WITH_HOLD, hold=HOLD, call={"amount_nanos": 0, "hold_ttl_ms": 1},
        effect=added(0), after={"held": 40}, **kept_hold(40)),
    Row("lengthens the time by a millisecond", "ok", given=WITH_HOLD, hold=HOLD, call={"amount_nanos": 0, "hold_ttl_ms": 600_001},
        effect=added(0, EXPIRES + 1), after={"held": 40}, **kept_hold(40, EXPIRES + 1)),
    Row("may take the last nano of the room", "ok", given=WITH_HOLD | {"daily_limit": 50, "day_remaining": 10}, hold=HOLD,
        effect=added(10), after={"left": 50, "held": 50, "day_remaining": 0}, **kept_hold(50)),
    Row("may take the last nano of both", "ok", given=WITH_HOLD | {"daily_limit": 50, "day_remaining": 10, "left": 10}, hold=HOLD,
        effect=added(10), allocation="2:10/-/-/-", after={"current_grant": 0, "grants": {2: TOP_UP.has(0, 50)}, "day_remaining": 0}, **kept_hold(50)),
    Row("adds to the time of an account in debt", "ok", hold=HOLD.replace("2:40", "0:40"),
        given=NO_GRANT | {"left": -9, "held": 40, "daily_limit": 5, "day_remaining": -35},
        call={"amount_nanos": 0, "hold_ttl_ms": 900_000}, effect=added(0, NOON + 900_000), after={"held": 40},
        **kept_hold(40, NOON + 900_000, "0:40")),
    Row("is exact around 2^53", "ok", given={"left": P53, "held": 40, "day_remaining": -40}, hold=HOLD, call={"amount_nanos": P53 - 1},
        effect=added(P53 - 1), after={"left": 1, "held": P53 + 39, "day_remaining": -P53 - 39}, **kept_hold(P53 + 39)),
    Row("goes on counting on the hold's own day", "ok",
        given=WITH_HOLD | {"test_clock_ms": TOMORROW, "daily_limit": 50, "day_remaining": 10}, hold=LASTING,
        effect=added(10, AFTER_TOMORROW, TOMORROW, DAY + 1), sums={"day_remaining": 50},
        after={"left": 50, "held": 50, "day_remaining": 50, "day": DAY + 1}, **kept_hold(50, AFTER_TOMORROW)),
    Row("of time alone begins a new day", "ok", given=WITH_HOLD | {"test_clock_ms": TOMORROW, "daily_limit": 50, "day_remaining": 10}, hold=LASTING,
        call={"amount_nanos": 0}, effect=added(0, AFTER_TOMORROW, TOMORROW, DAY + 1), sums={"day_remaining": 50},
        after={"day_remaining": 50, "day": DAY + 1}, **kept_hold(40, AFTER_TOMORROW)),
    Row("takes what is burned now, where the hold has pinned another grant", "ok", hold=HOLD,
        given={"current_grant": 4, "grants": {2: TOP_UP.has(0, 40), 4: TOP_UP}}, effect=added(10), allocation="4:10/-/-/-",
        after={"grants": {2: TOP_UP.has(0, 40), 4: TOP_UP.has(90, 10)}, "day_remaining": -10}, **kept_hold(50, pins="2:40,4:10")),
    Row("crosses from one grant into the next", "ok", given={"grants": {2: TOP_UP.has(4, 40), 4: TOP_UP}}, hold=HOLD,
        effect=added(10), allocation="2:4,4:6/-/-/-",
        after={"current_grant": 4, "grants": {2: TOP_UP.has(0, 44), 4: TOP_UP.has(94, 6)}, "day_remaining": -10},
        **kept_hold(50, pins="2:44,4:6")),
    Row("crosses from the last grant into overage", "ok", hold=HOLD,
        given={"overage": 6, "grants": {0: Grant(6), 2: TOP_UP.has(4, 40)}}, effect=added(10), allocation="2:4,0:6/-/-/-",
        after={"current_grant": 0, "grants": {0: Grant(0, 6), 2: TOP_UP.has(0, 44)}, "day_remaining": -10}, **kept_hold(50, pins="2:44,0:6")),
    Row("adds to what it has pinned of two grants", "ok", hold=HOLD.replace("2:40", "2:30,4:10"),
        given={"current_grant": 4, "grants": {2: TOP_UP.has(0, 30), 4: TOP_UP.has(90, 10)}}, effect=added(10), allocation="4:10/-/-/-",
        after={"grants": {2: TOP_UP.has(0, 30), 4: TOP_UP.has(80, 20)}, "day_remaining": -10}, **kept_hold(50, pins="2:30,4:20")),
    Row("in the account's own currency goes through", "ok", given=WITH_HOLD, hold=HOLD, call={"currency": "USD"},
        effect=added(10), after={"left": 50, "held": 50, "day_remaining": -50}, **kept_hold(50)),
    Row("with spend management off goes past the daily limit", "ok", hold=HOLD,
        given=WITH_HOLD | {"unmanaged": True, "daily_limit": 5, "day_remaining": 5},
        effect=added(10, flags="o"), after={"left": 50, "held": 50, "day_remaining": -5}, **kept_hold(50)),
    Row("repeated is answered alike", "replayed", seen="f1 E an effect of old"),
    Row("under an id used with other content is refused", "REQUEST_ID_REUSED", seen="f2 E an effect of old", hold=HOLD),
    Row("of no account finds none", "absent", given={"epoch": ""}, hold=HOLD),
    Row("of an unknown hold is refused", "HOLD_NOT_FOUND"),
    Row("of a hold from an older epoch is refused", "HOLD_NOT_FOUND", hold=HOLD.replace("1 o", "0 o")),
    Row("at the hold's expiry is refused", "HOLD_EXPIRED", given=WITH_HOLD | {"test_clock_ms": EXPIRES}, hold=HOLD),
    Row("of a hold that was reaped is refused", "HOLD_EXPIRED", hold=EXPIRED),
    Row("in another currency is refused", "CURRENCY_MISMATCH", given=WITH_HOLD, hold=HOLD, call={"currency": "EUR"}),
    Row("of a suspended account is denied, of time alone too", "ACCOUNT_SUSPENDED",
        given=WITH_HOLD | {"status": "suspended"}, hold=HOLD, call={"amount_nanos": 0, "hold_ttl_ms": 900_000}, effect=look(flags="s")),
    Row("of one nano too much is denied", "INSUFFICIENT_CREDITS", given=WITH_HOLD, hold=HOLD, call={"amount_nanos": 61},
        effect=look()),
    Row("of one nano more than the room is denied", "DAILY_LIMIT_EXCEEDED", given=WITH_HOLD | {"daily_limit": 49, "day_remaining": 9},
        hold=HOLD, effect=look()),
    Row("under an older epoch is stale", "stale", given=WITH_HOLD, hold=HOLD, journal_epoch=2),
]  # fmt: skip


def freed(at: int = NOON, day: int = DAY, expires: int = EXPIRES, flags: str = "-") -> str:
    return f"R {at} {day} 40 40 {DAY} {expires} {flags} h1"


RELEASE = [
    Row("gives the hold back", "ok", given=WITH_HOLD, hold=HOLD,
        effect=freed(), after={"left": 100, "held": 0, "day_remaining": 0}, hold_after=""),
    Row("of nothing gives nothing back", "ok", hold=f"1 o 0 {DAY} {EXPIRES} - -",
        effect=freed().replace(" 40 40 ", " 0 0 "), after={"held": 0}, hold_after=""),
    Row("gives the room of the day back", "ok", given=WITH_HOLD | {"daily_limit": 50, "day_remaining": 10}, hold=HOLD,
        effect=freed(), after={"left": 100, "held": 0, "day_remaining": 50}, hold_after=""),
    Row("of yesterday's hold gives today no room", "ok", given=WITH_HOLD | {"test_clock_ms": TOMORROW, "daily_limit": 50, "day_remaining": 10},
        hold=LASTING, effect=freed(TOMORROW, DAY + 1, AFTER_TOMORROW), sums={"day_remaining": 50},
        after={"left": 100, "held": 0, "day_remaining": 50, "day": DAY + 1}, hold_after=""),
    Row("of a hold of the account's day gives it room, though the store's clock has gone back", "ok",
        given=WITH_HOLD | {"daily_limit": 50, "day_remaining": 10, "day": DAY + 1}, hold=HOLD.replace(f" {DAY} ", f" {DAY + 1} "),
        effect=freed(day=DAY + 1).replace(f" 40 40 {DAY} ", f" 40 40 {DAY + 1} "),
        after={"left": 100, "held": 0, "day_remaining": 50}, hold_after=""),
    Row("gives back what is not burned now", "ok", hold=HOLD,
        given={"current_grant": 4, "grants": {2: TOP_UP.has(0, 40), 4: TOP_UP}, "day_remaining": -40}, effect=freed(), allocation="-/2:40/-/-",
        after={"current_grant": 2, "grants": {2: TOP_UP.has(40), 4: TOP_UP}, "day_remaining": 0}, hold_after=""),
    Row("gives back what it has pinned of two grants and of overage", "ok", hold=HOLD.replace("2:40", "2:20,4:15,0:5"),
        given={"current_grant": 0, "overage": 9, "grants": {0: Grant(4, 5), 2: TOP_UP.has(0, 20), 4: TOP_UP.has(0, 15)}, "day_remaining": -40},
        effect=freed(), allocation="-/2:20,4:15,0:5/-/-",
        after={"current_grant": 2, "grants": {0: Grant(9), 2: TOP_UP.has(20), 4: TOP_UP.has(15)}, "day_remaining": 0}, hold_after=""),
    Row("gives what a grant that is not known had to overage", "ok", hold=HOLD.replace("2:40", "7:40"),
        given={"grants": {0: Grant(0, 40), 2: TOP_UP}, "day_remaining": -40}, effect=freed(), allocation="-/0:40/-/-",
        after={"grants": {0: Grant(40), 2: TOP_UP}, "day_remaining": 0}, hold_after=""),
    Row("goes through for a suspended account", "ok", given=WITH_HOLD | {"status": "suspended"}, hold=HOLD,
        effect=freed(flags="s"), after={"left": 100, "held": 0, "day_remaining": 0}, hold_after=""),
    Row("tells that spend management is off", "ok", given=WITH_HOLD | {"unmanaged": True}, hold=HOLD,
        effect=freed(flags="o"), after={"left": 100, "held": 0, "day_remaining": 0}, hold_after=""),
    Row("repeated is answered alike", "replayed", seen="f1 R an effect of old"),
    Row("under an id used with other content is refused", "REQUEST_ID_REUSED", seen="f2 R an effect of old", hold=HOLD),
    Row("of no account finds none", "absent", given={"epoch": ""}, hold=HOLD),
    Row("of an unknown hold is refused", "HOLD_NOT_FOUND"),
    Row("of a hold from an older epoch is refused", "HOLD_NOT_FOUND", hold=HOLD.replace("1 o", "0 o")),
    Row("at the hold's expiry is refused", "HOLD_EXPIRED", given=WITH_HOLD | {"test_clock_ms": EXPIRES}, hold=HOLD),
    Row("of a hold that was reaped is refused", "HOLD_EXPIRED", hold=EXPIRED),
    Row("under an older epoch is stale", "stale", given=WITH_HOLD, hold=HOLD, journal_epoch=2),
]  # fmt: skip


def expired(at: int, day: int = DAY) -> str:
    return f"X {at} {day} 40 40 {DAY} {EXPIRES} - h1"


EXPIRE = [
    Row("at the hold's expiry gives it back, and remembers it for a late debit", "ok", given=WITH_HOLD | {"test_clock_ms": EXPIRES},
        hold=HOLD, effect=expired(EXPIRES), after={"left": 100, "held": 0, "day_remaining": 0}, hold_after=EXPIRED),
    Row("gives the room of the day back", "ok", given=WITH_HOLD | {"test_clock_ms": EXPIRES, "daily_limit": 50, "day_remaining": 10},
        hold=HOLD, effect=expired(EXPIRES), after={"left": 100, "held": 0, "day_remaining": 50}, hold_after=EXPIRED),
    Row("of yesterday's hold gives today no room", "ok", given=WITH_HOLD | {"test_clock_ms": TOMORROW, "daily_limit": 50, "day_remaining": 10},
        hold=HOLD, effect=expired(TOMORROW, DAY + 1), sums={"day_remaining": 50},
        after={"left": 100, "held": 0, "day_remaining": 50, "day": DAY + 1}, hold_after=EXPIRED),
    Row("gives back what it has pinned of two grants", "ok", hold=HOLD.replace("2:40", "2:30,4:10"),
        given={"test_clock_ms": EXPIRES, "current_grant": 4, "grants": {2: TOP_UP.has(0, 30), 4: TOP_UP.has(90, 10)}, "day_remaining": -40},
        effect=expired(EXPIRES), allocation="-/2:30,4:10/-/-",
        after={"current_grant": 2, "grants": {2: TOP_UP.has(30), 4: TOP_UP}, "day_remaining": 0},
        hold_after=EXPIRED.replace("2:40", "2:30,4:10")),
    Row("a millisecond before keeps the hold", "kept", given=WITH_HOLD | {"test_clock_ms": EXPIRES - 1}, hold=HOLD),
    Row("of an account that is lost waits until it is back", "absent", given={"epoch": ""}, hold=HOLD),
    Row("of an account from an older epoch waits, and forgets none of its holds", "absent", given={"epoch": 0},
        hold=HOLD.replace("1 o", "0 o")),
    Row("under an older epoch is stale", "stale", given={"test_clock_ms": EXPIRES}, hold=HOLD, journal_epoch=2),
    Row("of a hold that ended finds it gone", "gone"),
    Row("of a hold that is to expire and has no record leaves it to be found", "missing", is_listed=True),
    Row("of a hold that has expired finds it gone", "gone", hold=EXPIRED),
    Row("of a hold from an older epoch forgets when it was due", "gone", hold=HOLD.replace("1 o", "0 o"),
        hold_after=HOLD.replace("1 o", "0 o")),
]  # fmt: skip

TABLES = {"extend": EXTEND, "release": RELEASE, "expire": EXPIRE}
