"""Spending, row by row: what each script answers, and what it leaves behind, on a real Valkey and on a second engine."""

import pytest
from lua_table import (
    ACCOUNT_KEY,
    DAY,
    EXPIRES,
    EXPIRIES_KEY,
    HOLD,
    MEMBER,
    MS_PER_DAY,
    NOON,
    REPLAY_KEY,
    WITH_HOLD,
    Bench,
    Row,
    expected_dump,
    expected_reply,
    look,
    strangers,
)

from meter.money import INT64_MAX, INT64_MIN, SETTING_MAX

INF = float("inf")
LIMITED = {"lim": 50, "room": 50}
TOMORROW = {"clk": NOON + MS_PER_DAY}
P53 = 2**53
FLOOR = INT64_MIN + SETTING_MAX  # what debt may reach


def held(amount: int, at: int = NOON, day: int = DAY) -> str:
    return f"A {at} {day} {amount} {amount} {day} {at + 1000} - h1"


def new_hold(amount: int, at: int = NOON, day: int = DAY) -> dict[str, object]:
    return {"hold_after": f"1 o {amount} {day} {at + 1000}", "due_after": INF}


AUTHORIZE = [
    Row("takes the amount out of spendable, and sets it aside", "ok",
        effect=held(10), after={"sp": 90, "held": 10, "room": -10}, **new_hold(10)),
    Row("takes it out of the day's room where there is a limit", "ok", given=LIMITED,
        effect=held(10), after={"sp": 90, "held": 10, "room": 40}, **new_hold(10)),
    Row("may take the last nano", "ok", given={"sp": 1}, call={"amount": 1},
        effect=held(1), after={"sp": 0, "held": 1, "room": -1}, **new_hold(1)),
    Row("may take the last nano of the room", "ok", given={"lim": 10, "room": 10},
        effect=held(10), after={"sp": 90, "held": 10, "room": 0}, **new_hold(10)),
    Row("is not hindered by room where there is no limit", "ok", given={"room": -50},
        effect=held(10), after={"sp": 90, "held": 10, "room": -60}, **new_hold(10)),
    Row("of nothing holds nothing", "ok", given={"sp": 0}, call={"amount": 0},
        effect=held(0), after={"sp": 0}, **new_hold(0)),
    Row("with a least amount takes the whole if there is enough", "ok", call={"least": 5},
        effect=held(10), after={"sp": 90, "held": 10, "room": -10}, **new_hold(10)),
    Row("with a least amount takes all there is", "ok", call={"amount": 150, "least": 5},
        effect=held(100), after={"sp": 0, "held": 100, "room": -100}, **new_hold(100)),
    Row("with a least amount takes all the room there is", "ok", given={"lim": 50, "room": 30},
        call={"amount": 150, "least": 30},
        effect=held(30), after={"sp": 70, "held": 30, "room": 0}, **new_hold(30)),
    Row("with a least amount above what the usage costs takes what it costs", "ok", given={"sp": 10},
        call={"least": 11}, effect=held(10), after={"sp": 0, "held": 10, "room": -10}, **new_hold(10)),
    Row("is exact just above 2^53", "ok", given={"sp": P53 + 2}, call={"amount": P53 + 1},
        effect=held(P53 + 1), after={"sp": 1, "held": P53 + 1, "room": -P53 - 1}, **new_hold(P53 + 1)),
    Row("is exact at 2^63-1", "ok", given={"sp": INT64_MAX}, call={"amount": INT64_MAX},
        effect=held(INT64_MAX), after={"sp": 0, "held": INT64_MAX, "room": -INT64_MAX}, **new_hold(INT64_MAX)),
    Row("on a new day has the whole limit again", "ok",
        given=TOMORROW | {"lim": 50, "room": 3, "used": 47, "mbase": 7},
        effect=held(10, NOON + MS_PER_DAY, DAY + 1), sums={"room": 50, "dbase": 47},
        after={"sp": 90, "held": 10, "room": 40, "day": DAY + 1, "dbase": 47}, **new_hold(10, NOON + MS_PER_DAY, DAY + 1)),
    Row("lives on in a day that has begun, should the clock go back", "ok",
        given={"day": DAY + 1, "lim": 50, "room": 20, "used": 30},
        effect=held(10, NOON, DAY + 1), after={"sp": 90, "held": 10, "room": 10}, **new_hold(10, NOON, DAY + 1)),
    Row("repeated is answered alike", "replayed", seen="f1 A an effect of old"),
    Row("repeated is answered alike even if the account is lost", "replayed", given={"ep": ""}, seen="f1 A an effect"),
    Row("under an id used with other content is refused", "REQUEST_ID_REUSED", seen="f2 A an effect of old"),
    Row("under an id that begins like another content's is refused", "REQUEST_ID_REUSED", seen="f11 A an effect"),
    Row("of no account finds none", "absent", given={"ep": ""}),
    Row("finds no account left over from an older epoch", "absent", given={"ep": 0}),
    Row("in the account's own currency goes through", "ok", call={"currency": "USD"},
        effect=held(10), after={"sp": 90, "held": 10, "room": -10}, **new_hold(10)),
    Row("in another currency is refused", "CURRENCY_MISMATCH", call={"currency": "EUR"}),
    Row("of a suspended account is denied", "ACCOUNT_SUSPENDED", given={"st": "suspended"}, effect=look()),
    Row("of one nano too much is denied", "INSUFFICIENT_CREDITS", call={"amount": 101}, effect=look()),
    Row("of one nano too much is denied just above 2^53", "INSUFFICIENT_CREDITS", given={"sp": P53},
        call={"amount": P53 + 1}, effect=look()),
    Row("of one nano too much is denied at 2^63-1", "INSUFFICIENT_CREDITS", given={"sp": INT64_MAX - 1},
        call={"amount": INT64_MAX}, effect=look()),
    Row("of a longer number is denied", "INSUFFICIENT_CREDITS", given={"sp": 9}, effect=look()),
    Row("in debt is denied", "INSUFFICIENT_CREDITS", given={"sp": -1}, call={"amount": 1}, effect=look()),
    Row("of nothing in debt is denied", "INSUFFICIENT_CREDITS", given={"sp": -100}, call={"amount": 0}, effect=look()),
    Row("is denied when not even the least amount is there", "INSUFFICIENT_CREDITS",
        call={"amount": 150, "least": 101}, effect=look()),
    Row("of one nano more than the day's room is denied", "DAILY_LIMIT_EXCEEDED", given={"lim": 10, "room": 9},
        effect=look()),
    Row("is denied when the room is below zero", "DAILY_LIMIT_EXCEEDED", given={"lim": 10, "room": -100},
        call={"amount": 1}, effect=look()),
    Row("is denied under a limit of zero", "DAILY_LIMIT_EXCEEDED", given={"lim": 0}, call={"amount": 1}, effect=look()),
    Row("is denied when the room has not even the least amount", "DAILY_LIMIT_EXCEEDED",
        given={"lim": 50, "room": 29}, call={"amount": 150, "least": 30}, effect=look()),
    Row("denied on a new day tells of the new day, and does not begin it", "INSUFFICIENT_CREDITS",
        given=TOMORROW | {"sp": 0, "lim": 50, "room": 3, "used": 47},
        effect=look(NOON + MS_PER_DAY, DAY + 1), sums={"room": 50, "dbase": 47}),
    Row("under an older epoch is stale", "stale", journal_epoch=2),
]  # fmt: skip


