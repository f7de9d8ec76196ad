"""Everything but spending, row by row: looks, expiry, an administrator's operations, loading, epochs."""

import pytest
import redis
from lua_table import (
    ACCOUNT,
    ACCOUNT_KEY,
    DAY,
    EXPIRES,
    EXPIRIES_KEY,
    HOLD,
    HOLD_KEY,
    JOURNAL_KEY,
    KEYS,
    MEMBER,
    MS_PER_DAY,
    NOON,
    WITH_HOLD,
    Bench,
    Row,
    expected_dump,
    expected_reply,
    look,
    strangers,
)

from meter.money import INT64_MAX

P53 = 2**53
TOMORROW = NOON + MS_PER_DAY
FEBRUARY_29, MARCH_1 = DAY + 1, DAY + 2

EXPIRED = f"1 x 40 {DAY} {EXPIRES}"


def expired(at: int, day: int = DAY) -> str:
    return f"X {at} {day} 40 40 {DAY} {EXPIRES} - h1"


EXPIRE = [
    Row("at the hold's expiry gives it back, and remembers it for a late debit", "ok", given=WITH_HOLD | {"clk": EXPIRES},
        hold=HOLD, effect=expired(EXPIRES), after={"sp": 100, "held": 0, "room": 0}, hold_after=EXPIRED),
    Row("gives the room of the day back", "ok", given=WITH_HOLD | {"clk": EXPIRES, "lim": 50, "room": 10},
        hold=HOLD, effect=expired(EXPIRES), after={"sp": 100, "held": 0, "room": 50}, hold_after=EXPIRED),
    Row("of yesterday's hold gives today no room", "ok", given=WITH_HOLD | {"clk": TOMORROW, "lim": 50, "room": 10},
        hold=HOLD, effect=expired(TOMORROW, DAY + 1), sums={"room": 50},
        after={"sp": 100, "held": 0, "room": 50, "day": DAY + 1}, hold_after=EXPIRED),
    Row("a millisecond before keeps the hold", "kept", given=WITH_HOLD | {"clk": EXPIRES - 1}, hold=HOLD),
    Row("of an account that is lost waits until it is back", "absent", given={"ep": ""}, hold=HOLD),
    Row("of an account from an older epoch waits, and forgets none of its holds", "absent", given={"ep": 0},
        hold=HOLD.replace("1 o", "0 o")),
    Row("under an older epoch is stale", "stale", given={"clk": EXPIRES}, hold=HOLD, journal_epoch=2),
    Row("of a hold that ended finds it gone", "gone"),
    Row("of a hold that has expired finds it gone", "gone", hold=EXPIRED),
    Row("of a hold from an older epoch forgets when it was due", "gone", hold=HOLD.replace("1 o", "0 o"),
        hold_after=HOLD.replace("1 o", "0 o")),
]  # fmt: skip

GET_BALANCE = [
    Row("looks", "ok", effect=look()),
    Row("tells the currency", "ok", given={"cur": "EUR"}, effect=look()),
    Row("of a suspended account looks all the same", "ok", given={"st": "suspended"}, effect=look()),
    Row("on a new day shows it, and does not begin it", "ok",
        given={"clk": TOMORROW, "lim": 50, "room": 3, "used": 47, "mbase": 7},
        effect=look(TOMORROW, DAY + 1), sums={"room": 50, "dbase": 47}),
    Row("in a new month shows it", "ok", given={"clk": MARCH_1 * MS_PER_DAY, "used": 47, "mbase": 7, "dbase": 9},
        effect=look(MARCH_1 * MS_PER_DAY, MARCH_1), sums={"dbase": 47, "mbase": 47}),
    Row("of no account finds none", "absent", given={"ep": ""}),
    Row("finds no account left over from an older epoch", "absent", given={"ep": 0}),
]  # fmt: skip

SIGHT = [
    Row("sees the account and the end of its journal", "ok", effect=look(0)),
    Row("sees the day as it is written", "ok", given={"clk": TOMORROW, "lim": 50, "room": 3, "used": 47},
        effect=look(0)),
    Row("of no account finds none", "absent", given={"ep": ""}),
    Row("finds no account left over from an older epoch", "absent", given={"ep": 0}),
]  # fmt: skip

NEW = {**ACCOUNT, "sp": 0, "tot": 0}
NO_ACCOUNT = {"ep": "", "sp": 0, "tot": 0}


def created(at: int = NOON, day: int = DAY) -> str:
    return f"C {at} {day} 0 0 - - - -"


