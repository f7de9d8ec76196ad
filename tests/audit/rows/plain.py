"""Rows on the plain books: entries and their chain, holds, operations, aggregates, the
journal, Redis.
"""

from sqlalchemy import select, update

from audit.rows.breaking import Break, Row, effect, entry, gone, new, row
from meter.audit import Invariant as Rule
from meter.database import schema
from support.histories import JANUARY, Scribe

NO_USAGE = {
    "account_id": "acme", "start_ms": 0, "model": "", "unit": "x", "dimension": "", "value": "",
    "quantity": 0, "amount_nanos": 0, "requests": 0,
}  # fmt: skip
STRANGE_HOLD = {
    "account_id": "beta",
    "hold_id": "h",
    "amount_nanos": 0,
    "day": 0,
    "expires_ms": 0,
    "authorized_at_ms": 0,
    "pins": "-",
    "budgets": "-",
}
LOST = {"shard": 1, "epoch": 1, "first_seq": 7, "last_seq": 9, "found_at_ms": 0}


def _refund(was: str, now: str) -> Break:
    """Rewrites a part of the recorded refund."""

    def corrupt(scribe: Scribe) -> None:
        table = schema.operations
        own = table.c.request_id.startswith("refund ")
        with scribe.ledger.write() as connection:
            found = connection.execute(select(table).where(own)).one()
            assert was in found.body
            connection.execute(update(table).where(own).values(body=found.body.replace(was, now)))

    return corrupt


def _redis(days: int = 0, **changes: int) -> Break:
    def corrupt(scribe: Scribe) -> None:
        gate = scribe.accounts["acme"]
        gate.day = gate.day + days
        gate.state = gate.state._replace(**changes)

    return corrupt


def _state_of_redis_only(scribe: Scribe) -> None:
    """Something was done in Redis, and its journal entry never came to the ledger."""
    scribe.debit(1)
    scribe.journals[0].clear()
    scribe.ends[0] -= 1


def _seen_before_it_was(scribe: Scribe) -> None:
    scribe.ends[0] = 0