def charged(amount: int, flags: str = "-") -> str:
    return f"D {NOON} {DAY} {amount} 0 - - {flags} -"


def settled(
    amount: int, flags: str = "-", at: int = NOON, day: int = DAY, back: int = 40, expires: int = EXPIRES
) -> str:
    return f"D {at} {day} {amount} {back} {DAY} {expires} {flags} h1"


DEBIT = [
    Row("charges the amount", "ok", effect=charged(10), after={"sp": 90, "used": 10, "room": -10}),
    Row("takes it out of the day's room where there is a limit", "ok", given=LIMITED,
        effect=charged(10), after={"sp": 90, "used": 10, "room": 40}),
    Row("may take the last nano of both", "ok", given={"sp": 10, "lim": 10, "room": 10},
        effect=charged(10), after={"sp": 0, "used": 10, "room": 0}),
    Row("may use overage protection up", "ok", given={"sp": 10, "ovr": 10, "tot": 100, "used": 100},
        effect=charged(10), after={"sp": 0, "used": 110, "room": -10}),
    Row("of nothing charges nothing", "ok", given={"sp": 0}, call={"amount": 0}, effect=charged(0), after={"sp": 0}),
    Row("is exact around 2^53", "ok", given={"sp": P53 + 1, "used": P53 - 1}, call={"amount": P53},
        effect=charged(P53), after={"sp": 1, "used": 2 * P53 - 1, "room": -P53}),
    Row("is exact at 2^63-1", "ok", given={"sp": INT64_MAX}, call={"amount": INT64_MAX},
        effect=charged(INT64_MAX), after={"sp": 0, "used": INT64_MAX, "room": -INT64_MAX}),
    Row("on a new day has the whole limit again", "ok", given=TOMORROW | {"lim": 50, "room": 3, "used": 47},
        effect=f"D {NOON + MS_PER_DAY} {DAY + 1} 10 0 - - - -", sums={"room": 50, "dbase": 47},
        after={"sp": 90, "used": 57, "room": 40, "day": DAY + 1, "dbase": 47}),
    Row("of usage that was incurred goes into debt", "ok", given={"sp": 3}, call={"incurred": 1},
        effect=charged(10, "i"), after={"sp": -7, "used": 10, "room": -10}),
    Row("of usage that was incurred goes past the daily limit", "ok", given={"lim": 5, "room": 5}, call={"incurred": 1},
        effect=charged(10, "i"), after={"sp": 90, "used": 10, "room": -5}),
    Row("of usage that was incurred is charged to a suspended account", "ok", given={"st": "suspended"},
        call={"incurred": 1}, effect=charged(10, "i"), after={"sp": 90, "used": 10, "room": -10}),
    Row("may bring debt to its last nano", "ok", given={"sp": FLOOR + 10}, call={"incurred": 1},
        effect=charged(10, "i"), after={"sp": FLOOR, "used": 10, "room": -10}),
    Row("may bring usage to its last nano", "ok", given={"used": INT64_MAX - 10}, call={"incurred": 1},
        effect=charged(10, "i"), after={"sp": 90, "used": INT64_MAX, "room": -10}),
    Row("of less than the hold gives the rest back", "ok", given=WITH_HOLD, hold=HOLD,
        effect=settled(10), after={"sp": 90, "held": 0, "used": 10, "room": -10}, hold_after=""),
    Row("of just the hold settles it", "ok", given=WITH_HOLD, hold=HOLD, call={"amount": 40},
        effect=settled(40), after={"sp": 60, "held": 0, "used": 40, "room": -40}, hold_after=""),
    Row("of more than the hold takes the extra", "ok", given=WITH_HOLD, hold=HOLD, call={"amount": 70},
        effect=settled(70), after={"sp": 30, "held": 0, "used": 70, "room": -70}, hold_after=""),
    Row("of more than there is settles all the same, into debt", "ok", given=WITH_HOLD, hold=HOLD, call={"amount": 150},
        effect=settled(150), after={"sp": -50, "held": 0, "used": 150, "room": -150}, hold_after=""),
    Row("of more than the room settles all the same", "ok", given=WITH_HOLD | {"lim": 50, "room": 10}, hold=HOLD,
        call={"amount": 70}, effect=settled(70), after={"sp": 30, "held": 0, "used": 70, "room": -20}, hold_after=""),
    Row("of nothing settles a hold", "ok", given=WITH_HOLD, hold=HOLD, call={"amount": 0},
        effect=settled(0), after={"sp": 100, "held": 0, "room": 0}, hold_after=""),
    Row("settles a hold of a suspended account", "ok", given=WITH_HOLD | {"st": "suspended"}, hold=HOLD,
        effect=settled(10), after={"sp": 90, "held": 0, "used": 10, "room": -10}, hold_after=""),
    Row("settles a hold of an account in debt", "ok", given=WITH_HOLD | {"sp": -5}, hold=HOLD,
        effect=settled(10), after={"sp": 25, "held": 0, "used": 10, "room": -10}, hold_after=""),
    Row("leaves the account's other holds alone", "ok", given={"sp": 50, "held": 50, "room": -50}, hold=HOLD,
        effect=settled(10), after={"sp": 80, "held": 10, "used": 10, "room": -20}, hold_after=""),
    Row("is exact about a hold above 2^53", "ok", given={"sp": 0, "held": P53 + 1, "room": -P53 - 1},
        hold=f"1 o {P53 + 1} {DAY} {EXPIRES}", call={"amount": P53 - 1}, effect=settled(P53 - 1, back=P53 + 1),
        after={"sp": 2, "held": 0, "used": P53 - 1, "room": 1 - P53}, hold_after=""),
    Row("after midnight counts on the day of its hold", "ok",
        given=WITH_HOLD | {"clk": NOON + MS_PER_DAY, "lim": 50, "room": 10}, hold=f"1 o 40 {DAY} {NOON + 2 * MS_PER_DAY}",
        effect=settled(10, at=NOON + MS_PER_DAY, day=DAY + 1, expires=NOON + 2 * MS_PER_DAY), sums={"room": 50},
        after={"sp": 90, "held": 0, "used": 10, "room": 50, "day": DAY + 1, "dbase": 10}, hold_after=""),
    Row("a millisecond before the hold's expiry is in time", "ok", given=WITH_HOLD | {"clk": EXPIRES - 1}, hold=HOLD,
        effect=settled(10, at=EXPIRES - 1), after={"sp": 90, "held": 0, "used": 10, "room": -10}, hold_after=""),
    Row("at the hold's expiry is late, reaped or not", "ok", given=WITH_HOLD | {"clk": EXPIRES}, hold=HOLD,
        effect=settled(10, "l", EXPIRES), after={"sp": 90, "held": 0, "used": 10, "room": -10}, hold_after=""),
    Row("of a hold that was reaped is late, and returns nothing", "ok", hold=f"1 x 40 {DAY} {EXPIRES}",
        given={"clk": EXPIRES}, effect=settled(10, "l", EXPIRES, back=0),
        after={"sp": 90, "used": 10, "room": -10}, hold_after=""),
    Row("of a hold that was reaped is late, whatever the clock says", "ok", hold=f"1 x 40 {DAY} {EXPIRES}",
        effect=settled(10, "l", back=0), after={"sp": 90, "used": 10, "room": -10}, hold_after=""),
    Row("that is late counts on the day it comes, not on the hold's", "ok",
        given=WITH_HOLD | {"clk": NOON + MS_PER_DAY, "lim": 50, "room": 10}, hold=HOLD,
        effect=settled(10, "l", NOON + MS_PER_DAY, DAY + 1), sums={"room": 50},
        after={"sp": 90, "held": 0, "used": 10, "room": 40, "day": DAY + 1}, hold_after=""),
    Row("that is late goes into debt", "ok", given=WITH_HOLD | {"clk": EXPIRES, "sp": 0}, hold=HOLD, call={"amount": 45},
        effect=settled(45, "l", EXPIRES), after={"sp": -5, "held": 0, "used": 45, "room": -45}, hold_after=""),
    Row("that is late is charged to a suspended account", "ok", hold=f"1 x 40 {DAY} {EXPIRES}", given={"st": "suspended"},
        effect=settled(10, "l", back=0), after={"sp": 90, "used": 10, "room": -10}, hold_after=""),
    Row("may be late and incurred", "ok", hold=f"1 x 40 {DAY} {EXPIRES}", call={"incurred": 1, "hold_id": "h1"},
        effect=settled(10, "li", back=0), after={"sp": 90, "used": 10, "room": -10}, hold_after=""),
    Row("in the account's own currency goes through", "ok", call={"currency": "USD"},
        effect=charged(10), after={"sp": 90, "used": 10, "room": -10}),
    Row("repeated is answered alike", "replayed", seen="f1 D an effect of old"),
    Row("repeated is answered alike though its hold is gone", "replayed", seen="f1 D an effect", call={"hold_id": "h1"}),
    Row("under an id used with other content is refused", "REQUEST_ID_REUSED", seen="f2 D an effect of old"),
    Row("of no account finds none", "absent", given={"ep": ""}),
    Row("finds no account left over from an older epoch", "absent", given={"ep": 0}),
    Row("of an unknown hold is refused", "HOLD_NOT_FOUND", call={"hold_id": "h1"}),
    Row("of a hold whose id looks like none is refused", "HOLD_NOT_FOUND", call={"hold_id": "-"}),
    Row("of an unknown hold is refused even if incurred", "HOLD_NOT_FOUND", call={"hold_id": "h1", "incurred": 1}),
    Row("of a hold from an older epoch is refused", "HOLD_NOT_FOUND", hold=HOLD.replace("1 o", "0 o")),
    Row("in another currency is refused", "CURRENCY_MISMATCH", call={"currency": "EUR"}),
    Row("in another currency is refused even if incurred", "CURRENCY_MISMATCH", call={"currency": "EUR", "incurred": 1}),
    Row("that would take debt out of range is refused", "AMOUNT_OUT_OF_RANGE", given={"sp": FLOOR + 9}, call={"incurred": 1}),
    Row("that would take a limited day's room out of range is refused", "AMOUNT_OUT_OF_RANGE",
        given={"lim": 9, "room": FLOOR + 9}, call={"incurred": 1}),
    Row("that would take a day's room out of range is refused", "AMOUNT_OUT_OF_RANGE", given={"room": INT64_MIN + 9},
        call={"incurred": 1}),
    Row("that would take usage out of range is refused", "AMOUNT_OUT_OF_RANGE", given={"used": INT64_MAX - 9},
        call={"incurred": 1}),
    Row("that would take debt out of range is refused with a hold, too", "AMOUNT_OUT_OF_RANGE",
        given={"sp": FLOOR + 9, "held": 40}, hold=HOLD, call={"amount": 60}),
    Row("of a suspended account is denied", "ACCOUNT_SUSPENDED", given={"st": "suspended"}, effect=look()),
    Row("of one nano too much is denied", "INSUFFICIENT_CREDITS", call={"amount": 101}, effect=look()),
    Row("of nothing in debt is denied", "INSUFFICIENT_CREDITS", given={"sp": -1}, call={"amount": 0}, effect=look()),
    Row("of one nano more than the room is denied", "DAILY_LIMIT_EXCEEDED", given={"lim": 9, "room": 9}, effect=look()),
    Row("under an older epoch is stale", "stale", journal_epoch=2),
]  # fmt: skip


