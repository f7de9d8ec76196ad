"""Looks, an administrator's operations on accounts, loading, epochs."""

from support.lua_account import (
    DAY,
    FEBRUARY_29,
    MARCH_1,
    MS_PER_DAY,
    NOON,
    TOP_UP,
    Account,
    Budget,
    Changes,
    Grant,
)
from support.lua_table import (
    EXPIRES,
    HOLD,
    HOLD_KEY,
    INF,
    MEMBER,
    P53,
    TOMORROW,
    WITH_HOLD,
    Row,
    look,
)

NO_GRANT: Changes = {"g": 0, "grants": {}}
SCOPED = Grant(5, scope="model=openai/gpt")

GET_BALANCE = [
    Row("looks", "ok", effect=look()),
    Row("tells the currency", "ok", given={"cur": "EUR"}, effect=look()),
    Row("of a suspended account looks all the same", "ok", given={"st": "suspended"}, effect=look()),
    Row("shows every grant, and overage", "ok", effect=look(),
        given={"grants": {0: Grant(-3, 4), 2: TOP_UP, 4: SCOPED, 5: TOP_UP.has(0, 7, "x")}}),
    Row("shows graces, and since when they run", "ok", given={"gr": f"- 9 {NOON} inbound\n5000 - - batch jobs"}, effect=look()),
    Row("tells that spend management is off", "ok", given={"off": True}, effect=look(flags="o")),
    Row("on a new day shows it, and does not begin it", "ok",
        given={"clk": TOMORROW, "lim": 50, "room": 3, "used": 47, "mbase": 7},
        effect=look(TOMORROW, DAY + 1), sums={"room": 50, "dbase": 47}),
    Row("in a new month shows it", "ok",
        given={"clk": MARCH_1 * MS_PER_DAY, "day": FEBRUARY_29, "used": 47, "mbase": 7, "dbase": 9, "ybase": 8},
        effect=look(MARCH_1 * MS_PER_DAY, MARCH_1), sums={"dbase": 47, "mbase": 47, "ybase": 9}),
    Row("of no account finds none", "absent", given={"ep": ""}),
    Row("finds no account left over from an older epoch", "absent", given={"ep": 0}),
]  # fmt: skip

SIGHT = [
    Row("sees the account and the end of its journal", "ok", effect=look(0)),
    Row("sees grants and budgets", "ok", given={"grants": {2: TOP_UP, 4: SCOPED}, "budgets": {"b1": Budget()}},
        effect=look(0)),
    Row("sees the day as it is written", "ok", given={"clk": TOMORROW, "lim": 50, "room": 3, "used": 47}, effect=look(0)),
    Row("sees a grant that is due as it is written", "ok", given={"grants": {2: Grant(100, expires=NOON)}}, effect=look(0)),
    Row("of no account finds none", "absent", given={"ep": ""}),
    Row("finds no account left over from an older epoch", "absent", given={"ep": 0}),
]  # fmt: skip

NEW: Changes = NO_GRANT | {"ep": "1", "op": 1, "left": 0, "tot": 0, "held": 0}
NO_ACCOUNT: Changes = NEW | {"ep": ""}
LEVELS = "t1,daily_use,50;t2,low_balance,20"
GRACES = "- 9 - inbound\n5000 - - batch jobs"


def created(flags: str = "-") -> str:
    return f"C {NOON} {DAY} 0 0 - - {flags} -"


