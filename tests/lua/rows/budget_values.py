"""Budgets for each value of a dimension, and budgets of an hour."""

from lua.rows.budgeted_holds import FREED, MORE_HELD, added, ended, kept, sets, updated
from lua.rows.budgets import (
    BACK_10,
    HELD_10,
    JANUARY_1,
    MARCH,
    NEXT_MONTH,
    WITH_COUNTED,
    charged,
    has,
    held,
    settled,
    took,
)
from lua.rows.thresholds import told
from meter.money import INT64_MAX
from support.lua_account import (
    DAY,
    EACH_USER,
    FEBRUARY_1,
    MARCH_1,
    MS_PER_DAY,
    NOON,
    Budget,
    Changes,
    hour,
)
from support.lua_table import EXPIRES, HOLD, Row, look

MS_PER_HOUR = MS_PER_DAY // 24
ADA = "\nuser=ada\n"
ODD = "a,b;c/d:e|f*g%h i"
ODD_ESCAPED = "a%2Cb%3Bc%2Fd%3Ae%7Cf%2Ag%25h%20i"
START = hour(FEBRUARY_1)
OF_PROJECT = Budget(labels="project=x\nuser")
OF_BOTH = Budget(labels="project\nuser")
FULL = {f"v{n}": (100, 0) for n in range(10_000)}
SPENT: Changes = {"left": 90, "used": 10, "day_remaining": -10}
LEFT_90 = {"ada": (90, 0)}


def met(
    of: Budget, value: str, *, id: str = "b1", flags: str = "", start: float | None = None
) -> str:
    """A counter as an effect line has it."""
    remaining, held_of_it = of.counters.get(value, (of.limit, 0))
    return of.has(remaining, held_of_it).matched(f"{id}:{value}", flags, start)


def holds(says: str, labels: str, value: str, was: Budget, left: Budget) -> Row:
    """An authorization of 10 that counts for a value."""
    return Row(says, "ok", given=has(b1=was), call={"labels": labels}, effect=held(10),
        **took(met(was, value), f"b1:{value},{START},3"), after=HELD_10 | has(b1=left))  # fmt: skip


def misses(says: str, labels: str, of: Budget) -> Row:
    return Row(
        says,
        "ok",
        given=has(b1=of),
        call={"labels": labels},
        effect=held(10),
        **took("-", "-"),
        after=HELD_10,
    )


def exceeds(says: str, of: Budget, value: str, labels: str, told: str, need: int = 10) -> Row:
    return Row(says, "BUDGET_EXCEEDED", given=has(b1=of), call={"labels": labels, "amount_nanos": need}, effect=look(),
        allocation=f"-/-/-/{met(of, value)}", exceeded=("b1", told))  # fmt: skip


def in_hour(says: str, was: Budget, now: Budget, matched: Budget, at: int) -> Row:
    return Row(says, "ok", given={"test_clock_ms": at} | has(b1=was), call={"labels": ADA}, effect=held(10, at),
        **took(met(matched, "ada"), f"b1:ada,{hour(matched.start)},3", at=at), after=HELD_10 | has(b1=now))  # fmt: skip


HOURLY = Budget(labels="user", window="hour", start=DAY + 12 / 24, end=DAY + 13 / 24)
NEXT_HOUR = Budget(labels="user", window="hour", start=DAY + 13 / 24, end=DAY + 14 / 24)