def added(amount: int, expires: int = EXPIRES, at: int = NOON, day: int = DAY) -> str:
    return f"E {at} {day} {amount} 40 {DAY} {expires} - h1"


def kept_hold(amount: int, expires: int = EXPIRES) -> dict[str, object]:
    return {"hold_after": f"1 o {amount} {DAY} {expires}", "due_after": INF}


EXTEND = [
    Row("adds to the hold", "ok", given=WITH_HOLD, hold=HOLD,
        effect=added(10), after={"sp": 50, "held": 50, "room": -50}, **kept_hold(50)),
    Row("adds to the time", "ok", given=WITH_HOLD, hold=HOLD, call={"amount": 0, "ttl_ms": 900_000},
        effect=added(0, NOON + 900_000), after={"held": 40}, **kept_hold(40, NOON + 900_000)),
    Row("adds to both", "ok", given=WITH_HOLD, hold=HOLD, call={"ttl_ms": 900_000},
        effect=added(10, NOON + 900_000), after={"sp": 50, "held": 50, "room": -50}, **kept_hold(50, NOON + 900_000)),
    Row("never shortens the time", "ok", given=WITH_HOLD, hold=HOLD, call={"amount": 0, "ttl_ms": 1},
        effect=added(0), after={"held": 40}, **kept_hold(40)),
    Row("may take the last nano of both", "ok", given=WITH_HOLD | {"lim": 50, "room": 10, "sp": 10}, hold=HOLD,
        effect=added(10), after={"sp": 0, "held": 50, "room": 0}, **kept_hold(50)),
    Row("adds to the time of an account in debt", "ok", given=WITH_HOLD | {"sp": -9, "lim": 5, "room": -35}, hold=HOLD,
        call={"amount": 0, "ttl_ms": 900_000}, effect=added(0, NOON + 900_000), after={"held": 40},
        **kept_hold(40, NOON + 900_000)),
    Row("is exact around 2^53", "ok", given={"sp": P53, "held": 40, "room": -40}, hold=HOLD, call={"amount": P53 - 1},
        effect=added(P53 - 1), after={"sp": 1, "held": P53 + 39, "room": -P53 - 39}, **kept_hold(P53 + 39)),
    Row("goes on counting on the hold's own day", "ok",
        given=WITH_HOLD | {"clk": NOON + MS_PER_DAY, "lim": 50, "room": 10}, hold=f"1 o 40 {DAY} {NOON + 2 * MS_PER_DAY}",
        effect=added(10, NOON + 2 * MS_PER_DAY, NOON + MS_PER_DAY, DAY + 1), sums={"room": 50},
        after={"sp": 50, "held": 50, "room": 50, "day": DAY + 1}, **kept_hold(50, NOON + 2 * MS_PER_DAY)),
    Row("in the account's own currency goes through", "ok", given=WITH_HOLD, hold=HOLD, call={"currency": "USD"},
        effect=added(10), after={"sp": 50, "held": 50, "room": -50}, **kept_hold(50)),
    Row("repeated is answered alike", "replayed", seen="f1 E an effect of old"),
    Row("under an id used with other content is refused", "REQUEST_ID_REUSED", seen="f2 E an effect of old", hold=HOLD),
    Row("of no account finds none", "absent", given={"ep": ""}, hold=HOLD),
    Row("of an unknown hold is refused", "HOLD_NOT_FOUND"),
    Row("of a hold from an older epoch is refused", "HOLD_NOT_FOUND", hold=HOLD.replace("1 o", "0 o")),
    Row("at the hold's expiry is refused", "HOLD_EXPIRED", given=WITH_HOLD | {"clk": EXPIRES}, hold=HOLD),
    Row("of a hold that was reaped is refused", "HOLD_EXPIRED", hold=f"1 x 40 {DAY} {EXPIRES}"),
    Row("in another currency is refused", "CURRENCY_MISMATCH", given=WITH_HOLD, hold=HOLD, call={"currency": "EUR"}),
    Row("of a suspended account is denied, of time alone too", "ACCOUNT_SUSPENDED",
        given=WITH_HOLD | {"st": "suspended"}, hold=HOLD, call={"amount": 0, "ttl_ms": 900_000}, effect=look()),
    Row("of one nano too much is denied", "INSUFFICIENT_CREDITS", given=WITH_HOLD, hold=HOLD, call={"amount": 61},
        effect=look()),
    Row("of one nano more than the room is denied", "DAILY_LIMIT_EXCEEDED", given=WITH_HOLD | {"lim": 49, "room": 9},
        hold=HOLD, effect=look()),
    Row("under an older epoch is stale", "stale", given=WITH_HOLD, hold=HOLD, journal_epoch=2),
]  # fmt: skip


