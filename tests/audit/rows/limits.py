"""Rows on the books with budgets, thresholds and grace, and on what else the ledger keeps
of credits.
"""

from audit.rows.breaking import Row, effect, entry, event, gone, new, row
from meter.audit import Invariant as Rule
from model import Hold
from support.histories import Scribe

NOT_KEPT = " is recorded as "


def _lost_in_redis(scribe: Scribe) -> None:
    """A nano of a grant passes into another, and the account's sums are as they were."""
    scribe.accounts["acme"].account.payments += [(4, 1), (13, -1)]


def _budget_in_redis(scribe: Scribe) -> None:
    scribe.accounts["acme"].account.budgets["ada"].limit += 1


def _no_budget_in_redis(scribe: Scribe) -> None:
    del scribe.accounts["acme"].account.budgets["ada"]


def _no_value_in_redis(scribe: Scribe) -> None:
    account = scribe.accounts["acme"].account
    account.counted = {window for window in account.counted if not window.value}


def _open_hold(scribe: Scribe) -> str:
    holds = scribe.accounts["acme"].account.holds
    return next(hold_id for hold_id, hold in holds.items() if hold.open)


def _no_hold_in_redis(scribe: Scribe) -> None:
    del scribe.accounts["acme"].account.holds[_open_hold(scribe)]


def _hold_in_redis(scribe: Scribe) -> None:
    scribe.accounts["acme"].account.holds[_open_hold(scribe)].expires_ms += 1


def _hold_reaped_at_another_time(scribe: Scribe) -> None:
    scribe.accounts["acme"].reaped_wrongly = (_open_hold(scribe),)


def _ended_hold_in_redis(scribe: Scribe) -> None:
    scribe.accounts["acme"].account.holds["stray"] = Hold([], 1, 1, ())
    values = {"amount_nanos": 1, "day": 1, "expires_ms": 1, "authorized_at_ms": 1}
    texts = {"pins": "-", "budgets": "-"}
    new("open_holds", account_id="acme", hold_id="stray", **values, **texts)(scribe)


def _grants_due_at_another_time(scribe: Scribe) -> None:
    scribe.accounts["acme"].due_is_wrong = True


BUDGETS = [
    Row(Rule.BUDGETS, ": matched the budgets ", entry("DEBIT", 3, dimensions='{"user":"eve"}')),
    Row(Rule.BUDGETS, ": matched the budgets ", entry("DEBIT", dimensions='{"user":"ada"}')),
    Row(Rule.BUDGETS, ": freed the budgets ", effect("DEBIT", 4, "/ada,490896,490944,500,0,500,hp", "")),
    Row(Rule.BUDGETS, " is not known", effect("DEBIT", 3, "/ada,", "/eve,")),
    Row(Rule.BUDGETS, ": found budget ", effect("AUTHORIZE", 2, ",430,0,500,h", ",429,0,500,h")),
    Row(Rule.BUDGETS, ": found budget ", effect("AUTHORIZE", 2, ",430,0,500,h", ",430,1,500,h")),
    Row(Rule.BUDGETS, ": found budget ", effect("AUTHORIZE", 2, ",430,0,500,h", ",430,0,500,s")),
    Row(Rule.BUDGETS, ", its window began at ", effect("AUTHORIZE", 2, "/ada,490896,", "/ada,490872,")),
    Row(Rule.BUDGETS, ": matched the budgets ['teams:x%2Fy'], ", entry("DEBIT", -1, dimensions='{"team":"z"}')),
    Row(Rule.BUDGETS, ": found budget teams:x%2Fy ", effect("DEBIT", -1, ",50,0,50,h", ",49,0,50,h")),
    Row(Rule.BUDGETS, NOT_KEPT, row("budget_windows", {"value": ":z"}, account_id="acme", value=":x%2Fy")),
    Row(Rule.BUDGETS, NOT_KEPT, row("applied_budgets", {"limit_nanos": 1}, account_id="acme", budget_id="ada")),
    Row(Rule.BUDGETS, NOT_KEPT, row("applied_budgets", None, account_id="acme", budget_id="ada")),
    Row(Rule.BUDGETS, NOT_KEPT, row("budget_windows", {"used_nanos": 1}, account_id="acme", number=8, start_hour=490896)),
    Row(Rule.BUDGETS, NOT_KEPT, row("budget_windows", {"held_nanos": 1}, account_id="acme", number=8, start_hour=491640)),
]  # fmt: skip