CREATE = [
    Row("begins with nothing", "ok", given=NO_ACCOUNT, effect=created(), after=NEW),
    Row("with overage protection may be spent from at once", "ok", given=NO_ACCOUNT, call={"overage": 7},
        effect=created(), sums={"sp": 7, "ovr": 7}, after={**NEW, "sp": 7, "ovr": 7}),
    Row("with a daily limit has its room", "ok", given=NO_ACCOUNT, call={"limit": 50},
        effect=created(), sums={"room": 50, "lim": 50}, after={**NEW, "room": 50, "lim": 50}),
    Row("with a limit of zero has no room", "ok", given=NO_ACCOUNT, call={"limit": 0},
        effect=created(), sums={"lim": 0}, after={**NEW, "lim": 0}),
    Row("replaces what is left over from an older epoch", "ok", given={"ep": 0, "sp": 0, "tot": 0, "held": 0},
        effect=created(), after=NEW),
    Row("again changes nothing", "replayed", given={"sp": 5, "op": 7}),
    Row("under an older epoch is stale", "stale", given={"ep": ""}, journal_epoch=2),
]  # fmt: skip


def updated(at: int = NOON, day: int = DAY) -> str:
    return f"U {at} {day} 0 0 - - - -"


UPDATE = [
    Row("suspends", "ok", call={"status": "suspended"}, effect=updated(), after={"op": 2, "st": "suspended"}),
    Row("activates", "ok", given={"st": "suspended"}, effect=updated(), after={"op": 2, "st": "active"}),
    Row("raises overage protection, and with it what may be spent", "ok", call={"overage": 7},
        effect=updated(), sums={"sp": 107, "ovr": 7}, after={"op": 2, "sp": 107, "ovr": 7}),
    Row("lowers overage protection below what is in use", "ok", given={"sp": 3, "ovr": 10}, call={"overage": 2},
        effect=updated(), sums={"sp": -5, "ovr": 2}, after={"op": 2, "sp": -5, "ovr": 2}),
    Row("sets a daily limit: what was used and is held today counts", "ok", given={"used": 9, "held": 4, "room": -13},
        call={"limit": 50}, effect=updated(), sums={"room": 37, "lim": 50}, after={"op": 2, "room": 37, "lim": 50}),
    Row("raises a daily limit", "ok", given={"lim": 50, "room": 3}, call={"limit": 60},
        effect=updated(), sums={"room": 13, "lim": 60}, after={"op": 2, "room": 13, "lim": 60}),
    Row("lowers a daily limit below what is used", "ok", given={"lim": 50, "room": 3}, call={"limit": 0},
        effect=updated(), sums={"room": -47, "lim": 0}, after={"op": 2, "room": -47, "lim": 0}),
    Row("takes a daily limit away, and goes on counting", "ok", given={"lim": 50, "room": 3},
        effect=updated(), sums={"room": -47, "lim": "-"}, after={"op": 2, "room": -47, "lim": "-"}),
    Row("is exact around 2^53", "ok", given={"sp": P53 + 1, "lim": P53 + 1, "room": P53 + 1},
        call={"overage": P53 + 1, "limit": 1}, effect=updated(),
        sums={"sp": 2 * P53 + 2, "ovr": P53 + 1, "room": 1, "lim": 1},
        after={"op": 2, "sp": 2 * P53 + 2, "ovr": P53 + 1, "room": 1, "lim": 1}),
    Row("on a new day changes the new day's room", "ok", given={"clk": TOMORROW, "lim": 50, "room": 3, "used": 47},
        call={"limit": 60}, effect=updated(TOMORROW, DAY + 1), sums={"room": 60, "lim": 60, "dbase": 47},
        after={"op": 2, "room": 60, "lim": 60, "day": DAY + 1, "dbase": 47}),
    Row("again changes nothing", "replayed", given={"op": 2}, call={"overage": 7}),
    Row("of long ago changes nothing", "replayed", given={"op": 10}, call={"overage": 7}),
    Row("ahead of its turn waits", "behind", given={"op": 9}, call={"op": 11, "overage": 7}),
    Row("of no account finds none", "absent", given={"ep": ""}),
    Row("finds no account left over from an older epoch", "absent", given={"ep": 0}),
    Row("under an older epoch is stale", "stale", call={"overage": 7}, journal_epoch=2),
]  # fmt: skip