def freed(at: int = NOON, day: int = DAY, expires: int = EXPIRES) -> str:
    return f"R {at} {day} 40 40 {DAY} {expires} - h1"


RELEASE = [
    Row("gives the hold back", "ok", given=WITH_HOLD, hold=HOLD,
        effect=freed(), after={"sp": 100, "held": 0, "room": 0}, hold_after=""),
    Row("gives the room of the day back", "ok", given=WITH_HOLD | {"lim": 50, "room": 10}, hold=HOLD,
        effect=freed(), after={"sp": 100, "held": 0, "room": 50}, hold_after=""),
    Row("of yesterday's hold gives today no room", "ok", given=WITH_HOLD | {"clk": NOON + MS_PER_DAY, "lim": 50, "room": 10},
        hold=f"1 o 40 {DAY} {NOON + 2 * MS_PER_DAY}",
        effect=freed(NOON + MS_PER_DAY, DAY + 1, NOON + 2 * MS_PER_DAY), sums={"room": 50},
        after={"sp": 100, "held": 0, "room": 50, "day": DAY + 1}, hold_after=""),
    Row("goes through for a suspended account", "ok", given=WITH_HOLD | {"st": "suspended"}, hold=HOLD,
        effect=freed(), after={"sp": 100, "held": 0, "room": 0}, hold_after=""),
    Row("repeated is answered alike", "replayed", seen="f1 R an effect of old"),
    Row("under an id used with other content is refused", "REQUEST_ID_REUSED", seen="f2 R an effect of old", hold=HOLD),
    Row("of no account finds none", "absent", given={"ep": ""}, hold=HOLD),
    Row("of an unknown hold is refused", "HOLD_NOT_FOUND"),
    Row("of a hold from an older epoch is refused", "HOLD_NOT_FOUND", hold=HOLD.replace("1 o", "0 o")),
    Row("at the hold's expiry is refused", "HOLD_EXPIRED", given=WITH_HOLD | {"clk": EXPIRES}, hold=HOLD),
    Row("of a hold that was reaped is refused", "HOLD_EXPIRED", hold=f"1 x 40 {DAY} {EXPIRES}"),
    Row("under an older epoch is stale", "stale", given=WITH_HOLD, hold=HOLD, journal_epoch=2),
]  # fmt: skip