_DENIALS = [
    Row(Rule.EVENTS, says, event("request.denied", place, was, now))
    for place, says, was, now in (
        (1, ", where no window ", "2026-02-01", "2026-01-31"),
        (1, ", where no window ", "2026-02-01", "2026-02-01T01:00"),
        (1, ", which no recorded ", "DAILY_LIMIT_EXCEEDED", "ACCOUNT_SUSPENDED"),
        (1, ", which no recorded ", "DAILY_LIMIT_EXCEEDED", "HOLD_NOT_FOUND"),
        (2, ", which no recorded ", '"ada"', '"eve"'),
        (2, ", which no recorded ", '"ada"', '"chats"'),
        (2, ", which no recorded ", '"budget_values":[]', '"budget_values":["ada"]'),
        (
            2,
            ", where no window ",
            '"ada","budget_values":[],"window":"2026-02-01"',
            '"chats","budget_values":[],"window":"2026-01-02"',
        ),
    )
]

OTHERS = [
    Row(Rule.ADMISSION, " nanos were admitted, budget ", effect("AUTHORIZE", 0, ",500,0,500,h", ",59,0,500,h")),
    Row(Rule.ADMISSION, " could be spent", effect("DEBIT", 7, " 130 0 ", " 144 0 ")),
    Row(Rule.ADMISSION, " could be spent", effect("DEBIT", 7, " - - - - 5 ", " - - gb - 5 ")),
    Row(Rule.ADMISSION, ", which it does not allow", entry("DEBIT", 8, traffic_class="batch")),
    Row(Rule.ADMISSION, ", which it does not allow", effect("DEBIT", 8, " gb ", " g ")),
    Row(Rule.ADMISSION, ", which it does not allow", effect("DEBIT", 8, " 20 0 ", " 214 0 ")),
    Row(Rule.ENTRY, ": grace_nanos is ", entry("DEBIT", 8, grace_nanos=0)),
    Row(Rule.ENTRY, ": overage_nanos is ", entry("DEBT_PAID", overage_nanos=0)),
    Row(Rule.HOLDS, ", it had pinned ", effect("RELEASE", 0, "/3:20/3:20/", "/2:20/3:20/")),
    Row(Rule.HOLDS, NOT_KEPT, row("open_holds", {"pins": "2:40"}, account_id="acme")),
    Row(Rule.HOLDS, NOT_KEPT, row("open_holds", {"budgets": "-"}, account_id="acme")),
    Row(Rule.OPERATIONS, "applied_settings are ", row("accounts", {"applied_settings": "{}"}, account_id="acme")),
    Row(Rule.OPERATIONS, "graces is ", row("accounts", {"graces": "[]"}, account_id="acme")),
    Row(Rule.OPERATIONS, "thresholds is ", row("accounts", {"thresholds": "[]"}, account_id="acme")),
    Row(Rule.OPERATIONS, " was passed over: it took effect", gone("GRANT_VOIDED", 1)),
    Row(Rule.OVERAGE, " are shortfall or grace", entry("DEBIT", 8, grace_nanos=0)),
    Row(Rule.REDIS, " Redis has grants ", _lost_in_redis),
    Row(Rule.REDIS, " Redis has budget ", _budget_in_redis),
    Row(Rule.REDIS, " Redis has budget ", _no_budget_in_redis),
    Row(Rule.REDIS, " Redis has budget teams:x%2Fy at None, ", _no_value_in_redis),
    Row(Rule.REDIS, " Redis has no record of it", _no_hold_in_redis),
    Row(Rule.REDIS, " Redis has hold ", _hold_in_redis),
    Row(Rule.REDIS, ", and the reaper looks for it at ", _hold_reaped_at_another_time),
    Row(Rule.REDIS, " is open in Redis, and has ended in the ledger", _ended_hold_in_redis),
    Row(Rule.REDIS, ", and the reaper looks for them at ", _grants_due_at_another_time),
    Row(Rule.THRESHOLDS, ": crossed ", gone("THRESHOLD")),
    Row(Rule.THRESHOLDS, ": crossed ", gone("THRESHOLD", 1)),
    Row(Rule.THRESHOLDS, ": crossed ", gone("THRESHOLD", 3)),
    Row(Rule.THRESHOLDS, ", which nothing has crossed", effect("THRESHOLD", 0, ",200,305 ", ",200,306 ")),
    Row(Rule.EVENTS, NOT_KEPT, row("events", None, account_id="acme", number=1)),
    Row(Rule.EVENTS, NOT_KEPT, event("threshold.crossed", 1, '"value_nanos":"', '"value_nanos":"9')),
    Row(Rule.EVENTS, NOT_KEPT, event("credits.exhausted", 0, '"remaining_nanos":"-', '"remaining_nanos":"-9')),
    Row(Rule.EVENTS, NOT_KEPT, event("grant.expired", 0, '"expired_nanos":"', '"expired_nanos":"9')),
    Row(Rule.EVENTS, ", but there are ", row("events", None, account_id="acme", number=1)),
    *_DENIALS,
]  # fmt: skip

ROWS = [*BUDGETS, *OTHERS]