CREATE = [
    Row("begins with nothing", "ok", given=NO_ACCOUNT, effect=created(), after=NEW),
    Row("with overage protection may be spent from at once", "ok", given=NO_ACCOUNT, call={"overage_protection_nanos": 7},
        effect=created(), sums={"left": 7, "ovr": 7}, after=NEW | {"left": 7, "ovr": 7}),
    Row("with a daily limit has its room", "ok", given=NO_ACCOUNT, call={"daily_limit_nanos": 50},
        effect=created(), sums={"room": 50, "lim": 50}, after=NEW | {"room": 50, "lim": 50}),
    Row("with a limit of zero has no room", "ok", given=NO_ACCOUNT, call={"daily_limit_nanos": 0},
        effect=created(), sums={"lim": 0}, after=NEW | {"lim": 0}),
    Row("with thresholds and graces keeps them", "ok", given=NO_ACCOUNT,
        call={"flags": "tg", "thresholds": LEVELS, "graces": GRACES}, effect=created(), after=NEW | {"lv": LEVELS, "gr": GRACES}),
    Row("with spend management off says so", "ok", given=NO_ACCOUNT, call={"flags": "o"},
        effect=created("o"), after=NEW | {"off": True}),
    Row("replaces what is left over from an older epoch", "ok",
        given={"ep": 0, "lv": LEVELS, "gr": GRACES, "grants": {2: TOP_UP, 4: SCOPED}, "budgets": {"b1": Budget()}},
        effect=created(), sums=NEW, after={**NEW, "lv": "", "gr": "", "budgets": {}}),
    Row("again changes nothing", "replayed", given={"left": 5, "op": 7}),
    Row("under an older epoch is stale", "stale", given={"ep": ""}, journal_epoch=2),
]  # fmt: skip


def updated(at: int = NOON, day: int = DAY, flags: str = "-") -> str:
    return f"U {at} {day} 0 0 - - {flags} -"


UPDATE = [
    Row("suspends", "ok", call={"status": "suspended"}, effect=updated(), after={"op": 3, "st": "suspended"}),
    Row("activates", "ok", given={"st": "suspended"}, effect=updated(), after={"op": 3, "st": "active"}),
    Row("raises overage protection, and with it what may be spent", "ok", given=NO_GRANT | {"left": 100}, call={"overage_protection_nanos": 7},
        effect=updated(), sums={"left": 107, "ovr": 7}, after={"op": 3, "left": 107, "ovr": 7}),
    Row("raises overage protection beside a grant", "ok", call={"overage_protection_nanos": 7}, effect=updated(),
        sums={"ovr": 7, "grants": {0: Grant(7), 2: TOP_UP}}, after={"op": 3, "ovr": 7, "grants": {0: Grant(7), 2: TOP_UP}}),
    Row("lowers overage protection below what is in use", "ok", given=NO_GRANT | {"left": 3, "ovr": 10}, call={"overage_protection_nanos": 2},
        effect=updated(), sums={"left": -5, "ovr": 2}, after={"op": 3, "left": -5, "ovr": 2}),
    Row("lowers overage protection beside a grant", "ok", given={"ovr": 10, "grants": {0: Grant(3, 7), 2: TOP_UP}},
        call={"overage_protection_nanos": 2}, effect=updated(), sums={"ovr": 2, "grants": {0: Grant(-5, 7), 2: TOP_UP}},
        after={"op": 3, "ovr": 2, "grants": {0: Grant(-5, 7), 2: TOP_UP}}),
    Row("sets a daily limit: what was used and is held today counts", "ok", given={"used": 9, "held": 4, "room": -13},
        call={"daily_limit_nanos": 50}, effect=updated(), sums={"room": 37, "lim": 50}, after={"op": 3, "room": 37, "lim": 50}),
    Row("raises a daily limit", "ok", given={"lim": 50, "room": 3}, call={"daily_limit_nanos": 60},
        effect=updated(), sums={"room": 13, "lim": 60}, after={"op": 3, "room": 13, "lim": 60}),
    Row("lowers a daily limit below what is used", "ok", given={"lim": 50, "room": 3}, call={"daily_limit_nanos": 0},
        effect=updated(), sums={"room": -47, "lim": 0}, after={"op": 3, "room": -47, "lim": 0}),
    Row("takes a daily limit away, and goes on counting", "ok", given={"lim": 50, "room": 3},
        effect=updated(), sums={"room": -47, "lim": "-"}, after={"op": 3, "room": -47, "lim": "-"}),
    Row("is exact around 2^53", "ok", given=NO_GRANT | {"left": P53 + 1, "lim": P53 + 1, "room": P53 + 1},
        call={"overage_protection_nanos": P53 + 1, "daily_limit_nanos": 1}, effect=updated(),
        sums={"left": 2 * P53 + 2, "ovr": P53 + 1, "room": 1, "lim": 1},
        after={"op": 3, "left": 2 * P53 + 2, "ovr": P53 + 1, "room": 1, "lim": 1}),
    Row("on a new day changes the new day's room", "ok", given={"clk": TOMORROW, "lim": 50, "room": 3, "used": 47},
        call={"daily_limit_nanos": 60}, effect=updated(TOMORROW, DAY + 1), sums={"room": 60, "lim": 60, "dbase": 47},
        after={"op": 3, "room": 60, "lim": 60, "day": DAY + 1, "dbase": 47}),
    Row("sets thresholds and graces", "ok", given={"lv": "", "gr": ""},
        call={"flags": "tg", "thresholds": LEVELS, "graces": GRACES}, effect=updated(),
        after={"op": 3, "lv": LEVELS, "gr": GRACES}),
    Row("takes thresholds and graces away", "ok", given={"lv": LEVELS, "gr": GRACES}, effect=updated(),
        after={"op": 3, "lv": "", "gr": ""}),
    Row("keeps the time at which a grace began", "ok",
        given={"gr": f"- 9 {NOON - 7} inbound\n5000 - - batch\n1 1 {NOON - 9} batch jobs"},
        call={"flags": "g", "graces": "- 5 - inbound\n7 - - batch\n- - - batch jobs\n8 - - chat"}, effect=updated(),
        after={"op": 3, "gr": f"- 5 {NOON - 7} inbound\n7 - - batch\n- - {NOON - 9} batch jobs\n8 - - chat"}),
    Row("crosses no threshold by changing it", "ok", given={"used": 60, "lv": "t1,daily_use,70"},
        call={"flags": "t", "thresholds": LEVELS}, effect=updated(), after={"op": 3, "lv": LEVELS}),
    Row("turns spend management off", "ok", call={"flags": "o"}, effect=updated(flags="o"), after={"op": 3, "off": True}),
    Row("turns spend management on", "ok", given={"off": True}, effect=updated(), after={"op": 3, "off": False}),
    Row("leaves budgets and scoped grants alone", "ok", effect=updated(),
        given={"grants": {2: TOP_UP, 4: SCOPED}, "budgets": {"b1": Budget()}}, after={"op": 3}),
    Row("again changes nothing", "replayed", given={"op": 3}, call={"overage_protection_nanos": 7}),
    Row("of long ago changes nothing", "replayed", given={"op": 10}, call={"overage_protection_nanos": 7}),
    Row("ahead of its turn waits", "behind", given={"op": 9}, call={"operation_number": 11, "overage_protection_nanos": 7}),
    Row("of no account finds none", "absent", given={"ep": ""}),
    Row("finds no account left over from an older epoch", "absent", given={"ep": 0}),
    Row("under an older epoch is stale", "stale", call={"overage_protection_nanos": 7}, journal_epoch=2),
]  # fmt: skip