ROWS = [
    Row(Rule.ACCOUNT, ", its entries come to ", row("accounts", {"remaining_nanos": 1}, account_id="acme")),
    Row(Rule.ACCOUNT, ", its entries come to ", row("accounts", {"held_nanos": 2}, account_id="acme")),
    Row(Rule.ACCOUNT, ", its last entry left day ", row("accounts", {"day": 1}, account_id="acme")),
    Row(Rule.ACCOUNT, "state: used", row("accounts", {"state": "0 0 0 7 1 0 - 0 0 0 0"}, account_id="beta")),
    Row(Rule.ACCOUNT, "state: expired", row("accounts", {"state": "7 0 0 8 0 0 - 0 0 1 0"}, account_id="beta")),
    Row(Rule.ADMISSION, " could be spent", effect("AUTHORIZE", 0, " 30 30 ", " 9000 9000 ")),
    Row(Rule.ADMISSION, " nanos were admitted, the daily limit left ", effect("AUTHORIZE", 0, " 9900 1000 10000 ", " 29 1000 10000 ")),
    Row(Rule.ADMISSION, ": spend management was ", effect("AUTHORIZE", 0, " - hold-", " o hold-")),
    Row(Rule.AGGREGATES, ", the debits come to ", new("usage_hourly", **NO_USAGE)),
    Row(Rule.AGGREGATES, ": is missing, the debits come to ", row("usage_daily", None, unit="input_tokens", dimension="")),
    Row(Rule.CHAIN, ": found the account at [", effect("GRANT", 0, " 500 0 0 0 0 ", " 499 0 0 0 0 ")),
    Row(Rule.CHAIN, ": the day went back from ", effect("RELEASE", 0, " 20454 ", " 20453 ")),
    Row(Rule.CHAIN, ": found the account at [", effect("UPDATE", 0, " 1000 - 100 ", " 1000 - 101 ")),
    Row(Rule.CHAIN, ": the history begins with ", gone("CREATE")),
    Row(Rule.DUPLICATES, " nanos again, ", _refund('"refund_of":"0-', '"refund_of":"9-')),
    Row(Rule.DUPLICATES, ": counts as used in ", _refund('"refund_budgets":"-"', '"refund_budgets":"b,1,1"')),
    Row(Rule.OPERATIONS, ": its duplicate counts on as used", effect("GRANT", 1, " tm ", " m ")),
    Row(Rule.ENTRY, ", its effect line says ", entry("DEBIT", amount_nanos=-99)),
    Row(Rule.ENTRY, ": balance_nanos is ", entry("DEBIT", balance_nanos=1)),
    Row(Rule.ENTRY, ": its usage lines add up to ", entry("DEBIT", usage_lines="[]")),
    Row(Rule.ENTRY, ": cannot be read: ", entry("DEBIT", usage_lines="[[")),
    Row(Rule.ENTRY, ": cannot be read: ", entry("DEBIT", effect="D")),
    Row(Rule.ENTRY, ": late is ", entry("DEBIT", late=True)),
    Row(Rule.ENTRY, ": incurred is ", entry("DEBIT", incurred=False)),
    Row(Rule.ENTRY, ": usage_day is ", entry("DEBIT", usage_day=1)),
    Row(Rule.ENTRY, ": occurred_at_ms is ", entry("DEBIT", occurred_at_ms=JANUARY)),
    Row(Rule.ENTRY, ": held_nanos is ", entry("AUTHORIZE", held_nanos=1)),
    Row(Rule.ENTRY, ": hold_id is ", entry("AUTHORIZE", hold_id="another")),
    Row(Rule.ENTRY, ": shortfall_nanos is ", entry("DEBIT", 4, shortfall_nanos=0)),
    Row(Rule.ENTRY, ": grace_nanos is ", entry("DEBIT", 4, grace_nanos=1)),
    Row(Rule.ENTRY, ": burned is ", entry("DEBIT", 4, burned="[[2,3000]]")),
    Row(Rule.ENTRY, ": overage_nanos is ", entry("DEBIT", 4, overage_nanos=0)),
    Row(Rule.ENTRY, ": is of another shard than the account", row("accounts", {"shard": 1}, account_id="acme")),
    Row(Rule.HOLDS, " is recorded as ", row("open_holds", None, account_id="acme")),
    Row(Rule.HOLDS, " is recorded as ", row("open_holds", {"amount_nanos": 2}, account_id="acme")),
    Row(Rule.HOLDS, " is recorded as ", row("open_holds", {"pins": "2:1"}, account_id="acme")),
    Row(Rule.HOLDS, " is recorded as ", new("open_holds", **STRANGE_HOLD)),
    Row(Rule.HOLDS, " is not open", effect("RELEASE", 0, " hold-", " another-")),
    Row(Rule.HOLDS, " was placed twice", effect("AUTHORIZE", 1, "hold-request-8", "hold-request-7")),
    Row(Rule.HOLDS, " nanos, the entries before it say ", effect("EXTEND", 0, " 5 30 ", " 5 31 ")),
    Row(Rule.HOLDS, " went back twice", effect("DEBIT", 2, " 8 0 ", " 8 10 ")),
    Row(Rule.JOURNAL, ", and not recorded as lost", gone("AUTHORIZE")),
    Row(Rule.JOURNAL, " were lost, or written anew", new("journal_gaps", **LOST)),
    Row(Rule.OPERATIONS, ", the changes recorded come to ", row("accounts", {"applied_op": 7}, account_id="beta")),
    Row(Rule.OPERATIONS, " changes are recorded, numbered up to ", row("accounts", {"recorded_op": 7}, account_id="beta")),
    Row(Rule.OPERATIONS, "granted_nanos is 8", row("accounts", {"granted_nanos": 8}, account_id="beta")),
    Row(Rule.OPERATIONS, "status is suspended", row("accounts", {"status": "suspended"}, account_id="beta")),
    Row(Rule.OPERATIONS, "daily_limit_nanos is 5", row("accounts", {"daily_limit_nanos": 5}, account_id="beta")),
    Row(Rule.OPERATIONS, "overage_policy is ", row("accounts", {"overage_policy": "next_purchase"}, account_id="beta")),
    Row(Rule.OPERATIONS, "applied_settings are ", row("accounts", {"applied_settings": '{"spend_management":false}'}, account_id="beta")),
    Row(Rule.OPERATIONS, ", which was never recorded", row("operations", None, account_id="beta", seq=2)),
    Row(Rule.OPERATIONS, " was passed over: it took effect", gone("GRANT", 1)),
    Row(Rule.OPERATIONS, " nanos were granted, recorded are ", entry("GRANT", amount_nanos=999)),
    Row(Rule.OPERATIONS, ", recorded is ", entry("GRANT", request_id="x")),
    Row(Rule.OVERAGE, " are shortfall or grace", entry("DEBIT", 4, shortfall_nanos=0)),
    Row(Rule.REDIS, " Redis has day ", _redis(spendable=1)),
    Row(Rule.REDIS, " Redis has day ", _redis(day_remaining=1)),
    Row(Rule.REDIS, " Redis has day ", _redis(days=1)),
    Row(Rule.REDIS, " Redis has day ", _state_of_redis_only),
    Row(Rule.REDIS, " of which the ledger has no entry", _seen_before_it_was),
    Row(Rule.WATERMARK, ", the newest entry of that epoch is ", row("shards", {"watermark_seq": 1}, shard=0)),
    Row(Rule.WATERMARK, ", entries are of ", row("shards", {"epoch": 2}, shard=1)),
    Row(Rule.WATERMARK, ", begun are ", row("epochs", None, shard=0)),
]  # fmt: skip