AUTHORIZE = [
    holds("begins the counter of a value", ADA, "ada", EACH_USER, EACH_USER.counts(ada=(90, 10))),
    holds("goes on in the counter of a value, and leaves the others", ADA, "ada",
          EACH_USER.counts(ada=(60, 5), bob=(7, 7)), EACH_USER.counts(ada=(50, 15), bob=(7, 7))),
    holds("counts for an empty value", "\nuser=\n", "", EACH_USER, Budget(labels="user", counters={"": (90, 10)})),
    holds("counts for the value that is an asterisk", "\nuser=*\n", "%2A", EACH_USER, Budget(labels="user", counters={"%2A": (90, 10)})),
    holds("counts for a value with marks", f"\nuser={ODD}\n", ODD_ESCAPED, EACH_USER, Budget(labels="user", counters={ODD_ESCAPED: (90, 10)})),
    holds("counts for a value of other letters", "\nuser=ünï\n", "ünï", EACH_USER, Budget(labels="user", counters={"ünï": (90, 10)})),
    holds("counts for each value of one dimension and one of another", "\nproject=x\nuser=ada\n", "ada", OF_PROJECT, OF_PROJECT.counts(ada=(90, 10))),
    holds("counts for each pair of values", "\nproject=x\nuser=ada\n", "x:ada", OF_BOTH, Budget(labels="project\nuser", counters={"x:ada": (90, 10)})),
    misses("without the dimension counts for no value", "\nteam=a\n", EACH_USER),
    misses("of another project counts for no user", "\nproject=y\nuser=ada\n", OF_PROJECT),
    Row("counts beside budgets of one value and other windows", "ok", call={"labels": ADA}, effect=held(10),
        given=has(b1=EACH_USER, b2=Budget(50, labels="user=ada"), b3=Budget(labels="user", window="day", start=DAY, end=DAY + 1)),
        **took(";".join([met(EACH_USER, "ada"), Budget(50).matched("b2"),
                         met(Budget(start=DAY, end=DAY + 1), "ada", id="b3")]),
               f"b1:ada,{START},3;b2,{START},3;b3:ada,{hour(DAY)},3"),
        after=HELD_10 | has(b1=EACH_USER.counts(ada=(90, 10)), b2=Budget(40, 10, labels="user=ada"),
                            b3=Budget(labels="user", window="day", start=DAY, end=DAY + 1).counts(ada=(90, 10)))),
    exceeds("of one nano more than a value has is denied, and told which", EACH_USER.counts(ada=(9, 0), bob=(99, 0)), "ada", ADA, "user=ada"),
    exceeds("of more than any value has is denied, and begins no counter", Budget(5, limit=5, labels="user"), "ada", ADA, "user=ada",),
    exceeds("of a value with marks is told of it as given", Budget(labels="user", counters={ODD_ESCAPED: (9, 0)}), ODD_ESCAPED,
            f"\nuser={ODD}\n", f"user={ODD}"),
    exceeds("of a pair is told of both", Budget(labels="project\nuser", counters={"x:ada": (9, 0)}), "x:ada", "\nproject=x\nuser=ada\n",
            "project=x\nuser=ada"),
    Row("counts for the others when there are too many values", "ok", given=has(b1=Budget(labels="user", counters=FULL)),
        call={"labels": ADA}, effect=held(10), **took(met(EACH_USER, "*"), f"b1:*,{START},3"),
        after=HELD_10 | has(b1=Budget(labels="user", counters=FULL | {"*": (90, 10)}))),
    exceeds("of the others is denied when they have used up what they share", Budget(labels="user", counters=FULL | {"*": (9, 0)}), "*", ADA, "user=*"),
    holds("counts for a value that came before there were too many", "\nuser=v7\n", "v7", Budget(labels="user", counters=FULL),
          Budget(labels="user", counters=FULL | {"v7": (90, 10)})),
    Row("in a new window forgets all counters of the last", "ok", call={"labels": ADA}, effect=held(10),
        given=has(b1=Budget(labels="user", start=JANUARY_1, end=FEBRUARY_1, counters=FULL)),
        **took(met(EACH_USER, "ada"), f"b1:ada,{START},3"), after=HELD_10 | has(b1=EACH_USER.counts(ada=(90, 10)))),
    in_hour("in the same hour goes on in its budget", HOURLY.counts(ada=(30, 0)), HOURLY.counts(ada=(20, 10)), HOURLY.counts(ada=(30, 0)),
            NOON + MS_PER_HOUR - 1),
    in_hour("in the next hour has a whole hour's budget", HOURLY.counts(ada=(3, 0)), NEXT_HOUR.counts(ada=(90, 10)), NEXT_HOUR,
            NOON + MS_PER_HOUR),
    in_hour("by a clock that has gone back stays in the later hour", NEXT_HOUR.counts(ada=(30, 0)), NEXT_HOUR.counts(ada=(20, 10)),
            NEXT_HOUR.counts(ada=(30, 0)), NOON),
]  # fmt: skip

COUNTED = HOLD.replace("2:40 -", f"2:40 b1:ada,{START},3")
PAST = HOLD.replace("2:40 -", f"2:40 b1:ada,{JANUARY_1 * 24},3")
IS = EACH_USER.counts(ada=(60, 40), bob=(30, 0))
GIVEN: Changes = WITH_COUNTED | has(b1=IS)
NEARLY_FULL = EACH_USER.counts(ada=(100 - (INT64_MAX - 50) - 40, 40))
LEVELS = Budget(labels="user", levels="t1:50|t2:80")