GRANT = [
    Row("adds credits", "ok", effect=f"G {NOON} {DAY} 10 0 - - - -", after={"op": 2, "sp": 110, "tot": 110}),
    Row("pays debt", "ok", given={"sp": -3}, effect=f"G {NOON} {DAY} 10 0 - - - -", after={"op": 2, "sp": 7, "tot": 110}),
    Row("is exact around 2^53", "ok", given={"sp": P53, "tot": P53}, call={"amount": 1},
        effect=f"G {NOON} {DAY} 1 0 - - - -", after={"op": 2, "sp": P53 + 1, "tot": P53 + 1}),
    Row("is exact up to 2^63-1", "ok", given={"sp": 0, "tot": 1}, call={"amount": INT64_MAX - 1},
        effect=f"G {NOON} {DAY} {INT64_MAX - 1} 0 - - - -", after={"op": 2, "sp": INT64_MAX - 1, "tot": INT64_MAX}),
    Row("on a new day begins it", "ok", given={"clk": TOMORROW, "lim": 50, "room": 3, "used": 47},
        effect=f"G {TOMORROW} {DAY + 1} 10 0 - - - -", sums={"room": 50, "dbase": 47},
        after={"op": 2, "sp": 110, "tot": 110, "room": 50, "day": DAY + 1, "dbase": 47}),
    Row("again adds nothing", "replayed", given={"op": 2}),
    Row("ahead of its turn waits", "behind", call={"op": 3}),
    Row("of no account finds none", "absent", given={"ep": ""}),
    Row("under an older epoch is stale", "stale", journal_epoch=2),
]  # fmt: skip


def ticked(at: int, day: int) -> str:
    return f"K {at} {day} 0 0 - - - -"


CLOCK = [
    Row("moves within the day", "ok", call={"clock": NOON + 1}, effect=ticked(NOON + 1, DAY),
        after={"op": 2, "clk": NOON + 1}),
    Row("at a day's last millisecond stays in it", "ok", call={"clock": (DAY + 1) * MS_PER_DAY - 1},
        effect=ticked((DAY + 1) * MS_PER_DAY - 1, DAY), after={"op": 2, "clk": (DAY + 1) * MS_PER_DAY - 1}),
    Row("at midnight begins a day: the room is whole again, but for nothing held yesterday", "ok",
        given=WITH_HOLD | {"lim": 50, "room": 3, "used": 7, "mbase": 2}, call={"clock": (DAY + 1) * MS_PER_DAY},
        effect=ticked((DAY + 1) * MS_PER_DAY, DAY + 1), sums={"room": 50, "dbase": 7},
        after={"op": 2, "clk": (DAY + 1) * MS_PER_DAY, "day": DAY + 1, "room": 50, "dbase": 7}),
    Row("at midnight without a limit counts from zero", "ok", given={"room": -7, "used": 7},
        call={"clock": (DAY + 1) * MS_PER_DAY}, effect=ticked((DAY + 1) * MS_PER_DAY, DAY + 1), sums={"room": 0, "dbase": 7},
        after={"op": 2, "clk": (DAY + 1) * MS_PER_DAY, "day": DAY + 1, "room": 0, "dbase": 7}),
    Row("knows the leap day as one of February", "ok", given={"used": 7, "mbase": 2},
        call={"clock": FEBRUARY_29 * MS_PER_DAY}, effect=ticked(FEBRUARY_29 * MS_PER_DAY, FEBRUARY_29), sums={"dbase": 7},
        after={"op": 2, "clk": FEBRUARY_29 * MS_PER_DAY, "day": FEBRUARY_29, "dbase": 7}),
    Row("from the leap day begins March", "ok",
        given={"clk": FEBRUARY_29 * MS_PER_DAY, "day": FEBRUARY_29, "used": 7, "mbase": 2},
        call={"clock": MARCH_1 * MS_PER_DAY}, effect=ticked(MARCH_1 * MS_PER_DAY, MARCH_1), sums={"dbase": 7, "mbase": 7},
        after={"op": 2, "clk": MARCH_1 * MS_PER_DAY, "day": MARCH_1, "dbase": 7, "mbase": 7}),
    Row("over many months begins one", "ok", given={"used": 7, "mbase": 2}, call={"clock": (DAY + 366) * MS_PER_DAY},
        effect=ticked((DAY + 366) * MS_PER_DAY, DAY + 366), sums={"dbase": 7, "mbase": 7},
        after={"op": 2, "clk": (DAY + 366) * MS_PER_DAY, "day": DAY + 366, "dbase": 7, "mbase": 7}),
    Row("never takes a day back", "ok", given={"day": DAY + 1, "lim": 50, "room": 3}, call={"clock": NOON - 1},
        effect=ticked(NOON - 1, DAY + 1), after={"op": 2, "clk": NOON - 1}),
    Row("begins a day that nobody has begun yet", "ok", given={"day": DAY - 1, "lim": 50, "room": 3, "used": 7},
        call={"clock": NOON + 1}, effect=ticked(NOON + 1, DAY), sums={"room": 50, "dbase": 7},
        after={"op": 2, "clk": NOON + 1, "day": DAY, "room": 50, "dbase": 7}),
    Row("again changes nothing", "replayed", given={"op": 2}, call={"clock": NOON + 1}),
    Row("ahead of its turn waits", "behind", call={"op": 3, "clock": NOON + 1}),
    Row("of no account finds none", "absent", given={"ep": ""}),
    Row("under an older epoch is stale", "stale", call={"clock": NOON + 1}, journal_epoch=2),
]  # fmt: skip