def ticked(at: int, day: int, flags: str = "-") -> str:
    return f"K {at} {day} 0 0 - - {flags} -"


MIDNIGHT = (DAY + 1) * MS_PER_DAY
NEW_YEAR_2025 = 20_089
CLOCK = [
    Row("moves within the day", "ok", call={"time_ms": NOON + 1}, effect=ticked(NOON + 1, DAY),
        after={"op": 3, "clk": NOON + 1}),
    Row("tells that spend management is off", "ok", given={"off": True}, call={"time_ms": NOON + 1},
        effect=ticked(NOON + 1, DAY, "o"), after={"op": 3, "clk": NOON + 1}),
    Row("at a day's last millisecond stays in it", "ok", call={"time_ms": MIDNIGHT - 1},
        effect=ticked(MIDNIGHT - 1, DAY), after={"op": 3, "clk": MIDNIGHT - 1}),
    Row("at midnight begins a day: the room is whole again, but for nothing held yesterday", "ok",
        given=WITH_HOLD | {"lim": 50, "room": 3, "used": 7, "mbase": 2}, call={"time_ms": MIDNIGHT},
        effect=ticked(MIDNIGHT, DAY + 1), sums={"room": 50, "dbase": 7},
        after={"op": 3, "clk": MIDNIGHT, "day": DAY + 1, "room": 50, "dbase": 7}),
    Row("at midnight without a limit counts from zero", "ok", given={"room": -7, "used": 7},
        call={"time_ms": MIDNIGHT}, effect=ticked(MIDNIGHT, DAY + 1), sums={"room": 0, "dbase": 7},
        after={"op": 3, "clk": MIDNIGHT, "day": DAY + 1, "room": 0, "dbase": 7}),
    Row("at midnight knows what was used on the day before", "ok", given={"used": 9, "dbase": 7, "ybase": 2},
        call={"time_ms": MIDNIGHT}, effect=ticked(MIDNIGHT, DAY + 1), sums={"dbase": 9, "ybase": 7},
        after={"op": 3, "clk": MIDNIGHT, "day": DAY + 1, "dbase": 9, "ybase": 7}),
    Row("knows the leap day as one of February", "ok", given={"used": 7, "mbase": 2},
        call={"time_ms": FEBRUARY_29 * MS_PER_DAY}, effect=ticked(FEBRUARY_29 * MS_PER_DAY, FEBRUARY_29), sums={"dbase": 7},
        after={"op": 3, "clk": FEBRUARY_29 * MS_PER_DAY, "day": FEBRUARY_29, "dbase": 7}),
    Row("from the leap day begins March", "ok",
        given={"clk": FEBRUARY_29 * MS_PER_DAY, "day": FEBRUARY_29, "used": 7, "mbase": 2},
        call={"time_ms": MARCH_1 * MS_PER_DAY}, effect=ticked(MARCH_1 * MS_PER_DAY, MARCH_1), sums={"dbase": 7, "mbase": 7},
        after={"op": 3, "clk": MARCH_1 * MS_PER_DAY, "day": MARCH_1, "dbase": 7, "mbase": 7}),
    Row("at the end of a year begins a month", "ok",
        given={"clk": (NEW_YEAR_2025 - 1) * MS_PER_DAY, "day": NEW_YEAR_2025 - 1, "used": 7, "mbase": 2},
        call={"time_ms": NEW_YEAR_2025 * MS_PER_DAY}, effect=ticked(NEW_YEAR_2025 * MS_PER_DAY, NEW_YEAR_2025),
        sums={"dbase": 7, "mbase": 7},
        after={"op": 3, "clk": NEW_YEAR_2025 * MS_PER_DAY, "day": NEW_YEAR_2025, "dbase": 7, "mbase": 7}),
    Row("over many months begins one", "ok", given={"used": 7, "mbase": 2}, call={"time_ms": (DAY + 366) * MS_PER_DAY},
        effect=ticked((DAY + 366) * MS_PER_DAY, DAY + 366), sums={"dbase": 7, "mbase": 7, "ybase": 7},
        after={"op": 3, "clk": (DAY + 366) * MS_PER_DAY, "day": DAY + 366, "dbase": 7, "mbase": 7, "ybase": 7}),
    Row("never takes a day back", "ok", given={"day": DAY + 1, "lim": 50, "room": 3}, call={"time_ms": NOON - 1},
        effect=ticked(NOON - 1, DAY + 1), after={"op": 3, "clk": NOON - 1}),
    Row("begins a day that nobody has begun yet", "ok", given={"day": DAY - 1, "lim": 50, "room": 3, "used": 7},
        call={"time_ms": NOON + 1}, effect=ticked(NOON + 1, DAY), sums={"room": 50, "dbase": 7},
        after={"op": 3, "clk": NOON + 1, "day": DAY, "room": 50, "dbase": 7}),
    Row("leaves a grant that it makes due to who comes next", "ok", given={"grants": {2: Grant(100, expires=NOON + 1)}},
        call={"time_ms": NOON + 1}, effect=ticked(NOON + 1, DAY), after={"op": 3, "clk": NOON + 1}),
    Row("again changes nothing", "replayed", given={"op": 3}, call={"time_ms": NOON + 1}),
    Row("ahead of its turn waits", "behind", call={"operation_number": 4, "time_ms": NOON + 1}),
    Row("of no account finds none", "absent", given={"ep": ""}),
    Row("under an older epoch is stale", "stale", call={"time_ms": NOON + 1}, journal_epoch=2),
]  # fmt: skip