DEBIT = [
    Row("begins the counter of a value", "ok", given=has(b1=EACH_USER), call={"labels": ADA}, effect=charged(10),
        allocation=f"2:10/-/-/{met(EACH_USER, 'ada')}", after=SPENT | has(b1=Budget(labels="user", counters=LEFT_90))),
    Row("of nothing begins no counter", "ok", given=has(b1=EACH_USER), call={"labels": ADA, "amount_nanos": 0}, effect=charged(0),
        allocation=f"-/-/-/{met(EACH_USER, 'ada')}", after={"left": 100}),
    exceeds("of one nano more than a value has is denied", EACH_USER.counts(ada=(9, 0)), "ada", ADA, "user=ada"),
    Row("that was incurred goes past what a value has", "ok", given=has(b1=EACH_USER.counts(ada=(9, 0))), call={"labels": ADA, "incurred": 1},
        effect=charged(10, "i"), allocation=f"2:10/-/-/{met(EACH_USER.counts(ada=(9, 0)), 'ada')}",
        after=SPENT | has(b1=EACH_USER.counts(ada=(-1, 0)))),
    Row("of a hold counts for the hold's value, whatever the call names", "ok", given=GIVEN, hold=COUNTED, call={"labels": "\nuser=bob\n"},
        effect=settled(10), allocation=f"2:10/2:40/-/{met(IS, 'ada')}", after=BACK_10 | has(b1=EACH_USER.counts(ada=(90, 0), bob=(30, 0))),
        hold_after=""),
    Row("of a value's hold of a window that has passed leaves the present one", "ok", given=GIVEN, hold=PAST, effect=settled(10),
        allocation=f"2:10/2:40/-/{met(IS, 'ada', flags='hp', start=JANUARY_1)}", after=BACK_10, hold_after=""),
    Row("of a hold of the last window begins the new one, without counters", "ok", given=GIVEN | NEXT_MONTH,
        hold=COUNTED.replace(str(EXPIRES), str((MARCH_1 + 1) * MS_PER_DAY)),
        effect=f"D {MARCH_1 * MS_PER_DAY} {MARCH_1} 10 40 {DAY} {(MARCH_1 + 1) * MS_PER_DAY} - h1",
        allocation=f"2:10/2:40/-/{met(MARCH, 'ada', flags='hp', start=FEBRUARY_1)}", hold_after="",
        after={"left": 90, "held": 0, "used": 10, "day_base": 10, "yesterday_base": 10}
        | has(b1=Budget(labels="user", start=MARCH.start, end=MARCH.end))),
    Row("that is late gives its hold back to its value, and counts for the one that the call names", "ok", hold=COUNTED,
        given=GIVEN | {"test_clock_ms": EXPIRES}, call={"labels": "\nuser=bob\n"}, effect=settled(10, "l", EXPIRES),
        allocation=f"2:10/2:40/-/{met(IS, 'bob')}/{met(IS, 'ada')}",
        after=BACK_10 | has(b1=EACH_USER.counts(ada=(100, 0), bob=(20, 0))), hold_after=""),
    Row("of a hold leaves a budget that is for each value no longer", "ok", given=WITH_COUNTED | has(b1=Budget(labels="user=ada", number=2)),
        hold=COUNTED, effect=settled(10), allocation="2:10/2:40/-/-", after=BACK_10, hold_after=""),
    Row("that would take a value's sums out of range is refused", "AMOUNT_OUT_OF_RANGE",
        given=has(b1=EACH_USER.counts(ada=(100 - (2**63 - 1) + 9, 0))), call={"labels": ADA, "incurred": 1}),
    Row("of a value's hold counts what it gives back before that is out of range", "ok", given=WITH_COUNTED | has(b1=NEARLY_FULL),
        hold=COUNTED, call={"amount_nanos": 50}, effect=settled(50), allocation=f"2:50/2:40/-/{met(NEARLY_FULL, 'ada')}",
        after={"left": 50, "held": 0, "used": 50, "day_remaining": -50} | has(b1=EACH_USER.counts(ada=(100 - INT64_MAX, 0))), hold_after=""),
    Row("tells that a value has crossed a level", "ok", given=has(b1=LEVELS.counts(ada=(55, 0), bob=(0, 0))), call={"labels": ADA},
        effect=charged(10), allocation=f"2:10/-/-/{met(LEVELS.counts(ada=(55, 0)), 'ada')}",
        after=SPENT | has(b1=LEVELS.counts(ada=(45, 0), bob=(0, 0))), then=[told("budget,b1:ada", "t1", START, 50, 55)]),
]  # fmt: skip