TABLES = {"authorize": AUTHORIZE, "debit": DEBIT, "extend": EXTEND, "release": RELEASE}


@pytest.mark.parametrize(
    ("name", "row"), [pytest.param(name, row, id=f"{name} {row.says}") for name, rows in TABLES.items() for row in rows]
)
def test_spending(bench: Bench, name: str, row: Row) -> None:
    bench.set_up(row)
    before = bench.dump()

    assert bench.run(name, row) == expected_reply(name, row)

    assert bench.dump() == expected_dump(name, row, before)
    assert not strangers(bench)


def test_a_store_clock_s_hold_is_due_when_it_expires(bench: Bench) -> None:
    bench.set_up(Row("", "", given={"clk": "-", "day": 20_000}))
    seconds, micros = bench.client.time()

    status, line = bench.call("authorize", {"ttl_ms": 5000})

    at_ms, day, expires_ms = (int(line.split(" ")[i]) for i in (1, 2, 6))
    assert status == "ok"
    assert 0 <= at_ms - (seconds * 1000 + micros // 1000) < 5000
    assert (day, expires_ms) == (at_ms // MS_PER_DAY, at_ms + 5000)
    assert bench.client.zscore(EXPIRIES_KEY, MEMBER) == expires_ms
    assert bench.client.hget(ACCOUNT_KEY, "day") == str(day).encode()

    bench.client.delete(REPLAY_KEY)
    assert bench.call("extend", {"ttl_ms": 60_000, "amount": 0})[0] == "ok"
    assert at_ms + 60_000 <= (bench.client.zscore(EXPIRIES_KEY, MEMBER) or 0) < at_ms + 65_000