def loading(loaded: Changes, *holds: tuple[object, ...]) -> Changes:
    """What puts such an account back.

    Overage is given as what is being burned, and no due time: the script finds the right ones.
    """
    account = Account(loaded)
    plain = Account(loaded, {"g": 0})
    settings = plain.settings.split(" ")
    settings[4:6] = ["-", settings[5].replace("s", "") or "-"]
    grants = {n: grant for n, grant in account["grants"].items() if n}
    more = [
        " ".join(settings),
        *plain.sums.values(),
        account["lv"],
        account["gr"],
        "acme",
        len(grants),
    ]
    for n, it in grants.items():
        more += [n, it.left, it.held, it.as_written]
    more.append(len(account["budgets"]))
    for budget_id, it in account["budgets"].items():
        more += [
            budget_id,
            int(it.hard),
            it.window,
            it.limit,
            it.start,
            it.number,
            it.levels,
            it.labels,
            it.room,
            it.held,
        ]
    for hold in holds:
        more += hold
    return {"more": more, "more_keys": (HOLD_KEY,) * len(holds)}


LOADED: Changes = {
    "op": 9,
    "left": 60,
    "held": 40,
    "room": P53 + 1,
    "lim": P53 + 1,
    "lv": LEVELS,
    "gr": GRACES,
}
ITS_HOLD = ("h1", 40, DAY, EXPIRES, "2:40", "-", MEMBER)
BUDGETS = {
    "b1": Budget(60, 40),
    "b2": Budget(
        labels="api_key=k1\nuser=u",
        window="week",
        start=DAY - 2,
        end=DAY + 5,
        levels="t1:9|t2:10",
        hard=False,
    ),
    "b3": Budget(labels="api_key=k2", window="day", start=DAY, end=DAY + 1),
    "b4": Budget(labels="api_key=k2", window="lifetime", start=0, end="-"),
}
VARIED: Changes = LOADED | {
    "g": 3, "ovr": 9, "clk": NOON, "budgets": BUDGETS,
    "grants": {
        0: Grant(-4, 3), 2: TOP_UP.has(0, 7, "x"), 3: Grant(70, 5, expires=TOMORROW),
        4: Grant(8, 9, scope="service=chat\nmodel=a"), 5: Grant(50, state="p", effective=NOON + 1, expires=NOON + 2),
        6: Grant(20, 1, priority=60), 7: Grant(0, 6),
    },
}  # fmt: skip

