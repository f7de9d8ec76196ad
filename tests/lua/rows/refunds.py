"""Refunds of requests that were charged twice: the use of the second time counts no longer."""

from lua.rows.budgets import JANUARY_1, has
from lua.rows.grants import granted
from support.lua_account import (
    DAY,
    EACH_USER,
    FEBRUARY_1,
    MS_PER_DAY,
    NOON,
    TOP_UP,
    Budget,
    Changes,
    Grant,
    hour,
)
from support.lua_table import P53, Row

START = hour(FEBRUARY_1)
IS = Budget(40, 20)
OF_ADA = EACH_USER.counts(ada=(90, 0), bob=(40, 0))
TWICE: Changes = {
    "used": 70,
    "left": 30,
    "day_base": 30,
    "yesterday_base": 20,
    "month_base": 5,
    "day_remaining": 60,
    "daily_limit": 100,
}


def refunds(
    says: str,
    letters: str,
    used_day: int,
    charged_day: int,
    after: Changes,
    counted_in: str = "-",
    budgets: str = "-",
    given: Changes | None = None,
    amount: int = 10,
) -> Row:
    before = TWICE | (given or {})
    call = {
        "amount_nanos": amount,
        "used_day": used_day,
        "charged_day": charged_day,
        "counted_in": counted_in,
    }
    return Row(says, "ok", given=before, call=call, effect=granted(amount, flags=letters or "-"),
        allocation=f"-/3:{amount}/-/{budgets}",
        after={"operation_number": 3, "total": before.get("total", 100) + amount, "grants": {2: TOP_UP.has(30), 3: Grant(amount)}} | after)  # fmt: skip


REFUNDS = [
    refunds("takes back what counts today", "tm", DAY, DAY,
            {"day_base": 40, "yesterday_base": 30, "month_base": 15, "day_remaining": 70}),
    refunds("takes back what counts yesterday", "ym", DAY - 1, DAY - 1, {"yesterday_base": 30, "month_base": 15}),
    refunds("takes back what counted on a day of the month", "m", DAY - 9, DAY - 9, {"month_base": 15}),
    refunds("takes back what was charged this month, though a hold's day was in the last", "m", FEBRUARY_1 - 1, FEBRUARY_1, {"month_base": 15}),
    refunds("leaves sums in which the use counts no longer", "", FEBRUARY_1 - 1, FEBRUARY_1 - 1, {}),
    refunds("takes back what counts today of an unlimited day", "tm", DAY, DAY,
            {"day_base": 40, "yesterday_base": 30, "month_base": 15, "day_remaining": -30}, given={"daily_limit": "-", "day_remaining": -40}),
    refunds("takes back exactly above 2^53", "tm", DAY, DAY,
            {"day_base": 2 * P53 + 1, "yesterday_base": P53 + 20, "month_base": P53 + 5, "day_remaining": -30}, amount=P53,
            given={"day_base": P53 + 1, "daily_limit": "-", "day_remaining": -P53 - 30, "used": 2 * P53 + 31}),
    Row("on the next day takes back what counts yesterday by then", "ok",
        given=TWICE | {"test_clock_ms": NOON + MS_PER_DAY}, call={"used_day": DAY, "charged_day": DAY},
        effect=granted(10, NOON + MS_PER_DAY, DAY + 1, "ym"), allocation="-/3:10/-/-",
        sums={"day_base": 70, "yesterday_base": 30, "day_remaining": 100},
        after={"operation_number": 3, "total": 110, "grants": {2: TOP_UP.has(30), 3: Grant(10)}, "day": DAY + 1,
               "day_base": 70, "yesterday_base": 40, "month_base": 15, "day_remaining": 100}),
    refunds("gives what was used back to a budget", "m", DAY - 9, DAY - 9, {"month_base": 15} | has(b1=Budget(50, 20)),
            f"b1,{START},3", IS.matched(), has(b1=IS)),
    refunds("gives what was used back to a value of a budget for each", "m", DAY - 9, DAY - 9,
            {"month_base": 15} | has(b1=EACH_USER.counts(ada=(100, 0), bob=(40, 0))), f"b1:ada,{START},3",
            Budget(90).matched("b1:ada"), has(b1=OF_ADA)),
    refunds("leaves the present window of a budget in which the use is over", "", JANUARY_1, JANUARY_1, {}, f"b1,{JANUARY_1 * 24},3",
            IS.matched(flags="hp", start=JANUARY_1), has(b1=IS)),
    refunds("leaves a budget that was made anew since", "m", DAY - 9, DAY - 9, {"month_base": 15}, f"b1,{START},2;gone,{START},2", "-",
            has(b1=IS)),
]  # fmt: skip

TABLES = {"grant_credits": REFUNDS}
