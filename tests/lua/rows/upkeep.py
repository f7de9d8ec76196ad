"""Looks, an administrator's operations on accounts, loading, epochs."""

from support.lua_account import (
    DAY,
    EACH_USER,
    FEBRUARY_29,
    MARCH_1,
    MS_PER_DAY,
    NOON,
    TOP_UP,
    Account,
    Budget,
    Changes,
    Grant,
    hour,
)
from support.lua_table import (
    EXPIRED,
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

NO_GRANT: Changes = {"current_grant": 0, "grants": {}}
SCOPED = Grant(5, scope="model=openai/gpt")

GET_BALANCE = [
    Row("looks", "ok", effect=look()),
    Row("tells the currency", "ok", given={"currency": "EUR"}, effect=look()),
    Row("of a suspended account looks all the same", "ok", given={"status": "suspended"}, effect=look(flags="s")),
    Row("shows every grant, and overage", "ok", effect=look(),
        given={"grants": {0: Grant(-3, 4), 2: TOP_UP, 4: SCOPED, 5: TOP_UP.has(0, 7, "x")}}),
    Row("shows graces, and since when they run", "ok", given={"graces": f"- 9 {NOON} inbound\n5000 - - batch jobs"}, effect=look()),
    Row("tells that spend management is off", "ok", given={"unmanaged": True}, effect=look(flags="o")),
    Row("on a new day shows it, and does not begin it", "ok",
        given={"test_clock_ms": TOMORROW, "daily_limit": 50, "day_remaining": 3, "used": 47, "month_base": 7},
        effect=look(TOMORROW, DAY + 1), sums={"day_remaining": 50, "day_base": 47}),
    Row("in a new month shows it", "ok",
        given={"test_clock_ms": MARCH_1 * MS_PER_DAY, "day": FEBRUARY_29, "used": 47, "month_base": 7, "day_base": 9, "yesterday_base": 8},
        effect=look(MARCH_1 * MS_PER_DAY, MARCH_1), sums={"day_base": 47, "month_base": 47, "yesterday_base": 9}),
    Row("of no account finds none", "absent", given={"epoch": ""}),
    Row("finds no account left over from an older epoch", "absent", given={"epoch": 0}),
]  # fmt: skip

OF_HOLD: Changes = {"more_keys": (HOLD_KEY,), "more": (MEMBER,)}
SIGHT = [
    Row("sees the account and the end of its journal", "ok", effect=look(0)),
    Row("sees grants and budgets", "ok", given={"grants": {2: TOP_UP, 4: SCOPED}, "budgets": {"b1": Budget()}},
        effect=look(0)),
    Row("sees the day as it is written", "ok", given={"test_clock_ms": TOMORROW, "daily_limit": 50, "day_remaining": 3, "used": 47}, effect=look(0)),
    Row("sees a grant that is due as it is written", "ok", given={"grants": {2: Grant(100, expires=NOON)}}, effect=look(0)),
    Row("sees a hold, and when it is to be reaped", "ok", given=WITH_HOLD, hold=HOLD, call=OF_HOLD, effect=look(0),
        holds_seen={MEMBER: f"40 {DAY} {EXPIRES} 2:40 inf"}),
    Row("sees no hold that has no record", "ok", call=OF_HOLD, effect=look(0), holds_seen={MEMBER: "-"}),
    Row("sees no hold that has ended", "ok", hold=EXPIRED, call=OF_HOLD, effect=look(0), holds_seen={MEMBER: "-"}),
    Row("of no account finds none", "absent", given={"epoch": ""}),
    Row("finds no account left over from an older epoch", "absent", given={"epoch": 0}),
]  # fmt: skip

NEW: Changes = NO_GRANT | {"epoch": "1", "operation_number": 1, "left": 0, "total": 0, "held": 0}
NO_ACCOUNT: Changes = NEW | {"epoch": ""}
LEVELS = "t1,daily_use,50;t2,low_balance,20"
GRACES = "- 9 - inbound\n5000 - - batch jobs"


def created(flags: str = "-") -> str:
    return f"C {NOON} {DAY} 0 0 - - {flags} -"


CREATE = [
    Row("begins with nothing", "ok", given=NO_ACCOUNT, effect=created(), after=NEW),
    Row("with overage protection may be spent from at once", "ok", given=NO_ACCOUNT, call={"overage_protection_nanos": 7},
        effect=created(), sums={"left": 7, "overage": 7}, after=NEW | {"left": 7, "overage": 7}),
    Row("with a daily limit has its room", "ok", given=NO_ACCOUNT, call={"daily_limit_nanos": 50},
        effect=created(), sums={"day_remaining": 50, "daily_limit": 50}, after=NEW | {"day_remaining": 50, "daily_limit": 50}),
    Row("with a limit of zero has no room", "ok", given=NO_ACCOUNT, call={"daily_limit_nanos": 0},
        effect=created(), sums={"daily_limit": 0}, after=NEW | {"daily_limit": 0}),
    Row("with thresholds and graces keeps them", "ok", given=NO_ACCOUNT,
        call={"flags": "tg", "thresholds": LEVELS, "graces": GRACES}, effect=created(), after=NEW | {"thresholds": LEVELS, "graces": GRACES}),
    Row("with spend management off says so", "ok", given=NO_ACCOUNT, call={"flags": "o"},
        effect=created("o"), after=NEW | {"unmanaged": True}),
    Row("replaces what is left over from an older epoch", "ok",
        given={"epoch": 0, "thresholds": LEVELS, "graces": GRACES, "grants": {2: TOP_UP, 4: SCOPED}, "budgets": {"b1": Budget()}},
        effect=created(), sums=NEW, after={**NEW, "thresholds": "", "graces": "", "budgets": {}}),
    Row("again changes nothing", "replayed", given={"left": 5, "operation_number": 7}),
    Row("under an older epoch is stale", "stale", given={"epoch": ""}, journal_epoch=2),
]  # fmt: skip


def updated(at: int = NOON, day: int = DAY, flags: str = "-") -> str:
    return f"U {at} {day} 0 0 - - {flags} -"


UPDATE = [
    Row("suspends", "ok", call={"status": "suspended"}, effect=updated(), after={"operation_number": 3, "status": "suspended"}),
    Row("activates", "ok", given={"status": "suspended"}, effect=updated(), after={"operation_number": 3, "status": "active"}),
    Row("raises overage protection, and with it what may be spent", "ok", given=NO_GRANT | {"left": 100}, call={"overage_protection_nanos": 7},
        effect=updated(), sums={"left": 107, "overage": 7}, after={"operation_number": 3, "left": 107, "overage": 7}),
    Row("raises overage protection beside a grant", "ok", call={"overage_protection_nanos": 7}, effect=updated(),
        sums={"overage": 7, "grants": {0: Grant(7), 2: TOP_UP}}, after={"operation_number": 3, "overage": 7, "grants": {0: Grant(7), 2: TOP_UP}}),
    Row("lowers overage protection below what is in use", "ok", given=NO_GRANT | {"left": 3, "overage": 10}, call={"overage_protection_nanos": 2},
        effect=updated(), sums={"left": -5, "overage": 2}, after={"operation_number": 3, "left": -5, "overage": 2}),
    Row("lowers overage protection beside a grant", "ok", given={"overage": 10, "grants": {0: Grant(3, 7), 2: TOP_UP}},
        call={"overage_protection_nanos": 2}, effect=updated(), sums={"overage": 2, "grants": {0: Grant(-5, 7), 2: TOP_UP}},
        after={"operation_number": 3, "overage": 2, "grants": {0: Grant(-5, 7), 2: TOP_UP}}),
    Row("sets a daily limit: what was used and is held today counts", "ok", given={"used": 9, "held": 4, "day_remaining": -13},
        call={"daily_limit_nanos": 50}, effect=updated(), sums={"day_remaining": 37, "daily_limit": 50}, after={"operation_number": 3, "day_remaining": 37, "daily_limit": 50}),
    Row("raises a daily limit", "ok", given={"daily_limit": 50, "day_remaining": 3}, call={"daily_limit_nanos": 60},
        effect=updated(), sums={"day_remaining": 13, "daily_limit": 60}, after={"operation_number": 3, "day_remaining": 13, "daily_limit": 60}),
    Row("lowers a daily limit below what is used", "ok", given={"daily_limit": 50, "day_remaining": 3}, call={"daily_limit_nanos": 0},
        effect=updated(), sums={"day_remaining": -47, "daily_limit": 0}, after={"operation_number": 3, "day_remaining": -47, "daily_limit": 0}),
    Row("takes a daily limit away, and goes on counting", "ok", given={"daily_limit": 50, "day_remaining": 3},
        effect=updated(), sums={"day_remaining": -47, "daily_limit": "-"}, after={"operation_number": 3, "day_remaining": -47, "daily_limit": "-"}),
    Row("is exact around 2^53", "ok", given=NO_GRANT | {"left": P53 + 1, "daily_limit": P53 + 1, "day_remaining": P53 + 1},
        call={"overage_protection_nanos": P53 + 1, "daily_limit_nanos": 1}, effect=updated(),
        sums={"left": 2 * P53 + 2, "overage": P53 + 1, "day_remaining": 1, "daily_limit": 1},
        after={"operation_number": 3, "left": 2 * P53 + 2, "overage": P53 + 1, "day_remaining": 1, "daily_limit": 1}),
    Row("on a new day changes the new day's room", "ok", given={"test_clock_ms": TOMORROW, "daily_limit": 50, "day_remaining": 3, "used": 47},
        call={"daily_limit_nanos": 60}, effect=updated(TOMORROW, DAY + 1), sums={"day_remaining": 60, "daily_limit": 60, "day_base": 47},
        after={"operation_number": 3, "day_remaining": 60, "daily_limit": 60, "day": DAY + 1, "day_base": 47}),
    Row("sets thresholds and graces", "ok", given={"thresholds": "", "graces": ""},
        call={"flags": "tg", "thresholds": LEVELS, "graces": GRACES}, effect=updated(),
        after={"operation_number": 3, "thresholds": LEVELS, "graces": GRACES}),
    Row("takes thresholds and graces away", "ok", given={"thresholds": LEVELS, "graces": GRACES}, effect=updated(),
        after={"operation_number": 3, "thresholds": "", "graces": ""}),
    Row("keeps the time at which a grace began", "ok",
        given={"graces": f"- 9 {NOON - 7} inbound\n5000 - - batch\n1 1 {NOON - 9} batch jobs"},
        call={"flags": "g", "graces": "- 5 - inbound\n7 - - batch\n- - - batch jobs\n8 - - chat"}, effect=updated(),
        after={"operation_number": 3, "graces": f"- 5 {NOON - 7} inbound\n7 - - batch\n- - {NOON - 9} batch jobs\n8 - - chat"}),
    Row("crosses no threshold by changing it", "ok", given={"used": 60, "thresholds": "t1,daily_use,70"},
        call={"flags": "t", "thresholds": LEVELS}, effect=updated(), after={"operation_number": 3, "thresholds": LEVELS}),
    Row("turns spend management off", "ok", call={"flags": "o"}, effect=updated(flags="o"), after={"operation_number": 3, "unmanaged": True}),
    Row("turns spend management on", "ok", given={"unmanaged": True}, effect=updated(), after={"operation_number": 3, "unmanaged": False}),
    Row("leaves budgets and scoped grants alone", "ok", effect=updated(),
        given={"grants": {2: TOP_UP, 4: SCOPED}, "budgets": {"b1": Budget()}}, after={"operation_number": 3}),
    Row("again changes nothing", "replayed", given={"operation_number": 3}, call={"overage_protection_nanos": 7}),
    Row("of long ago changes nothing", "replayed", given={"operation_number": 10}, call={"overage_protection_nanos": 7}),
    Row("ahead of its turn waits", "behind", given={"operation_number": 9}, call={"operation_number": 11, "overage_protection_nanos": 7}),
    Row("of no account finds none", "absent", given={"epoch": ""}),
    Row("finds no account left over from an older epoch", "absent", given={"epoch": 0}),
    Row("under an older epoch is stale", "stale", call={"overage_protection_nanos": 7}, journal_epoch=2),
]  # fmt: skip


def ticked(at: int, day: int, flags: str = "-") -> str:
    return f"K {at} {day} 0 0 - - {flags} -"


MIDNIGHT = (DAY + 1) * MS_PER_DAY
NEW_YEAR_2025 = 20_089
CLOCK = [
    Row("moves within the day", "ok", call={"time_ms": NOON + 1}, effect=ticked(NOON + 1, DAY),
        after={"operation_number": 3, "test_clock_ms": NOON + 1}),
    Row("tells that spend management is off", "ok", given={"unmanaged": True}, call={"time_ms": NOON + 1},
        effect=ticked(NOON + 1, DAY, "o"), after={"operation_number": 3, "test_clock_ms": NOON + 1}),
    Row("at a day's last millisecond stays in it", "ok", call={"time_ms": MIDNIGHT - 1},
        effect=ticked(MIDNIGHT - 1, DAY), after={"operation_number": 3, "test_clock_ms": MIDNIGHT - 1}),
    Row("at midnight begins a day: the room is whole again, but for nothing held yesterday", "ok",
        given=WITH_HOLD | {"daily_limit": 50, "day_remaining": 3, "used": 7, "month_base": 2}, call={"time_ms": MIDNIGHT},
        effect=ticked(MIDNIGHT, DAY + 1), sums={"day_remaining": 50, "day_base": 7},
        after={"operation_number": 3, "test_clock_ms": MIDNIGHT, "day": DAY + 1, "day_remaining": 50, "day_base": 7}),
    Row("at midnight without a limit counts from zero", "ok", given={"day_remaining": -7, "used": 7},
        call={"time_ms": MIDNIGHT}, effect=ticked(MIDNIGHT, DAY + 1), sums={"day_remaining": 0, "day_base": 7},
        after={"operation_number": 3, "test_clock_ms": MIDNIGHT, "day": DAY + 1, "day_remaining": 0, "day_base": 7}),
    Row("at midnight knows what was used on the day before", "ok", given={"used": 9, "day_base": 7, "yesterday_base": 2},
        call={"time_ms": MIDNIGHT}, effect=ticked(MIDNIGHT, DAY + 1), sums={"day_base": 9, "yesterday_base": 7},
        after={"operation_number": 3, "test_clock_ms": MIDNIGHT, "day": DAY + 1, "day_base": 9, "yesterday_base": 7}),
    Row("knows the leap day as one of February", "ok", given={"used": 7, "month_base": 2},
        call={"time_ms": FEBRUARY_29 * MS_PER_DAY}, effect=ticked(FEBRUARY_29 * MS_PER_DAY, FEBRUARY_29), sums={"day_base": 7},
        after={"operation_number": 3, "test_clock_ms": FEBRUARY_29 * MS_PER_DAY, "day": FEBRUARY_29, "day_base": 7}),
    Row("from the leap day begins March", "ok",
        given={"test_clock_ms": FEBRUARY_29 * MS_PER_DAY, "day": FEBRUARY_29, "used": 7, "month_base": 2},
        call={"time_ms": MARCH_1 * MS_PER_DAY}, effect=ticked(MARCH_1 * MS_PER_DAY, MARCH_1), sums={"day_base": 7, "month_base": 7},
        after={"operation_number": 3, "test_clock_ms": MARCH_1 * MS_PER_DAY, "day": MARCH_1, "day_base": 7, "month_base": 7}),
    Row("at the end of a year begins a month", "ok",
        given={"test_clock_ms": (NEW_YEAR_2025 - 1) * MS_PER_DAY, "day": NEW_YEAR_2025 - 1, "used": 7, "month_base": 2},
        call={"time_ms": NEW_YEAR_2025 * MS_PER_DAY}, effect=ticked(NEW_YEAR_2025 * MS_PER_DAY, NEW_YEAR_2025),
        sums={"day_base": 7, "month_base": 7},
        after={"operation_number": 3, "test_clock_ms": NEW_YEAR_2025 * MS_PER_DAY, "day": NEW_YEAR_2025, "day_base": 7, "month_base": 7}),
    Row("over many months begins one", "ok", given={"used": 7, "month_base": 2}, call={"time_ms": (DAY + 366) * MS_PER_DAY},
        effect=ticked((DAY + 366) * MS_PER_DAY, DAY + 366), sums={"day_base": 7, "month_base": 7, "yesterday_base": 7},
        after={"operation_number": 3, "test_clock_ms": (DAY + 366) * MS_PER_DAY, "day": DAY + 366, "day_base": 7, "month_base": 7, "yesterday_base": 7}),
    Row("never takes a day back", "ok", given={"day": DAY + 1, "daily_limit": 50, "day_remaining": 3}, call={"time_ms": NOON - 1},
        effect=ticked(NOON - 1, DAY + 1), after={"operation_number": 3, "test_clock_ms": NOON - 1}),
    Row("begins a day that nobody has begun yet", "ok", given={"day": DAY - 1, "daily_limit": 50, "day_remaining": 3, "used": 7},
        call={"time_ms": NOON + 1}, effect=ticked(NOON + 1, DAY), sums={"day_remaining": 50, "day_base": 7},
        after={"operation_number": 3, "test_clock_ms": NOON + 1, "day": DAY, "day_remaining": 50, "day_base": 7}),
    Row("leaves a grant that it makes due to who comes next", "ok", given={"grants": {2: Grant(100, expires=NOON + 1)}},
        call={"time_ms": NOON + 1}, effect=ticked(NOON + 1, DAY), after={"operation_number": 3, "test_clock_ms": NOON + 1}),
    Row("again changes nothing", "replayed", given={"operation_number": 3}, call={"time_ms": NOON + 1}),
    Row("ahead of its turn waits", "behind", call={"operation_number": 4, "time_ms": NOON + 1}),
    Row("of no account finds none", "absent", given={"epoch": ""}),
    Row("under an older epoch is stale", "stale", call={"time_ms": NOON + 1}, journal_epoch=2),
]  # fmt: skip


def loading(loaded: Changes, *holds: tuple[object, ...]) -> Changes:
    """What puts such an account back.

    Overage is given as what is being burned, and no due time: the script finds the right ones.
    """
    account = Account(loaded)
    plain = Account(loaded, {"current_grant": 0})
    settings = plain.settings.split(" ")
    settings[4:6] = ["-", settings[5].replace("s", "") or "-"]
    grants = {n: grant for n, grant in account["grants"].items() if n}
    more = [
        " ".join(settings),
        *plain.sums.values(),
        account["thresholds"],
        account["graces"],
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
            hour(it.start),
            it.number,
            it.levels,
            it.labels,
            it.remaining,
            it.held,
            it.loaded_counters,
        ]
    for hold in holds:
        more += hold
    return {"more": more, "more_keys": (HOLD_KEY,) * len(holds)}


LOADED: Changes = {
    "operation_number": 9,
    "left": 60,
    "held": 40,
    "day_remaining": P53 + 1,
    "daily_limit": P53 + 1,
    "thresholds": LEVELS,
    "graces": GRACES,
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
    "b5": EACH_USER.counts(ada=(60, 40), bob=(100, 0)),
}
VARIED: Changes = LOADED | {
    "current_grant": 3, "overage": 9, "test_clock_ms": NOON, "budgets": BUDGETS,
    "grants": {
        0: Grant(-4, 3), 2: TOP_UP.has(0, 7, "x"), 3: Grant(70, 5, expires=TOMORROW),
        4: Grant(8, 9, scope="service=chat\nmodel=a"), 5: Grant(50, state="p", effective=NOON + 1, expires=NOON + 2),
        6: Grant(20, 1, priority=60), 7: Grant(0, 6),
    },
}  # fmt: skip

LOAD = [
    Row("puts back an account that is missing", "ok", given={"epoch": ""}, call=loading(LOADED), after=LOADED | {"epoch": "1"}),
    Row("puts back an account that has spent all", "ok", given={"epoch": ""}, call=loading(NEW), after=NEW),
    Row("puts back its grants and budgets", "ok", given={"epoch": ""}, call=loading(VARIED), after=VARIED | {"epoch": "1"}),
    Row("puts back when a grant is due, by the store's clock", "ok", given={"epoch": ""}, call=loading(VARIED | {"test_clock_ms": "-"}),
        after=VARIED | {"epoch": "1", "test_clock_ms": "-"}),
    Row("puts back its holds, too", "ok", given={"epoch": ""}, call=loading(LOADED, ITS_HOLD), after=LOADED | {"epoch": "1"},
        hold_after=HOLD, reaped_at=INF),
    Row("puts back a hold with what it has pinned and the budgets it counts in", "ok", given={"epoch": ""},
        call=loading(VARIED, ("h1", 40, DAY, EXPIRES, "6:1,7:39", f"b1,{DAY * 24},3", MEMBER)), after=VARIED | {"epoch": "1"},
        hold_after=f"1 o 40 {DAY} {EXPIRES} 6:1,7:39 b1,{DAY * 24},3", reaped_at=INF),
    Row("replaces what is left over from an older epoch", "ok", given=VARIED | {"epoch": 0}, call=loading(LOADED),
        after={**LOADED, "epoch": "1", "current_grant": 2, "overage": 0, "grants": {2: TOP_UP}, "budgets": {}}),
    Row("leaves an account that is there as it is", "present", call=loading(LOADED, ITS_HOLD)),
    Row("under an older epoch is stale", "stale", given={"epoch": ""}, call=loading(LOADED, ITS_HOLD), journal_epoch=2),
]  # fmt: skip

OPEN = [
    Row("of another owner is foreign", "foreign", call={"method": "epoch", "owner": "ledger other"}, owner="ledger store"),
    Row("of another owner is foreign, even in a new epoch", "foreign", call={"method": "epoch", "epoch": 2, "owner": "other store"}, owner="ledger store"),
    Row("again is stale", "stale", call={"method": "epoch", "owner": "ledger store"}, owner="ledger store"),
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