LOAD = [
    Row("puts back an account that is missing", "ok", given={"ep": ""}, call=loading(LOADED), after=LOADED | {"ep": "1"}),
    Row("puts back an account that has spent all", "ok", given={"ep": ""}, call=loading(NEW), after=NEW),
    Row("puts back its grants and budgets", "ok", given={"ep": ""}, call=loading(VARIED), after=VARIED | {"ep": "1"}),
    Row("puts back when a grant is due, by the store's clock", "ok", given={"ep": ""}, call=loading(VARIED | {"clk": "-"}),
        after=VARIED | {"ep": "1", "clk": "-"}),
    Row("puts back its holds, too", "ok", given={"ep": ""}, call=loading(LOADED, ITS_HOLD), after=LOADED | {"ep": "1"},
        hold_after=HOLD, reaped_at=INF),
    Row("puts back a hold with what it has pinned and the budgets it counts in", "ok", given={"ep": ""},
        call=loading(VARIED, ("h1", 40, DAY, EXPIRES, "6:1,7:39", f"b1,{DAY},3", MEMBER)), after=VARIED | {"ep": "1"},
        hold_after=f"1 o 40 {DAY} {EXPIRES} 6:1,7:39 b1,{DAY},3", reaped_at=INF),
    Row("replaces what is left over from an older epoch", "ok", given=VARIED | {"ep": 0}, call=loading(LOADED),
        after={**LOADED, "ep": "1", "g": 2, "ovr": 0, "grants": {2: TOP_UP}, "budgets": {}}),
    Row("leaves an account that is there as it is", "present", call=loading(LOADED, ITS_HOLD)),
    Row("under an older epoch is stale", "stale", given={"ep": ""}, call=loading(LOADED, ITS_HOLD), journal_epoch=2),
]  # fmt: skip

OPEN = [
    Row("again is stale", "stale", call={"method": "epoch"}),
    Row("of an older epoch is stale", "stale", call={"method": "epoch"}, journal_epoch=2),
]  # fmt: skip

TABLES = {
    "get_balance": GET_BALANCE,
    "inspect_account": SIGHT,
    "create_account": CREATE,
    "update_account": UPDATE,
    "advance_clock": CLOCK,
    "load_account": LOAD,
    "open_epoch": OPEN,
}