EXTEND = [
    Row("takes more of the hold's value", "ok", given=GIVEN, hold=COUNTED, call={"labels": "\nuser=bob\n"}, effect=added(10),
        allocation=f"2:10/-/-/{met(IS, 'ada')}", after=MORE_HELD | has(b1=EACH_USER.counts(ada=(50, 50), bob=(30, 0))),
        **kept(f"b1:ada,{START},3")),
    Row("of one nano more than the hold's value has is denied", "BUDGET_EXCEEDED", hold=COUNTED,
        given=WITH_COUNTED | has(b1=EACH_USER.counts(ada=(9, 40))), effect=look(),
        allocation=f"-/-/-/{met(EACH_USER.counts(ada=(9, 40)), 'ada')}", exceeded=("b1", "user=ada")),
    Row("of a hold of the others counts for them", "ok", hold=HOLD.replace("2:40 -", f"2:40 b1:*,{START},3"), effect=added(10),
        given=WITH_COUNTED | has(b1=Budget(labels="user", counters={"*": (60, 40)})),
        allocation=f"2:10/-/-/{met(Budget(labels='user', counters={'*': (60, 40)}), '*')}",
        after=MORE_HELD | has(b1=Budget(labels="user", counters={"*": (50, 50)})), **kept(f"b1:*,{START},3")),
]  # fmt: skip

RELEASE = [
    Row("gives a hold back to its value", "ok", given=GIVEN, hold=COUNTED, effect=ended("R"), allocation=f"-/2:40/-/{met(IS, 'ada')}",
        after=FREED | has(b1=EACH_USER.counts(ada=(100, 0), bob=(30, 0))), hold_after=""),
]  # fmt: skip

EXPIRE = [
    Row("gives a hold back to its value", "ok", given=GIVEN | {"test_clock_ms": EXPIRES}, hold=COUNTED, effect=ended("X", EXPIRES),
        allocation=f"-/2:40/-/{met(IS, 'ada')}", after=FREED | has(b1=EACH_USER.counts(ada=(100, 0), bob=(30, 0))),
        hold_after=COUNTED.replace("1 o", "1 x")),
]  # fmt: skip

OLD = EACH_USER.counts(ada=(60, 40))
OLD_AS_SET = Budget(labels="user", number=2, counters=OLD.counters)

SET = [
    sets("sets a budget for each value, without a value", {}, EACH_USER, {"b1": EACH_USER}),
    sets("sets one beside that of a value", {"b2": Budget(labels="user=ada", number=2)}, EACH_USER,
         {"b2": Budget(labels="user=ada", number=2), "b1": EACH_USER}),
    sets("sets an hour's budget, from its first minute", {}, HOURLY, {"b1": HOURLY}),
    sets("raises the limit of every value, and counts on", {"b1": OLD_AS_SET}, Budget(labels="user", limit=150),
         {"b1": Budget(labels="user", limit=150, number=2, counters={"ada": (110, 40)})}, anew=0),
    sets("makes a budget for each value anew, without a value", {"b1": OLD_AS_SET}, Budget(labels="user", window="day", start=DAY, end=DAY + 1),
         {"b1": Budget(labels="user", window="day", start=DAY, end=DAY + 1)}),
    sets("turns a budget for each value into one of a value", {"b1": OLD_AS_SET}, Budget(labels="user=ada"),
         {"b1": Budget(labels="user=ada")}, replaced_labels="user"),
    sets("turns a budget of a value into one for each", {"b1": Budget(60, 40, labels="user=ada", number=2)}, EACH_USER,
         {"b1": EACH_USER}, replaced_labels="user=ada"),
    sets("sets a second one for each value, and leaves what the first has counted", {"b2": OLD_AS_SET}, EACH_USER,
         {"b2": OLD_AS_SET, "b1": EACH_USER}),
    sets("changes a budget whose window has passed in the present one, without a value",
         {"b1": Budget(labels="user", start=JANUARY_1, end=FEBRUARY_1, number=2, counters=OLD.counters)},
         Budget(labels="user", limit=150), {"b1": Budget(labels="user", limit=150, number=2)}, anew=0),
]  # fmt: skip

DELETE = [
    Row("removes a budget for each value with all its values", "ok", given=has(b1=OLD_AS_SET, b2=EACH_USER.counts(bob=(1, 0))),
        call={"budget_id": "b1", "labels": "user"}, effect=updated(),
        after={"operation_number": 3} | has(b2=EACH_USER.counts(bob=(1, 0)))),
]  # fmt: skip

TABLES = {
    "authorize": AUTHORIZE,
    "debit": DEBIT,
    "extend": EXTEND,
    "release": RELEASE,
    "expire": EXPIRE,
    "set_budget": SET,
    "delete_budget": DELETE,
}