LOADED = {**ACCOUNT, "op": "9", "sp": 60, "held": 40, "room": P53 + 1, "lim": P53 + 1}
LOAD_CALL = {"more": [str(value) for value in LOADED.values()]}
ITS_HOLD = {"more_keys": (HOLD_KEY,), "more": [*LOAD_CALL["more"], "h1", 40, DAY, EXPIRES, MEMBER]}
INF = float("inf")

LOAD = [
    Row("puts back an account that is missing", "ok", given={"ep": ""}, call=LOAD_CALL, after=LOADED),
    Row("puts back its holds, too", "ok", given={"ep": ""}, call=ITS_HOLD, after=LOADED, hold_after=HOLD, due_after=INF),
    Row("replaces what is left over from an older epoch", "ok", given={"ep": 0}, call=LOAD_CALL, after=LOADED),
    Row("leaves an account that is there as it is", "present", call=ITS_HOLD),
    Row("under an older epoch is stale", "stale", given={"ep": ""}, call=ITS_HOLD, journal_epoch=2),
]  # fmt: skip

OPEN = [
    Row("again is stale", "stale", call={"method": "epoch"}),
    Row("of an older epoch is stale", "stale", call={"method": "epoch"}, journal_epoch=2),
]  # fmt: skip

TABLES = {
    "expire": EXPIRE,
    "get_balance": GET_BALANCE,
    "sight": SIGHT,
    "create_account": CREATE,
    "update_account": UPDATE,
    "grant_credits": GRANT,
    "advance_clock": CLOCK,
    "load_account": LOAD,
    "open_epoch": OPEN,
}


@pytest.mark.parametrize(
    ("name", "row"), [pytest.param(name, row, id=f"{name} {row.says}") for name, rows in TABLES.items() for row in rows]
)
def test_upkeep(bench: Bench, name: str, row: Row) -> None:
    bench.set_up(row)
    before = bench.dump()

    assert bench.run(name, row) == expected_reply(name, row)

    assert bench.dump() == expected_dump(name, row, before)
    assert not strangers(bench)


def test_open_epoch_begins_the_journal_s_epoch(bench: Bench) -> None:
    entry = {"e": "", "m": "epoch", "q": "why", "p": ""}
    assert bench.call("open_epoch", {"method": "epoch", "request": "why"}) == ("ok",)
    assert bench.dump() == {JOURNAL_KEY: ([("1-0", entry)], None)}

    assert bench.call("open_epoch", {"epoch": 2, "method": "epoch", "request": "why"}) == ("ok",)
    assert bench.dump() == {JOURNAL_KEY: ([("1-0", entry), ("2-0", entry)], None)}


def test_an_account_loaded_by_the_store_s_clock_has_its_holds_due_when_they_expire(bench: Bench) -> None:
    bench.set_up(Row("", "", given={"ep": ""}))
    fields = [str(value) for value in (LOADED | {"clk": "-"}).values()]
    bench.call("load_account", {**ITS_HOLD, "more": [*fields, "h1", 40, DAY, EXPIRES, MEMBER]})
    assert bench.client.zscore(EXPIRIES_KEY, MEMBER) == EXPIRES


def test_an_account_created_by_the_store_s_clock_lives_today(bench: Bench) -> None:
    bench.set_up(Row("", "", given={"ep": ""}))
    bench.call("create_account", {"clock": "-"})
    seconds, _ = bench.client.time()
    clock, day = bench.client.hmget(ACCOUNT_KEY, "clk", "day")
    assert clock == b"-"
    assert 0 <= seconds - int(day) * 86_400 < 86_400 + 5


def test_an_account_is_not_loaded_into_a_shard_without_a_journal(bench: Bench) -> None:
    with pytest.raises(redis.ResponseError, match="no such key"):
        bench.call("load_account", LOAD_CALL)
    assert bench.dump() == {}


@pytest.mark.parametrize(
    "name", [name for name in KEYS if name not in ("get_balance", "sight", "load_account", "open_epoch")]
)
def test_nothing_is_written_without_a_journal(bench: Bench, name: str) -> None:
    """Its loss means that acknowledged writes were lost: whoever came by must not begin it anew."""
    clock = EXPIRES if name == "expire" else NOON
    bench.set_up(Row("", "", hold=HOLD, given=WITH_HOLD | {"clk": clock, "ep": "" if name == "create_account" else 1}))
    bench.client.delete(JOURNAL_KEY)
    before = bench.dump()

    assert bench.call(name, {}, with_hold=True) == ("stale",)

    assert bench.dump() == before
